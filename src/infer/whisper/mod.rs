//! Whisper: speech to text with times, as openai-whisper 20250625 does it.

mod beam;
mod config;
#[allow(dead_code, reason = "only a build with CUDA opens such a device, and only a scheduler lets it choose")]
mod cuda;
mod decode;
mod fallback;
#[allow(dead_code, reason = "word times, batches and schedulers use the rest of the interface")]
mod model;
#[cfg(test)]
mod model_test;
mod options;
mod rules;
mod sample;
mod segments;
#[cfg(test)]
mod small_model;
#[allow(dead_code, reason = "as for `model`")]
mod tensor;
pub mod tokenizer;
#[cfg(test)]
mod tokenizer_test;
mod transcribe;
mod transcriber;

pub use config::Dimensions;
pub use decode::compression_ratio;
pub use options::{Options, Progress};
pub use transcriber::{LoadOptions, Transcriber};
