//! Text: normalizers for scoring, the transcript that miners answer with, and text to phonemes.
//!
//! # `violet-en`
//!
//! [`Normalizer::VioletEn`] is [`Normalizer::WhisperEn`] but for these:
//!
//! - It is idempotent, and leaves no space at either end.
//! - Curly apostrophes are apostrophes, so every spelling of "don't" is "do not".
//! - Money, signs and per cents are words: "$5", "5 dollars" and "five dollars" are "5 dollars", "-5" and "minus five"
//!   "minus 5", "5%" and "five per cent" "5 percent". So a pound of sugar is no currency, and a sign is never lost.
//! - Numbers are always digits: "one" is "1", and "1.1" stays (the original writes "1.one").
//! - Leading zeros stay: "555 0199" (the original writes "555 199"). "10:00" is "10", "10:05" is "10 05".
//! - A number in digits is not continued by words other than powers of ten: "in 20 one of them" stays two numbers.
//! - "o" and "oh" are zeros only between digits: "oh my" stays, "one oh one" is "101". "o'clock" is one word.
//! - "ninth" is "9th". "point" and "and" are never dropped where no number is.
//! - "1,234,567" is one number, "1,2,3" are three (the original writes "12,3" for the latter).
//! - Dotted abbreviations are one word: "a.m." is "am", "U.S.A." is "usa".
//! - "archaeology" is "archeology" (the original's table has a stray `</span>`).

mod normalizer;
pub mod speech;
pub mod transcript;

pub use normalizer::Normalizer;
pub use transcript::{Segment, SubtitleOptions, Transcript, Word};
