//! Text to phonemes, for voices that are driven by them: English, in the notation of espeak-ng's `en-us`, which Piper's
//! voices expect.
//!
//! A [`Phonemizer`] reads plain text sentence by sentence; [`ssml`] turns marked-up text into plain text with rates and
//! pauses. Words come from the user's [`Lexicon`], from rules for words that are said in two ways, from CMUdict, and at
//! last from letter-to-sound rules grown on it. The tables and the script that makes them are in `english/`.

mod english;
mod lexicon;
mod phonemizer;
mod sentences;
mod spoken;
pub mod ssml;

pub use lexicon::Lexicon;
pub use phonemizer::{PHONEMES, Phonemizer, Sentence, Skipped, Word};
pub use sentences::{End, MAX_SENTENCE_BYTES, Sentences};
