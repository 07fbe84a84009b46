//! Analysis of audio: what is measured of one recording, without a reference.
//!
//! [`Analyzer`] takes samples in pieces and computes only what is asked for ([`Field`]); all spectral features share one
//! short-time Fourier transform. What needs models (speech, speakers, language, quality) comes from elsewhere: here are the
//! pure functions on their results, [`speech()`] and [`cluster_speakers()`].

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    clippy::large_stack_arrays,
    clippy::needless_for_each,
    clippy::needless_range_loop,
    clippy::similar_names,
    reason = "loops over lanes and equal samples are meant; counts of samples become periods, frequencies and back; the values are bounded and tested"
)]

mod analyzer;
mod bandwidth;
mod chroma;
mod extremes;
mod features;
mod field;
mod file;
mod level;
pub mod loudness;
mod mel;
mod noise;
mod picture;
pub mod pitch;
mod result;
mod rhythm;
mod speakers;
mod spectral;
mod speech;
mod statistics;
mod stft;
mod syllables;
mod true_peak;
mod wada;
mod zero_crossings;

pub use analyzer::{Analyzer, Options, Tracks};
pub use bandwidth::Bandwidth;
pub use features::{Frames, HOP_LENGTH, N_FFT};
pub use field::{Agreement, Field};
pub use file::{FileAnalysis, analyze_file};
pub use level::{ChannelLevel, Level};
pub use loudness::{Loudness, LoudnessMeter, LoudnessTrack, channel_weights, normalize_loudness};
pub use noise::{Noise, Reverberation};
pub use pitch::{Pitch, Voice, VoicedFrame};
pub use result::{Analysis, Spectral, TruePeak, VERSION};
pub use rhythm::Rhythm;
pub use speakers::{MAX_VECTORS, cluster_speakers};
pub use speech::{Speech, speech};
pub use statistics::Summary;
pub use syllables::syllable_nuclei_s;
