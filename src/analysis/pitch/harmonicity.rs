//! Harmonics-to-noise ratio: how much of a sound repeats itself.
//!
//! Source: Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
//! sampled sound", IFA Proceedings 17, 1993, in the form of Praat's "To Harmonicity (cc)", version 6.1, with its
//! standard settings: correlation of a window with the sound after it, the greatest over all lags.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Lowest pitch, Hz: the window and the greatest lag are one period of it.
const MIN_PITCH_HZ: f64 = 75.0;
/// Peaks below this share of the greatest are silence; up to twice as much they need a higher correlation.
const SILENCE: f64 = 0.1;
/// Values on each side that one between lags is made of.
const SINC_DEPTH: i64 = 70;
/// How much lower than the highest a maximum between lags may look and still turn out to be it.
const DOUBT: f64 = 0.03;

/// How well the sound repeats itself, frame by frame.
pub(in crate::analysis) struct Harmonicity {
    /// Time of the first frame and between frames, seconds.
    first_s: f64,
    hop_s: f64,
    /// Greatest correlation, 0 to 1; `None` in silence.
    correlations: Vec<Option<f64>>,
}

impl Harmonicity {
    /// Frames every `hop_s`, in the middle of the sound.
    pub(in crate::analysis) fn of(samples: &[f32], sample_rate: u32, hop_s: f64) -> Self {
        let rate = f64::from(sample_rate);
        let samples: Vec<f64> = samples.iter().map(|&sample| f64::from(sample)).collect();
        let mean = samples.iter().sum::<f64>() / samples.len().max(1) as f64;
        let peak = samples.iter().map(|sample| (sample - mean).abs()).fold(0.0, f64::max);
        let duration_s = samples.len() as f64 / rate;
        let n_frames = ((duration_s - 2.0 / MIN_PITCH_HZ) / hop_s).floor() + 1.0;
        // A constant differs from its mean by rounding.
        let n_frames = if peak < 1e-9 { 0.0 } else { n_frames.max(0.0) };
        let first_s = (duration_s - (n_frames - 1.0) * hop_s) / 2.0;
        let mut meter = Meter::new(rate);
        let frame = |index: usize| meter.correlation(&samples, first_s + index as f64 * hop_s, peak);
        Self { first_s, hop_s, correlations: (0..n_frames as usize).map(frame).collect() }
    }

    /// The ratio of periodic to other energy in every frame that is not silence, dB, in order.
    pub(super) fn ratios_db(&self) -> Vec<f64> {
        let ratio = |r: f64| if r < 1.0 - 1e-15 { 10.0 * (r / (1.0 - r)).log10() } else { 150.0 };
        self.correlations.iter().flatten().map(|&r| ratio(r)).collect()
    }

    /// The correlation in the frame that is nearest to a time; 0 in silence and outside.
    pub(in crate::analysis) fn correlation_at(&self, time: f64) -> f64 {
        let index = ((time - self.first_s) / self.hop_s).round().max(0.0) as usize;
        self.correlations.get(index).copied().flatten().unwrap_or(0.0)
    }
}

struct Meter {
    rate: f64,
    /// Samples of the window and of the lowest pitch's period.
    n_window: usize,
    n_period: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    /// Correlations at the lags from 0 on.
    correlations: Vec<f64>,
}

impl Meter {
    fn new(rate: f64) -> Self {
        let n_period = (rate / MIN_PITCH_HZ).floor() as usize;
        let n_window = (n_period / 2 - 1) * 2;
        let n_fft = (2 * n_window).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
        Self { rate, n_window, n_period, forward, inverse, correlations: Vec::new() }
    }

    /// The correlation around a time; `None` where that is silence, or nothing repeats itself.
    fn correlation(&mut self, samples: &[f64], time: f64, peak: f64) -> Option<f64> {
        // The sample at or before a time, which is in the middle of its own.
        let index = |time: f64| (time * self.rate - 0.5).floor() as i64;
        let inside = |from: i64, to: i64| {
            let end = samples.len() as i64;
            &samples[from.clamp(0, end) as usize..to.clamp(from.clamp(0, end), end) as usize]
        };
        let (right, n_period) = (index(time) + 1, self.n_period as i64);
        let mean = inside(right - n_period, right + n_period).iter().sum::<f64>() / (2 * n_period) as f64;
        let half = (n_period / 2 + 1).min(self.n_window as i64 / 2);
        let local = inside(right - half, right + half).iter().map(|sample| (sample - mean).abs()).fold(0.0, f64::max);
        let least = (2.0 - (local / peak).min(1.0) / SILENCE).max(0.0);
        if least >= 1.0 {
            return None;
        }
        let start = index(time - 1.0 / MIN_PITCH_HZ).max(0);
        let span: Vec<f64> =
            inside(start, start + 2 * self.n_window as i64).iter().map(|sample| sample - mean).collect();
        self.correlate(&span);
        let r = self.greatest();
        Some(r).filter(|&r| r > least)
    }

