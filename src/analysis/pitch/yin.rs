//! YIN: the period at which a frame differs least from itself.
//!
//! Source: de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111 (2002),
//! steps 1 to 5; frames, padding and the difference function (which sees silence after the frame) are librosa 1.0's.

use super::difference::{Difference, Lags, Sample, is_trough, parabolic_shift};
use crate::Result;

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
/// [`crate::Error::InvalidInput`] for frequencies that are not `0 < fmin < fmax <= sample_rate / 2`, frames that are not longer
/// than two samples more than the longest period or longer than [`super::MAX_FRAME_LENGTH`], and a hop of 0.
pub fn yin<T: Sample>(samples: &[T], sample_rate: u32, options: &Yin) -> Result<Vec<PitchFrame>> {
    let Yin { fmin_hz, fmax_hz, frame_length, hop_length, .. } = *options;
    let lags = Lags::of(fmin_hz, fmax_hz, frame_length, hop_length, sample_rate)?;
    let half = options.frame_length / 2;
    let mut difference = Difference::new(options.frame_length, lags.longest);
    let mut frame = vec![T::zero(); options.frame_length];
    let n_frames = 1 + samples.len() / options.hop_length;
    let pitch = |index: usize| {
        let centre = index * options.hop_length;
        for (offset, value) in frame.iter_mut().enumerate() {
            let position = (centre + offset).checked_sub(half);
            *value = position.and_then(|position| samples.get(position)).copied().unwrap_or_else(T::zero);
        }
        let values = &difference.normalized(&frame)[lags.shortest - 1..];
        let chosen = trough(values, options.trough_threshold);
        let period = (lags.shortest + chosen) as f64 + parabolic_shift(values, chosen);
        let is_zero = frame.iter().all(|&sample| sample == T::zero());
        let aperiodicity = if is_zero { 1.0 } else { values[chosen] };
        PitchFrame { f0_hz: f64::from(sample_rate) / period, aperiodicity }
    };
    Ok((0..n_frames).map(pitch).collect())
}

/// The first trough below the threshold; without one, the least value.
fn trough(values: &[f64], threshold: f64) -> usize {
    let below = (0..values.len()).find(|&index| values[index] < threshold && is_trough(values, index));
    below.unwrap_or_else(|| (0..values.len()).min_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0))
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
    fn noise_and_silence_are_aperiodic() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX) - 0.5
        };
        let samples: Vec<f64> = (0..16_000).map(|_| noise()).collect();
        assert!(yin(&samples, 16_000, &OPTIONS).unwrap().iter().all(|frame| frame.aperiodicity > 0.4));
        let silence = yin(&vec![0.0_f64; 4_000], 16_000, &OPTIONS).unwrap();
        assert!(silence.iter().all(|frame| (frame.aperiodicity - 1.0).abs() < 1e-12));
        assert_eq!(yin::<f64>(&[], 16_000, &OPTIONS).unwrap().len(), 1);
    }

    #[test]
    fn impossible_options_are_refused_with_what_is_possible() {
        let refusal = |options: Yin| yin(&[0.0_f64; 100], 16_000, &options).unwrap_err().to_string();
        assert!(refusal(Yin { fmin_hz: 0.0, ..OPTIONS }).contains("expected 0 < fmin < fmax <= 8000 Hz"));
        assert!(refusal(Yin { fmin_hz: f64::NAN, ..OPTIONS }).contains("expected 0 < fmin"));
        assert!(refusal(Yin { fmax_hz: 9_000.0, ..OPTIONS }).contains("9000"));
        assert!(refusal(Yin { frame_length: 200, ..OPTIONS }).contains("needs 270"));
        assert!(refusal(Yin { fmin_hz: 1e-300, ..OPTIONS }).contains("frames of 1024"));
        assert!(refusal(Yin { hop_length: 0, ..OPTIONS }).contains("hop_length is 0"));
    }
}
