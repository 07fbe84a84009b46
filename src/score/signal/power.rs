//! Short-time power spectra: what the spectral, cepstral and pitch scores share.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};

/// Frames in a second: a step of 8 ms, rounded to whole samples.
const FRAMES_PER_S: u32 = 125;
/// Windows overlap by three quarters: a window is 32 ms.
const HOPS_PER_WINDOW: usize = 4;
/// Least power that is told from silence: 100 dB below noise of variance 1, about the rounding noise of 16-bit samples.
pub(super) const FLOOR: f64 = 1e-10;

/// Step between frames at this rate, samples: 8 ms.
pub(super) const fn hop_length(sample_rate: u32) -> usize {
    ((sample_rate + FRAMES_PER_S / 2) / FRAMES_PER_S) as usize
}

/// Samples in a frame's window at this rate: 32 ms.
pub(super) const fn window_length(sample_rate: u32) -> usize {
    HOPS_PER_WINDOW * hop_length(sample_rate)
}

/// The power spectra of 32 ms frames, 8 ms apart, that lie within a clip.
pub(super) struct PowerSpectra {
    transform: Arc<dyn RealToComplex<f64>>,
    /// A periodic Hann window of energy 1, so that noise of variance 1 has power 1 in every bin.
    window: Vec<f64>,
    hop_length: usize,
    frame: Vec<f64>,
    spectrum: Vec<Complex64>,
    scratch: Vec<Complex64>,
    power: Vec<f64>,
}

impl PowerSpectra {
    pub(super) fn new(sample_rate: u32) -> Self {
        let length = window_length(sample_rate);
        let transform = RealFftPlanner::new().plan_fft_forward(length);
        let hann = |index: usize| 0.5 - 0.5 * (TAU * index as f64 / length as f64).cos();
        let norm = (0..length).map(|index| hann(index) * hann(index)).sum::<f64>().sqrt();
        Self {
            window: (0..length).map(|index| hann(index) / norm).collect(),
            hop_length: hop_length(sample_rate),
            frame: vec![0.0; length],
            spectrum: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            power: vec![0.0; length / 2 + 1],
            transform,
        }
    }

    /// Frames in `n_samples`.
    pub(super) fn n_frames(&self, n_samples: usize) -> usize {
        n_samples.checked_sub(self.window.len()).map_or(0, |rest| 1 + rest / self.hop_length)
    }

    /// The power of frame `index`, which must be one of [`Self::n_frames`]: `[window_length / 2 + 1]`.
    pub(super) fn of(&mut self, samples: &[f64], index: usize) -> &[f64] {
        let samples = &samples[index * self.hop_length..][..self.window.len()];
        for ((value, sample), weight) in self.frame.iter_mut().zip(samples).zip(&self.window) {
            *value = sample * weight;
        }
        let result = self.transform.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
        debug_assert!(result.is_ok(), "lengths are the transform's own");
        for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
        &self.power
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_32_ms_long_and_8_ms_apart() {
        for (rate, hop) in [(8_000, 64), (16_000, 128), (22_050, 176), (44_100, 353), (48_000, 384)] {
            assert_eq!((hop_length(rate), window_length(rate)), (hop, 4 * hop));
        }
        let spectra = PowerSpectra::new(16_000);
        assert_eq!([0, 511, 512, 639, 640].map(|n| spectra.n_frames(n)), [0, 0, 1, 1, 2]);
    }

    #[test]
    fn an_impulse_has_the_power_of_its_window() {
        let mut samples = [0.0; 512];
        samples[256] = 1.0;
        // The periodic Hann window's energy is 3/8 of its length.
        let want = 1.0 / (0.375 * 512.0);
        assert!(PowerSpectra::new(16_000).of(&samples, 0).iter().all(|power| (power / want - 1.0).abs() < 1e-12));
    }
}
