//! The analysis of a file, block by block.

use std::path::Path;

use super::{Analysis, Analyzer, Options, Tracks};
use crate::Result;
use crate::audio::{self, Blocks, Info, Mix};

/// What a file holds, as its header says and as it was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct FileAnalysis {
    /// The header.
    pub info: Info,
    /// What was measured.
    pub analysis: Analysis,
    /// What it does over time.
    pub tracks: Tracks,
    /// Damaged packets: replaced by silence in mid-stream, missing at the end.
    pub skipped_packets: usize,
}

/// Analyses the audio file at `path` at its own sample rate and with all its channels, decoding it block by block.
///
/// # Errors
///
/// As [`Blocks::open_with`] while decoding; [`crate::Error::InvalidInput`] for what [`Analyzer::new`] refuses.
pub fn analyze_file(path: impl AsRef<Path>, options: Options, limits: &audio::Limits) -> Result<FileAnalysis> {
    let heard = audio::Options { mix: Mix::All, limits: limits.clone(), ..audio::Options::default() };
    let mut blocks = Blocks::open_with(path, &heard)?;
    let mut analyzer = Analyzer::new(blocks.sample_rate(), blocks.n_channels(), options)?;
    for block in &mut blocks {
        analyzer.push(&block?);
    }
    let (info, skipped_packets) = (blocks.info().clone(), blocks.skipped_packets());
    let (analysis, tracks) = analyzer.finish()?;
    Ok(FileAnalysis { info, analysis, tracks, skipped_packets })
}
