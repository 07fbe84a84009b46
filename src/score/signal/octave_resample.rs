//! The resampler of STOI: GNU Octave's `resample`, as pystoi has it. The score depends on its filter.

use std::f64::consts::PI;

use crate::audio::bessel_i0;

/// Attenuation of the stop band, dB. Source: pystoi 0.4.1 `utils.py`, `_resample_window_oct`.
const REJECTION_DB: f64 = 60.0;

/// A polyphase filter between two rates.
pub(super) struct OctaveResampler {
    up: usize,
    down: usize,
    /// Taps on each side of the centre, at the rate `up` times the input's.
    half_len: usize,
    /// `[up, n_taps]`: the taps that meet input samples in each phase, last first.
    phases: Vec<f64>,
    n_taps: usize,
}

impl OctaveResampler {
    /// A resampler from one rate to another, Hz, both above 0.
    pub(super) fn new(from: u32, to: u32) -> Self {
        let divisor = gcd(from, to);
        let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
        let cutoff = 1.0 / (2 * up.max(down)) as f64;
        let roll_off = cutoff / 10.0;
        // Source: pystoi 0.4.1 `utils.py`; the design formulas are Kaiser's.
        let half_len = ((REJECTION_DB - 8.0) / (28.714 * roll_off)).ceil() as usize;
        let beta = 0.1102 * (REJECTION_DB - 8.7);
        let tap = |offset: usize| {
            let x = 2.0 * cutoff * offset as f64;
            let sinc = if offset == 0 { 1.0 } else { (PI * x).sin() / (PI * x) };
            let r = offset as f64 / half_len as f64;
            bessel_i0(beta * (1.0 - r * r).max(0.0).sqrt()) * sinc
        };
        let half: Vec<f64> = (0..=half_len).map(tap).collect();
        let gain = up as f64 / (half[0] + 2.0 * half[1..].iter().sum::<f64>());
        let n_taps = (2 * half_len + 1).div_ceil(up);
        let mut phases = vec![0.0; up * n_taps];
        for index in 0..=2 * half_len {
            let (phase, place) = (index % up, n_taps - 1 - index / up);
            phases[phase * n_taps + place] = half[index.abs_diff(half_len)] * gain;
        }
        Self { up, down, half_len, phases, n_taps }
    }

    /// Samples that `n_samples` become.
    pub(super) fn n_output(&self, n_samples: usize) -> usize {
        (n_samples * self.up).div_ceil(self.down)
    }

    /// The samples at the other rate, not delayed, with silence assumed beyond both ends.
    pub(super) fn resample(&self, samples: &[f64]) -> Vec<f64> {
        let output = |index: usize| {
            let position = index * self.down + self.half_len;
            let phase = position % self.up;
            let taps = &self.phases[phase * self.n_taps..][..self.n_taps];
            // The taps meet the samples up to and with this one.
            let end = position / self.up + 1;
            let n_before = self.n_taps.saturating_sub(end);
            let (first, last) = ((end + n_before - self.n_taps).min(samples.len()), end.min(samples.len()));
            dot(&taps[n_before..], &samples[first..last])
        };
        (0..self.n_output(samples.len())).map(output).collect()
    }
}

/// The sum of products, of the shorter length, in eight partial sums.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    const N_LANES: usize = 8;
    let n = left.len().min(right.len());
    let (left, right) = (&left[..n], &right[..n]);
    let mut lanes = [0.0; N_LANES];
    let (chunks, others) = (left.chunks_exact(N_LANES), right.chunks_exact(N_LANES));
    let rest: f64 = chunks.remainder().iter().zip(others.remainder()).map(|(left, right)| left * right).sum();
    for (left, right) in chunks.zip(others) {
        for lane in 0..N_LANES {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_in_the_pass_band_stays_itself() {
        for (from, to) in [(16_000, 10_000), (48_000, 10_000), (44_100, 10_000), (8_000, 10_000)] {
            let wave =
                |rate: u32| move |n: usize| (std::f64::consts::TAU * 1_000.0 * n as f64 / f64::from(rate) + 0.3).sin();
            let samples: Vec<f64> = (0..from as usize / 2).map(wave(from)).collect();
            let got = OctaveResampler::new(from, to).resample(&samples);
            assert_eq!(got.len(), to as usize / 2);
            for (n, got) in got.iter().enumerate().take(4_500).skip(500) {
                assert!((got - wave(to)(n)).abs() < 2e-3, "{from} Hz, sample {n}: {got}");
            }
        }
    }

    #[test]
    fn every_length_is_that_of_the_time_rounded_up() {
        let resampler = OctaveResampler::new(16_000, 10_000);
        for n in 0..200 {
            assert_eq!(resampler.resample(&vec![1.0; n]).len(), (n * 10).div_ceil(16));
        }
    }
}
