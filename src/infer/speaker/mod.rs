//! Who speaks: a vector for a voice, by GE2E (three layers of LSTM over mel frames).
//!
//! Source: Resemblyzer 0.1.4 `voice_encoder.py`, `audio.py` and `hparams.py`; Wan et al., "Generalized End-to-End Loss
//! for Speaker Verification" (ICASSP 2018).

mod network;
mod prepare;

use std::path::Path;

use rayon::prelude::*;

use self::network::Network;
use super::{
    fourier::{Fourier, MelFilter, mel_filters},
    mos::check,
    vad::Vad,
    weights::Checkpoint,
};
use crate::{Error, Result};

/// The sample rate of every clip, Hz.
pub const SAMPLE_RATE: u32 = 16_000;
/// Numbers of a voice's vector.
pub const EMBEDDING_SIZE: usize = 256;
/// Partial utterances a second, as the original takes them.
pub const PARTIALS_PER_S: f64 = 1.3;

/// Length and step of a mel frame, samples; mel bands.
const N_FFT: usize = 400;
const HOP_LENGTH: usize = 160;
const N_MELS: usize = 40;
/// Frames of a partial utterance: 1.6 s.
const PARTIAL_FRAMES: usize = 160;
const PARTIAL_LEN: usize = PARTIAL_FRAMES * HOP_LENGTH;
/// A last partial utterance with less than this part of audio in it is dropped.
const MIN_COVERAGE: f64 = 0.75;
/// Partial utterances that go through the network together, at most; fewer where threads would wait.
const MAX_BATCH: usize = 24;
/// Partial utterances that read the weights once: those of a tile of the products.
const MIN_BATCH: usize = 6;

/// The first sample of a stretch of a clip, and the one after its last.
pub type Stretch = (usize, usize);

/// The voice of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Utterance {
    /// The mean of the partials' vectors, of length 1, [`EMBEDDING_SIZE`] numbers.
    pub embedding: Vec<f32>,
    /// Pieces of 1.6 s that overlap, in order.
    pub partials: Vec<Partial>,
}

/// The voice of a piece of 1.6 s.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// First sample.
    pub start: usize,
    /// One after the last sample; beyond the clip's end where silence fills the piece up.
    pub end: usize,
    /// Of length 1, [`EMBEDDING_SIZE`] numbers, none below 0.
    pub embedding: Vec<f32>,
}

/// The network in memory. Any number of threads may share it.
#[derive(Debug)]
pub struct SpeakerEncoder {
    fourier: Fourier,
    filters: Vec<MelFilter>,
    network: Network,
}

impl SpeakerEncoder {
    /// Loads `model.pt` in `directory`, or that file.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no weights are there, [`Error::Weights`] when they are damaged or another model's (with
    /// the file and the tensor), [`Error::Io`].
    pub fn load(directory: &Path) -> Result<Self> {
        Ok(Self {
            fourier: Fourier::hann(N_FFT, HOP_LENGTH),
            filters: mel_filters(N_MELS, N_FFT, f64::from(SAMPLE_RATE)),
            network: Network::load(&Checkpoint::open(directory)?)?,
        })
    }

    /// The voice of a clip (mono, 16 kHz, in [-1, 1]), heard in `partials_per_s` pieces of 1.6 s a second
    /// ([`PARTIALS_PER_S`]; 0.63 to 100). A clip that is shorter than a piece is filled up with silence.
    ///
    /// Loudness and pauses matter: [`prepare`] brings clips to one level and takes long pauses out.
    ///
    /// The pieces are shared by the threads of the current rayon pool; their number does not change a bit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a clip without samples or with some that are not finite or far above 1, for an
    /// impossible number of pieces, and for a clip that the network hears no voice in at all.
    pub fn embed(&self, samples: &[f32], partials_per_s: f64) -> Result<Utterance> {
        check(samples)?;
        let starts = partial_starts(samples.len(), frame_step(partials_per_s)?);
        let end = starts.last().map_or(0, |last| (last + PARTIAL_FRAMES) * HOP_LENGTH);
        let mut padded = samples.to_vec();
        padded.resize(samples.len().max(end), 0.0);
        let mel = self.fourier.mel_power(&padded, &self.filters);
        let frames = self.network.frames(&mel);
        let batch = starts.len().div_ceil(rayon::current_num_threads()).next_multiple_of(MIN_BATCH).min(MAX_BATCH);
        let batches: Vec<Vec<f32>> =
            starts.par_chunks(batch).map(|starts| self.network.embeddings(&frames, starts)).collect();
        let mut embedding = vec![0.0; EMBEDDING_SIZE];
        let mut partials = Vec::with_capacity(starts.len());
        for (start, part) in starts.iter().zip(batches.iter().flat_map(|batch| batch.chunks_exact(EMBEDDING_SIZE))) {
            embedding.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            let start = start * HOP_LENGTH;
            partials.push(Partial { start, end: start + PARTIAL_LEN, embedding: part.to_vec() });
        }
        if !normalise(&mut embedding) {
            return Err(Error::InvalidInput("the clip has no voice in it that the network hears".to_owned()));
        }
        Ok(Utterance { embedding, partials })
    }
}

