//! How audio is to be heard.

use super::limits::Limits;
use super::mix::Mix;
use crate::{Error, Result};

/// How audio is to be heard: at which rate, which channels, which part.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Sample rate, Hz; `None` for the audio's own.
    pub sample_rate: Option<u32>,
    /// Which channels.
    pub mix: Mix,
    /// Where to begin, seconds.
    pub start_s: f64,
    /// How much to hear, seconds; `None` for all.
    pub duration_s: Option<f64>,
    /// Whether what this crate cannot read may be given to an `ffmpeg` on PATH; see [`super::read`].
    pub allow_ffmpeg: bool,
    /// What it may cost.
    pub limits: Limits,
}

impl Options {
    /// All of it, mixed to mono, at `sample_rate` Hz.
    #[must_use]
    pub fn mono(sample_rate: Option<u32>, limits: &Limits) -> Self {
        Self { sample_rate, limits: limits.clone(), ..Self::default() }
    }

    /// Refuses values that are impossible for any audio.
    pub(super) fn check(&self) -> Result<()> {
        let impossible = |what: &str, value: f64| {
            Err(Error::InvalidInput(format!("{what} is {value}; it must be a number of seconds, at least 0")))
        };
        if !(self.start_s.is_finite() && self.start_s >= 0.0) {
            return impossible("start_s", self.start_s);
        }
        match self.duration_s {
            Some(duration_s) if !(duration_s.is_finite() && duration_s >= 0.0) => impossible("duration_s", duration_s),
            _ => match self.sample_rate {
                Some(rate) => self
                    .limits
                    .check_sample_rate(rate)
                    .map_err(|error| Error::InvalidInput(format!("resampling: {error}"))),
                None => Ok(()),
            },
        }
    }
}
