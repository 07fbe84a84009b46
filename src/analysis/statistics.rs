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

    /// `None` without values.
    pub(super) fn summary(&self) -> Option<Summary> {
        (self.n > 0).then(|| Summary { mean: self.mean, std: (self.squares / self.n as f64).sqrt() })
    }
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
    fn percentiles_lie_between_ranks() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&values, 0.5), Some(2.5));
        assert_eq!(percentile(&values, 1.0), Some(4.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
