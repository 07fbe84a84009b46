//! Text to phonemes, for voices that are driven by them: English, in the notation of espeak-ng's `en-us`, which Piper's
//! voices expect.
//!
//! A [`Phonemizer`] reads plain text sentence by sentence; [`ssml`] turns marked-up text into plain text with rates and
//! pauses. Words come from the user's [`Lexicon`], from rules for words that are said in two ways, from `CMUdict`, and at
//! last from letter-to-sound rules grown on it. The tables and the script that makes them are in `english/`.
//!
//! `CMUdict` (BSD, 0.46 MB packed with its rules) was chosen over `misaki-rs` (18 MB of dictionaries, Apache-2.0): with
//! the plainest mapping of both to espeak-ng's symbols, its phonemes were as near to espeak-ng's on 4,600 words (8.7 and
//! 8.9 % errors), and they can be written in its notation by rule.

mod english;
mod lexicon;
mod phonemizer;
mod sentences;
mod spoken;
pub mod ssml;

pub use lexicon::Lexicon;
pub use phonemizer::{PHONEMES, Phonemizer, Sentence, Skipped, Word};
pub use sentences::{End, MAX_SENTENCE_BYTES, Sentences};
