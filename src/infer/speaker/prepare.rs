//! What the encoder is given: one level, no long pauses. Source: Resemblyzer 0.1.4 `audio.py` and `hparams.py`.

use crate::infer::vad::CHUNK;

/// Softer clips are raised to this level, dB below full scale.
const TARGET_DBFS: f64 = -30.0;
/// A chunk is speech from this probability on.
const THRESHOLD: f32 = 0.5;
/// Chunks that a decision is smoothed over.
const SMOOTHED: usize = 8;
/// Chunks that are kept on either side of speech.
const MARGIN: usize = 3;

/// The samples, raised to -30 dBFS if they are softer; silence stays silence.
pub(super) fn raised(samples: &[f32]) -> Vec<f32> {
    let power =
        samples.iter().map(|sample| f64::from(*sample) * f64::from(*sample)).sum::<f64>() / samples.len() as f64;
    let gain_db = TARGET_DBFS - 10.0 * power.log10();
    let gain = if gain_db > 0.0 && power > 0.0 { 10.0_f64.powf(gain_db / 20.0) as f32 } else { 1.0 };
    samples.iter().map(|sample| sample * gain).collect()
}

/// Stretches of samples with a voice, from the probability of each chunk.
pub(super) fn voiced(probabilities: &[f32], n_samples: usize) -> Vec<(usize, usize)> {
    let is_speech: Vec<bool> = probabilities.iter().map(|probability| *probability >= THRESHOLD).collect();
    // More than half of the chunks around: numpy rounds a half to zero. The window has one chunk more behind than before.
    let before = (SMOOTHED - 1) / 2;
    let n_around = |chunk: usize| {
        let around = chunk.saturating_sub(before)..(chunk + SMOOTHED - before).min(is_speech.len());
        is_speech[around].iter().filter(|is_speech| **is_speech).count()
    };
    let smooth: Vec<bool> = (0..is_speech.len()).map(|chunk| n_around(chunk) > SMOOTHED / 2).collect();
    let is_kept =
        |chunk: usize| smooth[chunk.saturating_sub(MARGIN)..(chunk + MARGIN + 1).min(smooth.len())].contains(&true);
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    for chunk in (0..smooth.len()).filter(|&chunk| is_kept(chunk)) {
        let (start, end) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(n_samples));
        match stretches.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => stretches.push((start, end)),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_clips_are_raised_to_the_level_and_loud_ones_stay() {
        let rms = |samples: &[f32]| (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt();
        let soft = raised(&[0.001, -0.001, 0.001, -0.001]);
        assert!((20.0 * rms(&soft).log10() + 30.0).abs() < 1e-3, "{soft:?}");
        assert_eq!(raised(&[0.5, -0.5]), [0.5, -0.5]);
        assert_eq!(raised(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn short_pauses_stay_and_long_ones_go() {
        let mut probabilities = vec![0.0; 100];
        probabilities[20..40].fill(1.0);
        probabilities[43..50].fill(1.0);
        let found = voiced(&probabilities, 100 * CHUNK);
        // More than 4 of the chunks from 3 before to 4 behind: 20 to 48, and 3 on either side.
        assert_eq!(found, [(17 * CHUNK, 52 * CHUNK)]);
        assert!(voiced(&[0.0; 50], 50 * CHUNK).is_empty() && voiced(&[], 0).is_empty());
        assert_eq!(voiced(&[1.0; 9], 8 * CHUNK + 5), [(0, 8 * CHUNK + 5)]);
    }
}
