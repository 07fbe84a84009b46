//! Audio in and out: files, bytes and streams to samples and back, band-limited resampling, and Whisper's log-mel features.
//!
//! No tensors and no network. Everything that a caller may hand over is bounded by [`Limits`].

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of samples become times, frequencies and back; the values are bounded by Limits and tested"
)]

mod augment;
mod blocks;
mod decode;
mod discard;
mod dispatch;
mod edit;
mod edit_list;
pub mod encode;
mod external;
mod found;
mod header;
mod heard;
mod input;
mod limits;
pub mod mel;
pub(crate) mod mel_filters;
mod mix;
mod options;
mod opus;
mod packets;
mod probe;
mod random;
mod resample;
mod source;
mod stream;
mod stretch;
mod tags;
mod variant;
mod waveform;

pub use augment::{Augmentation, MAX_AUGMENTED_S, augment, behind};
pub use blocks::Blocks;
pub use decode::{Decoded, Sound, decode, load, read, read_from};
pub(crate) use dispatch::Once;
pub use encode::{EncodeOptions, Encoder, Format, SampleType, encode, encoder, live_encoder, save};
pub use limits::Limits;
pub use mel::log_mel;
pub(crate) use mel_filters::{MelFilter, mel_filters};
pub use mix::Mix;
pub use options::Options;
pub use probe::{Info, probe, probe_reader};
pub(crate) use resample::bessel_i0;
pub use resample::{Resampler, resample, resample_interleaved};
pub use stretch::{TEMPOS, stretch};
pub use tags::{MAX_TAG_CHARS, MAX_TAGS};
pub use variant::Variant;
pub use waveform::Waveform;
pub(crate) use waveform::not_finite;
