//! A file's samples block by block, for recordings that are longer than memory should hold.

use std::io::{Read, Seek};
use std::path::Path;

use super::decode::{begin, open_path};
use super::heard::Heard;
use super::input::Input;
use super::{Info, Limits, Options, source};
use crate::{Error, Result};

/// Samples in one block, about: 2 s of mono at 16 kHz.
const BLOCK: usize = 1 << 15;

/// Samples of an audio stream, decoded while they are asked for; see [`super::read`].
///
/// Each block holds interleaved samples. The iterator ends with the stream, or after its first error.
pub struct Blocks<'s> {
    name: String,
    heard: Option<Heard<'s>>,
    sample_rate: u32,
    n_channels: usize,
    stated_s: Option<f64>,
    info: Info,
    skipped_packets: usize,
    /// Samples of a block, where all are to be alike.
    block: Option<usize>,
    /// Samples that wait for their block to be full.
    pending: Vec<f32>,
}

impl Blocks<'static> {
    /// Opens the audio file at `path`, to be heard in mono at `sample_rate`.
    ///
    /// # Errors
    ///
    /// As [`Blocks::from_reader`]; [`Error::Io`] if the file cannot be opened.
    pub fn open(path: impl AsRef<Path>, sample_rate: u32, limits: &Limits) -> Result<Self> {
        Self::open_with(path, &Options::mono(Some(sample_rate), limits))
    }

    /// Opens the audio file at `path`.
    ///
    /// # Errors
    ///
    /// As [`Blocks::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        Self::begin(&name, || open_path(path, options))
    }
}

impl<'s> Blocks<'s> {
    /// Opens the audio in `reader`, to be heard in mono at `sample_rate`. `name` stands for the input in errors.
    ///
    /// # Errors
    ///
    /// As [`super::read`], as far as the header and the first packets tell.
    pub fn new(
        reader: impl Read + Seek + Send + Sync + 's,
        name: &str,
        sample_rate: u32,
        limits: &Limits,
    ) -> Result<Self> {
        Self::from_reader(reader, name, &Options::mono(Some(sample_rate), limits))
    }

    /// Opens the audio in `reader`.
    ///
    /// # Errors
    ///
    /// As [`Blocks::new`].
    pub fn from_reader(reader: impl Read + Seek + Send + Sync + 's, name: &str, options: &Options) -> Result<Self> {
        let input = || Input::whole(reader).map_err(|source| Error::Io { path: name.into(), source });
        Self::begin(name, || begin(input()?, name, options))
    }

    /// Opens audio that arrives while it is decoded, such as a request's body; nothing of it is kept, but for mp4, caf and
    /// aiff, which are first written to a temporary file.
    ///
    /// # Errors
    ///
    /// As [`Blocks::new`].
    pub fn from_arriving(reader: impl Read + Send + Sync + 's, name: &str, options: &Options) -> Result<Self> {
        let input =
            || Input::arriving(reader, &options.limits).map_err(|source| Error::Io { path: name.into(), source });
        Self::begin(name, || begin(input()?, name, options))
    }

    fn begin(name: &str, open: impl FnOnce() -> Result<Heard<'s>>) -> Result<Self> {
        let heard = source::contain(name, open)?;
        let stream = heard.stream();
        Ok(Self {
            name: name.to_owned(),
            sample_rate: heard.sample_rate(),
            n_channels: heard.n_channels(),
            stated_s: stream.stated_s(),
            info: stream.info().clone(),
            skipped_packets: 0,
            block: None,
            pending: Vec::new(),
            heard: Some(heard),
        })
    }

    /// The same with blocks of `block_s` seconds, of which only the last may be shorter.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless a block is longer than nothing and at most 10 minutes.
    pub fn in_blocks_of(mut self, block_s: f64) -> Result<Self> {
        let n_frames = (block_s * f64::from(self.sample_rate)).round();
        if !(n_frames >= 1.0 && block_s <= 600.0) {
            return Err(Error::InvalidInput(format!("block_s is {block_s}; it must be above 0 and at most 600 s")));
        }
        self.block = Some(n_frames as usize * self.n_channels);
        Ok(self)
    }

    /// Length that the header states, seconds; the audio may end before or after it.
    #[must_use]
    pub fn stated_s(&self) -> Option<f64> {
        self.stated_s
    }

    /// Samples a second of each channel, Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Channels of the blocks.
    #[must_use]
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// What the header says.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Damaged packets so far: replaced by silence in mid-stream, missing at the end.
    #[must_use]
    pub fn skipped_packets(&self) -> usize {
        self.heard.as_ref().map_or(self.skipped_packets, |heard| heard.stream().skipped_packets())
    }

    /// The next block; empty at the end.
    fn advance(&mut self) -> Result<Vec<f32>> {
        let mut samples = std::mem::take(&mut self.pending);
        let n_wanted = self.block.unwrap_or(BLOCK * self.n_channels);
        if let Some(mut heard) = self.heard.take() {
            let mut has_more = true;
            while has_more && samples.len() < n_wanted {
                has_more = heard.append(&mut samples)?;
            }
            self.skipped_packets = heard.stream().skipped_packets();
            self.heard = has_more.then_some(heard);
        }
        if self.block.is_some() && samples.len() > n_wanted {
            self.pending = samples.split_off(n_wanted);
        }
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
