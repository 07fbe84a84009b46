//! Syllables by their nuclei: how fast somebody speaks, without a transcript.
//!
//! Source: de Jong and Wempe, "Praat script to detect syllable nuclei and measure speech rate automatically", Behavior
//! Research Methods 41(2), 2009: peaks of intensity between dips of 2 dB, no more than 25 dB under the loudest, in voiced
//! sound. Differs in how voice is told: by the correlation of [`super::pitch::harmonicity`], not by a pitch track.

use super::pitch::Harmonicity;
use super::statistics::percentile;
use crate::audio::bessel_i0;

/// The intensity's lowest pitch, Hz: it sets the window, of which the middle half counts, and the step.
const MIN_PITCH_HZ: f64 = 50.0;
/// The loudest that is no outlier.
const LOUDEST: f64 = 0.99;
const BELOW_LOUDEST_DB: f64 = 25.0;
/// How deep the dip before the next peak is at least.
const MIN_DIP_DB: f64 = 2.0;
/// Least correlation of voiced sound: Praat's voicing threshold.
const MIN_VOICED: f64 = 0.45;

/// Below this there is no speech, Hz.
const MIN_SAMPLE_RATE: u32 = 1_000;

/// Times of the nuclei, seconds, in order; none below a sample rate of 1 kHz.
#[must_use]
pub fn syllable_nuclei_s(samples: &[f32], sample_rate: u32) -> Vec<f64> {
    let rate = f64::from(sample_rate);
    let duration_s = samples.len() as f64 / rate;
    let (window_s, hop_s) = (6.4 / MIN_PITCH_HZ, 0.8 / MIN_PITCH_HZ);
    if sample_rate < MIN_SAMPLE_RATE || duration_s < window_s + 2.0 * hop_s {
        return Vec::new();
    }
    let n_frames = ((duration_s - window_s) / hop_s) as usize + 1;
    let first_s = (duration_s - (n_frames - 1) as f64 * hop_s) / 2.0;
    let window = kaiser((window_s * rate) as usize);
    let intensity = |index: usize| {
        let start = ((first_s + index as f64 * hop_s - window_s / 2.0) * rate).max(0.0) as usize;
        intensity_db(&samples[start.min(samples.len())..], &window)
    };
    let db: Vec<f64> = (0..n_frames).map(intensity).collect();
    let mut sorted = db.clone();
    sorted.sort_by(f64::total_cmp);
    let least = percentile(&sorted, LOUDEST).unwrap_or(0.0) - BELOW_LOUDEST_DB;
    let voice = Harmonicity::of(samples, sample_rate, 0.01);
    let is_voiced = |time: f64| voice.correlation_at(time) >= MIN_VOICED;
    let is_peak = |&index: &usize| db[index] > db[index - 1] && db[index] >= db[index + 1] && db[index] > least;
    let peaks: Vec<usize> = (1..n_frames - 1).filter(is_peak).collect();
    let mut nuclei = Vec::new();
    for (at, &peak) in peaks.iter().enumerate() {
        let next = peaks.get(at + 1).copied().unwrap_or(n_frames - 1);
        let dip = db[peak..=next].iter().copied().fold(f64::MAX, f64::min);
        let time = first_s + peak as f64 * hop_s;
        if db[peak] - dip > MIN_DIP_DB && is_voiced(time) {
            nuclei.push(time);
        }
    }
    nuclei
}

/// Mean square under the window, without the mean, dB.
fn intensity_db(samples: &[f32], window: &[f64]) -> f64 {
    let n = samples.len().min(window.len());
    let mean = samples[..n].iter().map(|&x| f64::from(x)).sum::<f64>() / n.max(1) as f64;
    let (mut power, mut weights) = (1e-12, 1e-12);
    for (&x, weight) in samples[..n].iter().zip(window) {
        power += weight * (f64::from(x) - mean).powi(2);
        weights += weight;
    }
    10.0 * (power / weights).log10()
}

/// Praat's window for intensity. Source: Praat's manual, "Intro 6.2. Configuring the intensity contour".
fn kaiser(n: usize) -> Vec<f64> {
    let place = |index: usize| (2.0 * index as f64 + 1.0) / n as f64 - 1.0;
    let argument = 2.0 * std::f64::consts::PI.powi(2) + 0.5;
    (0..n).map(|index| bessel_i0(argument * (1.0 - place(index).powi(2)).max(0.0).sqrt())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many bursts a second of a buzz of 120 Hz, or of noise.
    fn bursts(per_s: f64, seconds: f64, is_voiced: bool) -> Vec<f32> {
        let mut random = 1_u32;
        let mut noise = move || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(random >> 8) / f64::from(1 << 23) - 1.0
        };
        let sample = |n: i32| {
            let t = f64::from(n) / 16_000.0;
            let loud = (std::f64::consts::PI * t * per_s).sin().powi(2);
            let buzz: f64 =
                (1..8).map(|k| (std::f64::consts::TAU * 120.0 * f64::from(k) * t).sin() / f64::from(k)).sum();
            ((0.001 + 0.2 * loud) * if is_voiced { buzz } else { noise() }) as f32
        };
        (0..(seconds * 16_000.0) as i32).map(sample).collect()
    }

    #[test]
    fn every_burst_of_voice_is_a_syllable() {
        for per_s in [2.0, 4.0, 5.0] {
            let found = syllable_nuclei_s(&bursts(per_s, 10.0, true), 16_000);
            let wanted = 10.0 * per_s;
            assert!((found.len() as f64 - wanted).abs() <= 1.0, "{} of {wanted}", found.len());
            assert!((found[0] - 0.5 / per_s).abs() < 0.03, "{}", found[0]);
        }
    }

    #[test]
    fn noise_silence_and_too_little_have_none() {
        assert!(syllable_nuclei_s(&bursts(4.0, 5.0, false), 16_000).len() < 2);
        assert!(syllable_nuclei_s(&[0.0; 32_000], 16_000).is_empty());
        assert!(syllable_nuclei_s(&[0.1; 100], 16_000).is_empty() && syllable_nuclei_s(&[], 16_000).is_empty());
    }
}
