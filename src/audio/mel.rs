//! Log-mel features, equal to openai-whisper's `log_mel_spectrogram` (version 20250625).

use std::sync::{Arc, OnceLock};

use ndarray::{Array2, ArrayViewMut2, Axis};
use rayon::prelude::*;
use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::mel_filters::{MelFilter, mel_filters};
use crate::{Error, Result};

/// The sample rate that the features are defined for, Hz. Source: openai/whisper `audio.py`.
pub const SAMPLE_RATE: u32 = 16_000;
/// Length of a frame's window, samples: 25 ms at 16 kHz. Source: openai/whisper `audio.py`.
pub const N_FFT: usize = 400;
/// Step between frames, samples: 10 ms at 16 kHz. Source: openai/whisper `audio.py`.
pub const HOP_LENGTH: usize = 160;
/// Samples in one window of the model: 30 s. Source: openai/whisper `audio.py`.
pub const N_SAMPLES: usize = 30 * SAMPLE_RATE as usize;
/// Frames in one window of the model. Source: openai/whisper `audio.py`.
pub const N_FRAMES: usize = N_SAMPLES / HOP_LENGTH;

/// Most mel bands: more than there are frequency bins would be empty ones.
const MAX_N_MELS: usize = N_BINS;
/// Most frames: 2^24 (46 hours) times 128 bands of `f32` is 8 GiB.
const MAX_N_FRAMES: usize = 1 << 24;
const N_BINS: usize = N_FFT / 2 + 1;
/// Frames that are transformed together: their power spectra fit into the first-level cache.
const BLOCK: usize = 32;
/// Frames in one unit of parallel work.
const CHUNK: usize = 16 * BLOCK;
/// Smallest power that is told from silence. Source: openai/whisper `audio.py`.
const FLOOR: f32 = 1e-10;

/// Whisper's input features, `[n_mels, n_frames]`: log10 mel power, at most 8 below its maximum, moved to about [-1, 1].
///
/// `samples` are at 16 kHz; `padding` samples of silence follow them. There is a frame for every full
/// [`HOP_LENGTH`] of samples and padding together.
///
/// # Errors
///
/// [`Error::InvalidInput`] if `n_mels` is 0 or above 201, or if samples and padding are too few (at most 200) or more
/// than 2^24 frames.
pub fn log_mel(samples: &[f32], n_mels: usize, padding: usize) -> Result<Array2<f32>> {
    check_n_mels(n_mels)?;
    let signal = Signal { samples, first: 0, n_samples: samples.len().saturating_add(padding) };
    if signal.n_samples <= N_FFT / 2 {
        let n = signal.n_samples;
        return Err(Error::InvalidInput(format!(
            "log-mel of {n} samples at 16 kHz; at least 201 are needed (12.6 ms)"
        )));
    }
    let n_frames = signal.n_samples / HOP_LENGTH;
    if n_frames > MAX_N_FRAMES {
        return Err(Error::InvalidInput(format!("log-mel of {n_frames} frames; the limit is {MAX_N_FRAMES}")));
    }
    let filters = mel_filters(n_mels, N_FFT, f64::from(SAMPLE_RATE));
    let mut mel = Array2::zeros((n_mels, n_frames));
    let chunks: Vec<_> = mel.axis_chunks_iter_mut(Axis(1), CHUNK).enumerate().collect();
    let maximum = chunks
        .into_par_iter()
        .map_init(Frames::new, |frames, (index, mut chunk)| {
            frames.log_power(&signal, index * CHUNK, &filters, &mut chunk)
        })
        .reduce(|| f32::NEG_INFINITY, f32::max);
    let lowest = maximum - 8.0;
    if let Some(values) = mel.as_slice_mut() {
        values.par_chunks_mut(1 << 16).for_each(|chunk| {
            for value in chunk {
                *value = (value.max(lowest) + 4.0) / 4.0;
            }
        });
    }
    Ok(mel)
}

fn check_n_mels(n_mels: usize) -> Result<()> {
    if (1..=MAX_N_MELS).contains(&n_mels) {
        return Ok(());
    }
    Err(Error::InvalidInput(format!("n_mels is {n_mels}; Whisper models have 80 or 128, 1 to 201 are possible")))
}

/// Whisper's input features of a stream: log10 mel power, frame by frame as the samples come.
///
/// [`log_mel`] of the whole is `(max(power, maximum - 8) + 4) / 4` of these, with the greatest of them as maximum.
#[derive(Debug)]
pub struct LogMelStream {
    n_mels: usize,
    filters: Vec<MelFilter>,
    samples: Vec<f32>,
    /// What the first of `samples` is the stream's how-manieth.
    first: usize,
    n_frames: usize,
}