/// The cosine of the angle between two vectors of the same length, -1 to 1; of voices 0 to 1. `None` when one of them
/// is zero or they differ in length.
#[must_use]
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    (a.len() == b.len() && norm > 0.0 && norm.is_finite()).then(|| (dot(a, b) / norm).clamp(-1.0, 1.0))
}

/// A clip as the encoder is best given it (mono, 16 kHz): raised to -30 dBFS if it is softer, and without pauses that
/// are longer than about 0.2 s. Returns the samples that are left, and the first and the one after the last of each
/// stretch of `samples` that they are of.
///
/// Differs from Resemblyzer's `preprocess_wav`: Silero VAD finds the pauses, in steps of 32 ms instead of `WebRTC`'s of
/// 30 ms; smoothing and margins are the same.
///
/// # Errors
/// [`Error::InvalidInput`] for a clip without samples or with some that are not finite or far above 1.
pub fn prepare(samples: &[f32], vad: &Vad) -> Result<(Vec<f32>, Vec<Stretch>)> {
    check(samples)?;
    let raised = prepare::raised(samples);
    let stretches = prepare::voiced(&vad.probabilities(&raised), raised.len());
    let left = stretches.iter().flat_map(|&(start, end)| &raised[start..end]).copied().collect();
    Ok((left, stretches))
}

/// Scales a vector to length 1; `false` when it is zero.
fn normalise(vector: &mut [f32]) -> bool {
    let norm = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if norm > 0.0 {
        for value in vector.iter_mut() {
            *value = (f64::from(*value) / norm) as f32;
        }
    }
    norm > 0.0
}

/// Frames from one partial utterance to the next.
fn frame_step(partials_per_s: f64) -> Result<usize> {
    let step = (f64::from(SAMPLE_RATE) / partials_per_s / HOP_LENGTH as f64).round_ties_even();
    if (1.0..=PARTIAL_FRAMES as f64).contains(&step) {
        return Ok(step as usize);
    }
    Err(Error::InvalidInput(format!("partials_per_s is {partials_per_s}; expected 0.63 to 100")))
}

/// The first frames of the partial utterances of a clip. Source: `compute_partial_slices`.
fn partial_starts(n_samples: usize, frame_step: usize) -> Vec<usize> {
    let n_frames = (n_samples + 1).div_ceil(HOP_LENGTH);
    let n_steps = (n_frames + frame_step + 1).saturating_sub(PARTIAL_FRAMES).max(1);
    let mut starts: Vec<usize> = (0..n_steps).step_by(frame_step).collect();
    let last = starts.last().copied().unwrap_or(0) * HOP_LENGTH;
    let coverage = (n_samples as f64 - last as f64) / PARTIAL_LEN as f64;
    if coverage < MIN_COVERAGE && starts.len() > 1 {
        starts.pop();
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_are_where_the_original_has_them() {
        // By Resemblyzer's compute_partial_slices(n, 1.3, 0.75), in frames.
        assert_eq!(frame_step(PARTIALS_PER_S).unwrap(), 77);
        assert_eq!(partial_starts(1, 77), [0]);
        assert_eq!(partial_starts(25_600, 77), [0]);
        assert_eq!(partial_starts(64_000, 77), [0, 77, 154, 231]);
        assert!(frame_step(0.0).is_err() && frame_step(f64::NAN).is_err() && frame_step(1000.0).is_err());
    }

    #[test]
    fn cosine_by_hand() {
        assert!((cosine_similarity(&[1.0, 0.0], &[1.0, 1.0]).unwrap() - 0.5_f64.sqrt()).abs() < 1e-9);
        assert_eq!(cosine_similarity(&[1.0, 0.0], &[0.0, 0.0]), None);
        assert_eq!(cosine_similarity(&[1.0], &[1.0, 0.0]), None);
    }
}
