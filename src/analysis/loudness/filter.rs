//! The K-weighting filter: a shelf for the head, then a high pass.

use std::f64::consts::PI;

/// The shelf's corner, Hz, its gain, dB, and its quality. Source: De Man, "Evaluation of implementations of the EBU R128
/// loudness measurement", AES 145 (2018): the analogue filter whose bilinear transform at 48 kHz is the table in ITU-R
/// BS.1770-4, annex 1.
const SHELF: (f64, f64, f64) = (1_681.974_450_955_533, 3.999_843_853_973_347, 0.707_175_236_955_419_6);
/// The shelf's gain at its corner, as a power of its gain. Source: as above.
const SHELF_CORNER_POWER: f64 = 0.499_666_774_154_541_6;
/// The high pass's corner, Hz, and its quality. Source: as above.
const HIGH_PASS: (f64, f64) = (38.135_470_876_024_44, 0.500_327_037_323_877_3);
/// The rate at which the standard's table gives the high pass a numerator of exactly 1, -2, 1, Hz.
const TABLE_RATE: f64 = 48_000.0;

/// A filter of second order: gains of the last three inputs and of the last two outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Biquad {
    pub(super) b: [f64; 3],
    pub(super) a: [f64; 2],
}

/// Shelf and high pass at `sample_rate`, by the bilinear transform, each corner at its own frequency.
///
/// The high pass keeps the gain that the table at 48 kHz gives it (0.04 dB), at every rate.
pub(super) fn k_weighting(sample_rate: f64) -> [Biquad; 2] {
    let (hz, gain_db, quality) = SHELF;
    let k = (PI * hz / sample_rate).tan();
    let high = 10.0_f64.powf(gain_db / 20.0);
    let corner = high.powf(SHELF_CORNER_POWER);
    let scale = 1.0 + k / quality + k * k;
    let shelf = Biquad {
        b: [
            (high + corner * k / quality + k * k) / scale,
            2.0 * (k * k - high) / scale,
            (high - corner * k / quality + k * k) / scale,
        ],
        a: [2.0 * (k * k - 1.0) / scale, (1.0 - k / quality + k * k) / scale],
    };
    let (hz, quality) = HIGH_PASS;
    let scale_at = |rate: f64| {
        let k = (PI * hz / rate).tan();
        (k, 1.0 + k / quality + k * k)
    };
    let (k, scale) = scale_at(sample_rate);
    let gain = scale_at(TABLE_RATE).1 / scale;
    let high_pass =
        Biquad { b: [gain, -2.0 * gain, gain], a: [2.0 * (k * k - 1.0) / scale, (1.0 - k / quality + k * k) / scale] };
    [shelf, high_pass]
}

/// What two filters in a row remember of `N` channels: of the first filter, and of the second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory<const N: usize>([Stages<N>; 2]);

/// A number of every channel for each of two filters: one vector of a pair of channels.
type Stages<const N: usize> = [[f64; N]; 2];

#[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
impl<const N: usize> Memory<N> {
    pub(super) fn new() -> Self {
        Self([[[0.0; N]; 2]; 2])
    }

    /// Sum of the squares of the filtered samples of each channel.
    ///
    /// The second filter is a sample behind the first, so that the two do not wait for each other.
    #[inline(always)]
    pub(super) fn energy(&mut self, filters: &[Biquad; 2], channels: [&[f32]; N]) -> [f64; N] {
        let n = channels.iter().map(|channel| channel.len()).min().unwrap_or(0);
        let channels = channels.map(|channel| &channel[..n]);
        let mut sums = [0.0; N];
        if n == 0 {
            return sums;
        }
        let gains = Gains::of(filters);
        // There is nothing yet for the second filter.
        let second_before = [self.0[0][1], self.0[1][1]];
        let mut output = self.step(&gains, &[samples(&channels, 0), [0.0; N]]);
        [self.0[0][1], self.0[1][1]] = second_before;
        for index in 1..n {
            output = self.step(&gains, &[samples(&channels, index), output[0]]);
            for c in 0..N {
                sums[c] = output[1][c].mul_add(output[1][c], sums[c]);
            }
        }
        // There is nothing more for the first one.
        let first_before = [self.0[0][0], self.0[1][0]];
        output = self.step(&gains, &[[0.0; N], output[0]]);
        [self.0[0][0], self.0[1][0]] = first_before;
        for c in 0..N {
            sums[c] = output[1][c].mul_add(output[1][c], sums[c]);
        }
        // Silence for ever would end in numbers too small to compute with quickly.
        for value in self.0.iter_mut().flatten().flatten() {
            *value = if value.abs() < 1e-30 { 0.0 } else { *value };
        }
        sums
    }