impl LogMelStream {
    /// A stream at its start.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if `n_mels` is 0 or above 201.
    pub fn new(n_mels: usize) -> Result<Self> {
        check_n_mels(n_mels)?;
        let filters = mel_filters(n_mels, N_FFT, f64::from(SAMPLE_RATE));
        Ok(Self { n_mels, filters, samples: Vec::new(), first: 0, n_frames: 0 })
    }

    /// Takes more samples, at 16 kHz, and appends the log10 power of the frames that they complete, `[n_frames, n_mels]`.
    pub fn push(&mut self, samples: &[f32], log_power: &mut Vec<f32>) {
        self.samples.extend_from_slice(samples);
        let end = self.first + self.samples.len();
        // A frame reaches half a window beyond its centre; the first one is mirrored at the start.
        let ready = (end + HOP_LENGTH).saturating_sub(N_FFT / 2 + 1) / HOP_LENGTH;
        let ready = if end > N_FFT / 2 { ready } else { 0 };
        self.frames(ready, end, log_power);
    }

    /// Appends the frames of the last samples, with silence behind them: all frames together are one for every full
    /// [`HOP_LENGTH`] and one more.
    pub fn finish(mut self, log_power: &mut Vec<f32>) {
        let end = self.first + self.samples.len();
        self.frames(end / HOP_LENGTH + 1, end + N_SAMPLES, log_power);
    }

    /// Appends the frames up to number `ready` of a signal of `n_samples`.
    fn frames(&mut self, ready: usize, n_samples: usize, log_power: &mut Vec<f32>) {
        if ready <= self.n_frames {
            return;
        }
        let signal = Signal { samples: &self.samples, first: self.first, n_samples };
        let starts: Vec<usize> = (self.n_frames..ready).step_by(CHUNK).collect();
        let chunk = |frames: &mut Frames, start: &usize| {
            let mut mel = Array2::zeros((self.n_mels, CHUNK.min(ready - start)));
            frames.log_power(&signal, *start, &self.filters, &mut mel.view_mut());
            mel
        };
        let chunks: Vec<Array2<f32>> = starts.par_iter().map_init(Frames::new, chunk).collect();
        for chunk in chunks {
            log_power.extend(chunk.t().iter());
        }
        self.n_frames = ready;
        // The next frame begins half a window before its centre.
        let needed = (ready * HOP_LENGTH).saturating_sub(N_FFT / 2);
        let n_done = needed.saturating_sub(self.first).min(self.samples.len());
        self.samples.drain(..n_done);
        self.first += n_done;
    }
}

/// Samples, then silence up to `n_samples`, reflected at both ends.
struct Signal<'s> {
    samples: &'s [f32],
    /// What the first of `samples` is the signal's how-manieth; frames that need earlier ones are not asked for.
    first: usize,
    n_samples: usize,
}

impl Signal<'_> {
    /// The window of frame `index`, centred on its sample; `false` if all of it is silence.
    fn frame(&self, index: usize, frame: &mut [f32]) -> bool {
        let start = (index * HOP_LENGTH).checked_sub(N_FFT / 2);
        let inside = start.and_then(|start| {
            let start = start.checked_sub(self.first)?;
            self.samples.get(start..start + N_FFT)
        });
        if let Some(samples) = inside {
            frame.copy_from_slice(samples);
            return true;
        }
        let last = self.n_samples - 1;
        for (offset, value) in frame.iter_mut().enumerate() {
            let position = (index * HOP_LENGTH + offset).abs_diff(N_FFT / 2);
            let position = if position > last { 2 * last - position } else { position };
            let sample = position.checked_sub(self.first).and_then(|position| self.samples.get(position));
            *value = sample.copied().unwrap_or(0.0);
        }
        frame.iter().any(|&sample| sample != 0.0)
    }
}

/// The working memory of one thread.
struct Frames {
    transform: Arc<dyn RealToComplex<f32>>,
    window: &'static [f32],
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// `[N_BINS, BLOCK]`: a bin's power in successive frames is contiguous, so the filters run along it.
    power: Vec<f32>,
}

