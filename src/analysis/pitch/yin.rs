//! YIN: the period at which a frame differs least from itself.
//!
//! Source: de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111 (2002),
//! steps 1 to 5; frames, padding and the difference function (which sees silence after the frame) are librosa 1.0's.

use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::{Error, Result};

/// Most samples in a frame.
pub const MAX_FRAME_LENGTH: usize = 1 << 16;

/// How pitch is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yin {
    /// Lowest frequency that is looked for, Hz.
    pub fmin_hz: f64,
    /// Highest frequency that is looked for, Hz.
    pub fmax_hz: f64,
    /// Length of a frame, samples: above the longest period, two of them or more for a sound estimate.
    pub frame_length: usize,
    /// Step between frames, samples.
    pub hop_length: usize,
    /// The shortest period whose trough is below this is taken; 0.1 in the paper and in librosa.
    pub trough_threshold: f64,
}

/// The pitch of one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PitchFrame {
    /// Fundamental frequency, Hz: the best guess, for a frame without a pitch too.
    pub f0_hz: f64,
    /// The difference function at the period, normalized by its mean over shorter lags: about 0 for a periodic frame, 1
    /// for noise, and 1 by definition for a frame of zeros. The paper's d'(τ), equation 8.
    pub aperiodicity: f64,
}

/// The pitch of every frame: frame `i` is centred on sample `i * hop_length`, with silence beyond both ends.
///
/// There are `1 + n_samples / hop_length` frames. `samples` are finite.
///
/// # Errors
///
/// [`Error::InvalidInput`] for frequencies that are not `0 < fmin < fmax <= sample_rate / 2`, frames that are not longer
/// than two samples more than the longest period or longer than [`MAX_FRAME_LENGTH`], and a hop of 0.
pub fn yin(samples: &[f64], sample_rate: u32, options: &Yin) -> Result<Vec<PitchFrame>> {
    let lags = Lags::of(options, sample_rate)?;
    let half = options.frame_length / 2;
    let mut difference = Difference::new(options.frame_length, lags.longest);
    let mut frame = vec![0.0; options.frame_length];
    let n_frames = 1 + samples.len() / options.hop_length;
    let pitch = |index: usize| {
        let centre = index * options.hop_length;
        for (offset, value) in frame.iter_mut().enumerate() {
            let position = (centre + offset).checked_sub(half);
            *value = position.and_then(|position| samples.get(position)).copied().unwrap_or(0.0);
        }
        let values = &difference.normalized(&frame)[lags.shortest - 1..];
        let chosen = trough(values, options.trough_threshold);
        let period = (lags.shortest + chosen) as f64 + parabolic_shift(values, chosen);
        let is_zero = frame.iter().all(|&sample| sample == 0.0);
        let aperiodicity = if is_zero { 1.0 } else { values[chosen] };
        PitchFrame { f0_hz: f64::from(sample_rate) / period, aperiodicity }
    };
    Ok((0..n_frames).map(pitch).collect())
}

/// The periods that are looked at, samples.
struct Lags {
    shortest: usize,
    longest: usize,
}

impl Lags {
    fn of(options: &Yin, sample_rate: u32) -> Result<Self> {
        let Yin { fmin_hz, fmax_hz, frame_length, hop_length, .. } = *options;
        let rate = f64::from(sample_rate);
        if !(fmin_hz > 0.0 && fmin_hz < fmax_hz && fmax_hz <= rate / 2.0) {
            return Err(Error::InvalidInput(format!(
                "pitch between {fmin_hz} and {fmax_hz} Hz; expected 0 < fmin < fmax <= {} Hz, half the sample rate",
                rate / 2.0
            )));
        }
        // As a float first: a very low frequency has a period that no integer holds.
        let longest = (rate / fmin_hz).ceil();
        if longest + 2.0 >= frame_length as f64 || frame_length > MAX_FRAME_LENGTH {
            return Err(Error::InvalidInput(format!(
                "frames of {frame_length} samples; pitch from {fmin_hz} Hz needs {} to {MAX_FRAME_LENGTH}",
                longest + 3.0
            )));
        }
        if hop_length == 0 {
            return Err(Error::InvalidInput("hop_length is 0; expected 1 or more samples".to_owned()));
        }
        Ok(Self { shortest: ((rate / fmax_hz).floor() as usize).max(1), longest: longest as usize })
    }
}

/// The normalized difference function of frames, and the memory that it works in.
struct Difference {
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    padded: Vec<f64>,
    spectrum: Vec<Complex64>,
    scratch: Vec<Complex64>,
    values: Vec<f64>,
}