    /// Takes a sample of every channel into both filters, and returns theirs.
    #[inline(always)]
    fn step(&mut self, gains: &Gains<N>, input: &Stages<N>) -> Stages<N> {
        let [mut s1, mut s2] = self.0;
        let mut output = [[0.0; N]; 2];
        for stage in 0..2 {
            for c in 0..N {
                let x = input[stage][c];
                let y = x.mul_add(gains.b[0][stage][c], s1[stage][c]);
                s1[stage][c] = y.mul_add(-gains.a[0][stage][c], x.mul_add(gains.b[1][stage][c], s2[stage][c]));
                s2[stage][c] = y.mul_add(-gains.a[1][stage][c], x * gains.b[2][stage][c]);
                output[stage][c] = y;
            }
        }
        self.0 = [s1, s2];
        output
    }
}

/// One sample of every channel.
#[allow(clippy::inline_always, reason = "see Memory")]
#[inline(always)]
fn samples<const N: usize>(channels: &[&[f32]; N], index: usize) -> [f64; N] {
    let mut samples = [0.0; N];
    for c in 0..N {
        samples[c] = f64::from(channels[c][index]);
    }
    samples
}

/// The gains of two filters, repeated for every channel.
struct Gains<const N: usize> {
    b: [Stages<N>; 3],
    a: [Stages<N>; 2],
}

impl<const N: usize> Gains<N> {
    fn of([first, second]: &[Biquad; 2]) -> Self {
        Self {
            b: std::array::from_fn(|index| [[first.b[index]; N], [second.b[index]; N]]),
            a: std::array::from_fn(|index| [[first.a[index]; N], [second.a[index]; N]]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coefficients printed in ITU-R BS.1770-4, annex 1, tables 1 and 2.
    #[test]
    fn at_48_khz_the_filters_are_the_standards_table() {
        let [shelf, high_pass] = k_weighting(48_000.0);
        let want = [1.535_124_859_586_97, -2.691_696_189_406_38, 1.198_392_810_852_85];
        assert!(shelf.b.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12), "{shelf:?}");
        let want = [-1.690_659_293_182_41, 0.732_480_774_215_85];
        assert!(shelf.a.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12), "{shelf:?}");
        assert!(high_pass.b.iter().zip([1.0, -2.0, 1.0]).all(|(got, want)| (got - want).abs() < 1e-12));
        let want = [-1.990_047_454_833_98, 0.990_072_250_366_21];
        assert!(high_pass.a.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12), "{high_pass:?}");
    }

    #[test]
    fn the_gain_at_1_khz_is_nearly_the_same_at_every_rate() {
        let gain_db = |rate: f64| {
            let (sin, cos) = (std::f64::consts::TAU * 997.0 / rate).sin_cos();
            let power = |b0: f64, b1: f64, b2: f64| {
                let (c2, s2) = (2.0 * cos * cos - 1.0, 2.0 * sin * cos);
                (b0 + b1 * cos + b2 * c2).powi(2) + (b1 * sin + b2 * s2).powi(2)
            };
            let response =
                |filter: &Biquad| power(filter.b[0], filter.b[1], filter.b[2]) / power(1.0, filter.a[0], filter.a[1]);
            10.0 * k_weighting(rate).iter().map(response).product::<f64>().log10()
        };
        let reference = gain_db(48_000.0);
        assert!((reference - 0.691).abs() < 0.001, "{reference}");
        for rate in [16_000.0, 22_050.0, 44_100.0, 96_000.0, 192_000.0] {
            assert!((gain_db(rate) - reference).abs() < 0.05, "{rate}: {}", gain_db(rate));
        }
    }
}
