//! Steadiness of a voice: jitter, shimmer, harmonics-to-noise ratio, by Praat's definitions.

use serde::{Deserialize, Serialize};

use super::super::statistics::percentile;
use super::harmonicity::Harmonicity;

/// Periods that count, seconds, and how much successive ones may differ. Source: Praat's manual, "Voice 2. Jitter".
const PERIODS_S: (f64, f64) = (0.000_1, 0.02);
const MAX_PERIOD_FACTOR: f64 = 1.3;
/// How much successive amplitudes may differ. Source: Praat's manual, "Voice 3. Shimmer".
const MAX_AMPLITUDE_FACTOR: f64 = 1.6;
/// Where the next pulse is looked for, periods; the correlation that it needs, and the one at an end.
/// Source: Praat's manual, "Sound & Pitch: To `PointProcess` (cc)".
const SEARCH: (f64, f64) = (0.8, 1.25);
const MIN_CORRELATION: (f64, f64) = (0.3, 0.7);
/// Peaks of pulses relative to the greatest sample, likewise.
const MIN_PEAK: (f64, f64) = (0.01, 0.023_333);

/// Steadiness of the voiced parts of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Voice {
    /// Mean difference of successive periods over the mean period (Praat's local jitter); `None` without two of them.
    pub jitter_local: Option<f64>,
    /// Mean difference of successive periods' amplitudes over the mean amplitude (Praat's local shimmer).
    pub shimmer_local: Option<f64>,
    /// Median ratio of periodic to other energy in the frames that are not silence, dB (Praat's harmonicity).
    pub hnr_db: Option<f64>,
    /// Glottal pulses that were found.
    pub n_pulses: usize,
}

/// The voice in `samples`, given the pitch of every frame (centred on every `hop_s`), Hz; `None`: unvoiced.
pub(in crate::analysis) fn voice(samples: &[f32], sample_rate: u32, f0_hz: &[Option<f64>], hop_s: f64) -> Voice {
    let sound = Sound {
        samples,
        rate: f64::from(sample_rate),
        peak: samples.iter().fold(0.0, |peak, x| f64::from(x.abs()).max(peak)),
    };
    let (mut jitter, mut shimmer, mut n_pulses) = (Ratio::default(), Ratio::default(), 0);
    for (first, end) in voiced_stretches(f0_hz) {
        let stretch = Stretch { f0_hz, hop_s, first, end };
        let pulses = sound.pulses(&stretch);
        n_pulses += pulses.len();
        let periods: Vec<f64> = pulses.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let is_period = |period: f64| period >= PERIODS_S.0 && period <= PERIODS_S.1;
        let are_alike = |a: f64, b: f64| is_period(a) && is_period(b) && a.max(b) / a.min(b) <= MAX_PERIOD_FACTOR;
        for pair in periods.windows(2).filter(|pair| are_alike(pair[0], pair[1])) {
            jitter.push(pair[0], pair[1]);
        }
        let amplitude = |index: usize| {
            let (before, after) = (periods[index - 1], periods[index]);
            are_alike(before, after).then(|| sound.hann_rms(pulses[index], 0.2 * before, 0.2 * after))
        };
        let amplitudes: Vec<Option<f64>> = (1..periods.len()).map(amplitude).collect();
        for pair in amplitudes.windows(2) {
            if let (Some(a), Some(b)) = (pair[0], pair[1])
                && a.min(b) > 0.0
                && a.max(b) / a.min(b) <= MAX_AMPLITUDE_FACTOR
            {
                shimmer.push(a, b);
            }
        }
    }
    let mut ratios = Harmonicity::of(samples, sample_rate, hop_s).ratios_db();
    ratios.sort_by(f64::total_cmp);
    Voice { jitter_local: jitter.value(), shimmer_local: shimmer.value(), hnr_db: percentile(&ratios, 0.5), n_pulses }
}

/// Mean absolute difference of pairs over their mean.
#[derive(Default)]
struct Ratio {
    differences: f64,
    sum: f64,
}

impl Ratio {
    fn push(&mut self, a: f64, b: f64) {
        self.differences += (a - b).abs();
        self.sum += f64::midpoint(a, b);
    }

