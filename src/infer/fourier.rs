//! Spectra of short windows, as products with a matrix: the same bits on every processor, and no plan to keep.

use std::f64::consts::TAU;

use super::kernels::{Left, Panels};

/// The windowed discrete Fourier transform of frames that lie a hop apart.
#[derive(Debug)]
pub(super) struct Fourier {
    n_fft: usize,
    hop_length: usize,
    /// Window and transform, `[n_fft, 2 * n_bins]`: real and imaginary parts side by side.
    transform: Panels,
}

impl Fourier {
    /// With the periodic Hann window of `n_fft` samples, as `torch.hann_window` and librosa's `"hann"`.
    pub(super) fn hann(n_fft: usize, hop_length: usize) -> Self {
        let n = n_fft as f64;
        let transform = Panels::new(n_fft, 2 * (n_fft / 2 + 1), |sample, part| {
            let window = 0.5 - 0.5 * (TAU * sample as f64 / n).cos();
            // The angle's multiple of a full turn is taken away in integers, so that no digits are lost.
            let angle = TAU * ((part / 2 * sample) % n_fft) as f64 / n;
            (window * if part % 2 == 0 { angle.cos() } else { -angle.sin() }) as f32
        });
        Self { n_fft, hop_length, transform }
    }

    /// With this matrix `[n_fft, 2 * n_bins]`.
    pub(super) fn from_weights(
        n_fft: usize,
        n_bins: usize,
        hop_length: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        Self { n_fft, hop_length, transform: Panels::new(n_fft, 2 * n_bins, weight) }
    }

    /// Number of frequency bins.
    pub(super) fn n_bins(&self) -> usize {
        self.transform.n_outputs() / 2
    }

    /// Frames that fit into so many samples.
    pub(super) fn n_frames(&self, n_samples: usize) -> usize {
        n_samples.checked_sub(self.n_fft).map_or(0, |rest| rest / self.hop_length + 1)
    }

    /// The spectra of the first `n_frames` frames of `samples`, into rows of `out` that are `stride` apart.
    pub(super) fn spectra(&self, samples: &[f32], n_frames: usize, out: &mut [f32], stride: usize) {
        self.transform.product(Left::new(samples, n_frames, self.hop_length), out, stride, false);
    }

    /// The mel power of all frames of `samples` with `n_fft / 2` zeros at either end, `[n_frames, n_mels]`: librosa's
    /// `melspectrogram`, transposed.
    pub(super) fn mel_power(&self, samples: &[f32], filters: &[MelFilter]) -> Vec<f32> {
        /// Frames whose spectra lie in a core's own cache.
        const BLOCK: usize = 60;
        let margin = self.n_fft / 2;
        let mut padded = vec![0.0; samples.len() + 2 * margin];
        padded[margin..margin + samples.len()].copy_from_slice(samples);
        let (n_frames, n_bins) = (self.n_frames(padded.len()), self.n_bins());
        let mut mel = Vec::with_capacity(n_frames * filters.len());
        let mut spectra = vec![0.0; BLOCK * 2 * n_bins];
        let mut power = vec![0.0; n_bins];
        for first in (0..n_frames).step_by(BLOCK) {
            let n = BLOCK.min(n_frames - first);
            self.spectra(&padded[first * self.hop_length..], n, &mut spectra, 2 * n_bins);
            for spectrum in spectra.chunks_exact(2 * n_bins).take(n) {
                for (power, [re, im]) in power.iter_mut().zip(spectrum.as_chunks().0) {
                    *power = re * re + im * im;
                }
                mel.extend(filters.iter().map(|filter| {
                    filter.weights.iter().zip(&power[filter.first..]).map(|(weight, power)| weight * power).sum::<f32>()
                }));
            }
        }
        mel
    }
}

pub(super) use crate::audio::mel_filters::{MelFilter, mel_filters};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_in_the_middle_of_a_bin_has_its_power_there() {
        // Hann's window has three bins: half of the amplitude times the window's sum in the middle, half of that beside.
        let fourier = Fourier::hann(320, 160);
        let samples: Vec<f32> = (0..480).map(|n| (TAU * 40.0 * f64::from(n) / 320.0).cos() as f32).collect();
        assert_eq!(fourier.n_frames(samples.len()), 2);
        let mut spectra = vec![0.0; 2 * 322];
        fourier.spectra(&samples, 2, &mut spectra, 322);
        for (bin, [re, im]) in spectra[..322].as_chunks().0.iter().enumerate() {
            let want = match bin {
                40 => 80.0,
                39 | 41 => -40.0,
                _ => 0.0,
            };
            assert!((re - want).abs() < 1e-3 && im.abs() < 1e-3, "bin {bin}: {re} + {im} i");
        }
    }
}
