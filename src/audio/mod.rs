//! Audio in: files and bytes to mono [`Waveform`]s, band-limited resampling, and Whisper's log-mel features.
//!
//! No tensors and no network. Everything that a caller may hand over is bounded by [`Limits`].

mod decode;
mod edit_list;
mod limits;
pub mod mel;
mod mel_filters;
mod probe;
mod resample;
mod stream;
mod waveform;

pub use decode::{Decoded, decode, load};
pub use limits::Limits;
pub use mel::log_mel;
pub use probe::{Info, probe, probe_reader};
pub use resample::{Resampler, resample};
pub use waveform::Waveform;
