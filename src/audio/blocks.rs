//! A file's samples block by block, for recordings that are longer than memory should hold.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use super::Limits;
use super::decode::empty_error;
use super::resample::Resampler;
use super::source;
use super::stream::Stream;
use crate::{Error, Result};

/// Samples in one block, about: 2 s at 16 kHz.
const BLOCK: usize = 1 << 15;

/// Mono samples of an audio stream, decoded while they are asked for; see [`super::decode`].
///
/// The iterator ends with the stream, or after its first error.
pub struct Blocks<'s> {
    name: String,
    sample_rate: u32,
    state: State<'s>,
    stated_s: Option<f64>,
}

enum State<'s> {
    /// The stream's first block has been decoded and not been taken.
    Opened(Box<Stream<'s>>),
    Decoding(Box<Stream<'s>>, Option<Box<Resampler>>),
    Ended,
}

impl Blocks<'static> {
    /// Opens the audio file at `path`, to be heard at `sample_rate`.
    ///
    /// # Errors
    ///
    /// As [`Blocks::new`]; [`Error::Io`] if the file cannot be opened.
    pub fn open(path: impl AsRef<Path>, sample_rate: u32, limits: &Limits) -> Result<Self> {
        let path = path.as_ref();
        let file: File = source::open_file(path)?;
        Self::new(file, &path.display().to_string(), sample_rate, limits)
    }
}

impl<'s> Blocks<'s> {
    /// Opens the audio in `reader`, to be heard at `sample_rate`. `name` stands for the input in errors.
    ///
    /// # Errors
    ///
    /// As [`super::decode`], as far as the header and the first packets tell.
    pub fn new(
        reader: impl Read + Seek + Send + Sync + 's,
        name: &str,
        sample_rate: u32,
        limits: &Limits,
    ) -> Result<Self> {
        limits.check_sample_rate(sample_rate).map_err(|error| Error::InvalidInput(format!("resampling: {error}")))?;
        let stream = source::contain(name, || {
            let mut stream = Stream::open(reader, name, limits)?;
            if !stream.next_block()? {
                return Err(empty_error(name, stream.skipped_packets()));
            }
            Ok(stream)
        })?;
        let stated_s = stream.stated_s();
        Ok(Self { name: name.to_owned(), sample_rate, state: State::Opened(Box::new(stream)), stated_s })
    }

    /// Length that the header states, seconds; the audio may end before or after it.
    #[must_use]
    pub fn stated_s(&self) -> Option<f64> {
        self.stated_s
    }

    /// The next block and the state after it.
    fn advance(&mut self) -> Result<Vec<f32>> {
        let (mut stream, mut resampler) = match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return Ok(Vec::new()),
            State::Decoding(stream, resampler) => (stream, resampler),
            State::Opened(stream) => {
                let from = stream.info().sample_rate;
                let resampler = if from == self.sample_rate {
                    None
                } else {
                    Some(Box::new(Resampler::new(from, self.sample_rate)?))
                };
                (stream, resampler)
            }
        };
        let mut samples = Vec::with_capacity(BLOCK + BLOCK / 2);
        while samples.len() < BLOCK {
            match &mut resampler {
                Some(resampler) => resampler.push(stream.block(), &mut samples),
                None => samples.extend_from_slice(stream.block()),
            }
            if !stream.next_block()? {
                if let Some(resampler) = resampler.take() {
                    resampler.finish(&mut samples);
                }
                return Ok(samples);
            }
        }
        self.state = State::Decoding(stream, resampler);
        Ok(samples)
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.name.clone();
        match source::contain(&name, || self.advance()) {
            Ok(samples) if samples.is_empty() => None,
            result => Some(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio;

    fn data(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
    }

    #[test]
    fn blocks_together_are_the_whole_file() {
        for name in ["clip.wav", "clip.flac", "clip.mp3", "clip.ogg", "clip.m4a", "clip_44k_stereo.mp3", "jfk.flac"] {
            let whole = audio::load(data(name), Some(16_000), &Limits::default()).unwrap().waveform;
            let blocks: Vec<_> =
                Blocks::open(data(name), 16_000, &Limits::default()).unwrap().collect::<Result<_>>().unwrap();
            assert!(blocks.iter().all(|block| !block.is_empty()));
            assert_eq!(blocks.concat(), whole.samples(), "{name}");
        }
    }

    #[test]
    fn what_is_not_audio_is_refused_at_once_and_limits_hold_on_the_way() {
        assert!(matches!(Blocks::open(data("README.md"), 16_000, &Limits::default()), Err(Error::Decode { .. })));
        assert!(Blocks::open(data("absent.wav"), 16_000, &Limits::default()).is_err());
        let limits = Limits { max_duration_s: 0.5, ..Limits::default() };
        let result: Result<Vec<_>> = match Blocks::open(data("clip.mp3"), 16_000, &limits) {
            Ok(blocks) => blocks.collect(),
            Err(error) => Err(error),
        };
        assert!(matches!(result, Err(Error::TooLong { .. })));
    }
}
