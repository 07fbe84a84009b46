//! Speech from text: a text is read sentence by sentence, and each is said by the engine of a voice.
//!
//! An engine is a module here with a line in [`engine`]'s list.

mod engine;
#[cfg(feature = "parler")]
mod parler;
mod reader;
mod speech;
mod synthesizer;
mod vits;

pub use engine::{Reads, Voice};
pub use reader::{Pronounce, Reader};
pub use speech::{Chunk, Speech, WordTime};
pub use synthesizer::{MAX_DESCRIPTION_BYTES, MAX_TEXT_BYTES, SpeechOptions, Synthesizer};