impl Difference {
    fn new(frame_length: usize, longest: usize) -> Self {
        // Room for the longest lag, so that the circular correlation does not wrap into those that are used.
        let n_fft = (frame_length + longest + 1).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
        let n_scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            padded: vec![0.0; n_fft],
            spectrum: forward.make_output_vec(),
            scratch: vec![Complex64::default(); n_scratch],
            values: vec![0.0; longest],
            forward,
            inverse,
        }
    }

    /// d' of lags 1, 2, .. up to the longest.
    fn normalized(&mut self, frame: &[f64]) -> &[f64] {
        self.padded[..frame.len()].copy_from_slice(frame);
        self.padded[frame.len()..].fill(0.0);
        let result = self.forward.process_with_scratch(&mut self.padded, &mut self.spectrum, &mut self.scratch);
        debug_assert!(result.is_ok(), "lengths are the transform's own");
        for bin in &mut self.spectrum {
            *bin = Complex64::new(bin.norm_sqr(), 0.0);
        }
        let result = self.inverse.process_with_scratch(&mut self.spectrum, &mut self.padded, &mut self.scratch);
        debug_assert!(result.is_ok(), "lengths are the transform's own");
        let scale = 1.0 / self.padded.len() as f64;
        let energy = self.padded[0] * scale;
        let (mut head, mut sum) = (0.0, 0.0);
        for (index, value) in self.values.iter_mut().enumerate() {
            let difference = 2.0 * (energy - self.padded[index + 1] * scale) - head;
            // Source: librosa 1.0, whose lag 1 counts the first sample twice; the other lags are exact.
            head += frame[index + 1] * frame[index + 1] + if index == 0 { frame[0] * frame[0] } else { 0.0 };
            sum += difference;
            *value = difference / (sum / (index + 1) as f64 + f64::MIN_POSITIVE);
        }
        &self.values
    }
}

/// The first trough below the threshold; without one, the least value.
fn trough(values: &[f64], threshold: f64) -> usize {
    let is_trough = |index: usize| {
        let falls = index == 0 || values[index] < values[index - 1];
        let rises = match values.get(index + 1) {
            Some(&next) if index == 0 => values[index] < next,
            Some(&next) => values[index] <= next,
            None => true,
        };
        falls && rises
    };
    let below = (0..values.len()).find(|&index| values[index] < threshold && is_trough(index));
    below.unwrap_or_else(|| (0..values.len()).min_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0))
}

/// How far the lowest point of the parabola through three values is from the middle one, within (-1, 1).
fn parabolic_shift(values: &[f64], index: usize) -> f64 {
    let Some([before, value, after]) = index.checked_sub(1).and_then(|first| values.get(first..first + 3)) else {
        return 0.0;
    };
    let (curvature, slope) = (after + before - 2.0 * value, (after - before) / 2.0);
    if slope.abs() >= curvature.abs() { 0.0 } else { -slope / curvature }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Yin =
        Yin { fmin_hz: 60.0, fmax_hz: 500.0, frame_length: 1_024, hop_length: 160, trough_threshold: 0.1 };

    #[test]
    fn a_harmonic_tone_has_its_frequency() {
        for hz in [90.0, 123.4, 220.0, 440.0] {
            let wave = |n: i32| {
                let phase = std::f64::consts::TAU * hz * f64::from(n) / 16_000.0;
                phase.sin() + 0.5 * (2.0 * phase).sin() + 0.3 * (3.0 * phase).cos()
            };
            let samples: Vec<f64> = (0..16_000).map(wave).collect();
            let frames = yin(&samples, 16_000, &OPTIONS).unwrap();
            assert_eq!(frames.len(), 101);
            for frame in &frames[5..96] {
                assert!((frame.f0_hz / hz - 1.0).abs() < 0.01, "{} Hz instead of {hz}", frame.f0_hz);
                assert!(frame.aperiodicity < 0.15, "{}", frame.aperiodicity);
            }
        }
    }

    #[test]
    fn the_difference_function_is_its_definition() {
        let frame: Vec<f64> = (0..64_i32).map(|n| f64::from(n * n % 17) - 8.0).collect();
        let mut difference = Difference::new(64, 40);
        let got = difference.normalized(&frame).to_vec();
        let mut sum = 0.0;
        for lag in 1..=40 {
            let at = |n: usize| frame.get(n).copied().unwrap_or(0.0);
            let of_pairs: f64 = (0..64).map(|n| (at(n) - at(n + lag)).powi(2)).sum();
            // As in librosa 1.0.
            let want = if lag == 1 { of_pairs + frame[0] * frame[0] } else { of_pairs };
            sum += want;
            assert!((got[lag - 1] - want * lag as f64 / sum).abs() < 1e-12, "lag {lag}");
        }
    }

    #[test]
    fn noise_and_silence_are_aperiodic() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX) - 0.5
        };
        let samples: Vec<f64> = (0..16_000).map(|_| noise()).collect();
        assert!(yin(&samples, 16_000, &OPTIONS).unwrap().iter().all(|frame| frame.aperiodicity > 0.4));
        let silence = yin(&vec![0.0; 4_000], 16_000, &OPTIONS).unwrap();
        assert!(silence.iter().all(|frame| (frame.aperiodicity - 1.0).abs() < 1e-12));
        assert_eq!(yin(&[], 16_000, &OPTIONS).unwrap().len(), 1);
    }

    #[test]
    fn impossible_options_are_refused_with_what_is_possible() {
        let refusal = |options: Yin| yin(&[0.0; 100], 16_000, &options).unwrap_err().to_string();
        assert!(refusal(Yin { fmin_hz: 0.0, ..OPTIONS }).contains("expected 0 < fmin < fmax <= 8000 Hz"));
        assert!(refusal(Yin { fmin_hz: f64::NAN, ..OPTIONS }).contains("expected 0 < fmin"));
        assert!(refusal(Yin { fmax_hz: 9_000.0, ..OPTIONS }).contains("9000"));
        assert!(refusal(Yin { frame_length: 200, ..OPTIONS }).contains("needs 270"));
        assert!(refusal(Yin { fmin_hz: 1e-300, ..OPTIONS }).contains("frames of 1024"));
        assert!(refusal(Yin { hop_length: 0, ..OPTIONS }).contains("hop_length is 0"));
    }
}
