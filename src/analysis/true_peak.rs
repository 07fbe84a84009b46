//! True peak: the greatest absolute value of the waveform between the samples, estimated at four times their rate.

use pulp::Arch;

use super::statistics::amplitude_db;
use crate::audio::Once;

/// Samples that one value between samples depends on.
const N_TAPS: usize = 12;
/// Samples whose peak is looked for together.
const CHUNK: usize = 256;
const LANES: usize = 16;
/// No value between samples is farther from 0 than the samples around it times this: the greatest sum of a phase's
/// absolute coefficients.
const MAX_GAIN: f32 = 2.03;
/// The interpolating filter, phase by phase. The other two phases are these backwards.
/// Source: Recommendation ITU-R BS.1770-4, annex 2, table of the order 48, 4-phase FIR filter.
const PHASES: [[f32; N_TAPS]; 2] = [
    [
        0.001_708_984_4,
        0.010_986_328,
        -0.019_653_32,
        0.033_203_125,
        -0.059_448_242,
        0.137_329_1,
        0.972_167_97,
        -0.102_294_92,
        0.047_607_42,
        -0.026_611_328,
        0.014_892_578,
        -0.008_300_781,
    ],
    [
        -0.029_174_805,
        0.029_296_875,
        -0.051_757_812,
        0.089_111_33,
        -0.166_503_9,
        0.465_087_9,
        0.779_785_16,
        -0.200_317_38,
        0.101_562_5,
        -0.058_227_54,
        0.033_081_055,
        -0.018_920_898,
    ],
];

/// Meters of all channels.
#[derive(Debug, Clone)]
pub(super) struct TruePeakMeter {
    /// The last samples of every channel.
    history: Vec<[f32; N_TAPS - 1]>,
    peak: f32,
    buffer: Vec<f32>,
}

impl TruePeakMeter {
    pub(super) fn new(n_channels: usize) -> Self {
        Self { history: vec![[0.0; N_TAPS - 1]; n_channels], peak: 0.0, buffer: Vec::new() }
    }

    /// Takes more samples of every channel.
    pub(super) fn push(&mut self, channels: &[Vec<f32>]) {
        for (history, samples) in self.history.iter_mut().zip(channels) {
            self.buffer.clear();
            self.buffer.extend_from_slice(history);
            self.buffer.extend_from_slice(samples);
            let (buffer, before) = (&self.buffer, self.peak);
            let once = Once;
            self.peak = Arch::new().dispatch(
                #[inline(always)]
                move || {
                    once.spend();
                    peak(buffer, before)
                },
            );
            history.copy_from_slice(&buffer[buffer.len() - (N_TAPS - 1)..]);
        }
    }

    /// True peak of all channels, dBTP: relative to full scale; `None` for silence.
    pub(super) fn finish(mut self) -> Option<f64> {
        let silence = vec![vec![0.0; N_TAPS - 1]; self.history.len()];
        self.push(&silence);
        amplitude_db(f64::from(self.peak))
    }
}

/// The greatest absolute value, at least `peak`, of what follows the first samples, which are history.
#[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
#[inline(always)]
fn peak(buffer: &[f32], peak: f32) -> f32 {
    let mut greatest = peak;
    let n_new = buffer.len() - (N_TAPS - 1);
    for start in (0..n_new).step_by(CHUNK) {
        let end = (start + CHUNK).min(n_new);
        let around = &buffer[start..end + N_TAPS - 1];
        let sample_peak = max_abs(around);
        greatest = if sample_peak > greatest { sample_peak } else { greatest };
        // Most chunks are too quiet to hold the peak.
        if sample_peak * MAX_GAIN > greatest {
            let between = max_between(around);
            greatest = if between > greatest { between } else { greatest };
        }
    }
    greatest
}

#[allow(clippy::inline_always, reason = "see peak")]
#[inline(always)]
fn max_abs(samples: &[f32]) -> f32 {
    let mut greatest = [0.0_f32; LANES];
    let (vectors, rest) = samples.as_chunks::<LANES>();
    for vector in vectors {
        for (greatest, x) in greatest.iter_mut().zip(vector) {
            *greatest = if x.abs() > *greatest { x.abs() } else { *greatest };
        }
    }
    greatest.iter().chain(rest).fold(0.0, |greatest, x| x.abs().max(greatest))
}

