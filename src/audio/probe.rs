//! What an audio file is, without decoding it all.

use std::io::{Read, Seek};
use std::path::Path;

use serde::{Deserialize, Serialize};
use symphonia::core::codecs::audio::AudioCodecParameters;

use super::decode::empty_error;
use super::input::Input;
use super::stream::Stream;
use super::tags::Tags;
use super::{Limits, Options, source};
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
    /// Name of the channels' layout, such as `stereo` or `5.1`. Like what follows, not part of what is sent over a wire.
    #[serde(skip)]
    pub layout: Option<String>,
    /// Bits per sample; `None` where samples are not stored as such (mp3, aac, vorbis, opus).
    #[serde(skip)]
    pub bit_depth: Option<u32>,
    /// Mean bits per second of the whole file, where its length is known.
    #[serde(skip)]
    pub bit_rate: Option<u64>,
    /// Tags such as `title` and `artist`, names in lower case; at most [`super::MAX_TAGS`], each at most
    /// [`super::MAX_TAG_CHARS`] long.
    #[serde(skip)]
    pub tags: Tags,
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
        let input = Input::whole(reader).map_err(|source| crate::Error::Io { path: name.into(), source })?;
        let mut stream = Stream::open(input, name, &Options { limits: limits.clone(), ..Options::default() })?;
        if !stream.next_block()? {
            return Err(empty_error(name, stream.skipped_packets()));
        }
        let duration_s = if stream.is_length_in_header() { stream.stated_s() } else { Some(stream.walk()?) };
        let info = Info { duration_s, bit_rate: bit_rate(stream.n_bytes(), duration_s), ..stream.info().clone() };
        limits.check_duration(info.duration_s.unwrap_or(0.0))?;
        Ok(info)
    })
}

/// Bits per second of `n_bytes` in `duration_s`.
pub(super) fn bit_rate(n_bytes: u64, duration_s: Option<f64>) -> Option<u64> {
    duration_s
        .filter(|&duration_s| duration_s > 0.0)
        .map(|duration_s| (n_bytes as f64 * 8.0 / duration_s).round() as u64)
}

/// Bits per sample of a codec that keeps samples. Containers do not always tell, nor tell the truth.
pub(super) fn bit_depth(params: &AudioCodecParameters) -> Option<u32> {
    use symphonia::core::codecs::audio::well_known as id;
    match params.codec {
        id::CODEC_ID_PCM_ALAW | id::CODEC_ID_PCM_MULAW => Some(8),
        id::CODEC_ID_ALAC => params.extra_data.as_deref().and_then(alac_bits),
        id::CODEC_ID_PCM_F32LE | id::CODEC_ID_PCM_F32BE => Some(32),
        id::CODEC_ID_PCM_F64LE | id::CODEC_ID_PCM_F64BE => Some(64),
        codec if codec == id::CODEC_ID_FLAC || (id::CODEC_ID_PCM_S32LE..id::CODEC_ID_PCM_F32LE).contains(&codec) => {
            params.bits_per_sample.or(params.bits_per_coded_sample)
        }
        _ => None,
    }
}

/// Bits per sample by ALAC's own header, which may stand behind those of `QuickTime`: `ALACSpecificConfig`, offset 5.
fn alac_bits(mut cookie: &[u8]) -> Option<u32> {
    for wrapper in [b"frma", b"alac"] {
        if cookie.get(4..8) == Some(wrapper) {
            cookie = cookie.get(12..)?;
        }
    }
    cookie.get(5).filter(|bits| (1..=32).contains(*bits)).map(|&bits| u32::from(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_alac_tells_its_bits() {
        let header = [0, 0, 16, 0, 0, 24, 40, 10, 14, 2];
        let wrapped = [b"\0\0\0\x0cfrmaalac\0\0\0\x24alac\0\0\0\0".as_slice(), &header].concat();
        assert_eq!((alac_bits(&header), alac_bits(&wrapped)), (Some(24), Some(24)));
        assert_eq!((alac_bits(&[0; 24]), alac_bits(&header[..5]), alac_bits(b"\0\0\0\x0cfrma")), (None, None, None));
    }
}
