//! Whisper: speech to text with times, as openai-whisper 20250625 does it.

mod beam;
mod cache;
mod config;
mod decode;
mod fallback;
mod model;
#[cfg(test)]
mod model_test;
mod options;
mod rules;
mod segments;
#[cfg(test)]
mod small_model;
pub mod tokenizer;
#[cfg(test)]
mod tokenizer_test;
mod transcribe;
mod transcriber;

pub use config::Dimensions;
pub use decode::compression_ratio;
pub use options::{Options, Progress};
pub use transcriber::Transcriber;