/// The greatest absolute output of the filter for `samples`, of which the first are history.
#[allow(clippy::inline_always, reason = "see peak")]
#[inline(always)]
fn max_between(samples: &[f32]) -> f32 {
    let n_out = samples.len() - (N_TAPS - 1);
    let mut greatest = [0.0_f32; LANES];
    let mut start = 0;
    while start + LANES <= n_out {
        let mut sums = [[0.0_f32; LANES]; 4];
        for tap in 0..N_TAPS {
            let at = start + N_TAPS - 1 - tap;
            let Some(x) = samples[at..].first_chunk::<LANES>() else { break };
            let gains = gains(tap);
            for (sums, gain) in sums.iter_mut().zip(gains) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = x.mul_add(gain, *sum);
                }
            }
        }
        for sums in sums {
            for (greatest, sum) in greatest.iter_mut().zip(sums) {
                *greatest = if sum.abs() > *greatest { sum.abs() } else { *greatest };
            }
        }
        start += LANES;
    }
    let mut peak = greatest.iter().copied().fold(0.0, f32::max);
    for at in start..n_out {
        let mut sums = [0.0_f32; 4];
        for tap in 0..N_TAPS {
            for (sum, gain) in sums.iter_mut().zip(gains(tap)) {
                *sum = samples[at + N_TAPS - 1 - tap].mul_add(gain, *sum);
            }
        }
        peak = sums.iter().fold(peak, |peak, sum| peak.max(sum.abs()));
    }
    peak
}

/// The four phases' coefficients of a tap.
#[allow(clippy::inline_always, reason = "see peak")]
#[inline(always)]
fn gains(tap: usize) -> [f32; 4] {
    let mirror = N_TAPS - 1 - tap;
    [PHASES[0][tap], PHASES[1][tap], PHASES[1][mirror], PHASES[0][mirror]]
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{PI, TAU};

    use super::*;

    fn true_peak_db(samples: &[f32]) -> f64 {
        let mut meter = TruePeakMeter::new(1);
        for block in samples.chunks(1_000) {
            meter.push(&[block.to_vec()]);
        }
        meter.finish().unwrap()
    }

    /// One of EBU Tech 3341's tones: a share of the sample rate, its phase, its amplitude; faded in and out.
    fn tone(share: f64, phase_degrees: f64, amplitude: f64) -> Vec<f32> {
        let fade = |n: i32| (f64::from(n.min(4_799 - n)) / 480.0).min(1.0);
        let at = |n: i32| amplitude * fade(n) * (TAU * share * f64::from(n) + phase_degrees / 180.0 * PI).sin();
        (0..4_800).map(|n| at(n) as f32).collect()
    }

    /// Cases 15 to 19; samples are relative to the rate, so this is every rate. Tolerance +0.2 / -0.4 dB.
    #[test]
    fn ebu_tech_3341_tones_have_their_true_peaks() {
        let cases = [
            (15, 1.0 / 4.0, 0.0, 0.5, -6.0),
            (16, 1.0 / 4.0, 45.0, 0.5, -6.0),
            (17, 1.0 / 6.0, 60.0, 0.5, -6.0),
            (18, 1.0 / 8.0, 67.5, 0.5, -6.0),
            (19, 1.0 / 4.0, 45.0, 1.41, 3.0),
        ];
        for (case, share, phase, amplitude, want) in cases {
            let got = true_peak_db(&tone(share, phase, amplitude));
            assert!((-0.4..=0.2).contains(&(got - want)), "case {case}: {got} instead of {want} dBTP");
        }
    }

    /// Cases 20 to 23: a burst of full scale in a quieter tone, made at four times the rate, each beginning one of those
    /// samples later.
    #[test]
    fn ebu_tech_3341_bursts_have_their_true_peaks_at_every_offset() {
        let amplitude = |m: f64| {
            let distance = (m - 9_600.0).abs() / 64.0;
            0.5 + if distance < 1.0 { 0.25 * (1.0 + (PI * distance).cos()) } else { 0.0 }
        };
        for offset in 0..4 {
            // A quarter of a period after the middle of the burst is where the tone of a sixth of the rate peaks.
            let at = |m: f64| amplitude(m) * (TAU * (m - 9_600.0) / 24.0).cos();
            let samples: Vec<f32> = (0..4_800).map(|n| at(f64::from(4 * n + offset)) as f32).collect();
            let got = true_peak_db(&samples);
            assert!((-0.4..=0.2).contains(&got), "case {}: {got} instead of 0 dBTP", 20 + offset);
        }
    }

    #[test]
    fn blocks_and_skipped_chunks_change_nothing() {
        let samples: Vec<f32> = (0..9_000_i32)
            .map(|n| ((n * n % 8_191) as f32 / 4_096.0 - 1.0) * if n > 5_000 { 0.9 } else { 0.3 })
            .collect();
        let mut padded = vec![0.0; N_TAPS - 1];
        padded.extend_from_slice(&samples);
        padded.extend([0.0; N_TAPS - 1]);
        let sample_peak = samples.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        let want = f64::from(max_between(&padded).max(sample_peak));
        assert!((true_peak_db(&samples) - 20.0 * want.log10()).abs() < 1e-5);
    }
}
