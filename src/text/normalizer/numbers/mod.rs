//! English numbers, from words to digits, and American spelling of the words between.
//!
//! Source: openai-whisper 20250625, `EnglishNumberNormalizer` and `EnglishSpellingNormalizer`. Whole numbers of any
//! length are kept as their decimal digits, in which all that the original computes can be done.

mod after;
mod before;
mod digits;
mod mended;
mod numeral;
mod reader;

use self::{after::postprocess, before::prepared, reader::Reader};

pub(in crate::text::normalizer) use self::numeral::{Numeral, vocabulary};

/// The text with numbers in digits and American spelling; words are separated by one space.
pub(in crate::text::normalizer) fn standardized(text: &str) -> String {
    postprocess(Reader::default().read(&prepared(text)))
}

/// The text with numbers in digits and American spelling, by the rules of `violet-en`.
pub(in crate::text::normalizer) fn standardized_without_mistakes(text: &str) -> String {
    Reader::mended().read(&prepared(text))
}
