//! Audio in: files and bytes to mono [`Waveform`]s, band-limited resampling, and Whisper's log-mel features.
//!
//! No tensors and no network. Everything that a caller may hand over is bounded by [`Limits`].

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of samples become times, frequencies and back; the values are bounded by Limits and tested"
)]

mod blocks;
mod decode;
mod edit;
mod edit_list;
mod limits;
pub mod mel;
pub(crate) mod mel_filters;
mod probe;
mod resample;
mod source;
mod stream;
mod waveform;

pub use blocks::Blocks;
pub use decode::{Decoded, decode, load};
pub use limits::Limits;
pub use mel::log_mel;
pub(crate) use mel_filters::{MelFilter, mel_filters};
pub use probe::{Info, probe, probe_reader};
pub(crate) use resample::bessel_i0;
pub use resample::{Resampler, resample};
pub use waveform::Waveform;
