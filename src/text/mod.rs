//! Text: normalizers for scoring, and the transcript that miners answer with.

mod normalize;
pub mod transcript;

pub use normalize::Normalizer;
pub use transcript::{Segment, SubtitleOptions, Transcript, Word};
