//! Whisper: speech to text with times, as openai-whisper 20250625 does it.

mod batched;
mod beam;
mod bpe;
mod choice;
mod chunks;
mod clips;
mod config;
mod cpu;
#[cfg(test)]
mod cpu_test;
#[allow(dead_code, reason = "only a build with CUDA opens such a device")]
mod cuda;
mod decode;
mod fallback;
mod features;
mod headroom;
mod history;
#[cfg(all(test, feature = "cuda-on-host"))]
mod host_test;
mod languages;
mod memory;
#[allow(dead_code, reason = "the tests use the rest of the interface")]
mod model;
#[cfg(test)]
mod model_test;
mod options;
mod published;
mod recording;
mod rules;
mod sample;
mod scheduler;
#[cfg(test)]
mod scheduler_test;
mod segments;
mod sequence;
#[cfg(test)]
pub(super) mod small_ggml;
#[cfg(test)]
pub(super) mod small_model;
#[allow(dead_code, reason = "without a GPU, tests alone use it")]
mod tensor;
pub mod tokenizer;
#[cfg(test)]
mod tokenizer_test;
mod transcribe;
mod transcriber;
mod vocabulary;
mod words;

pub use config::Dimensions;
pub use decode::compression_ratio;
pub use memory::Memory;
pub use options::{Options, Progress, Task};
pub use published::{PUBLISHED, Published};
pub use recording::Recording;
pub use transcriber::{LoadOptions, Transcriber};
