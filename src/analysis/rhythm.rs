//! Onsets and tempo, by the definitions of librosa 1.0.

use std::sync::Arc;

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use super::mel::{MelDecibels, N_MELS};
use super::stft::LANES;

/// Onsets are peaks of the normalized strength that exceed its mean around by this. Source: librosa `onset_detect`.
const DELTA: f32 = 0.07;
/// Seconds around a peak: in which it is greatest, over which the mean is taken. Source: librosa `onset_detect`.
const PEAK_S: f64 = 0.03;
const MEAN_S: f64 = 0.1;
/// Length of the autocorrelated stretches, seconds. Source: librosa `tempo`.
const TEMPOGRAM_S: f64 = 8.0;
/// Frames between stretches. librosa takes every frame; their mean is the same to a fraction of a lag.
const TEMPOGRAM_STRIDE: usize = 8;
/// The tempo that is likeliest before listening, and the fastest, beats per minute. Source: librosa `tempo`.
const LIKELY_BPM: f64 = 120.0;
const MAX_BPM: f64 = 320.0;

/// Onsets and tempo of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rhythm {
    /// Number of onsets.
    pub n_onsets: usize,
    /// Onsets, seconds.
    pub onsets_s: Vec<f64>,
    /// Tempo, beats per minute; `None` without any change of the spectrum.
    pub tempo_bpm: Option<f64>,
}

/// Onsets and tempo of a mel spectrum whose floor has been raised.
pub(super) fn rhythm(mel: &MelDecibels, sample_rate: u32, n_fft: usize, hop_length: usize) -> Rhythm {
    let strength = strength(mel, n_fft / (2 * hop_length));
    let frame_rate = f64::from(sample_rate) / hop_length as f64;
    let onsets_s: Vec<f64> = onsets(&strength, frame_rate).iter().map(|&frame| frame as f64 / frame_rate).collect();
    Rhythm { n_onsets: onsets_s.len(), onsets_s, tempo_bpm: tempo_bpm(&strength, frame_rate) }
}

/// Mean rise of all mel bands since the frame before, dB, moved later by half a window as librosa does.
fn strength(mel: &MelDecibels, shift: usize) -> Vec<f32> {
    let mut strength = vec![0.0; shift + 1];
    let mut before: Option<[f32; N_MELS]> = None;
    for (block, n_frames) in mel.blocks() {
        let mut sums = [0.0_f32; LANES];
        for (index, row) in block.iter().enumerate() {
            let first = before.as_ref().map_or(row[0], |before| before[index]);
            sums[0] += (row[0] - first).max(0.0);
            for lane in 1..LANES {
                sums[lane] += (row[lane] - row[lane - 1]).max(0.0);
            }
        }
        let skipped = usize::from(before.is_none());
        strength.extend(sums[skipped..n_frames.max(skipped)].iter().map(|sum| sum / N_MELS as f32));
        before = Some(std::array::from_fn(|index| block[index][n_frames - 1]));
    }
    strength.truncate(mel.n_frames);
    strength
}

/// Frames of onsets: peaks of the strength, picked from left to right. Source: librosa `onset_detect`, `peak_pick`.
fn onsets(strength: &[f32], frame_rate: f64) -> Vec<usize> {
    let least = strength.iter().copied().fold(f32::MAX, f32::min);
    let greatest = strength.iter().copied().fold(f32::MIN, f32::max) - least;
    if strength.is_empty() || greatest <= 0.0 {
        return Vec::new();
    }
    let normal: Vec<f32> = strength.iter().map(|value| (value - least) / greatest).collect();
    let frames = |seconds: f64| (seconds * frame_rate).floor() as usize;
    let (around, mean_around) = (frames(PEAK_S), frames(MEAN_S));
    let mut found: Vec<usize> = Vec::new();
    let mut index = 0;
    while index < normal.len() {
        let value = normal[index];
        let before = &normal[index.saturating_sub(around)..=index];
        let near = &normal[index.saturating_sub(mean_around)..(index + mean_around + 1).min(normal.len())];
        let mean = near.iter().sum::<f32>() / near.len() as f32;
        let is_peak = before.iter().all(|&other| other <= value) && value >= mean + DELTA;
        if is_peak && value > 0.0 {
            found.push(index);
            index += around + 1;
        } else {
            index += 1;
        }
    }
    found
}

