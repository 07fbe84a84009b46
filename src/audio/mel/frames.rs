//! Frames of samples to log mel power.

#![allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]

use std::sync::OnceLock;

use ndarray::{ArrayViewMut1, ArrayViewMut2};
use pulp::{Arch, Simd, WithSimd};

use super::fourier::{Fourier, MAX_LANES};
use super::{CHUNK, HOP_LENGTH, N_BINS, N_FFT};
use crate::audio::mel_filters::MelFilter;

/// Smallest power that is told from silence. Source: openai/whisper `audio.py`.
const FLOOR: f32 = 1e-10;

/// Samples, then silence up to `n_samples`, reflected at both ends.
pub(super) struct Signal<'s> {
    pub(super) samples: &'s [f32],
    /// What the first of `samples` is the signal's how-manieth; frames that need earlier ones are not asked for.
    pub(super) first: usize,
    pub(super) n_samples: usize,
}

impl Signal<'_> {
    /// The samples of frame `index`, centred on its own, where they are there.
    fn whole_frame(&self, index: usize) -> Option<&[f32; N_FFT]> {
        let start = (index * HOP_LENGTH).checked_sub(N_FFT / 2)?.checked_sub(self.first)?;
        self.samples.get(start..)?.first_chunk()
    }

    /// The samples of a frame at an end, with what is mirrored there.
    fn edge_frame(&self, index: usize, frame: &mut [f32; N_FFT]) {
        let last = self.n_samples - 1;
        for (offset, value) in frame.iter_mut().enumerate() {
            let position = (index * HOP_LENGTH + offset).abs_diff(N_FFT / 2);
            let position = if position > last { 2 * last - position } else { position };
            let sample = position.checked_sub(self.first).and_then(|position| self.samples.get(position));
            *value = sample.copied().unwrap_or(0.0);
        }
    }
}

/// The working memory of one thread.
pub(super) struct Frames {
    window: &'static [f32],
    fourier: Fourier,
    /// Frames that reach beyond the samples that are there.
    edge: Vec<f32>,
    /// Power of the bins of a block of frames.
    power: Vec<f32>,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            window: hann_window(),
            fourier: Fourier::new(),
            edge: vec![0.0; N_FFT * MAX_LANES],
            power: vec![0.0; N_BINS * MAX_LANES],
        }
    }

    /// Fills `mel` with the log10 power of its frames, at most [`CHUNK`], of which the first is `first`; returns the
    /// maximum.
    pub(super) fn log_power(
        &mut self,
        signal: &Signal,
        first: usize,
        filters: &[MelFilter],
        mel: &mut ArrayViewMut2<f32>,
    ) -> f32 {
        debug_assert!(mel.ncols() <= CHUNK);
        let rows = mel.rows_mut().into_iter().filter_map(ArrayViewMut1::into_slice).collect::<Vec<_>>();
        debug_assert_eq!(rows.len(), filters.len(), "rows of mel lie apart");
        Arch::new().dispatch(Chunk { frames: self, signal, first, filters, rows })
    }

    /// Puts frames side by side, times the window, and their power into `power`. Beyond the first `n_frames` there are
    /// none: what is found there is not used.
    #[inline(always)]
    fn transform<S: Simd>(&mut self, simd: S, signal: &Signal, first: usize, n_frames: usize) {
        let mut edges = self.edge.as_chunks_mut::<N_FFT>().0.iter_mut();
        let mut rows = [&[0.0; N_FFT]; MAX_LANES];
        for (lane, row) in rows.iter_mut().enumerate().take(n_frames.min(S::F32_LANES)) {
            match (signal.whole_frame(first + lane), edges.next()) {
                (Some(whole), _) => *row = whole,
                (None, Some(edge)) => {
                    signal.edge_frame(first + lane, edge);
                    *row = edge;
                }
                (None, None) => {}
            }
        }
        let values = S::as_mut_simd_f32s(self.fourier.frames::<S>()).0;
        for (n, (value, weight)) in values.iter_mut().zip(self.window).enumerate().take(N_FFT) {
            let mut column = [0.0; MAX_LANES];
            for lane in 0..S::F32_LANES {
                column[lane] = rows[lane][n];
            }
            *value = simd.mul_f32s(S::as_simd_f32s(&column).0[0], simd.splat_f32s(*weight));
        }
        if let Some(power) = S::as_mut_simd_f32s(&mut self.power[..N_BINS * S::F32_LANES]).0.first_chunk_mut() {
            self.fourier.power(simd, power);
        }
    }
}

