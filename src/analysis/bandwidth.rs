//! How far up a recording's spectrum reaches, and whether it was once at a lower sample rate.

use serde::{Deserialize, Serialize};

use super::stft::{LANES, SpectraBlock};

/// A frequency is used if its mean power is this far above the quietest part of the spectrum, dB.
const ABOVE_FLOOR_DB: f64 = 10.0;
/// What is farther than this below the loudest part is what a resampler left over, dB.
const RANGE_DB: f64 = 85.0;
/// A fall by this from just below the bandwidth to just above it is a resampler's wall, dB.
const WALL_DB: f64 = 25.0;
/// A bandwidth above this share of half the sample rate is full.
const FULL: f64 = 0.92;
/// Parts of the spectrum whose power is taken together.
const N_PARTS: usize = 128;
/// Sample rates that recordings have, Hz.
const RATES: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// The effective bandwidth of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Highest frequency whose mean power is 10 dB above the quietest 1/128 of the spectrum and within 85 dB of the
    /// loudest, Hz; half the sample rate if the spectrum is flat. `None` for silence.
    pub effective_hz: Option<f64>,
    /// The lower sample rate, Hz, that the recording probably had before: its spectrum ends in a wall of 25 dB or more
    /// near half of it.
    pub upsampled_from_hz: Option<u32>,
}

/// Mean power of every bin.
pub(super) struct MeanSpectrum {
    power: Vec<f64>,
}

impl MeanSpectrum {
    pub(super) fn new(n_bins: usize) -> Self {
        Self { power: vec![0.0; n_bins] }
    }

    pub(super) fn push(&mut self, block: &SpectraBlock) {
        for (sum, power) in self.power.iter_mut().zip(block.power) {
            // Unused lanes are 0.
            let quarters: [f32; LANES / 4] =
                std::array::from_fn(|lane| power[lane] + power[lane + 4] + power[lane + 8] + power[lane + 12]);
            *sum += f64::from(quarters.iter().sum::<f32>());
        }
        debug_assert!(block.n_frames <= LANES);
    }

    pub(super) fn bandwidth(&self, sample_rate: u32) -> Bandwidth {
        let nyquist = f64::from(sample_rate) / 2.0;
        let n = self.power.len() - 1;
        let total: f64 = self.power.iter().sum();
        if total <= 0.0 || n < N_PARTS {
            return Bandwidth { effective_hz: None, upsampled_from_hz: None };
        }
        let db = |range: std::ops::Range<usize>| {
            let length = range.len().max(1) as f64;
            // What no 24-bit sample can hold is silence.
            10.0 * (self.power[range].iter().sum::<f64>() / length / total + 1e-18).log10()
        };
        let part = n / N_PARTS;
        let parts: Vec<f64> = (0..N_PARTS).map(|index| db(index * part..(index + 1) * part)).collect();
        let floor = parts.iter().copied().fold(f64::MAX, f64::min);
        let loudest = parts.iter().copied().fold(f64::MIN, f64::max);
        let least = (floor + ABOVE_FLOOR_DB).max(loudest - RANGE_DB);
        // Bins one by one above the highest part that is used, for the exact end.
        let smooth = |bin: usize| db(bin.saturating_sub(1)..(bin + 2).min(n + 1));
        let highest = (0..=n).rev().find(|&bin| smooth(bin) > least);
        let Some(highest) = highest else {
            return Bandwidth { effective_hz: Some(nyquist), upsampled_from_hz: None };
        };
        let effective_hz = highest as f64 / n as f64 * nyquist;
        let near = |from: f64, to: f64| {
            let bin = |share: f64| ((highest as f64 * share) as usize).min(n);
            db(bin(from)..(bin(to) + 1).min(n + 1))
        };
        let falls = near(0.85, 0.95) - near(1.05, 1.12) > WALL_DB;
        let is_wall = effective_hz < FULL * nyquist && falls;
        // A resampler's wall lies between 0.88 and 1.03 of the old half rate.
        let fits = |rate: &&u32| (0.88..1.06).contains(&(effective_hz / (f64::from(**rate) / 2.0)));
        let nearest = |rate: &&u32| (effective_hz - f64::from(**rate) / 2.0).abs() as u64;
        let upsampled_from_hz =
            RATES.iter().filter(|rate| is_wall && **rate < sample_rate).filter(fits).min_by_key(nearest).copied();
        Bandwidth { effective_hz: Some(effective_hz), upsampled_from_hz }
    }
}
