//! Audio out: samples to files and bytes, piece by piece, behind one trait.

mod aac;
mod flac;
mod mp3;
mod ogg;
mod opus;
mod pcm;
mod planes;
mod quantize;

use std::fs::File;
use std::io::{BufWriter, Cursor, Seek, Write};
use std::path::Path;

use crate::{Error, Result};

/// Highest sample rate that is written, Hz.
const MAX_SAMPLE_RATE: u32 = 655_350;
/// Lowest sample rate of opus, mp3 and aac, Hz.
const MIN_LOSSY_RATE: u32 = 1_000;

/// A file format that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// RIFF WAVE, little-endian.
    #[default]
    Wav,
    /// Free Lossless Audio Codec, 16 or 24 bits.
    Flac,
    /// MPEG-1, -2 or -2.5 layer III at a constant bit rate, one or two channels.
    Mp3,
    /// AAC-LC in ADTS at a constant bit rate, one or two channels, 1,024 samples late.
    Aac,
    /// Opus in ogg, one or two channels.
    Opus,
    /// Bare little-endian samples without a header.
    Pcm,
}

impl Format {
    /// The format of a name (`wav`, `flac`, `mp3`, `aac`, `opus`, `ogg`, `pcm`, `raw`), as file names end.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "wav" | "wave" => Self::Wav,
            "flac" => Self::Flac,
            "mp3" => Self::Mp3,
            "aac" | "adts" => Self::Aac,
            "opus" | "ogg" | "oga" => Self::Opus,
            "pcm" | "raw" => Self::Pcm,
            _ => return None,
        })
    }
}

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SampleType {
    /// 16-bit integers.
    #[default]
    I16,
    /// 24-bit integers.
    I24,
    /// 32-bit floating point: wav and pcm only.
    F32,
}

impl SampleType {
    /// The type of a name: `16`, `24` or `float`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "16" => Self::I16,
            "24" => Self::I24,
            "float" | "32" => Self::F32,
            _ => return None,
        })
    }
}

/// How audio is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncodeOptions {
    /// The file format.
    pub format: Format,
    /// How wav, flac and pcm store samples.
    pub sample_type: SampleType,
    /// Bits a second of mp3, aac and opus; `None` for 64,000 a channel, or in aac for the most that its rate can have (6
    /// bits for each sample) where that is less.
    pub bit_rate: Option<u32>,
    /// Seed of the triangular dither that is added where bits are lost; `None` for plain rounding. Samples that fit as
    /// they are (what came from a 16-bit file) are kept as they are.
    pub dither: Option<u64>,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self { format: Format::Wav, sample_type: SampleType::I16, bit_rate: None, dither: Some(0) }
    }
}

/// What takes samples and writes them to a file.
pub trait Encoder: Send {
    /// Takes more samples, interleaved, nominally in [-1, 1]; what lies beyond is clipped unless stored as floats.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a part of a frame or a sample that is not finite; [`Error::Io`] if writing fails;
    /// [`Error::TooLarge`] beyond what the format can hold.
    fn write(&mut self, samples: &[f32]) -> Result<()>;

    /// Writes what is left, and the header's final values.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if writing fails.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// What can be written to and gone back in: a file, or a `Cursor`.
pub trait Sink: Write + Seek + Send {}
impl<W: Write + Seek + Send> Sink for W {}

/// Channels and rate of what is written.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    sample_rate: u32,
    n_channels: usize,
}

impl Layout {
    fn check(self, samples: &[f32]) -> Result<()> {
        if !samples.len().is_multiple_of(self.n_channels) {
            let (n, n_channels) = (samples.len(), self.n_channels);
            return Err(Error::InvalidInput(format!("{n} samples are no whole frames of {n_channels} channels")));
        }
        match samples.iter().position(|sample| !sample.is_finite()) {
            Some(at) => {
                Err(Error::InvalidInput(format!("sample {at} is {}; every sample must be finite", samples[at])))
            }
            None => Ok(()),
        }
    }
}

/// An encoder that writes to `sink` from where that stands. `name` stands for the sink in errors.
///
/// # Errors
///
/// [`Error::InvalidInput`] for a rate, channels, bit rate or sample type that the format does not have; [`Error::Io`] if
/// writing fails.
pub fn encoder<'s>(
    sink: impl Sink + 's,
    name: &str,
    sample_rate: u32,
    n_channels: usize,
    options: &EncodeOptions,
) -> Result<Box<dyn Encoder + 's>> {
    let sink = Named { sink: Box::new(sink), name: name.to_owned(), is_live: false };
    open(sink, Layout { sample_rate, n_channels }, options)
}

