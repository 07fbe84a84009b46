//! Voice activity: when somebody speaks, by Silero VAD v6 (16 kHz).

mod network;
mod spans;
mod speech;
#[cfg(test)]
mod vad_test;

use std::path::Path;

pub use network::{CHUNK, VadState};
pub(crate) use spans::Spans;
pub use spans::{SpeechSpan, VadOptions};
pub(crate) use speech::Speech;

use self::network::Network;
use crate::{Result, infer::weights::Checkpoint};

/// A loaded voice activity detector. Can be shared: every stream keeps a [`VadState`] of its own.
#[derive(Debug)]
pub struct Vad {
    network: Network,
}

impl Vad {
    /// Loads Silero's weights: `model.onnx` in `directory`.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when no weights are there, [`crate::Error::Weights`] when they are damaged or another
    /// model's, [`crate::Error::Io`].
    pub fn load(directory: &Path) -> Result<Self> {
        Ok(Self { network: Network::load(&Checkpoint::open(directory)?)? })
    }

    /// The probability of speech in each [`CHUNK`] of `samples` (mono, 16 kHz, in [-1, 1]), `[n_chunks]`.
    ///
    /// Silence fills up the last chunk. Samples that are not numbers count as silence.
    #[must_use]
    pub fn probabilities(&self, samples: &[f32]) -> Vec<f32> {
        let mut probabilities = Vec::with_capacity(samples.len().div_ceil(CHUNK));
        let mut state = VadState::default();
        self.push(&mut state, samples, &mut probabilities);
        self.finish(&mut state, &mut probabilities);
        probabilities
    }

    /// Takes more samples of a stream and appends the probability of every chunk that they complete.
    pub fn push(&self, state: &mut VadState, samples: &[f32], probabilities: &mut Vec<f32>) {
        state.push(&self.network, samples, probabilities);
    }

    /// Appends the probability of a last chunk that is not full, if there is one.
    pub fn finish(&self, state: &mut VadState, probabilities: &mut Vec<f32>) {
        state.finish(&self.network, probabilities);
    }

    /// Where somebody speaks in `samples` (mono, 16 kHz), in order and without overlap.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] for impossible options.
    pub fn speech(&self, samples: &[f32], options: &VadOptions) -> Result<Vec<SpeechSpan>> {
        options.check()?;
        let mut spans = Spans::new(options);
        for probability in self.probabilities(samples) {
            spans.push(probability);
        }
        Ok(spans.finish(samples.len()))
    }
}
