//! Scoring: edit counts and error rates, audio against a reference ([`signal`]), the reward of a response, and cheap checks of a text.
//!
//! No network ids, no input or output, no clock.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts of words become rates; they are far below 2^52"
)]

pub mod align;
mod band;
mod bit_parallel;
mod confusion;
pub mod corpus;
mod degenerate;
mod hirschberg;
mod interning;
pub mod meeting;
mod pattern;
mod rates;
pub mod reward;
pub mod signal;
pub mod significance;
mod traceback;
mod words;

pub use align::{Chunk, Edit, EditCounts, alignment, chunks, counts, distance};
pub use confusion::{Confusion, confusions, tokens};
pub use corpus::{Scorer, Scoring, Unit, best_references, utterance_chunks, utterance_counts, utterance_errors};
pub use degenerate::degenerate;
pub use rates::{
    cer, char_counts, char_distance, corpus_char_counts, corpus_word_counts, wer, word_counts, word_distance,
};