/// An encoder whose bytes leave as they are made, to where nobody can go back: a connection, a pipe.
///
/// What a header would say at the end is not said: wav has the greatest length, flac none, and mp3 keeps the encoder's
/// delay and padding.
///
/// # Errors
///
/// As [`encoder`].
pub fn live_encoder<'s>(
    sink: impl Write + Send + 's,
    name: &str,
    sample_rate: u32,
    n_channels: usize,
    options: &EncodeOptions,
) -> Result<Box<dyn Encoder + 's>> {
    let sink = Named { sink: Box::new(OneWay(sink)), name: name.to_owned(), is_live: true };
    open(sink, Layout { sample_rate, n_channels }, options)
}

fn open<'s>(sink: Named<'s>, layout: Layout, options: &EncodeOptions) -> Result<Box<dyn Encoder + 's>> {
    let Layout { sample_rate, n_channels } = layout;
    let most = match options.format {
        Format::Opus | Format::Mp3 | Format::Aac => 2,
        Format::Flac => 8,
        Format::Wav | Format::Pcm => 32,
    };
    if !(1..=most).contains(&n_channels) {
        let format = options.format;
        return Err(Error::InvalidInput(format!("{n_channels} channels; {format:?} files have 1 to {most}")));
    }
    // What a lossy format resamples to would be many times as long.
    let least = if matches!(options.format, Format::Opus | Format::Mp3 | Format::Aac) { MIN_LOSSY_RATE } else { 1 };
    if !(least..=MAX_SAMPLE_RATE).contains(&sample_rate) {
        return Err(Error::InvalidInput(format!(
            "sample rate is {sample_rate} Hz; it must be {least} to {MAX_SAMPLE_RATE} Hz"
        )));
    }
    Ok(match options.format {
        Format::Wav => Box::new(pcm::Pcm::wav(sink, layout, options)?),
        Format::Pcm => Box::new(pcm::Pcm::bare(sink, layout, options)),
        Format::Flac => Box::new(flac::Flac::new(sink, layout, options)?),
        Format::Opus => Box::new(opus::Opus::new(sink, layout, options)?),
        Format::Mp3 => Box::new(mp3::Mp3::new(sink, layout, options)?),
        Format::Aac => Box::new(aac::Aac::new(sink, layout, options)?),
    })
}

/// A sink and what errors call it.
struct Named<'s> {
    sink: Box<dyn Sink + 's>,
    name: String,
    /// Whether what was written cannot be written again.
    is_live: bool,
}

/// A sink of which nothing is asked but to write.
struct OneWay<W>(W);

impl<W: Write> Write for OneWay<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl<W> Seek for OneWay<W> {
    fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
        Err(std::io::ErrorKind::NotSeekable.into())
    }
}

impl Named<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes).map_err(|source| self.error(source))
    }

    /// Overwrites the start, unless that has left.
    fn rewrite(&mut self, back: u64, bytes: &[u8]) -> Result<()> {
        if self.is_live {
            return Ok(());
        }
        let back = i64::try_from(back).unwrap_or(i64::MAX);
        let result = self.sink.seek_relative(-back).and_then(|()| self.sink.write_all(bytes));
        let rest = back - i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        result.and_then(|()| self.sink.seek_relative(rest)).map_err(|source| self.error(source))
    }

    fn flush(&mut self) -> Result<()> {
        self.sink.flush().map_err(|source| self.error(source))
    }

    fn error(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.name.clone().into(), source }
    }
}

/// Writes samples, interleaved, to the file at `path`, which is made or replaced.
///
/// # Errors
///
/// As [`encoder`] and [`Encoder::write`].
pub fn save(
    path: impl AsRef<Path>,
    samples: &[f32],
    sample_rate: u32,
    n_channels: usize,
    options: &EncodeOptions,
) -> Result<()> {
    let path = path.as_ref();
    // Everything that can be wrong with the samples is, before a file is replaced.
    Layout { sample_rate, n_channels: n_channels.max(1) }.check(samples)?;
    let file = File::create(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let name = path.display().to_string();
    let mut encoder = encoder(BufWriter::new(file), &name, sample_rate, n_channels, options)?;
    encoder.write(samples)?;
    encoder.finish()
}

/// The bytes of a file that holds these samples, interleaved.
///
/// # Errors
///
/// As [`encoder`] and [`Encoder::write`].
pub fn encode(samples: &[f32], sample_rate: u32, n_channels: usize, options: &EncodeOptions) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = encoder(&mut bytes, "audio", sample_rate, n_channels, options)?;
    encoder.write(samples)?;
    encoder.finish()?;
    Ok(bytes.into_inner())
}
