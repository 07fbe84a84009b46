//! Pitch of a whole recording.

use serde::{Deserialize, Serialize};

use super::super::statistics::percentile;
use super::VoicedFrame;

/// Pitch of a recording, by pYIN from 65 to 500 Hz in frames of 0.1 s, every 10 ms, at no more than 16 kHz.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pitch {
    /// Median of the voiced frames, Hz; `None` without any.
    pub median_hz: Option<f64>,
    /// 5th percentile, Hz.
    pub p5_hz: Option<f64>,
    /// 25th percentile, Hz.
    pub p25_hz: Option<f64>,
    /// 75th percentile, Hz.
    pub p75_hz: Option<f64>,
    /// 95th percentile, Hz.
    pub p95_hz: Option<f64>,
    /// Share of the frames that are voiced.
    pub voiced_ratio: f64,
    /// Mean probability that a frame is voiced.
    pub mean_voiced_probability: f64,
}

impl Pitch {
    pub(in crate::analysis) fn of(frames: &[VoicedFrame]) -> Self {
        let mut voiced: Vec<f64> = frames.iter().filter_map(|frame| frame.f0_hz).collect();
        voiced.sort_by(f64::total_cmp);
        let n = frames.len().max(1) as f64;
        Self {
            median_hz: percentile(&voiced, 0.5),
            p5_hz: percentile(&voiced, 0.05),
            p25_hz: percentile(&voiced, 0.25),
            p75_hz: percentile(&voiced, 0.75),
            p95_hz: percentile(&voiced, 0.95),
            voiced_ratio: voiced.len() as f64 / n,
            mean_voiced_probability: frames.iter().map(|frame| frame.voiced_probability).sum::<f64>() / n,
        }
    }
}
