//! Neural inference: devices, model files, the operations that models share, Whisper, voice activity, speech quality,
//! voices, and speech from text.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts of positions become scales and times, indices become token ids; a vocabulary has 17 bits"
)]

pub mod compute_type;
#[allow(dead_code, reason = "only a build with CUDA opens such a device, and only a scheduler lets it choose")]
mod cuda;
pub mod device;
mod fourier;
mod kernels;
pub mod mos;
mod ops;
#[cfg(test)]
mod ops_test;
pub mod speaker;
pub mod tts;
pub mod vad;
pub mod weights;
pub mod whisper;

pub use compute_type::ComputeType;
pub use mos::{DistillMos, DnsMos, DnsMosScores};
pub use speaker::{SpeakerEncoder, Utterance};
pub use tts::{Speech, SpeechOptions, Synthesizer};
pub use vad::{SpeechSpan, Vad, VadOptions};
pub use whisper::{LoadOptions, Options, Progress, Recording, Task, Transcriber};

use crate::Error;

impl From<candle_core::Error> for Error {
    fn from(source: candle_core::Error) -> Self {
        Self::Model { source: Box::new(source) }
    }
}
