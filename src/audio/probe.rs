//! What an audio file is, without decoding it all.

use std::io::{Read, Seek};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Limits;
use super::decode::empty_error;
use super::source;
use super::stream::Stream;
use crate::Result;

/// What the header of an audio file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Length of the audio in seconds, without encoder delay and padding; `None` where it is not known.
    pub duration_s: Option<f64>,
    /// Samples per second, Hz.
    pub sample_rate: u32,
    /// Number of channels before the mix to mono.
    pub n_channels: usize,
    /// Short name of the codec, such as `mp3` or `pcm_s16le`.
    pub codec: String,
    /// Short name of the container, such as `wave` or `ogg`.
    pub container: String,
}

/// What the audio file at `path` is; see [`probe_reader`].
///
/// # Errors
///
/// As [`probe_reader`]; [`crate::Error::Io`] if the file cannot be opened.
pub fn probe(path: impl AsRef<Path>, limits: &Limits) -> Result<Info> {
    let path = path.as_ref();
    let file = source::open_file(path)?;
    probe_reader(file, &path.display().to_string(), limits)
}

/// What the audio in `reader` is: its header is read, its first packet decoded, and where the header does not state
/// the length, the packets are walked. `name` stands for the input in errors.
///
/// # Errors
///
/// [`crate::Error::Decode`] if the bytes are not audio, are empty or hold no samples; [`crate::Error::Unsupported`] for
/// a codec that this build does not have; [`crate::Error::TooLong`] or [`crate::Error::TooLarge`] beyond the limits.
pub fn probe_reader(reader: impl Read + Seek + Send + Sync, name: &str, limits: &Limits) -> Result<Info> {
    source::contain(name, || {
        let mut stream = Stream::open(reader, name, limits)?;
        if !stream.next_block()? {
            return Err(empty_error(name, stream.skipped_packets()));
        }
        let duration_s = if stream.is_length_in_header() { stream.stated_s() } else { Some(stream.walk()?) };
        let info = Info { duration_s, ..stream.info().clone() };
        limits.check_duration(info.duration_s.unwrap_or(0.0))?;
        Ok(info)
    })
}