impl Frames {
    fn new() -> Self {
        static TRANSFORM: OnceLock<Arc<dyn RealToComplex<f32>>> = OnceLock::new();
        let transform = TRANSFORM.get_or_init(|| RealFftPlanner::new().plan_fft_forward(N_FFT)).clone();
        Self {
            window: hann_window(),
            frame: vec![0.0; N_FFT],
            spectrum: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            power: vec![0.0; N_BINS * BLOCK],
            transform,
        }
    }

    /// Fills `mel` with the log10 power of its frames, of which the first is `first`; returns the maximum.
    fn log_power(&mut self, signal: &Signal, first: usize, filters: &[MelFilter], mel: &mut ArrayViewMut2<f32>) -> f32 {
        let mut maximum = f32::NEG_INFINITY;
        for (index, mut block) in mel.axis_chunks_iter_mut(Axis(1), BLOCK).enumerate() {
            let n_frames = block.ncols();
            for offset in 0..n_frames {
                self.power_spectrum(signal, first + index * BLOCK + offset, offset);
            }
            for (filter, mut row) in filters.iter().zip(block.rows_mut()) {
                let mut sums = [0.0; BLOCK];
                for (weight, power) in filter.weights.iter().zip(self.power[filter.first * BLOCK..].chunks_exact(BLOCK))
                {
                    for (sum, power) in sums.iter_mut().zip(power) {
                        *sum += weight * power;
                    }
                }
                for sum in &mut sums {
                    *sum = log10(sum.max(FLOOR));
                }
                for (value, log_power) in row.iter_mut().zip(sums) {
                    *value = log_power;
                    maximum = maximum.max(log_power);
                }
            }
        }
        maximum
    }

    /// Writes the power spectrum of frame `index` into column `offset` of the block.
    fn power_spectrum(&mut self, signal: &Signal, index: usize, offset: usize) {
        let column = self.power.iter_mut().skip(offset).step_by(BLOCK);
        if !signal.frame(index, &mut self.frame) {
            column.for_each(|power| *power = 0.0);
            return;
        }
        for (sample, weight) in self.frame.iter_mut().zip(self.window) {
            *sample *= weight;
        }
        let result = self.transform.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
        debug_assert!(result.is_ok(), "lengths are the transform's own");
        for (power, bin) in column.zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
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
#[inline]
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

    #[test]
    fn silence_is_flat_and_short_or_impossible_input_is_refused() {
        let mel = log_mel(&vec![0.0; 16_000], 80, 0).unwrap();
        assert_eq!(mel.dim(), (80, 100));
        assert!(mel.iter().all(|&value| (value - (-10.0 + 4.0) / 4.0).abs() < 1e-6));
        assert!(log_mel(&[0.0; 200], 80, 0).is_err());
        assert!(log_mel(&[0.0; 200], 80, 1).is_ok());
        assert!(log_mel(&vec![0.0; 16_000], 0, 0).is_err());
        assert!(log_mel(&vec![0.0; 16_000], 202, 0).is_err());
        assert!(log_mel(&vec![0.0; 16_000], 80, usize::MAX).is_err());
    }

    #[test]
    fn a_stream_in_pieces_has_the_features_of_the_whole() {
        let samples: Vec<f32> =
            (0..50_000_u32).map(|n| (n as f32 * 0.05).sin() * 0.3 + (n as f32).sin() * 0.1).collect();
        for (n_samples, piece) in [(50_000, 50_000), (50_000, 1_000), (20_001, 37), (300, 7), (480, 480)] {
            let whole = log_mel(&samples[..n_samples], 80, N_SAMPLES).unwrap();
            let (mut stream, mut power) = (LogMelStream::new(80).unwrap(), Vec::new());
            samples[..n_samples].chunks(piece).for_each(|piece| stream.push(piece, &mut power));
            stream.finish(&mut power);
            assert_eq!(power.len(), (n_samples / HOP_LENGTH + 1) * 80);
            let maximum = power.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (index, power) in power.iter().enumerate() {
                let (frame, band) = (index / 80, index % 80);
                let got = (power.max(maximum - 8.0) + 4.0) / 4.0;
                assert!((got - whole[[band, frame]]).abs() < 1e-6, "frame {frame} of {n_samples} samples");
            }
        }
    }

    #[test]
    fn padding_equals_appended_zeros() {
        let samples: Vec<f32> = (0..20_000_u32).map(|n| (n as f32 * 0.05).sin() * 0.3).collect();
        let mut padded = samples.clone();
        padded.resize(samples.len() + 4_321, 0.0);
        assert_eq!(log_mel(&samples, 80, 4_321).unwrap(), log_mel(&padded, 80, 0).unwrap());
    }
}
