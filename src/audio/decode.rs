//! Files and bytes to samples.

use std::io::{Read, Seek};
use std::path::Path;

use super::heard::Heard;
use super::input::Input;
use super::probe::{self, Info};
use super::stream::Stream;
use super::waveform::not_finite;
use super::{Blocks, Limits, Options, Waveform, external, source};
use crate::{Error, Result};

/// Decoded mono audio, and how much of it was damaged.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The audio: mono, mixed after [`super::Mix::Mono`].
    pub waveform: Waveform,
    /// Damaged packets: replaced by silence in mid-stream, missing at the end; at least 1 for a file that ends before its
    /// header says. 0 for an intact file.
    pub skipped_packets: usize,
    /// What the file is; `sample_rate` and `n_channels` are those before resampling and downmix.
    pub info: Info,
}

/// Decoded audio of one or more channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// Samples, nominally in [-1, 1], interleaved: `[n_frames, n_channels]`.
    pub samples: Vec<f32>,
    /// Channels of the samples.
    pub n_channels: usize,
    /// Samples a second of each channel, Hz.
    pub sample_rate: u32,
    /// As [`Decoded::skipped_packets`].
    pub skipped_packets: usize,
    /// What the file is; `sample_rate` and `n_channels` are those before resampling and mixing.
    pub info: Info,
}

impl Sound {
    /// All blocks of a recording together.
    ///
    /// # Errors
    ///
    /// The first error of a block.
    pub fn collect(mut blocks: Blocks) -> Result<Self> {
        let mut samples = Vec::new();
        for block in blocks.by_ref() {
            samples.extend(block?);
        }
        let (n_channels, sample_rate) = (blocks.n_channels(), blocks.sample_rate());
        let (skipped_packets, info) = (blocks.skipped_packets(), blocks.info().clone());
        Ok(Self { samples, n_channels, sample_rate, skipped_packets, info })
    }
}

/// Decodes the audio file at `path` to mono, at its own sample rate or resampled to `sample_rate`; see [`read`].
///
/// # Errors
///
/// As [`read`].
pub fn load(path: impl AsRef<Path>, sample_rate: Option<u32>, limits: &Limits) -> Result<Decoded> {
    read(path, &Options::mono(sample_rate, limits)).and_then(mono)
}

/// Decodes the audio in `reader` (a file, or a `Cursor` over bytes) to mono; see [`read_from`].
///
/// # Errors
///
/// As [`read_from`].
pub fn decode(
    reader: impl Read + Seek + Send + Sync,
    name: &str,
    sample_rate: Option<u32>,
    limits: &Limits,
) -> Result<Decoded> {
    read_from(reader, name, &Options::mono(sample_rate, limits)).and_then(mono)
}

fn mono(sound: Sound) -> Result<Decoded> {
    let waveform = Waveform::from_samples(sound.samples, sound.sample_rate)?;
    Ok(Decoded { waveform, skipped_packets: sound.skipped_packets, info: sound.info })
}

/// Decodes the audio file at `path`, recognised by content: the first audio track of wav, aiff, flac, mp3, aac, mp4,
/// ogg (vorbis, opus, flac), matroska, webm or caf.
///
/// Encoder delay and padding are trimmed where the container states them. A file that ends early or is damaged is
/// decoded as far as possible; damaged packets are counted. Where [`Options::allow_ffmpeg`] is set, what cannot be read
/// here is given to an `ffmpeg` on PATH, with limits of time, memory and what it may open.
///
/// # Errors
///
/// [`Error::Decode`] if the bytes are not audio, are empty or hold no samples; [`Error::Unsupported`] for a codec or a
/// change of sample rate that cannot be decoded; [`Error::TooLong`] or [`Error::TooLarge`] beyond the limits;
/// [`Error::InvalidInput`] for impossible options; [`Error::Io`] if the file cannot be opened or read.
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Sound> {
    let path = path.as_ref();
    let name = path.display().to_string();
    source::contain(&name, || collect(open_path(path, options)?, &name, options))
}

