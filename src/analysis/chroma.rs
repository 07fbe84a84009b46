//! Energy of the twelve pitch classes, as `librosa.feature.chroma_stft(tuning=0)`.

use super::spectral::Lanes;
use super::stft::{LANES, SpectraBlock};

/// Pitch classes: C, C sharp, .. B.
pub(super) const N_CHROMA: usize = 12;
/// A of the middle octave, Hz, and the octave that it is in, as librosa counts.
const A440_OCTAVE_HZ: f64 = 440.0 / 16.0;
/// Centre and width of the octaves that count, in octaves. Source: librosa `filters.chroma`.
const CENTRE_OCTAVE: f64 = 5.0;
const OCTAVE_WIDTH: f64 = 2.0;

/// Weights of the pitch classes in every bin, `[n_bins][N_CHROMA]`. Source: librosa 1.0 `filters.chroma`.
pub(super) struct ChromaFilters(Vec<[f32; N_CHROMA]>);

impl ChromaFilters {
    pub(super) fn new(sample_rate: u32, n_fft: usize) -> Self {
        let n = N_CHROMA as f64;
        let place = |bin: usize| {
            let hz = bin as f64 * f64::from(sample_rate) / n_fft as f64;
            n * (hz / A440_OCTAVE_HZ).log2()
        };
        // The bin at 0 Hz is put one and a half octaves below the next one.
        let place = |bin: usize| if bin == 0 { place(1) - 1.5 * n } else { place(bin) };
        let weights = |bin: usize| {
            let here = place(bin);
            let width = if bin + 1 < n_fft { (place(bin + 1) - here).max(1.0) } else { 1.0 };
            let mut raw = [0.0_f64; N_CHROMA];
            for (class, weight) in raw.iter_mut().enumerate() {
                let half = n / 2.0;
                let distance = (here - class as f64 + half + 10.0 * n).rem_euclid(n) - half;
                *weight = (-0.5 * (2.0 * distance / width).powi(2)).exp();
            }
            let norm = raw.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
            let octave = (-0.5 * ((here / n - CENTRE_OCTAVE) / OCTAVE_WIDTH).powi(2)).exp();
            // From A to C as the first class.
            std::array::from_fn(|class| (raw[(class + 3) % N_CHROMA] / norm * octave) as f32)
        };
        Self((0..=n_fft / 2).map(weights).collect())
    }

    /// Every class's share of the greatest one, in every frame; to be inlined into a dispatch.
    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    pub(super) fn chroma(&self, block: &SpectraBlock) -> [Lanes; N_CHROMA] {
        let mut sums = [[0.0_f32; LANES]; N_CHROMA];
        // Half of the classes at a time: their sums fit into registers.
        for half in 0..2 {
            let mut part = [[0.0_f32; LANES]; N_CHROMA / 2];
            for (weights, power) in self.0.iter().zip(block.power) {
                for (index, sum) in part.iter_mut().enumerate() {
                    let weight = weights[half * (N_CHROMA / 2) + index];
                    for lane in 0..LANES {
                        sum[lane] = power[lane].mul_add(weight, sum[lane]);
                    }
                }
            }
            sums[half * (N_CHROMA / 2)..][..N_CHROMA / 2].copy_from_slice(&part);
        }
        let mut greatest = [0.0_f32; LANES];
        for sum in &sums {
            for lane in 0..LANES {
                greatest[lane] = greatest[lane].max(sum[lane]);
            }
        }
        for sum in &mut sums {
            for lane in 0..LANES {
                if greatest[lane] >= f32::MIN_POSITIVE {
                    sum[lane] /= greatest[lane];
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_has_its_pitch_class() {
        let filters = ChromaFilters::new(22_050, 4_096);
        for (hz, class) in [(440.0_f64, 9), (261.63, 0), (329.63, 4), (880.0, 9)] {
            let mut power = vec![[0.0; LANES]; 2_049];
            power[(hz * 4_096.0 / 22_050.0).round() as usize] = [1.0; LANES];
            let chroma = filters.chroma(&SpectraBlock { power: &power, n_frames: 1 });
            assert!((chroma[class][0] - 1.0).abs() < 1e-6, "{hz} Hz: {chroma:?}");
        }
    }
}
