//! The short-time Fourier transform that all spectral features share.

use std::sync::Arc;

use pulp::Arch;
use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};

use crate::audio::Once;

/// Frames whose spectra lie side by side, so that loops over them are vectors.
pub(super) const LANES: usize = 16;

/// Frames whose power is found together.
const GROUP: usize = 4;

/// Power spectra of up to [`LANES`] successive frames.
pub(super) struct SpectraBlock<'s> {
    /// `[n_bins][LANES]`: |X|^2 of a bin in successive frames; unused lanes are 0.
    pub(super) power: &'s [[f32; LANES]],
    /// Frames that are there.
    pub(super) n_frames: usize,
}

/// Spectra of frames of a Hann window, centred on every `hop_length`th sample, with silence beyond both ends: what
/// `librosa.stft(center=True)` transforms. There are `1 + n_samples / hop_length`.
///
/// In double precision, as numpy transforms what librosa has windowed: in single precision the bins far below the
/// loudest, which flatness and the valleys of the contrast are made of, are rounding errors.
pub(super) struct Stft {
    n_fft: usize,
    hop_length: usize,
    transform: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    /// Samples from the first one of the next frame on.
    samples: Vec<f32>,
    n_samples: u64,
    n_frames: u64,
    frame: Vec<f64>,
    spectra: [Vec<Complex64>; GROUP],
    scratch: Vec<Complex64>,
    power: Vec<[f32; LANES]>,
}

impl Stft {
    pub(super) fn new(n_fft: usize, hop_length: usize) -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(n_fft);
        let angle = |index: usize| std::f64::consts::TAU * index as f64 / n_fft as f64;
        Self {
            n_fft,
            hop_length,
            window: (0..n_fft).map(|index| 0.5 - 0.5 * angle(index).cos()).collect(),
            samples: vec![0.0; n_fft / 2],
            n_samples: 0,
            n_frames: 0,
            frame: vec![0.0; n_fft],
            spectra: std::array::from_fn(|_| transform.make_output_vec()),
            scratch: transform.make_scratch_vec(),
            power: vec![[0.0; LANES]; n_fft / 2 + 1],
            transform,
        }
    }

    /// Takes more samples and hands on every full block of spectra.
    pub(super) fn push(&mut self, samples: &[f32], take: &mut dyn FnMut(&SpectraBlock)) {
        self.n_samples += samples.len() as u64;
        self.samples.extend_from_slice(samples);
        let needed = self.n_fft + (LANES - 1) * self.hop_length;
        let mut start = 0;
        while self.samples.len() >= start + needed {
            self.block(start, LANES, take);
            start += LANES * self.hop_length;
        }
        self.samples.drain(..start);
    }

    /// Hands on the last spectra, with silence behind the samples.
    pub(super) fn finish(&mut self, take: &mut dyn FnMut(&SpectraBlock)) {
        let end = 1 + self.n_samples / self.hop_length as u64;
        let missing = usize::try_from(end - self.n_frames).unwrap_or(0);
        self.samples.resize(self.samples.len().max(self.n_fft + missing * self.hop_length), 0.0);
        for first in (0..missing).step_by(LANES) {
            self.block(first * self.hop_length, LANES.min(missing - first), take);
        }
    }

    fn block(&mut self, start: usize, n_frames: usize, take: &mut dyn FnMut(&SpectraBlock)) {
        for lane in 0..LANES {
            let spectrum = &mut self.spectra[lane % GROUP];
            if lane < n_frames {
                let first = start + lane * self.hop_length;
                windowed(&mut self.frame, &self.samples[first..first + self.n_fft], &self.window);
                let result = self.transform.process_with_scratch(&mut self.frame, spectrum, &mut self.scratch);
                debug_assert!(result.is_ok(), "lengths are the transform's own");
            } else {
                spectrum.fill(Complex64::default());
            }
            if lane % GROUP == GROUP - 1 {
                powers(&mut self.power, lane + 1 - GROUP, &self.spectra);
            }
        }
        self.n_frames += n_frames as u64;
        take(&SpectraBlock { power: &self.power, n_frames });
    }
}

/// The samples times the window.
fn windowed(frame: &mut [f64], samples: &[f32], window: &[f64]) {
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            for ((value, sample), weight) in frame.iter_mut().zip(samples).zip(window) {
                *value = f64::from(*sample) * weight;
            }
        },
    );
}

/// |X|^2 of spectra, into the lanes from `first` on: as many at a time as are stored as one vector.
fn powers(power: &mut [[f32; LANES]], first: usize, spectra: &[Vec<Complex64>; GROUP]) {
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            let [a, b, c, d] = spectra;
            for ((((lanes, a), b), c), d) in power.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                let re = [a.re, b.re, c.re, d.re];
                let im = [a.im, b.im, c.im, d.im];
                let mut found = [0.0; GROUP];
                for lane in 0..GROUP {
                    found[lane] = (re[lane] * re[lane] + im[lane] * im[lane]) as f32;
                }
                lanes[first..first + GROUP].copy_from_slice(&found);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectra(samples: &[f32], piece: usize) -> Vec<Vec<f32>> {
        let (mut stft, mut found) = (Stft::new(64, 16), Vec::new());
        let mut take = |block: &SpectraBlock| {
            found.extend((0..block.n_frames).map(|lane| block.power.iter().map(|bin| bin[lane]).collect()));
        };
        samples.chunks(piece).for_each(|piece| stft.push(piece, &mut take));
        stft.finish(&mut take);
        found
    }

    #[test]
    fn frames_are_the_definition_however_samples_come() {
        let samples: Vec<f32> = (0..1_000_i32).map(|n| (n * n % 101) as f32 / 50.0 - 1.0).collect();
        for n_samples in [0, 1, 15, 16, 500, 1_000] {
            let samples = &samples[..n_samples];
            let whole = spectra(samples, 1_000);
            assert_eq!(whole.len(), 1 + n_samples / 16);
            assert_eq!(whole, spectra(samples, 7));
            for (index, frame) in whole.iter().enumerate() {
                for (bin, power) in frame.iter().enumerate() {
                    let (mut re, mut im) = (0.0_f64, 0.0_f64);
                    for n in 0..64 {
                        let weight = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / 64.0).cos();
                        let sample = (index * 16 + n).checked_sub(32).and_then(|at| samples.get(at)).unwrap_or(&0.0);
                        let (sin, cos) = (std::f64::consts::TAU * (bin * n) as f64 / 64.0).sin_cos();
                        re += weight * f64::from(*sample) * cos;
                        im += weight * f64::from(*sample) * sin;
                    }
                    assert!((f64::from(*power) - re * re - im * im).abs() < 1e-3, "frame {index}, bin {bin}");
                }
            }
        }
    }
}