/// The lag with the greatest mean autocorrelation, weighted by how likely its tempo is. Source: librosa `tempo`.
fn tempo_bpm(strength: &[f32], frame_rate: f64) -> Option<f64> {
    if strength.iter().all(|&value| value == 0.0) {
        return None;
    }
    let length = ((TEMPOGRAM_S * frame_rate) as usize).max(2);
    let correlation = mean_autocorrelation(strength, length)?;
    let bpm = |lag: usize| 60.0 * frame_rate / lag as f64;
    let score = |lag: usize| {
        let octaves = (bpm(lag) / LIKELY_BPM).log2();
        (1e6 * correlation[lag]).max(0.0).ln_1p() - 0.5 * octaves * octaves
    };
    let possible = (1..length).filter(|&lag| bpm(lag) < MAX_BPM);
    possible.max_by(|&a, &b| score(a).total_cmp(&score(b)).then(b.cmp(&a))).map(bpm)
}

/// Mean over time of the autocorrelation of windowed stretches, each relative to its lag 0.
///
/// It is the transform of their mean power spectrum, each relative to its energy.
fn mean_autocorrelation(strength: &[f32], length: usize) -> Option<Vec<f64>> {
    let mut planner = RealFftPlanner::<f32>::new();
    let n_fft = (2 * length - 1).next_power_of_two();
    let forward: Arc<dyn RealToComplex<f32>> = planner.plan_fft_forward(n_fft);
    let inverse: Arc<dyn ComplexToReal<f32>> = planner.plan_fft_inverse(n_fft);
    let (mut buffer, mut spectrum) = (forward.make_input_vec(), forward.make_output_vec());
    let mut scratch = forward.make_scratch_vec();
    let angle = |index: usize| std::f64::consts::TAU * index as f64 / length as f64;
    let window: Vec<f32> = (0..length).map(|index| (0.5 - 0.5 * angle(index).cos()) as f32).collect();
    let half = length / 2;
    let (first, last) = (*strength.first()?, *strength.last()?);
    // Beyond both ends the strength falls to 0 in a line.
    let at = |position: usize| match position.checked_sub(half) {
        None => first * position as f32 / half as f32,
        Some(index) if index < strength.len() => strength[index],
        Some(index) => last * (1.0 - (index + 1 - strength.len()) as f32 / half as f32).max(0.0),
    };
    let extended: Vec<f32> = (0..strength.len() + length).map(at).collect();
    let mut power = vec![0.0_f64; spectrum.len()];
    let starts = (0..strength.len()).step_by(TEMPOGRAM_STRIDE);
    let scale = 1.0 / (starts.len() * n_fft) as f64;
    for start in starts {
        for ((value, sample), weight) in buffer.iter_mut().zip(&extended[start..]).zip(&window) {
            *value = sample * weight;
        }
        buffer[length..].fill(0.0);
        let energy = buffer[..length].iter().map(|value| value * value).sum::<f32>();
        if energy > f32::MIN_POSITIVE {
            forward.process_with_scratch(&mut buffer, &mut spectrum, &mut scratch).ok()?;
            let share = scale / f64::from(energy);
            for (power, bin) in power.iter_mut().zip(&spectrum) {
                *power += share * f64::from(bin.norm_sqr());
            }
        }
    }
    for (bin, power) in spectrum.iter_mut().zip(&power) {
        *bin = (*power as f32).into();
    }
    inverse.process(&mut spectrum, &mut buffer).ok()?;
    Some(buffer[..length].iter().map(|&value| f64::from(value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulses_are_onsets_and_their_rate_is_the_tempo() {
        let frame_rate = 100.0;
        for bpm in [60.0, 75.0, 120.0, 150.0] {
            let mut strength = vec![0.0_f32; 3_000];
            let mut beat = 10.0;
            let mut n_beats = 0;
            while beat < 3_000.0 {
                strength[beat as usize] = 1.0;
                beat += 60.0 * frame_rate / bpm;
                n_beats += 1;
            }
            assert_eq!(onsets(&strength, frame_rate).len(), n_beats);
            let found = tempo_bpm(&strength, frame_rate).unwrap();
            assert!((found / bpm - 1.0).abs() < 0.02, "{found} instead of {bpm}");
        }
        assert_eq!(tempo_bpm(&[0.0; 100], frame_rate), None);
        assert!(onsets(&[], frame_rate).is_empty() && tempo_bpm(&[], frame_rate).is_none());
    }
}
