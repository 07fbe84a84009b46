//! What an audio file is, without decoding it all.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use serde::{Deserialize, Serialize};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::formats::FormatReader;
use symphonia::core::meta::RawValue;

use super::decode::empty_error;
use super::input::Input;
use super::stream::Stream;
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
    /// Tags such as `title` and `artist`, names in lower case; at most [`MAX_TAGS`], each at most [`MAX_TAG_CHARS`] long.
    #[serde(skip)]
    pub tags: BTreeMap<String, String>,
}

/// Most tags that are kept.
pub const MAX_TAGS: usize = 256;
/// Most characters of a tag's name, and of its value, that are kept.
pub const MAX_TAG_CHARS: usize = 4_096;

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

/// Bits per sample of a codec that keeps samples.
pub(super) fn bit_depth(params: &AudioCodecParameters) -> Option<u32> {
    use symphonia::core::codecs::audio::well_known as id;
    let is_pcm = (id::CODEC_ID_PCM_S32LE..=id::CODEC_ID_PCM_F64BE_PLANAR).contains(&params.codec);
    let is_lossless = is_pcm || [id::CODEC_ID_FLAC, id::CODEC_ID_ALAC].contains(&params.codec);
    let is_law = [id::CODEC_ID_PCM_ALAW, id::CODEC_ID_PCM_MULAW].contains(&params.codec);
    match params.bits_per_sample {
        _ if is_law => Some(8),
        bits if is_lossless => bits.or(params.bits_per_coded_sample),
        _ => None,
    }
}

/// The tags of the file and of this track.
pub(super) fn tags(format: &mut dyn FormatReader, track_id: u32) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let mut metadata = format.metadata();
    loop {
        if let Some(revision) = metadata.current() {
            let of_track = revision.per_track.iter().filter(|track| track.track_id == u64::from(track_id));
            let tags = revision.media.tags.iter().chain(of_track.flat_map(|track| &track.metadata.tags));
            for tag in tags.take(MAX_TAGS) {
                let value = match &tag.raw.value {
                    RawValue::Binary(_) | RawValue::Flag => continue,
                    value => value.to_string().trim().chars().take(MAX_TAG_CHARS).collect::<String>(),
                };
                let key = tag_name(&tag.raw.key);
                if !value.is_empty() && !key.is_empty() && kept.len() < MAX_TAGS {
                    kept.entry(key).or_insert(value);
                }
            }
        }
        if metadata.is_latest() {
            return kept;
        }
        metadata.pop();
    }
}

/// The field's name of a tag, whichever format it comes from.
fn tag_name(key: &str) -> String {
    let short = match key {
        "TIT2" | "TT2" | "\u{a9}nam" | "INAM" => "title",
        "TPE1" | "TP1" | "\u{a9}ART" | "IART" => "artist",
        "TALB" | "TAL" | "\u{a9}alb" | "IPRD" => "album",
        "TRCK" | "trkn" | "ITRK" => "track",
        "TDRC" | "TYER" | "\u{a9}day" | "ICRD" => "date",
        "TCON" | "\u{a9}gen" | "IGNR" => "genre",
        "COMM" | "\u{a9}cmt" | "ICMT" => "comment",
        "TSSE" | "TENC" | "\u{a9}too" | "ISFT" => "encoder",
        key => return key.chars().take(MAX_TAG_CHARS).collect::<String>().to_lowercase(),
    };
    short.to_owned()
}