    fn value(&self) -> Option<f64> {
        (self.sum > 0.0).then(|| self.differences / self.sum)
    }
}

/// First and one after the last frame of every voiced stretch.
fn voiced_stretches(f0_hz: &[Option<f64>]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    for index in 0..=f0_hz.len() {
        let is_voiced = f0_hz.get(index).is_some_and(Option::is_some);
        match (is_voiced, start) {
            (true, None) => start = Some(index),
            (false, Some(first)) => {
                found.push((first, index));
                start = None;
            }
            _ => {}
        }
    }
    found
}

struct Stretch<'a> {
    f0_hz: &'a [Option<f64>],
    hop_s: f64,
    first: usize,
    end: usize,
}

impl Stretch<'_> {
    /// The period at a time, seconds: by a line between frames.
    fn period_s(&self, time: f64) -> f64 {
        let place = (time / self.hop_s).clamp(self.first as f64, (self.end - 1) as f64);
        let below = place.floor() as usize;
        let above = (below + 1).min(self.end - 1);
        let hz = |index: usize| self.f0_hz[index].unwrap_or(100.0);
        1.0 / (hz(below) + (hz(above) - hz(below)) * (place - below as f64))
    }
}

struct Sound<'a> {
    samples: &'a [f32],
    rate: f64,
    peak: f64,
}

