//! Fundamental frequency.

mod difference;
mod harmonicity;
mod pyin;
mod summary;
mod viterbi;
mod voice;
mod yin;

pub use difference::{MAX_FRAME_LENGTH, Sample};
pub(super) use harmonicity::Harmonicity;
pub use pyin::{PitchTracker, Pyin, VoicedFrame, pyin};
pub use summary::Pitch;
pub use voice::Voice;
pub(super) use voice::voice;
pub use yin::{PitchFrame, Yin, yin};
