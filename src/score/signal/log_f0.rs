//! Root mean square error of the logarithmic pitch.

use super::mel_cepstral::{Tally, cepstra, check, warped};
use super::power::{hop_length, window_length};
use super::{Alignment, Pair};
use crate::Result;
use crate::analysis::pitch::{PitchFrame, Yin, yin};

/// Pitch that is looked for, Hz: speech, children's included.
const FMIN_HZ: f64 = 60.0;
const FMAX_HZ: f64 = 500.0;
/// Windows of 32 ms in a frame of pitch: 64 ms hold four periods of the lowest voices.
const WINDOWS_PER_FRAME: usize = 2;
/// A frame is voiced if YIN's difference function falls below this.
const MAX_APERIODICITY: f64 = 0.3;
/// And if its mean square is no more than 40 dB below the clip's loudest frame.
const MIN_RELATIVE_POWER: f64 = 1e-4;

/// Root mean square error of the pitch's natural logarithm, over the aligned frames that are voiced in both clips.
///
/// `sqrt(mean (ln f - ln f̂)²)`: 0 for equal pitch, 0.0578 for a semitone, 0.693 for an octave; `None` for a silent
/// reference and where no pair of frames is voiced. Pitch is YIN's from 60 to 500 Hz (frames of 64 ms, steps of 8 ms,
/// trough threshold 0.1); a frame is voiced if its aperiodicity is below 0.3 and its mean square within 40 dB of the
/// clip's greatest. [`Alignment::Warped`] aligns along the way of the mel-cepstral distortion. 8 to 96 kHz.
///
/// # Errors
///
/// As for [`super::mel_cepstral_distortion`].
pub fn log_f0_rmse(pair: &Pair, alignment: Alignment) -> Result<Option<f64>> {
    check(pair, alignment, "the log-F0 error")?;
    if pair.is_silent() {
        return Ok(None);
    }
    let (reference, degraded) = (log_pitch(pair.reference, pair)?, log_pitch(pair.degraded, pair)?);
    let tally = |index: usize, other: usize| match (reference[index], degraded[other]) {
        (Some(log_f0), Some(other)) => Tally(1, (log_f0 - other) * (log_f0 - other)),
        _ => Tally::default(),
    };
    let Tally(n, sum) = match alignment {
        Alignment::Fixed => (0..reference.len()).fold(Tally::default(), |sum, index| sum + tally(index, index)),
        Alignment::Warped => {
            let (reference, degraded) = cepstra(pair);
            warped(&reference, &degraded, tally)
        }
    };
    Ok((n > 0).then(|| (sum / n as f64).sqrt()))
}

/// ln of the pitch in Hz of every frame of the cepstra, `None` where it is not voiced.
fn log_pitch(samples: &[f64], pair: &Pair) -> Result<Vec<Option<f64>>> {
    let (window, hop_length) = (window_length(pair.sample_rate), hop_length(pair.sample_rate));
    let frame_length = WINDOWS_PER_FRAME * window;
    let options = Yin { fmin_hz: FMIN_HZ, fmax_hz: FMAX_HZ, frame_length, hop_length, trough_threshold: 0.1 };
    // YIN's frame i is centred on i steps, that of the cepstra on i steps and half a window.
    let n_earlier = window / 2 / hop_length;
    let n_frames = 1 + (samples.len() - window) / hop_length;
    let pitch: Vec<PitchFrame> = yin(samples, pair.sample_rate, &options)?.into_iter().skip(n_earlier).collect();
    let power = |index: usize| {
        let window = &samples[index * hop_length..][..window];
        window.iter().map(|sample| sample * sample).sum::<f64>()
    };
    let powers: Vec<f64> = (0..n_frames).map(power).collect();
    let least = MIN_RELATIVE_POWER * powers.iter().copied().fold(0.0, f64::max);
    let log_f0 = |(frame, &power): (&PitchFrame, &f64)| {
        let is_voiced = frame.aperiodicity < MAX_APERIODICITY && power > least;
        is_voiced.then(|| frame.f0_hz.ln())
    };
    Ok(pitch.iter().zip(&powers).map(log_f0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(hz: f64, n: i32) -> Vec<f64> {
        let sample = |n: i32| {
            let phase = std::f64::consts::TAU * hz * f64::from(n) / 16_000.0;
            (1..6).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum::<f64>() * 0.2
        };
        (0..n).map(sample).collect()
    }

    fn score(reference: &[f64], degraded: &[f64], alignment: Alignment) -> Option<f64> {
        log_f0_rmse(&Pair::new(reference, degraded, 16_000).unwrap(), alignment).unwrap()
    }

    #[test]
    fn a_semitone_is_a_twelfth_of_an_octave() {
        let (low, high) = (voice(150.0, 16_000), voice(150.0 * 2.0_f64.powf(1.0 / 12.0), 16_000));
        for alignment in [Alignment::Fixed, Alignment::Warped] {
            let got = score(&low, &high, alignment).unwrap();
            assert!((got - std::f64::consts::LN_2 / 12.0).abs() < 2e-3, "{got}");
            assert_eq!(score(&low, &low, alignment), Some(0.0));
        }
    }

    #[test]
    fn without_voice_in_both_there_is_no_error() {
        let voiced = voice(150.0, 16_000);
        let mut state = 7_u32;
        let mut sample = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX) - 0.5
        };
        let noise: Vec<f64> = (0..16_000).map(|_| sample()).collect();
        assert_eq!(score(&voiced, &noise, Alignment::Fixed), None);
        assert_eq!(score(&vec![0.0; 16_000], &voiced, Alignment::Warped), None);
        assert_eq!(score(&voiced, &vec![0.0; 16_000], Alignment::Warped), None);
    }
}
