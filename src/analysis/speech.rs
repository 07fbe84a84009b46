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
    /// Words in a minute of speech; `None` without a transcript or without speech.
    pub words_per_minute: Option<f64>,
}

/// The account of stretches of speech, in order and without overlap, in a recording of `duration_s`.
#[must_use]
pub fn speech(segments_s: &[(f64, f64)], duration_s: f64, n_words: Option<usize>) -> Speech {
    let speech_s: f64 = segments_s.iter().map(|(start, end)| end - start).sum();
    let mut pauses: Vec<f64> = segments_s.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
    pauses.sort_by(f64::total_cmp);
    Speech {
        speech_s,
        ratio: (duration_s > 0.0).then(|| (speech_s / duration_s).min(1.0)),
        n_pauses: pauses.len(),
        median_pause_s: percentile(&pauses, 0.5),
        longest_pause_s: pauses.last().copied(),
        words_per_minute: n_words.filter(|_| speech_s > 0.0).map(|n| n as f64 * 60.0 / speech_s),
        segments_s: segments_s.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_between_stretches_of_speech() {
        let found = speech(&[(1.0, 3.0), (3.5, 4.5), (6.0, 7.0)], 10.0, Some(8));
        assert_eq!((found.speech_s, found.ratio, found.n_pauses), (4.0, Some(0.4), 2));
        assert_eq!((found.median_pause_s, found.longest_pause_s), (Some(1.0), Some(1.5)));
        assert_eq!(found.words_per_minute, Some(120.0));
        let none = speech(&[], 0.0, Some(3));
        assert_eq!((none.ratio, none.longest_pause_s, none.words_per_minute), (None, None, None));
    }
}
