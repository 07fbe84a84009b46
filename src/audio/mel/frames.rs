//! Frames of samples to log mel power.

use std::sync::OnceLock;

use ndarray::{ArrayViewMut2, Axis};
use pulp::Arch;

use super::fourier::{Fourier, LANES, Lanes};
use super::{CHUNK, HOP_LENGTH, N_BINS, N_FFT};
use crate::audio::dispatch::Once;
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
    /// The samples of frame `index`, centred on its own.
    fn frame(&self, index: usize, frame: &mut [f32]) {
        let start = (index * HOP_LENGTH).checked_sub(N_FFT / 2);
        let inside = start.and_then(|start| {
            let start = start.checked_sub(self.first)?;
            self.samples.get(start..start + N_FFT)
        });
        if let Some(samples) = inside {
            frame.copy_from_slice(samples);
            return;
        }
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
    frame: Vec<f32>,
    /// Windowed samples of a block of frames, and the power of their bins.
    samples: Box<[Lanes; N_FFT]>,
    power: Box<[Lanes; N_BINS]>,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            window: hann_window(),
            fourier: Fourier::new(),
            frame: vec![0.0; N_FFT],
            samples: Box::new([[0.0; LANES]; N_FFT]),
            power: Box::new([[0.0; LANES]; N_BINS]),
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
        let mut maximum = f32::NEG_INFINITY;
        for (index, mut block) in mel.axis_chunks_iter_mut(Axis(1), LANES).enumerate() {
            let n_frames = block.ncols();
            self.take(signal, first + index * LANES, n_frames);
            let (once, this) = (Once, &mut *self);
            let target = &mut block;
            let greatest = Arch::new().dispatch(
                #[inline(always)]
                move || {
                    once.spend();
                    this.fill(filters, target)
                },
            );
            maximum = greatest[..n_frames].iter().copied().fold(maximum, f32::max);
        }
        maximum
    }

    /// Puts a block's frames side by side.
    fn take(&mut self, signal: &Signal, first: usize, n_frames: usize) {
        for lane in 0..LANES {
            if lane < n_frames {
                signal.frame(first + lane, &mut self.frame);
            } else {
                self.frame.fill(0.0);
            }
            for (samples, sample) in self.samples.iter_mut().zip(&self.frame) {
                samples[lane] = *sample;
            }
        }
    }

    /// The log10 power of a block; returns the greatest of each frame.
    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    fn fill(&mut self, filters: &[MelFilter], mel: &mut ArrayViewMut2<f32>) -> Lanes {
        for (samples, weight) in self.samples.iter_mut().zip(self.window) {
            for sample in samples {
                *sample *= weight;
            }
        }
        self.fourier.power(&self.samples, &mut self.power);
        let mut greatest = [f32::NEG_INFINITY; LANES];
        for (filter, mut row) in filters.iter().zip(mel.rows_mut()) {
            let mut sums = [0.0_f32; LANES];
            for (weight, power) in filter.weights.iter().zip(&self.power[filter.first..]) {
                for lane in 0..LANES {
                    sums[lane] = power[lane].mul_add(*weight, sums[lane]);
                }
            }
            for lane in 0..LANES {
                sums[lane] = log10(if sums[lane] > FLOOR { sums[lane] } else { FLOOR });
                greatest[lane] = if sums[lane] > greatest[lane] { sums[lane] } else { greatest[lane] };
            }
            match row.as_slice_mut().and_then(|row| row.first_chunk_mut::<LANES>()) {
                Some(row) => *row = sums,
                None => row.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum),
            }
        }
        greatest
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
#[allow(clippy::inline_always, reason = "see Frames::fill")]
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
