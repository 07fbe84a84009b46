//! The value that all audio code speaks of.

use std::fmt;

use crate::{Error, Result};

/// Mono audio: finite samples, nominally in [-1, 1], at `sample_rate` Hz.
#[derive(Clone, PartialEq)]
pub struct Waveform {
    samples: Vec<f32>,
    sample_rate: u32,
}

impl fmt::Debug for Waveform {
    /// The length in place of the samples, of which there are millions.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Waveform({} samples at {} Hz)", self.samples.len(), self.sample_rate)
    }
}

impl Waveform {
    /// The waveform of these samples; it may be empty.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if `sample_rate` is 0 or a sample is NaN or infinite.
    pub fn from_samples(samples: Vec<f32>, sample_rate: u32) -> Result<Self> {
        if sample_rate == 0 {
            return Err(Error::InvalidInput("sample_rate is 0; it must be a number of samples per second".to_owned()));
        }
        if let Some(index) = not_finite(&samples) {
            let value = samples[index];
            return Err(Error::InvalidInput(format!("sample {index} is {value}; every sample must be finite")));
        }
        Ok(Self { samples, sample_rate })
    }

    /// The samples.
    #[must_use]
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// The samples, without a copy.
    #[must_use]
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }

    /// Samples per second, Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Number of samples.
    #[must_use]
    pub fn n_samples(&self) -> usize {
        self.samples.len()
    }

    /// Length in seconds.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }
}

/// Where the first sample that is no number is.
pub(crate) fn not_finite(samples: &[f32]) -> Option<usize> {
    const CHUNK: usize = 256;
    // Without a way out at every sample the compiler looks at several at once.
    let is_whole = |chunk: &[f32]| chunk.iter().fold(true, |is_whole, sample| is_whole & sample.is_finite());
    let start = CHUNK * samples.chunks(CHUNK).position(|chunk| !is_whole(chunk))?;
    samples[start..].iter().position(|sample| !sample.is_finite()).map(|index| start + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_must_be_finite_and_the_rate_positive() {
        assert!(Waveform::from_samples(vec![0.0, f32::NAN], 16_000).is_err());
        assert!(Waveform::from_samples(vec![f32::INFINITY], 16_000).is_err());
        assert!(Waveform::from_samples(vec![0.0], 0).is_err());
        let waveform = Waveform::from_samples(vec![0.5; 8_000], 16_000).unwrap();
        assert!((waveform.duration_s() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_first_sample_that_is_no_number_is_found_wherever_it_is() {
        for index in [0, 255, 256, 599] {
            let mut samples = [0.5; 600];
            (samples[index], samples[599]) = (f32::NAN, f32::INFINITY);
            assert_eq!(not_finite(&samples), Some(index));
        }
        assert_eq!((not_finite(&[0.5; 600]), not_finite(&[])), (None, None));
    }
}
