//! Text: normalizers for scoring, and the transcript that miners answer with.

mod normalizer;
pub mod transcript;

pub use normalizer::Normalizer;
pub use transcript::{Segment, Transcript};
