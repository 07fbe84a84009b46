//! The result of an analysis.

use serde::{Deserialize, Serialize};

use super::{Bandwidth, Level, Loudness, Noise, Pitch, Reverberation, Rhythm, Summary, Voice};

/// Version of the fields' names and definitions.
pub const VERSION: u32 = 1;

/// What was measured of one recording. A part that was not asked for is `None`, and absent from JSON; a value that does
/// not exist, as the loudness of silence, is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// [`VERSION`] of the definitions.
    pub version: u32,
    /// Length, seconds.
    pub duration_s: f64,
    /// Samples per second, Hz.
    pub sample_rate: u32,
    /// Channels.
    pub n_channels: usize,
    /// Samples that were NaN or infinite; they were taken for 0.
    pub n_invalid_samples: u64,
    /// Levels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// True peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub true_peak: Option<TruePeak>,
    /// Loudness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loudness: Option<Loudness>,
    /// Effective bandwidth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// Noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// Reverberation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverberation: Option<Reverberation>,
    /// Shape of the spectrum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spectral: Option<Spectral>,
    /// Mel power, 128 bands, each over all frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mel: Option<Vec<Summary>>,
    /// Cepstral coefficients of the mel spectrum, 20, each over all frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfcc: Option<Vec<Summary>>,
    /// Share of each pitch class, C to B, in the greatest, over all frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chroma: Option<Vec<Summary>>,
    /// Onsets and tempo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rhythm: Option<Rhythm>,
    /// Pitch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pitch: Option<Pitch>,
    /// Steadiness of the voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<Voice>,
}

/// True peak of all channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruePeak {
    /// Greatest absolute value of the waveform between the samples, at four times their rate, dBTP; `None` for silence.
    /// Source: ITU-R BS.1770-4, annex 2.
    pub true_peak_dbtp: Option<f64>,
}

/// Shape of the spectrum in frames of 2048 samples, every 512, of the mean of the channels, as librosa 1.0 defines it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spectral {
    /// Mean frequency, weighted by magnitude, Hz.
    pub centroid_hz: Option<Summary>,
    /// Spread about the centroid, Hz.
    pub bandwidth_hz: Option<Summary>,
    /// Frequency below which 85 % of the magnitude lies, Hz.
    pub rolloff_hz: Option<Summary>,
    /// Geometric over arithmetic mean of the power: 0 for a tone, about 0.56 for white noise.
    pub flatness: Option<Summary>,
    /// Changes of sign, as a share of the samples.
    pub zero_crossing_rate: Option<Summary>,
    /// Peaks over valleys of seven octave bands, dB; `None` below 12.8 kHz, where the highest band does not exist.
    pub contrast_db: Option<Vec<Summary>>,
}
