//! What audio may cost: the bounds that protect a process from a file.

use crate::{Error, Result};

/// Bounds on audio from outside; checked on the header and again while decoding.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Longest audio, seconds.
    pub max_duration_s: f64,
    /// Largest encoded input, bytes.
    pub max_bytes: u64,
    /// Most channels.
    pub max_channels: usize,
    /// Lowest sample rate, Hz.
    pub min_sample_rate: u32,
    /// Highest sample rate, Hz.
    pub max_sample_rate: u32,
}

impl Default for Limits {
    /// 4 hours, 1 GiB, 32 channels, 1 kHz to 384 kHz.
    fn default() -> Self {
        Self {
            max_duration_s: 4.0 * 3600.0,
            max_bytes: 1 << 30,
            max_channels: 32,
            min_sample_rate: 1_000,
            max_sample_rate: 384_000,
        }
    }
}

impl Limits {
    /// Refuses encoded input of more than `max_bytes`.
    pub(super) fn check_bytes(&self, got_bytes: u64) -> Result<()> {
        if got_bytes > self.max_bytes {
            return Err(Error::TooLarge { what: "audio file", got_bytes, limit_bytes: self.max_bytes });
        }
        Ok(())
    }

    /// Refuses a duration of more than `max_duration_s`.
    pub(super) fn check_duration(&self, got_s: f64) -> Result<()> {
        if got_s > self.max_duration_s {
            return Err(Error::TooLong { got_s, limit_s: self.max_duration_s });
        }
        Ok(())
    }

    /// Refuses a sample rate outside the range.
    pub(super) fn check_sample_rate(&self, sample_rate: u32) -> Result<()> {
        if (self.min_sample_rate..=self.max_sample_rate).contains(&sample_rate) {
            return Ok(());
        }
        let (low, high) = (self.min_sample_rate, self.max_sample_rate);
        Err(Error::Unsupported(format!("sample rate is {sample_rate} Hz; supported are {low} to {high} Hz")))
    }

    /// Refuses no channels, or more than `max_channels`.
    pub(super) fn check_channels(&self, n_channels: usize) -> Result<()> {
        if (1..=self.max_channels).contains(&n_channels) {
            return Ok(());
        }
        Err(Error::Unsupported(format!("audio has {n_channels} channels; supported are 1 to {}", self.max_channels)))
    }
}
