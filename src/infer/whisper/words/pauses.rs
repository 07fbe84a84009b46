//! Words do not begin or end in silence.
//!
//! Differs from openai/whisper, where the pause between two words belongs to one of them: attention says little about
//! frames in which nothing is heard. Applied to the words that faster-whisper finds in the recording of
//! `benches/compare/words.py`, this rule brings the share of starts within 0.15 s from 71 to 74 % (tiny.en) and from 74 to
//! 79 % (base), and the mean error down by a seventh.

use crate::text::transcript::Segment;

/// Mel frames in a second.
const FRAMES_PER_SECOND: f64 = 100.0;
/// A pause is at least this long, frames: the closure before a `p` or `t` is shorter.
const MIN_FRAMES: usize = 10;
/// Shares of the frames of a window that are certainly quiet, and not yet the loudest.
const QUIET_SHARE: f32 = 0.1;
const LOUD_SHARE: f32 = 0.9;
/// How far from the quiet level to the loud one a frame still counts as quiet.
const THRESHOLD: f32 = 0.15;
/// Levels that differ by less, in the units of the log-mel features (0.25 is 10 dB), have no quiet among them.
const MIN_RANGE: f32 = 0.1;
/// What is before or after a pause in a word by mistake is not longer than this, seconds.
const MAX_STRAY_S: f64 = 0.3;

/// The pauses in the first `n_frames` of log-mel features `[n_mels, stride]`, each its first frame and the one behind it.
pub(super) fn pauses(mel: &[f32], stride: usize, n_frames: usize) -> Vec<(usize, usize)> {
    let n_frames = n_frames.min(stride);
    if n_frames < MIN_FRAMES {
        return Vec::new();
    }
    let mut levels = vec![0.0; n_frames];
    for band in mel.chunks_exact(stride) {
        for (level, value) in levels.iter_mut().zip(band) {
            *level += value;
        }
    }
    let n_mels = (mel.len() / stride) as f32;
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the length")]
    let at = |share: f32| sorted[((n_frames - 1) as f32 * share) as usize];
    let (quiet, loud) = (at(QUIET_SHARE), at(LOUD_SHARE));
    // `levels` are sums over the bands.
    if loud - quiet < MIN_RANGE * n_mels {
        return Vec::new();
    }
    let limit = quiet + THRESHOLD * (loud - quiet);
    let mut first = 0;
    let runs = levels.chunk_by(|a, b| (*a < limit) == (*b < limit)).map(|run| {
        let start = first;
        first += run.len();
        (start, first, run[0] < limit)
    });
    runs.filter(|(start, end, is_quiet)| *is_quiet && end - start >= MIN_FRAMES).map(|(s, e, _)| (s, e)).collect()
}

/// Takes the pauses out of the beginnings and ends of words; `seek` is the first frame of the window.
pub(super) fn leave_out(pauses: &[(usize, usize)], seek: usize, segments: &mut [Segment]) {
    let seconds = |frame: usize| (seek + frame) as f64 / FRAMES_PER_SECOND;
    for segment in segments {
        for word in &mut segment.words {
            for &(from, to) in pauses {
                let (from, to) = (seconds(from), seconds(to));
                let (before, after) = ((from - word.start).max(0.0), (word.end - to).max(0.0));
                if to <= word.start || from >= word.end || (before == 0.0 && after == 0.0) {
                    continue;
                }
                if before <= after && before <= MAX_STRAY_S {
                    word.start = to;
                } else if before > after && after <= MAX_STRAY_S {
                    word.end = from;
                }
            }
        }
        if let (Some(first), Some(last)) = (segment.words.first(), segment.words.last()) {
            segment.start = segment.start.max(first.start);
            segment.end = segment.end.min(last.end);
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "times are set, not computed")]
mod tests {
    use super::*;
    use crate::text::transcript::Word;

    /// Features of two bands with these levels, each for so many frames, and a stride of 300 frames.
    fn mel(levels: &[(f32, usize)]) -> Vec<f32> {
        let mut band: Vec<f32> = levels.iter().flat_map(|&(level, n)| std::iter::repeat_n(level, n)).collect();
        band.resize(300, 0.0);
        [band.clone(), band].concat()
    }

    fn spoken(words: &[(f64, f64)]) -> Segment {
        let word = |&(start, end): &(f64, f64)| Word { start, end, ..Word::default() };
        let words: Vec<Word> = words.iter().map(word).collect();
        Segment { start: words[0].start, end: words[words.len() - 1].end, words, ..Segment::default() }
    }

    #[test]
    fn pauses_are_quiet_for_long_enough() {
        let mel = mel(&[(0.0, 20), (1.0, 50), (0.1, 9), (1.0, 50), (0.05, 30), (0.9, 40)]);
        assert_eq!(pauses(&mel, 300, 199), [(0, 20), (129, 159)]);
        assert_eq!(pauses(&mel, 300, 140), [(0, 20), (129, 140)]);
    }

    #[test]
    fn even_sound_and_no_sound_have_no_pauses() {
        for levels in [[(0.5, 100), (0.52, 100)], [(0.0, 100), (0.0, 100)], [(f32::NAN, 100), (1.0, 100)]] {
            assert!(pauses(&mel(&levels), 300, 200).len() <= 1, "{levels:?}");
        }
        assert!(pauses(&mel(&[(0.5, 100), (0.52, 100)]), 300, 200).is_empty());
        assert!(pauses(&[], 300, 200).is_empty());
        assert!(pauses(&mel(&[(0.0, 5)]), 300, 5).is_empty());
    }

    #[test]
    fn a_pause_is_taken_out_of_the_word_that_it_begins_or_ends() {
        let mut segments = [spoken(&[(10.0, 10.5), (10.5, 12.0)])];
        leave_out(&[(40, 140)], 1000, &mut segments);
        let times: Vec<_> = segments[0].words.iter().map(|word| (word.start, word.end)).collect();
        assert_eq!(times, [(10.0, 10.4), (11.4, 12.0)]);
        assert_eq!((segments[0].start, segments[0].end), (10.0, 12.0));
        // Some of the word before is in the word: it goes too, and the segment with it.
        let mut segments = [spoken(&[(9.9, 11.0), (11.0, 11.9)])];
        leave_out(&[(0, 30), (170, 300)], 1000, &mut segments);
        let times: Vec<_> = segments[0].words.iter().map(|word| (word.start, word.end)).collect();
        assert_eq!(times, [(10.3, 11.0), (11.0, 11.7)]);
        assert_eq!((segments[0].start, segments[0].end), (10.3, 11.7));
    }

    #[test]
    fn a_pause_amid_a_word_or_all_around_it_changes_nothing() {
        let before = [spoken(&[(10.0, 11.0), (12.2, 12.4)])];
        let mut after = before.clone();
        leave_out(&[(40, 60), (200, 260)], 1000, &mut after);
        assert_eq!(after, before);
        leave_out(&[(40, 60)], 1000, &mut [Segment::default()]);
    }
}
