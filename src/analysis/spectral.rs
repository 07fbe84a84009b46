//! Features of the spectrum's shape, as librosa 1.0 defines them: centroid, bandwidth, roll-off, flatness, contrast.

use super::extremes::{MAX_EXTREMES, extremes};
use super::stft::{LANES, SpectraBlock};

/// Share of the magnitude below the roll-off. Source: librosa `spectral_rolloff`.
const ROLLOFF: f32 = 0.85;
/// Least power that flatness sees. Source: librosa `spectral_flatness`.
const FLATNESS_FLOOR: f32 = 1e-10;
/// Bands of the contrast above the lowest, whose edge is at [`CONTRAST_HZ`]. Source: librosa `spectral_contrast`.
pub(super) const N_CONTRAST: usize = 6;
const CONTRAST_HZ: f64 = 200.0;
/// Share of a band's bins that its peaks and valleys are. Source: librosa `spectral_contrast`.
const CONTRAST_QUANTILE: f64 = 0.02;

/// Bins that are added up by themselves, so that a sum of a thousand keeps its digits.
const PART: usize = 64;

/// Values of each frame of a block.
pub(super) type Lanes = [f32; LANES];

/// Shapes of the spectra of one block.
pub(super) struct Shapes {
    pub(super) centroid_hz: Lanes,
    pub(super) bandwidth_hz: Lanes,
    pub(super) rolloff_hz: Lanes,
    pub(super) flatness: Lanes,
    /// Mean magnitude of the peaks and of the valleys of every band.
    pub(super) contrast: Option<[(Lanes, Lanes); N_CONTRAST + 1]>,
}

/// What shapes are computed with.
pub(super) struct Shaper {
    frequencies: Vec<f32>,
    magnitude: Vec<Lanes>,
    bands: Option<Vec<Band>>,
}

/// A band of the contrast.
struct Band {
    first: usize,
    end: usize,
    n_extremes: usize,
}

impl Shaper {
    /// Without contrast where its bands reach beyond the Nyquist frequency.
    pub(super) fn new(sample_rate: u32, n_fft: usize) -> Self {
        let n_bins = n_fft / 2 + 1;
        let hz = |bin: usize| bin as f64 * f64::from(sample_rate) / n_fft as f64;
        Self {
            frequencies: (0..n_bins).map(|bin| hz(bin) as f32).collect(),
            magnitude: vec![[0.0; LANES]; n_bins],
            bands: bands(n_bins, f64::from(sample_rate), &hz),
        }
    }

    /// The shapes of a block; to be inlined into a dispatch.
    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    pub(super) fn shapes(&mut self, block: &SpectraBlock) -> Shapes {
        let (mut sum, mut moment) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        let (mut logs, mut powers) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        let magnitudes = self.magnitude.chunks_mut(PART);
        for ((magnitudes, part), hz) in magnitudes.zip(block.power.chunks(PART)).zip(self.frequencies.chunks(PART)) {
            let (mut part_sum, mut part_moment) = ([0.0_f32; LANES], [0.0_f32; LANES]);
            let (mut part_logs, mut part_powers) = ([0.0_f32; LANES], [0.0_f32; LANES]);
            for ((magnitude, power), &hz) in magnitudes.iter_mut().zip(part).zip(hz) {
                for lane in 0..LANES {
                    let p = power[lane];
                    let m = p.sqrt();
                    magnitude[lane] = m;
                    part_sum[lane] += m;
                    part_moment[lane] = m.mul_add(hz, part_moment[lane]);
                    let p = if p > FLATNESS_FLOOR { p } else { FLATNESS_FLOOR };
                    part_powers[lane] += p;
                    part_logs[lane] += log2(p);
                }
            }
            for lane in 0..LANES {
                sum[lane] += part_sum[lane];
                moment[lane] += part_moment[lane];
                logs[lane] += part_logs[lane];
                powers[lane] += part_powers[lane];
            }
        }
        let mut centroid_hz = [0.0; LANES];
        let (mut inverse, mut threshold) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            inverse[lane] = if sum[lane] > f32::MIN_POSITIVE { 1.0 / sum[lane] } else { 0.0 };
            centroid_hz[lane] = moment[lane] * inverse[lane];
            threshold[lane] = ROLLOFF * sum[lane];
        }
        let (mut spread, mut running, mut below) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
        for (magnitude, &hz) in self.magnitude.iter().zip(&self.frequencies) {
            for lane in 0..LANES {
                let deviation = hz - centroid_hz[lane];
                spread[lane] = (magnitude[lane] * deviation).mul_add(deviation, spread[lane]);
                running[lane] += magnitude[lane];
                below[lane] += if running[lane] < threshold[lane] { 1.0 } else { 0.0 };
            }
        }
        let n_bins = self.frequencies.len() as f32;
        let bin_hz = self.frequencies.get(1).copied().unwrap_or(0.0);
        let mut shapes = Shapes {
            centroid_hz,
            bandwidth_hz: [0.0; LANES],
            rolloff_hz: [0.0; LANES],
            flatness: [0.0; LANES],
            contrast: None,
        };
        for lane in 0..LANES {
            shapes.bandwidth_hz[lane] = (spread[lane] * inverse[lane]).sqrt();
            shapes.rolloff_hz[lane] = below[lane] * bin_hz;
            shapes.flatness[lane] = (logs[lane] / n_bins).exp2() / (powers[lane] / n_bins);
        }
        if let Some(bands) = &self.bands {
            let mut contrast = [([0.0; LANES], [0.0; LANES]); N_CONTRAST + 1];
            for (found, band) in contrast.iter_mut().zip(bands) {
                *found = extremes(&self.magnitude[band.first..band.end], band.n_extremes);
            }
            shapes.contrast = Some(contrast);
        }
        shapes
    }
}