/// Decodes the audio in `reader`; see [`read`]. `name` stands for the input in errors.
///
/// # Errors
///
/// As [`read`].
pub fn read_from(reader: impl Read + Seek + Send + Sync, name: &str, options: &Options) -> Result<Sound> {
    if options.allow_ffmpeg {
        return read(&*keep(reader, name, options)?, options);
    }
    source::contain(name, || {
        let input = Input::whole(reader).map_err(|source| Error::Io { path: name.into(), source })?;
        collect(begin(input, name, options)?, name, options)
    })
}

/// Opens a file; what cannot be read here is given to ffmpeg if that is allowed.
pub(super) fn open_path(path: &Path, options: &Options) -> Result<Heard<'static>> {
    let name = path.display().to_string();
    let input = Input::whole(source::open_file(path)?).map_err(|source| Error::Io { path: path.into(), source })?;
    let is_silent = super::found::is_silent(input.head());
    match begin(input, &name, options) {
        Err(Error::Unsupported(_) | Error::Decode { .. }) if options.allow_ffmpeg && !is_silent => {
            let mut heard = begin(external::open(path, &options.limits)?, &name, options)?;
            heard.set_converted();
            Ok(heard)
        }
        result => result,
    }
}

/// A file without the reader's bounds, for those who need a path; it goes when it is dropped.
pub(super) fn keep(mut reader: impl Read, name: &str, options: &Options) -> Result<tempfile::TempPath> {
    let io_error = |source| Error::Io { path: name.into(), source };
    let mut file = tempfile::NamedTempFile::new().map_err(io_error)?;
    let limit = options.limits.max_bytes;
    let n_bytes = std::io::copy(&mut reader.by_ref().take(limit.saturating_add(1)), &mut file).map_err(io_error)?;
    options.limits.check_bytes(n_bytes)?;
    Ok(file.into_temp_path())
}

/// Opens a stream and decodes up to what is heard of it first.
pub(super) fn begin<'s>(input: Input<'s>, name: &str, options: &Options) -> Result<Heard<'s>> {
    options.check()?;
    let heard = Heard::begin(Stream::open(input, name, options)?, options)?;
    heard.map_err(|skipped_packets| match options.start_s {
        0.0 => empty_error(name, skipped_packets),
        start_s => Error::InvalidInput(format!("{name}: start_s is {start_s}; the audio ends before it")),
    })
}

fn collect(mut heard: Heard, name: &str, options: &Options) -> Result<Sound> {
    let mut samples = Vec::new();
    while heard.append(&mut samples)? {}
    let stream = heard.stream();
    let (skipped_packets, mut info) = (stream.skipped_packets(), stream.info().clone());
    let is_whole = options.start_s == 0.0 && options.duration_s.is_none();
    if is_whole && !stream.is_length_in_header() {
        info.duration_s = Some(heard.decoded_s());
    }
    info.bit_rate = probe::bit_rate(stream.n_bytes(), info.duration_s);
    if heard.is_converted() {
        (info.codec, info.container, info.bit_depth) = ("unknown".to_owned(), "by ffmpeg".to_owned(), None);
    }
    if let Some(index) = not_finite(&samples) {
        let reason = format!("sample {index} is not a number; send an intact file");
        return Err(Error::Decode { name: name.to_owned(), reason });
    }
    Ok(Sound { samples, n_channels: heard.n_channels(), sample_rate: heard.sample_rate(), skipped_packets, info })
}

/// The error for a stream that gave no samples.
pub(super) fn empty_error(name: &str, skipped_packets: usize) -> Error {
    let reason = match skipped_packets {
        0 => "zero-length audio: there is a header but no samples; send audio with sound in it".to_owned(),
        n => format!("no packet can be decoded ({n} damaged); send an intact file"),
    };
    Error::Decode { name: name.to_owned(), reason }
}
