//! What is to be transcribed.

use std::path::Path;

use super::features::Source;
use crate::{
    Result,
    audio::{Blocks, Limits, mel::SAMPLE_RATE},
};

/// Samples of a block: 30 s.
const BLOCK: usize = 480_000;

/// Mono audio at 16 kHz: in memory, in a file that is decoded on the way, or still being spoken.
pub struct Recording<'a> {
    pub(super) source: Source<'a>,
    /// Length as far as it is known beforehand, seconds.
    pub(super) expected_s: Option<f64>,
    /// Whether to answer as soon as somebody pauses, instead of when a window is full.
    pub(super) is_live: bool,
}

impl<'a> Recording<'a> {
    /// Samples in memory, mono, 16 kHz, in [-1, 1].
    #[must_use]
    pub fn from_samples(samples: &'a [f32]) -> Self {
        let expected_s = Some(samples.len() as f64 / f64::from(SAMPLE_RATE));
        Self { source: Source::Samples(samples), expected_s, is_live: false }
    }

    /// Samples that come in blocks; the recording is never held as a whole.
    pub fn from_blocks(blocks: impl Iterator<Item = Result<Vec<f32>>> + Send + 'a, expected_s: Option<f64>) -> Self {
        Self { source: Source::Blocks(Box::new(blocks)), expected_s, is_live: false }
    }

    /// Samples that come while somebody speaks. They are cut where the speaker pauses, and each part is decoded at once.
    pub fn live(blocks: impl Iterator<Item = Result<Vec<f32>>> + Send + 'a) -> Self {
        Self { source: Source::Blocks(Box::new(blocks)), expected_s: None, is_live: true }
    }
}

impl Recording<'static> {
    /// Samples in memory that it keeps, mono, 16 kHz, in [-1, 1].
    #[must_use]
    pub fn from_vec(samples: Vec<f32>) -> Self {
        let expected_s = samples.len() as f64 / f64::from(SAMPLE_RATE);
        let mut first = 0;
        let blocks = std::iter::from_fn(move || {
            let block = samples.get(first..)?;
            let block = block[..block.len().min(BLOCK)].to_vec();
            first += block.len();
            (!block.is_empty()).then_some(Ok(block))
        });
        Self::from_blocks(blocks, Some(expected_s))
    }

    /// An audio file, decoded on the way.
    ///
    /// # Errors
    /// As [`Blocks::open`].
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let blocks = Blocks::open(path, SAMPLE_RATE, limits)?;
        let expected_s = blocks.stated_s();
        Ok(Self::from_blocks(blocks, expected_s))
    }
}
