//! Speech brought to the loudness of broadcasts and podcasts.

use super::LoudnessMeter;
use crate::analysis::true_peak::TruePeakMeter;

/// Integrated loudness that is aimed at, LUFS: that of podcasts.
pub const TARGET_LUFS: f64 = -16.0;
/// The highest true peak, dBTP.
pub const MAX_TRUE_PEAK_DBTP: f64 = -1.0;
/// How early the limiter begins to turn down, and how late it is back, seconds.
const LOOKAHEAD_S: f64 = 0.005;
/// Rounds of limiting and measuring; each leaves a small part of the error.
const ROUNDS: usize = 4;

/// Brings samples to [`TARGET_LUFS`], measured as ITU-R BS.1770-4 has it, with true peaks of at most
/// [`MAX_TRUE_PEAK_DBTP`]: what would be above is turned down smoothly. Silence, and what is shorter than 0.4 s, has no
/// loudness and stays as it is, but for its peak.
pub fn normalize_loudness(samples: &mut [f32], sample_rate: u32) {
    let original = samples.to_vec();
    let mut gain_db = loudness(samples, sample_rate).map_or(0.0, |lufs| TARGET_LUFS - lufs);
    let mut ceiling_db = MAX_TRUE_PEAK_DBTP;
    for _ in 0..ROUNDS {
        let gain = amplitude(gain_db);
        samples.iter_mut().zip(&original).for_each(|(out, sample)| *out = (f64::from(*sample) * gain) as f32);
        if true_peak(samples) <= MAX_TRUE_PEAK_DBTP {
            return;
        }
        limit(samples, amplitude(ceiling_db) as f32, (LOOKAHEAD_S * f64::from(sample_rate)).ceil() as usize);
        // Peaks between the samples are above those that the limiter sees; what it turned down is made up for.
        ceiling_db -= (true_peak(samples) - MAX_TRUE_PEAK_DBTP).max(0.0);
        gain_db += loudness(samples, sample_rate).map_or(0.0, |lufs| TARGET_LUFS - lufs);
    }
    let over_db = (true_peak(samples) - MAX_TRUE_PEAK_DBTP).max(0.0);
    let gain = amplitude(-over_db) as f32;
    samples.iter_mut().for_each(|sample| *sample *= gain);
}

fn amplitude(db: f64) -> f64 {
    10.0_f64.powf(db / 20.0)
}

fn loudness(samples: &[f32], sample_rate: u32) -> Option<f64> {
    let mut meter = LoudnessMeter::new(sample_rate, vec![1.0]);
    meter.push(&[samples.to_vec()]);
    meter.finish().integrated_lufs
}

fn true_peak(samples: &[f32]) -> f64 {
    let mut meter = TruePeakMeter::new(1);
    meter.push(&[samples.to_vec()]);
    meter.finish().unwrap_or(f64::NEG_INFINITY)
}

/// Turns down what is above `ceiling`: the gain is the least that any sample within `reach` needs, smoothed over as many.
fn limit(samples: &mut [f32], ceiling: f32, reach: usize) {
    let needed: Vec<f32> = samples.iter().map(|sample| (ceiling / sample.abs().max(ceiling)).min(1.0)).collect();
    let mut least = vec![1.0_f32; samples.len()];
    for (at, gain) in needed.iter().enumerate().filter(|(_, gain)| **gain < 1.0) {
        let end = (at + reach + 1).min(samples.len());
        least[at.saturating_sub(reach)..end].iter_mut().for_each(|least| *least = least.min(*gain));
    }
    // A mean over the reach: it is at most the least of what it covers where a peak is.
    let mut sums = vec![0.0_f64];
    sums.extend(least.iter().scan(0.0, |sum, gain| {
        *sum += f64::from(*gain);
        Some(*sum)
    }));
    let half = reach / 2;
    for (at, sample) in samples.iter_mut().enumerate() {
        let (first, end) = (at.saturating_sub(half), (at + half + 1).min(least.len()));
        *sample *= ((sums[end] - sums[first]) / (end - first) as f64) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sine with a level that swells, in dB.
    fn swelling(rate: u32, from_db: f64, to_db: f64) -> Vec<f32> {
        let n = 5 * rate;
        let sample = |i: u32| {
            let t = f64::from(i) / f64::from(rate);
            let level = amplitude(from_db + (to_db - from_db) * f64::from(i) / f64::from(n));
            (level * (t * 997.0 * std::f64::consts::TAU).sin()) as f32
        };
        (0..n).map(sample).collect()
    }

    #[test]
    fn loudness_and_peaks_are_what_they_should_be() {
        for (from_db, to_db) in [(-60.0, -40.0), (-6.0, 0.0), (-30.0, -1.0)] {
            let mut samples = swelling(22_050, from_db, to_db);
            normalize_loudness(&mut samples, 22_050);
            let lufs = loudness(&samples, 22_050).unwrap();
            assert!((lufs - TARGET_LUFS).abs() < 0.1, "{lufs} LUFS");
            assert!(true_peak(&samples) <= MAX_TRUE_PEAK_DBTP + 0.01);
        }
    }

    #[test]
    fn peaks_are_turned_down_where_the_target_needs_it() {
        // Quiet, with loud clicks.
        let mut samples: Vec<f32> = swelling(22_050, -30.0, -30.0);
        samples.iter_mut().step_by(5000).for_each(|sample| *sample = 0.7);
        normalize_loudness(&mut samples, 22_050);
        let (lufs, peak) = (loudness(&samples, 22_050).unwrap(), true_peak(&samples));
        assert!((lufs - TARGET_LUFS).abs() < 0.5 && peak <= MAX_TRUE_PEAK_DBTP + 0.01, "{lufs} LUFS, {peak} dBTP");
    }

    #[test]
    fn silence_stays_silent() {
        let mut samples = vec![0.0; 22_050];
        normalize_loudness(&mut samples, 22_050);
        assert!(samples.iter().all(|sample| *sample == 0.0));
        normalize_loudness(&mut [], 22_050);
    }
}
