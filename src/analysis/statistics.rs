//! Mean, spread and rank of many values.

use serde::{Deserialize, Serialize};

/// Mean and standard deviation of a feature over all frames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the population, as `numpy.std`.
    pub std: f64,
}

/// Running mean and variance by Welford's method.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    n: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes one more value; NaN is left out.
    pub(super) fn push(&mut self, value: f32) {
        if value.is_nan() {
            return;
        }
        let value = f64::from(value);
        self.n += 1;
        let delta = value - self.mean;
        self.mean += delta / self.n as f64;
        self.squares += delta * (value - self.mean);
    }

    /// Takes some more values together: by the sums of a block, without a division for each of them. NaN is left out.
    ///
    /// Source: Chan, Golub, `LeVeque`, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    pub(super) fn push_block<const N: usize>(&mut self, values: &[f32; N]) {
        let mean = sum(values, |value| value) / N as f64;
        if !mean.is_finite() {
            values.iter().for_each(|&value| self.push(value));
            return;
        }
        let before = self.n as f64;
        self.n += N as u64;
        let share = N as f64 / self.n as f64;
        let delta = mean - self.mean;
        self.mean += delta * share;
        self.squares += sum(values, |value| (value - mean) * (value - mean)) + delta * delta * before * share;
    }

    /// `None` without values.
    pub(super) fn summary(&self) -> Option<Summary> {
        (self.n > 0).then(|| Summary { mean: self.mean, std: (self.squares / self.n as f64).sqrt() })
    }
}

/// The sum of a function of the values, in four parts.
fn sum<const N: usize>(values: &[f32; N], of: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 4];
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for (sum, &value) in sums.iter_mut().zip(four) {
            *sum += of(f64::from(value));
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&value| of(f64::from(value))).sum::<f64>()
}

/// The value below which the share `q` of the sorted values lies, between ranks by line, as `numpy.percentile`.
pub(super) fn percentile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = q * last as f64;
    let below = rank.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (rank - below as f64))
}

/// Decibels of an amplitude; `None` for silence.
pub(super) fn amplitude_db(amplitude: f64) -> Option<f64> {
    (amplitude > 0.0).then(|| 20.0 * amplitude.log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_definition() {
        let mut moments = Moments::default();
        assert!(moments.summary().is_none());
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, f32::NAN] {
            moments.push(value);
        }
        let summary = moments.summary().unwrap();
        assert!((summary.mean - 5.0).abs() < 1e-12 && (summary.std - 2.0).abs() < 1e-12);
    }

    #[test]
    fn moments_of_blocks_are_those_of_the_values_one_by_one() {
        let (mut whole, mut single) = (Moments::default(), Moments::default());
        for block in 0..20 {
            // A large mean beside a small spread, in which a sum of squares would drown.
            let mut values: [f32; 7] =
                std::array::from_fn(|index| 1_000.0 + ((block * 7 + index * 3) % 11) as f32 * 0.01);
            if block == 3 {
                values[2] = f32::NAN;
            }
            whole.push_block(&values);
            values.iter().for_each(|&value| single.push(value));
        }
        let (whole, single) = (whole.summary().unwrap(), single.summary().unwrap());
        assert!((whole.mean - single.mean).abs() < 1e-9 && (whole.std / single.std - 1.0).abs() < 1e-6, "{whole:?}");
        let mut infinite = Moments::default();
        infinite.push_block(&[f32::INFINITY, 1.0]);
        assert!(!infinite.summary().unwrap().mean.is_finite());
    }

    #[test]
    fn percentiles_lie_between_ranks() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&values, 0.5), Some(2.5));
        assert_eq!(percentile(&values, 1.0), Some(4.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
