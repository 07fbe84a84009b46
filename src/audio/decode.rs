//! Files and bytes to mono waveforms.

use std::io::{Read, Seek};
use std::path::Path;

use super::probe::Info;
use super::resample::Resampler;
use super::source;
use super::stream::Stream;
use super::{Limits, Waveform};
use crate::{Error, Result};

/// Audio that ends this much before its header says was cut off, seconds. Less is a rounded header.
const MAX_SHORTFALL_S: f64 = 0.1;

/// Decoded audio, and how much of it was damaged.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The audio: mono, the mean of the channels.
    pub waveform: Waveform,
    /// Damaged packets: replaced by silence in mid-stream, missing at the end; at least 1 for a file that ends before its
    /// header says. 0 for an intact file.
    pub skipped_packets: usize,
    /// What the file is; `sample_rate` and `n_channels` are those before resampling and downmix.
    pub info: Info,
}

/// Decodes the audio file at `path`, at its own sample rate or resampled to `sample_rate`; see [`decode`].
///
/// # Errors
///
/// As [`decode`]; [`Error::Io`] if the file cannot be opened.
pub fn load(path: impl AsRef<Path>, sample_rate: Option<u32>, limits: &Limits) -> Result<Decoded> {
    let path = path.as_ref();
    let file = source::open_file(path)?;
    decode(file, &path.display().to_string(), sample_rate, limits)
}

/// Decodes the audio in `reader` (a file, or a `Cursor` over bytes), recognised by content, at its own sample rate or
/// resampled to `sample_rate`. `name` stands for the input in errors.
///
/// Encoder delay and padding are trimmed where the container states them. A file that ends early or is damaged is
/// decoded as far as possible; damaged packets are counted.
///
/// # Errors
///
/// [`Error::Decode`] if the bytes are not audio, are empty or hold no samples; [`Error::Unsupported`] for a codec or a
/// change of sample rate that cannot be decoded; [`Error::TooLong`] or [`Error::TooLarge`] beyond the limits;
/// [`Error::InvalidInput`] for an impossible `sample_rate`; [`Error::Io`] if reading fails.
pub fn decode(
    reader: impl Read + Seek + Send + Sync,
    name: &str,
    sample_rate: Option<u32>,
    limits: &Limits,
) -> Result<Decoded> {
    if let Some(rate) = sample_rate {
        limits.check_sample_rate(rate).map_err(|error| Error::InvalidInput(format!("resampling: {error}")))?;
    }
    source::contain(name, || decode_stream(Stream::open(reader, name, limits)?, name, sample_rate))
}

fn decode_stream(mut stream: Stream, name: &str, sample_rate: Option<u32>) -> Result<Decoded> {
    if !stream.next_block()? {
        return Err(empty_error(name, stream.skipped_packets()));
    }
    let from = stream.info().sample_rate;
    let mut resampler = sample_rate.filter(|&to| to != from).map(|to| Resampler::new(from, to)).transpose()?;
    let (mut samples, mut n_frames) = (Vec::new(), 0_u64);
    loop {
        n_frames += stream.block().len() as u64;
        match &mut resampler {
            Some(resampler) => resampler.push(stream.block(), &mut samples),
            None => samples.extend_from_slice(stream.block()),
        }
        if !stream.next_block()? {
            break;
        }
    }
    if let Some(resampler) = resampler {
        resampler.finish(&mut samples);
    }
    let mut skipped_packets = stream.skipped_packets();
    let duration_s = n_frames as f64 / f64::from(from);
    if stream.stated_s().is_some_and(|stated_s| duration_s < stated_s - MAX_SHORTFALL_S) {
        skipped_packets = skipped_packets.max(1);
    }
    let mut info = stream.info().clone();
    if !stream.is_length_in_header() {
        info.duration_s = Some(duration_s);
    }
    let waveform = Waveform::from_samples(samples, sample_rate.unwrap_or(from))?;
    Ok(Decoded { waveform, skipped_packets, info })
}

/// The error for a stream that gave no samples.
pub(super) fn empty_error(name: &str, skipped_packets: usize) -> Error {
    let reason = match skipped_packets {
        0 => "zero-length audio: there is a header but no samples; send audio with sound in it".to_owned(),
        n => format!("no packet can be decoded ({n} damaged); send an intact file"),
    };
    Error::Decode { name: name.to_owned(), reason }
}
