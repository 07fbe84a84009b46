//! Fundamental frequency.

mod yin;

pub use yin::{MAX_FRAME_LENGTH, PitchFrame, Yin, yin};