/// The bands of the contrast: octaves from 200 Hz on, each with the bin below it, and without its last bin unless it is
/// the highest band. Source: librosa `spectral_contrast`.
fn bands(n_bins: usize, sample_rate: f64, hz: &dyn Fn(usize) -> f64) -> Option<Vec<Band>> {
    let edge = |index: usize| if index == 0 { 0.0 } else { CONTRAST_HZ * 2.0_f64.powi(index as i32 - 1) };
    if edge(N_CONTRAST) >= sample_rate / 2.0 {
        return None;
    }
    (0..=N_CONTRAST)
        .map(|index| {
            let inside = |bin: &usize| hz(*bin) >= edge(index) && hz(*bin) <= edge(index + 1);
            let (mut first, mut end) = ((0..n_bins).find(inside)?, (0..n_bins).rfind(inside)? + 1);
            if index > 0 {
                first -= 1;
            }
            if index == N_CONTRAST {
                end = n_bins;
            }
            let n_extremes = (CONTRAST_QUANTILE * (end - first) as f64).round_ties_even().max(1.0) as usize;
            if index < N_CONTRAST {
                end -= 1;
            }
            (end > first && n_extremes <= MAX_EXTREMES).then_some(Band { first, end, n_extremes })
        })
        .collect()
}

/// Base-2 logarithm of a positive, normal number, to two units in the last place: m * 2^e with m in [sqrt(1/2), sqrt(2)),
/// ln m = 2 atanh((m - 1) / (m + 1)) by its series. Unlike `f32::log2` the compiler vectorises it.
#[allow(clippy::inline_always, reason = "see Shaper::shapes")]
#[inline(always)]
pub(super) fn log2(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (bits.cast_signed() >> 23) as f32;
    let mantissa = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS));
    let r = (mantissa - 1.0) / (mantissa + 1.0);
    let r2 = r * r;
    let series = r2.mul_add(r2.mul_add(r2.mul_add(2.0 / 9.0, 2.0 / 7.0), 2.0 / 5.0), 2.0 / 3.0).mul_add(r2, 2.0);
    (r * series).mul_add(std::f32::consts::LOG2_E, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_logarithm_equals_the_exact_one() {
        let mut x = 1e-10_f32;
        while x < 1e10 {
            let (got, want) = (f64::from(log2(x)), f64::from(x).log2());
            assert!((got - want).abs() <= 1e-6 + want.abs() * 2e-7, "log2({x}) = {got}, not {want}");
            x *= 1.000_37;
        }
    }

    #[test]
    fn a_single_line_is_its_own_centroid_and_roll_off() {
        let mut power = vec![[0.0; LANES]; 1_025];
        power[100] = [4.0; LANES];
        let shapes = Shaper::new(16_384, 2_048).shapes(&SpectraBlock { power: &power, n_frames: LANES });
        assert!((shapes.centroid_hz[0] - 800.0).abs() < 1e-3 && shapes.bandwidth_hz[0].abs() < 1e-3);
        assert!((shapes.rolloff_hz[0] - 800.0).abs() < 1e-3 && shapes.flatness[0] < 1e-3);
        let silent = vec![[0.0; LANES]; 1_025];
        let shapes = Shaper::new(16_384, 2_048).shapes(&SpectraBlock { power: &silent, n_frames: LANES });
        assert!(shapes.centroid_hz[3] == 0.0 && (shapes.flatness[3] - 1.0).abs() < 1e-4);
    }

    #[test]
    fn contrast_needs_a_band_above_6400_hz() {
        let block = vec![[1.0; LANES]; 1_025];
        let has =
            |rate| Shaper::new(rate, 2_048).shapes(&SpectraBlock { power: &block, n_frames: 1 }).contrast.is_some();
        assert!(has(16_000) && has(48_000) && has(96_000) && !has(8_000));
    }
}
