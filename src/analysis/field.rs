//! What an analysis may be asked for, and how exactly two machines agree on it.

use std::collections::BTreeSet;

use crate::{Error, Result};

/// A part of an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// [`super::Level`].
    Level,
    /// True peak.
    TruePeak,
    /// [`super::Loudness`].
    Loudness,
    /// [`super::Bandwidth`].
    Bandwidth,
    /// [`super::Noise`].
    Noise,
    /// [`super::Reverberation`].
    Reverberation,
    /// [`super::Spectral`].
    Spectral,
    /// Mel spectrum.
    Mel,
    /// Cepstral coefficients of the mel spectrum.
    Mfcc,
    /// Energy of the pitch classes.
    Chroma,
    /// [`super::Rhythm`].
    Rhythm,
    /// [`super::Pitch`].
    Pitch,
    /// [`super::Voice`].
    Voice,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 13] = [
        Self::Level,
        Self::TruePeak,
        Self::Loudness,
        Self::Bandwidth,
        Self::Noise,
        Self::Reverberation,
        Self::Spectral,
        Self::Mel,
        Self::Mfcc,
        Self::Chroma,
        Self::Rhythm,
        Self::Pitch,
        Self::Voice,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::TruePeak => "true_peak",
            Self::Loudness => "loudness",
            Self::Bandwidth => "bandwidth",
            Self::Noise => "noise",
            Self::Reverberation => "reverberation",
            Self::Spectral => "spectral",
            Self::Mel => "mel",
            Self::Mfcc => "mfcc",
            Self::Chroma => "chroma",
            Self::Rhythm => "rhythm",
            Self::Pitch => "pitch",
            Self::Voice => "voice",
        }
    }

    /// How far another machine's value may be off, for checks of results that were computed elsewhere.
    #[must_use]
    pub fn agreement(self) -> Agreement {
        match self {
            // Sums of the samples themselves.
            Self::Level => Agreement::Within { absolute: 1e-3, relative: 1e-5 },
            Self::TruePeak | Self::Loudness => Agreement::Within { absolute: 0.05, relative: 0.0 },
            Self::Spectral | Self::Mel | Self::Mfcc | Self::Chroma => {
                Agreement::Within { absolute: 1e-3, relative: 1e-3 }
            }
            // Medians, thresholds and peaks: near ties may fall either way.
            Self::Bandwidth | Self::Noise | Self::Reverberation | Self::Rhythm | Self::Pitch | Self::Voice => {
                Agreement::Within { absolute: 0.05, relative: 0.05 }
            }
        }
    }

    /// Whether two machines get the same from the same samples, to rounding: sums, with no choice among near ties. Who
    /// computed something else made it up.
    #[must_use]
    pub fn is_exact(self) -> bool {
        match self {
            Self::Level | Self::TruePeak | Self::Loudness | Self::Mel | Self::Mfcc => true,
            // Roll-off, tuning, medians, thresholds and peaks choose.
            Self::Spectral
            | Self::Chroma
            | Self::Bandwidth
            | Self::Noise
            | Self::Reverberation
            | Self::Rhythm
            | Self::Pitch
            | Self::Voice => false,
        }
    }

    /// The fields of these names.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name that is none, with those that are.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<BTreeSet<Self>> {
        let parse = |name: &S| {
            Self::ALL.into_iter().find(|field| field.name() == name.as_ref()).ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                Error::InvalidInput(format!("got field {:?}; expected some of {known}", name.as_ref()))
            })
        };
        names.iter().map(parse).collect()
    }

    /// Whether it is made of the shared spectra.
    pub(super) fn is_spectral(self) -> bool {
        matches!(self, Self::Spectral | Self::Mel | Self::Mfcc | Self::Chroma | Self::Rhythm | Self::Bandwidth)
    }
}

/// How two machines' values of a field compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Agreement {
    /// Equal up to `absolute + relative * |value|`, in the value's unit.
    Within {
        /// In the value's unit.
        absolute: f64,
        /// As a share of the value.
        relative: f64,
    },
}

impl Agreement {
    /// Whether `got` agrees with `want`; no value agrees with no value alone.
    #[must_use]
    pub fn holds(self, got: Option<f64>, want: Option<f64>) -> bool {
        let Self::Within { absolute, relative } = self;
        match (got, want) {
            (Some(got), Some(want)) => (got - want).abs() <= absolute + relative * want.abs(),
            (None, None) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_fields_and_others_are_refused_with_the_list() {
        let names = Field::ALL.map(Field::name);
        assert_eq!(Field::parse(&names).unwrap().len(), Field::ALL.len());
        let message = Field::parse(&["loudness", "volume"]).unwrap_err().to_string();
        assert!(message.contains("\"volume\"") && message.contains("level, true_peak, loudness"), "{message}");
    }

    #[test]
    fn agreement_has_bounds() {
        let agreement = Field::Loudness.agreement();
        assert!(agreement.holds(Some(-23.0), Some(-23.04)) && !agreement.holds(Some(-23.0), Some(-23.1)));
        assert!(agreement.holds(None, None) && !agreement.holds(None, Some(0.0)));
        assert!(!agreement.holds(Some(f64::NAN), Some(0.0)));
    }
}
