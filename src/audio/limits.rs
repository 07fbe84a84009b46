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
    /// Most bytes of decoded 32-bit samples for each byte of input, once [`Limits::FREE_BYTES`] are decoded.
    pub max_expansion: u32,
}

impl Default for Limits {
    /// 4 hours, 1 GiB, 32 channels, 1 kHz to 384 kHz, 8,192 bytes out for one in.
    fn default() -> Self {
        Self {
            max_duration_s: 4.0 * 3600.0,
            max_bytes: 1 << 30,
            max_channels: 32,
            min_sample_rate: 1_000,
            max_sample_rate: 384_000,
            // Digital silence in FLAC's usual blocks of 4,096 expands 1,200 to 2,400 times, Opus' discontinuous speech 1,500 times.
            max_expansion: 8_192,
        }
    }
}

impl Limits {
    /// Decoded bytes up to which any expansion is taken: 18 minutes of mono at 16 kHz.
    pub const FREE_BYTES: u64 = 64 << 20;

    /// Refuses more decoded bytes than the input read so far can hold.
    pub(super) fn check_expansion(&self, got_bytes: u64, from_bytes: u64) -> Result<()> {
        let limit_bytes = from_bytes.saturating_mul(u64::from(self.max_expansion)).max(Self::FREE_BYTES);
        if got_bytes > limit_bytes {
            return Err(Error::TooLarge { what: "decoded audio", got_bytes, limit_bytes });
        }
        Ok(())
    }

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