/// Frames whose rows of `mel` are filled.
struct Chunk<'c, 's> {
    frames: &'c mut Frames,
    signal: &'c Signal<'s>,
    first: usize,
    filters: &'c [MelFilter],
    rows: Vec<&'c mut [f32]>,
}

impl WithSimd for Chunk<'_, '_> {
    /// The greatest value.
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> f32 {
        let n_frames = self.rows.first().map_or(0, |row| row.len());
        for start in (0..n_frames).step_by(S::F32_LANES) {
            let end = n_frames.min(start + S::F32_LANES);
            self.frames.transform(simd, self.signal, self.first + start, end - start);
            let power = S::as_simd_f32s(&self.frames.power).0;
            for (filter, row) in self.filters.iter().zip(&mut self.rows) {
                let mut sums = simd.splat_f32s(0.0);
                for (weight, power) in filter.weights.iter().zip(&power[filter.first..]) {
                    sums = simd.mul_add_e_f32s(*power, simd.splat_f32s(*weight), sums);
                }
                match S::as_mut_simd_f32s(&mut row[start..end]) {
                    ([whole], _) => *whole = sums,
                    (_, part) => simd.partial_store_f32s(part, sums),
                }
            }
        }
        let mut greatest = [f32::NEG_INFINITY; 8];
        for row in &mut self.rows {
            let (blocks, rest) = row.as_chunks_mut();
            for block in blocks {
                log_powers(block, &mut greatest);
            }
            let mut last = [FLOOR; 8];
            last[..rest.len()].copy_from_slice(rest);
            log_powers(&mut last, &mut greatest);
            rest.copy_from_slice(&last[..rest.len()]);
        }
        greatest.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}

/// The log10 of powers, in place, and the greatest of each of them so far.
#[inline(always)]
fn log_powers(powers: &mut [f32; 8], greatest: &mut [f32; 8]) {
    for lane in 0..8 {
        powers[lane] = log10(if powers[lane] > FLOOR { powers[lane] } else { FLOOR });
        greatest[lane] = if powers[lane] > greatest[lane] { powers[lane] } else { greatest[lane] };
    }
}

/// The periodic Hann window, as `torch.hann_window`.
fn hann_window() -> &'static [f32] {
    static WINDOW: OnceLock<Vec<f32>> = OnceLock::new();
    WINDOW.get_or_init(|| {
        let angle = |index: usize| std::f64::consts::TAU * index as f64 / N_FFT as f64;
        (0..N_FFT).map(|index| (0.5 - 0.5 * angle(index).cos()) as f32).collect()
    })
}

/// log10 of a positive, normal number, exact to two units in the last place; unlike `f32::log10` the compiler vectorises it.
///
/// The number is m * 2^e with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh((m - 1) / (m + 1)) by its series.
#[inline(always)]
fn log10(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (bits.cast_signed() >> 23) as f32;
    let mantissa = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS));
    let r = (mantissa - 1.0) / (mantissa + 1.0);
    let r2 = r * r;
    let series = 2.0 + r2 * (2.0 / 3.0 + r2 * (2.0 / 5.0 + r2 * (2.0 / 7.0 + r2 * (2.0 / 9.0))));
    exponent * std::f32::consts::LOG10_2 + r * series * std::f32::consts::LOG10_E
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_log10_equals_log10() {
        let mut x = 1e-10_f32;
        while x < 1e10 {
            let (got, want) = (f64::from(log10(x)), f64::from(x).log10());
            assert!((got - want).abs() <= 3e-7 + want.abs() * 2e-7, "log10({x}) = {got}, not {want}");
            x *= 1.000_37;
        }
    }

    #[test]
    fn window_is_periodic() {
        let window = hann_window();
        assert!(window[0].abs() < 1e-9 && (window[N_FFT / 2] - 1.0).abs() < 1e-7);
        assert!((window[1] - window[N_FFT - 1]).abs() < 1e-7);
    }
}
