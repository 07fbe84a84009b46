//! Model files: the only place that opens them. Every format gives the same thing, named tensors under Hugging Face's
//! names, read when they are asked for.

mod checkpoint;
mod ctranslate2;
mod cursor;
mod entry;
mod file;
#[cfg(test)]
mod formats_test;
mod ggml;
mod huggingface;
mod names;
mod onnx;
mod pickle;
mod quantized;
mod torch;

pub use checkpoint::Checkpoint;
pub(super) use file::{read_bytes, read_json};
pub use onnx::Convolution;

/// Largest number of dimensions of a tensor in any format that is read here.
const MAX_RANK: usize = 8;
