//! From the energies of short parts to gated loudness.

use super::{Loudness, LoudnessTrack};

/// Parts (10 ms) in a momentary block, in a short-term one, and between blocks that are gated.
const MOMENTARY: usize = 40;
const SHORT_TERM: usize = 300;
const STEP: usize = 10;
/// Loudness below which nothing counts, LUFS. Source: ITU-R BS.1770-4, annex 1.
const ABSOLUTE_GATE: f64 = -70.0;
/// Gate relative to the mean of what is above the absolute one, LU. Source: ITU-R BS.1770-4, annex 1.
const RELATIVE_GATE: f64 = -10.0;
/// The same for the loudness range. Source: EBU Tech 3342.
const RANGE_GATE: f64 = -20.0;
/// Percentiles between which the loudness range lies. Source: EBU Tech 3342.
const RANGE: (f64, f64) = (0.10, 0.95);

/// LUFS of a weighted mean square. Source: ITU-R BS.1770-4, annex 1, equation 2.
fn lufs(power: f64) -> f64 {
    -0.691 + 10.0 * power.log10()
}

fn power(lufs: f64) -> f64 {
    10.0_f64.powf((lufs + 0.691) / 10.0)
}

/// Mean square of every stretch of `length` parts, from every `step`th on.
fn powers(parts: &[f64], boundary: &dyn Fn(u64) -> u64, length: usize, step: usize) -> Vec<f64> {
    let mut sums = Vec::with_capacity(parts.len() + 1);
    sums.push(0.0);
    let mut sum = 0.0;
    for part in parts {
        sum += part;
        sums.push(sum);
    }
    let power = |first: usize| {
        let n = boundary((first + length) as u64) - boundary(first as u64);
        // Differences of sums may be a rounding error where there is silence.
        let energy = sums[first + length] - sums[first];
        if energy < sum * 1e-15 {
            parts[first..first + length].iter().sum::<f64>() / n as f64
        } else {
            energy / n as f64
        }
    };
    (0..(parts.len() + 1).saturating_sub(length)).step_by(step).map(power).collect()
}

fn mean(powers: &[f64]) -> Option<f64> {
    (!powers.is_empty()).then(|| powers.iter().sum::<f64>() / powers.len() as f64)
}

/// What is above the absolute gate, and above the relative one by the mean of that.
fn gated(powers: &[f64], relative_gate: f64) -> Vec<f64> {
    let floor = power(ABSOLUTE_GATE);
    let above: Vec<f64> = powers.iter().copied().filter(|&power| power > floor).collect();
    let Some(mean) = mean(&above) else { return Vec::new() };
    let floor = mean * 10.0_f64.powf(relative_gate / 10.0);
    above.into_iter().filter(|&power| power > floor).collect()
}

/// See [`Loudness`].
pub(super) fn measure(parts: &[f64], boundary: &dyn Fn(u64) -> u64) -> Loudness {
    let momentary = powers(parts, boundary, MOMENTARY, 1);
    let short_term = powers(parts, boundary, SHORT_TERM, 1);
    let steps = |powers: &[f64]| powers.iter().copied().step_by(STEP).collect::<Vec<_>>();
    let loudest = |powers: &[f64]| powers.iter().copied().reduce(f64::max).filter(|&power| power > 0.0).map(lufs);
    let mut levels = gated(&steps(&short_term), RANGE_GATE);
    levels.sort_by(f64::total_cmp);
    let rank = |share: f64| Some(lufs(levels[(share * levels.len().checked_sub(1)? as f64).round() as usize]));
    Loudness {
        integrated_lufs: mean(&gated(&steps(&momentary), RELATIVE_GATE)).map(lufs),
        range_lu: rank(RANGE.1).zip(rank(RANGE.0)).map(|(high, low)| high - low),
        max_momentary_lufs: loudest(&momentary),
        max_short_term_lufs: loudest(&short_term),
    }
}

/// See [`LoudnessTrack`].
pub(super) fn track(parts: &[f64], boundary: &dyn Fn(u64) -> u64) -> LoudnessTrack {
    let levels = |length| {
        let powers = powers(parts, boundary, length, STEP);
        powers.into_iter().map(|power| (power > 0.0).then(|| lufs(power))).collect()
    };
    LoudnessTrack { momentary_lufs: levels(MOMENTARY), short_term_lufs: levels(SHORT_TERM) }
}