impl Sound<'_> {
    fn at(&self, index: i64) -> f64 {
        usize::try_from(index).ok().and_then(|index| self.samples.get(index)).map_or(0.0, |&x| f64::from(x))
    }

    fn index(&self, time: f64) -> i64 {
        (time * self.rate).round() as i64
    }

    /// Times of the pulses of a stretch, in order: from the strongest near its middle, each where the waveform is most
    /// like the one around the pulse before.
    fn pulses(&self, stretch: &Stretch) -> Vec<f64> {
        let left = (stretch.first as f64 - 0.5) * stretch.hop_s;
        let right = (stretch.end as f64 - 0.5) * stretch.hop_s;
        let middle = f64::midpoint(left, right);
        let half = stretch.period_s(middle) / 2.0;
        let strongest = (self.index(middle - half)..=self.index(middle + half))
            .max_by(|&a, &b| self.at(a).abs().total_cmp(&self.at(b).abs()));
        let Some(strongest) = strongest else { return Vec::new() };
        let start = strongest as f64 / self.rate;
        let mut pulses = self.walk(stretch, start, -1.0, (left, right));
        pulses.reverse();
        pulses.push(start);
        pulses.extend(self.walk(stretch, start, 1.0, (left, right)));
        pulses
    }

    /// Pulses after `start` in one direction.
    fn walk(&self, stretch: &Stretch, start: f64, direction: f64, (left, right): (f64, f64)) -> Vec<f64> {
        let (mut found, mut now, mut last) = (Vec::new(), start, start);
        loop {
            let period = stretch.period_s(now);
            let from = now;
            let (correlation, next) = self.most_alike(now, period, direction);
            now = if correlation.is_finite() { next } else { now + direction * period };
            if (now - from).abs() < 0.5 * period {
                return found;
            }
            let peak = self.peak_around(now, period);
            let is_over = now < left || now > right;
            let (min_correlation, min_peak) =
                if is_over { (MIN_CORRELATION.1, MIN_PEAK.1) } else { (MIN_CORRELATION.0, MIN_PEAK.0) };
            let is_apart = (now - last).abs() > 0.8 * period;
            if correlation > min_correlation && peak > min_peak * self.peak && is_apart {
                found.push(now);
                last = now;
            }
            if is_over {
                return found;
            }
        }
    }

    fn peak_around(&self, time: f64, period: f64) -> f64 {
        let range = self.index(time - period / 2.0)..=self.index(time + period / 2.0);
        range.map(|index| self.at(index).abs()).fold(0.0, f64::max)
    }

    /// The greatest correlation of the period around `time` with one about a period away, and when.
    fn most_alike(&self, time: f64, period: f64, direction: f64) -> (f64, f64) {
        let (first, end) = (self.index(time - period / 2.0), self.index(time + period / 2.0));
        let lag = |share: f64| (share * period * self.rate).round() as i64;
        let (low, high) = (lag(SEARCH.0), lag(SEARCH.1));
        let sign = direction as i64;
        let correlation = |lag: i64| {
            let (mut product, mut here, mut there) = (0.0, 0.0, 0.0);
            for index in first..=end {
                let (a, b) = (self.at(index), self.at(index + sign * lag));
                product += a * b;
                here += a * a;
                there += b * b;
            }
            if here > 0.0 && there > 0.0 { product / (here * there).sqrt() } else { 0.0 }
        };
        let values: Vec<f64> = (low - 1..=high + 1).map(correlation).collect();
        let mut best = (f64::NEG_INFINITY, 0.0);
        for (index, around) in values.windows(3).enumerate() {
            let (before, value, after) = (around[0], around[1], around[2]);
            if value > before && value >= after {
                let (slope, curvature) = ((after - before) / 2.0, 2.0 * value - before - after);
                let (shift, height) = (slope / curvature, value + 0.5 * slope * slope / curvature);
                if height > best.0 {
                    best = (height, time + direction * ((low + index as i64) as f64 + shift) / self.rate);
                }
            }
        }
        best
    }

    /// RMS in a Hann window that reaches so far to both sides.
    fn hann_rms(&self, time: f64, left: f64, right: f64) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for index in self.index(time - left)..=self.index(time + right) {
            let offset = index as f64 / self.rate - time;
            let width = if offset < 0.0 { left } else { right };
            if offset.abs() > width {
                continue;
            }
            let weight = 0.5 + 0.5 * (std::f64::consts::PI * offset / width).cos();
            sum += (self.at(index) * weight).powi(2);
            weights += weight * weight;
        }
        if weights > 0.0 { (sum / weights).sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pulses of a damped resonance at the given times and strengths, 16 kHz.
    fn pulses(times: &[f64], strengths: &[f64], seconds: f64) -> Vec<f32> {
        let mut samples = vec![0.0_f32; (seconds * 16_000.0) as usize];
        for (time, strength) in times.iter().zip(strengths) {
            let first = (time * 16_000.0).ceil() as usize;
            for (index, sample) in samples.iter_mut().enumerate().skip(first).take(400) {
                let t = index as f64 / 16_000.0 - time;
                let wave = (-t * 600.0).exp() * (std::f64::consts::TAU * 700.0 * t).sin();
                *sample += (0.3 * strength * wave) as f32;
            }
        }
        samples
    }

    fn measured(jitter: f64, shimmer: f64) -> Voice {
        let (mut times, mut strengths, mut time) = (Vec::new(), Vec::new(), 0.05);
        for index in 0..180 {
            let sign = if index % 2 == 0 { 0.5 } else { -0.5 };
            times.push(time);
            strengths.push(1.0 + sign * shimmer);
            time += 0.01 * (1.0 + sign * jitter);
        }
        let samples = pulses(&times, &strengths, 2.0);
        let f0: Vec<Option<f64>> = (0..200).map(|index| (6..184).contains(&index).then_some(100.0)).collect();
        voice(&samples, 16_000, &f0, 0.01)
    }

    #[test]
    fn known_jitter_and_shimmer_are_found() {
        let steady = measured(0.0, 0.0);
        assert!(steady.jitter_local.unwrap() < 0.001 && steady.shimmer_local.unwrap() < 0.005, "{steady:?}");
        assert!(steady.hnr_db.unwrap() > 30.0 && steady.n_pulses > 170, "{steady:?}");
        let shaky = measured(0.02, 0.1);
        assert!((shaky.jitter_local.unwrap() - 0.02).abs() < 0.002, "{shaky:?}");
        assert!((shaky.shimmer_local.unwrap() - 0.1).abs() < 0.02, "{shaky:?}");
    }

    #[test]
    fn unvoiced_sound_has_no_voice() {
        let none = Voice { jitter_local: None, shimmer_local: None, hnr_db: None, n_pulses: 0 };
        assert_eq!(voice(&[0.1; 1_000], 16_000, &[None; 7], 0.01), none);
        assert_eq!(voice(&[], 16_000, &[], 0.01), none);
        let silent = voice(&[0.0; 1_600], 16_000, &[Some(100.0); 10], 0.01);
        assert!(silent.jitter_local.is_none() && silent.hnr_db.is_none());
    }
}
