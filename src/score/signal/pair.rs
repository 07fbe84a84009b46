//! A reference and what became of it, checked once for all scores.

use std::ops::RangeInclusive;

use crate::{Error, Result};

/// Largest sample that is taken: far above any scale of audio, and its square is far below f64's limit.
pub const MAX_AMPLITUDE: f64 = 1e9;

/// Sample rates of the scores that are defined for more than one, Hz.
pub const RATES_HZ: RangeInclusive<u32> = 8_000..=96_000;

/// Whether frames of two clips are compared one by one, or along the cheapest way through both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Alignment {
    /// Dynamic time warping: the clips may differ in length and tempo.
    #[default]
    Warped,
    /// Frame by frame: the clips must be equally long.
    Fixed,
}

/// Mono samples of a reference and of its degraded version; full scale is [-1, 1] where a score has an absolute floor.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'s> {
    pub(super) reference: &'s [f64],
    pub(super) degraded: &'s [f64],
    pub(super) sample_rate: u32,
}

impl<'s> Pair<'s> {
    /// These samples, at `sample_rate` Hz.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a clip without samples, and for samples that are NaN, infinite or beyond
    /// [`MAX_AMPLITUDE`].
    pub fn new(reference: &'s [f64], degraded: &'s [f64], sample_rate: u32) -> Result<Self> {
        for (name, samples) in [("reference", reference), ("degraded", degraded)] {
            if samples.is_empty() {
                return Err(Error::InvalidInput(format!("{name} has no samples; expected at least one")));
            }
            // A NaN is not within the range either.
            let is_good = |sample: &f64| (-MAX_AMPLITUDE..=MAX_AMPLITUDE).contains(sample);
            if let Some(index) = samples.iter().position(|sample| !is_good(sample)) {
                let got = samples[index];
                return Err(Error::InvalidInput(format!(
                    "{name}[{index}] is {got}; expected finite samples, in [-1, 1] at full scale"
                )));
            }
        }
        Ok(Self { reference, degraded, sample_rate })
    }

    /// Whether every sample of the reference is 0.
    pub(super) fn is_silent(&self) -> bool {
        self.reference.iter().all(|&sample| sample == 0.0)
    }

    pub(super) fn of_equal_length(&self, score: &str) -> Result<()> {
        let (n, m) = (self.reference.len(), self.degraded.len());
        if n == m {
            return Ok(());
        }
        Err(Error::InvalidInput(format!(
            "the reference has {n} samples and the degraded clip {m}; {score} needs as many of one as of the other: \
             align and cut them first"
        )))
    }

    pub(super) fn at_a_rate(&self, score: &str) -> Result<()> {
        let (got, (low, high)) = (self.sample_rate, (RATES_HZ.start(), RATES_HZ.end()));
        if RATES_HZ.contains(&got) {
            return Ok(());
        }
        Err(Error::InvalidInput(format!("sample rate is {got} Hz; {score} takes {low} to {high} Hz")))
    }

    /// Refuses clips of fewer than `n_needed` samples, which the score needs for `what`.
    pub(super) fn at_least(&self, n_needed: usize, score: &str, what: &str) -> Result<()> {
        for (name, samples) in [("reference", self.reference), ("degraded clip", self.degraded)] {
            if samples.len() < n_needed {
                let (got, ms) = (samples.len(), n_needed as f64 * 1_000.0 / f64::from(self.sample_rate));
                return Err(Error::InvalidInput(format!(
                    "the {name} has {got} samples; {score} needs at least {n_needed} ({ms:.0} ms) at {} Hz, {what}",
                    self.sample_rate
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_samples_are_named_with_their_place() {
        let refusal =
            |reference: &[f64], degraded: &[f64]| Pair::new(reference, degraded, 16_000).unwrap_err().to_string();
        assert!(refusal(&[0.0, f64::NAN], &[0.0]).starts_with("reference[1] is NaN"));
        assert!(refusal(&[0.0], &[f64::NEG_INFINITY]).starts_with("degraded[0] is -inf"));
        assert!(refusal(&[1e10], &[0.0]).contains("reference[0] is 10000000000"));
        assert_eq!(refusal(&[0.0], &[]), "degraded has no samples; expected at least one");
    }
}
