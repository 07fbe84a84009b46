//! What follows from where somebody speaks.

use serde::{Deserialize, Serialize};

use super::statistics::percentile;

/// Speech and pauses of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speech {
    /// Stretches of speech, seconds: start and end.
    pub segments_s: Vec<(f64, f64)>,
    /// Speech altogether, seconds.
    pub speech_s: f64,
    /// Share of the recording that is speech, 0 to 1; `None` for an empty one.
    pub ratio: Option<f64>,
    /// Pauses between stretches of speech.
    pub n_pauses: usize,
    /// Median length of those pauses, seconds.
    pub median_pause_s: Option<f64>,
    /// Longest of those pauses, seconds.
    pub longest_pause_s: Option<f64>,
    /// Syllables in it, by [`super::syllable_nuclei_s`].
    pub n_syllables: usize,
    /// Speaking rate: syllables a second of speech, pauses left out; `None` without speech.
    pub syllables_per_s: Option<f64>,
}

/// The account of stretches of speech, in order and without overlap, in a recording of `duration_s` with syllables at
/// these times.
#[must_use]
pub fn speech(segments_s: &[(f64, f64)], duration_s: f64, syllables_s: &[f64]) -> Speech {
    let speech_s: f64 = segments_s.iter().map(|(start, end)| end - start).sum();
    let mut pauses: Vec<f64> = segments_s.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
    pauses.sort_by(f64::total_cmp);
    let is_spoken = |time: &&f64| segments_s.iter().any(|(start, end)| (*start..*end).contains(*time));
    let n_syllables = syllables_s.iter().filter(is_spoken).count();
    Speech {
        speech_s,
        ratio: (duration_s > 0.0).then(|| (speech_s / duration_s).min(1.0)),
        n_pauses: pauses.len(),
        median_pause_s: percentile(&pauses, 0.5),
        longest_pause_s: pauses.last().copied(),
        n_syllables,
        syllables_per_s: (speech_s > 0.0).then(|| n_syllables as f64 / speech_s),
        segments_s: segments_s.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_between_stretches_of_speech() {
        let found = speech(&[(1.0, 3.0), (3.5, 4.5), (6.0, 7.0)], 10.0, &[0.5, 1.2, 1.4, 3.2, 6.1]);
        assert_eq!((found.speech_s, found.ratio, found.n_pauses), (4.0, Some(0.4), 2));
        assert_eq!((found.median_pause_s, found.longest_pause_s), (Some(1.0), Some(1.5)));
        assert_eq!((found.n_syllables, found.syllables_per_s), (3, Some(0.75)));
        let none = speech(&[], 0.0, &[1.0]);
        assert_eq!((none.ratio, none.longest_pause_s, none.syllables_per_s), (None, None, None));
    }
}
