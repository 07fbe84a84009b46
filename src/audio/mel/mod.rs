//! Log-mel features, equal to openai-whisper's `log_mel_spectrogram` (version 20250625).

mod fourier;
mod frames;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use self::frames::{Frames, Signal};
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
/// Frames in one unit of parallel work.
const CHUNK: usize = 512;

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

#[cfg(test)]
mod tests {
    use super::*;

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
