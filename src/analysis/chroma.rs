//! Energy of the twelve pitch classes, as `librosa.feature.chroma_stft(tuning=0)`.

use pulp::{Arch, Simd, WithSimd};

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

    /// Every class's share of the greatest one, in every frame.
    pub(super) fn chroma(&self, block: &SpectraBlock) -> [Lanes; N_CHROMA] {
        Arch::new().dispatch(Chroma { weights: &self.0, power: block.power })
    }
}

/// The product of weights and power. Given vectors, since the compiler finds none for so many sums.
struct Chroma<'c> {
    weights: &'c [[f32; N_CHROMA]],
    power: &'c [Lanes],
}

impl WithSimd for Chroma<'_> {
    type Output = [Lanes; N_CHROMA];

    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let mut chroma = [[0.0; LANES]; N_CHROMA];
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        for column in 0..LANES / S::F32_LANES {
            let mut sums = [zero; N_CHROMA];
            for (weights, power) in self.weights.iter().zip(self.power) {
                let power = S::as_simd_f32s(power).0[column];
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = simd.mul_add_e_f32s(power, simd.splat_f32s(*weight), *sum);
                }
            }
            let mut greatest = zero;
            for sum in sums {
                greatest = simd.max_f32s(greatest, sum);
            }
            let is_sound = simd.greater_than_or_equal_f32s(greatest, simd.splat_f32s(f32::MIN_POSITIVE));
            let divisor = simd.select_f32s(is_sound, greatest, one);
            for (row, sum) in chroma.iter_mut().zip(sums) {
                S::as_mut_simd_f32s(row).0[column] = simd.div_f32s(sum, divisor);
            }
        }
        chroma
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