    /// Normalized correlations of the first window of the span with those after it.
    fn correlate(&mut self, span: &[f64]) {
        let n_window = self.n_window;
        self.correlations.clear();
        let Some(n_lags) = span.len().checked_sub(n_window) else { return };
        let mut window = self.forward.make_input_vec();
        window[..n_window].copy_from_slice(&span[..n_window]);
        let mut all = self.forward.make_input_vec();
        all[..span.len()].copy_from_slice(span);
        let (mut a, mut b) = (self.forward.make_output_vec(), self.forward.make_output_vec());
        let mut products = window.clone();
        // The lengths are the plan's own.
        let _ = self.forward.process(&mut window, &mut a);
        let _ = self.forward.process(&mut all, &mut b);
        a.iter_mut().zip(&b).for_each(|(a, b)| *a = a.conj() * b);
        if let (Some(first), Some(last)) = (a.first().copied(), a.last().copied()) {
            let n = a.len();
            (a[0], a[n - 1]) = (Complex::new(first.re, 0.0), Complex::new(last.re, 0.0));
        }
        let _ = self.inverse.process(&mut a, &mut products);
        let scale = 1.0 / products.len() as f64;
        let here: f64 = span[..n_window].iter().map(|x| x * x).sum();
        let mut there = here;
        for lag in 0..=n_lags {
            if lag > 0 {
                there += span[lag + n_window - 1].powi(2) - span[lag - 1].powi(2);
            }
            let energy = here * there.max(0.0);
            self.correlations.push(if energy > 0.0 { products[lag] * scale / energy.sqrt() } else { 0.0 });
        }
    }

    /// The greatest maximum of the correlations between the lags.
    fn greatest(&self) -> f64 {
        let r = &self.correlations;
        let mut maxima = Vec::new();
        for lag in 2..r.len().saturating_sub(1) {
            let (before, value, after) = (r[lag - 1], r[lag], r[lag + 1]);
            if value > 0.0 && value > before && value >= after {
                let (slope, curvature) = ((after - before) / 2.0, 2.0 * value - before - after);
                maxima.push((lag as f64 + slope / curvature, value + 0.5 * slope * slope / curvature));
            }
        }
        let highest = maxima.iter().map(|&(_, value)| value).fold(0.0, f64::max);
        let likely = maxima.into_iter().filter(|&(_, value)| value > highest - DOUBT);
        let exact = likely.map(|(lag, _)| {
            let value = self.maximum_near(lag);
            if value > 1.0 { 1.0 / value } else { value }
        });
        exact.fold(0.0, f64::max)
    }

    fn maximum_near(&self, lag: f64) -> f64 {
        const STEP: f64 = 0.1;
        let (before, value, after) = (self.between(lag - STEP), self.between(lag), self.between(lag + STEP));
        let (slope, curvature) = ((after - before) / 2.0, 2.0 * value - before - after);
        if curvature <= 0.0 {
            return value.max(before).max(after);
        }
        value.max(self.between(lag + STEP * (slope / curvature).clamp(-3.0, 3.0)))
    }

    /// The correlation at any lag, by a sinc under a raised cosine; that of a negative lag is that of its opposite.
    fn between(&self, lag: f64) -> f64 {
        let at = |lag: i64| self.correlations.get(lag.unsigned_abs() as usize).copied().unwrap_or(0.0);
        let below = lag.floor();
        let rest = lag - below;
        if rest == 0.0 {
            return at(below as i64);
        }
        let mut sum = 0.0;
        // On each side the window goes from its height at the lag to 0 one value past the last.
        for (sign, first, offset) in [(-1, below as i64, rest), (1, below as i64 + 1, 1.0 - rest)] {
            let step = std::f64::consts::PI / (offset + SINC_DEPTH as f64);
            let (sin_step, cos_step) = step.sin_cos();
            let (mut sin, mut cos) = (step * offset).sin_cos();
            let numerator = (std::f64::consts::PI * offset).sin();
            for k in 0..SINC_DEPTH {
                let distance = offset + k as f64;
                let sinc = numerator * if k % 2 == 0 { 1.0 } else { -1.0 } / (std::f64::consts::PI * distance);
                sum += at(first + sign * k) * sinc * f64::midpoint(1.0, cos);
                (sin, cos) = (sin * cos_step + cos * sin_step, cos * cos_step - sin * sin_step);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harmonicity_db(samples: &[f32], sample_rate: u32, hop_s: f64) -> Vec<f64> {
        Harmonicity::of(samples, sample_rate, hop_s).ratios_db()
    }

    /// A wave of 200 Hz whose periods are alike, in noise of a known share.
    fn noisy(noise_db: f64) -> Vec<f32> {
        let mut random = 1_u32;
        let mut noise = || {
            let sum: f64 = (0..12)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from(random >> 8) / f64::from(1 << 24)
                })
                .sum();
            sum - 6.0
        };
        let scale = 0.1 * 10_f64.powf(-noise_db / 20.0);
        let wave = |n: i32| 0.1 * (f64::from(n) * std::f64::consts::TAU * 200.0 / 16_000.0).sin() * 2_f64.sqrt();
        (0..32_000).map(|n| (wave(n) + scale * noise()) as f32).collect()
    }

    #[test]
    fn a_tone_in_noise_has_the_ratio_it_was_mixed_at() {
        for wanted_db in [10.0, 20.0, 30.0] {
            let mut found = harmonicity_db(&noisy(wanted_db), 16_000, 0.01);
            assert_eq!(found.len(), 198);
            found.sort_by(f64::total_cmp);
            // The greatest of many correlations is a little high.
            assert!((found[99] - wanted_db).abs() < 1.5, "{} instead of {wanted_db}", found[99]);
        }
    }

    #[test]
    fn silence_and_less_than_a_frame_have_no_ratio() {
        assert!(harmonicity_db(&[0.0; 16_000], 16_000, 0.01).is_empty());
        assert!(harmonicity_db(&[], 16_000, 0.01).is_empty());
        assert!(harmonicity_db(&[0.5; 300], 16_000, 0.01).is_empty());
        let mut mostly_silent = noisy(40.0);
        mostly_silent[8_000..].fill(0.0);
        assert!((45..55).contains(&harmonicity_db(&mostly_silent, 16_000, 0.01).len()));
        for rate in [1_000, 8_000, 11_025] {
            assert!(!harmonicity_db(&noisy(20.0), rate, 0.01).is_empty());
        }
    }
}
