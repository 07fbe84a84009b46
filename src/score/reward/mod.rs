//! What a response is worth, in [0, 1], and why: `r = V * Q^2 * (0.8 + 0.2 L)`.
//!
//! V is 1 if every gate is passed, else 0; Q is the kind's quality; L is the latency factor. Parts multiply: with a sum,
//! a miner that answers fast and wrong would be paid. Not-a-number counts as the worst. Only operations that IEEE 754
//! rounds exactly, and `libm`'s in Rust, are used: two validators get the same bits on every machine.
//!
//! # Changes
//!
//! `reward/4`, before and after by the simulation (`docs/incentive.md`):
//!
//! - A miner's score has the cube root of its availability instead of the square root: a miner that is there 70 % of the
//!   time kept 29.5 % of what an equal one earns that is always there, and keeps 41.6 %. Responses are worth what they
//!   were.
//!
//! `reward/3`, before and after by the simulation:
//!
//! - A miner's score has the root of its availability instead of its square: a miner that is there 70 % of the time kept
//!   nothing. Responses are worth what they were.
//!
//! `reward/2`, before and after by the gaming tests (`tests/reward.rs`, `tests/python/test_reward.rs`):
//!
//! - Words invented where nothing is said: `exp(-h)` alone paid 0.77 for "Thank you." in 30 s of silence (h = 0.13) and
//!   0.26 for ten words. Now a text without words allows none: the word part is 0, and so is the reward.
//! - Rewards of synthesis, of analysis and of transcripts without a reference are new.

mod agreement;
mod analysis;
mod breakdown;
mod delivery;
mod synthesis;
mod transcription;

pub use agreement::{Agreement, agreed_error_rate, transcription_without_reference};
pub use analysis::{Analysis, Field, Measure, Tolerance, analysis};
pub use breakdown::Reward;
pub use delivery::{Delivery, Kind, latency_factor, response_reward};
pub use synthesis::{Synthesis, synthesis, synthesis_refusal};
pub use transcription::{
    CHARACTER_LANGUAGES, Transcription, is_character_language, n_units, transcription, transcription_error_rate,
    word_quality,
};

/// The version of these rules; stored with every score that was made by them.
pub const VERSION: &str = "reward/4";

/// Into [0, 1]; not-a-number to 0.
pub(super) fn clip(x: f64) -> f64 {
    if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) }
}

/// How far `x` is from `zero`, which counts nothing, to `full`, which counts in full; in [0, 1].
fn between(zero: f64, full: f64, x: f64) -> f64 {
    clip((x - zero) / (full - zero))
}
