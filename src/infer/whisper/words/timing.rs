//! From aligned words to the words of segments: punctuation joins its word, and words that are too long for speech are
//! shortened. Source: openai/whisper `timing.py`, `add_word_timestamps` and `merge_punctuations` (20250625).

use crate::text::transcript::{Segment, Word};

/// Source: openai/whisper, where a mark is what is *a part of* this.
const SENTENCE_ENDS: &str = ".。!！?？";
/// A median word is not longer than this, seconds, however slow the speech.
const MAX_MEDIAN_S: f64 = 0.7;
/// A segment's own time is believed if it is this much inside of its first or last word, seconds.
const SEGMENT_SLACK_S: f64 = 0.5;

/// A word as it was aligned, in seconds from the start of the window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timing {
    /// Empty when it was joined to another.
    pub(super) word: String,
    pub(super) n_tokens: usize,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) probability: f32,
}

/// How long words are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usual {
    pub(super) median_s: f64,
    pub(super) max_s: f64,
}

impl Usual {
    /// From all words that have a length.
    pub(super) fn of(timings: &[Timing]) -> Self {
        let mut lengths: Vec<f64> = timings.iter().map(|t| t.end - t.start).filter(|&length| length != 0.0).collect();
        lengths.sort_by(f64::total_cmp);
        let half = lengths.len() / 2;
        let median = match lengths.len() {
            0 => 0.0,
            n if n % 2 == 1 => lengths[half],
            _ => f64::midpoint(lengths[half - 1], lengths[half]),
        };
        let median_s = median.min(MAX_MEDIAN_S);
        Self { median_s, max_s: 2.0 * median_s }
    }
}

/// Shortens the long words beside the end of a sentence: the pause belongs to neither.
pub(super) fn shorten_at_sentence_ends(timings: &mut [Timing], usual: Usual) {
    let is_end = |timing: &Timing| SENTENCE_ENDS.contains(timing.word.as_str());
    for index in 1..timings.len() {
        let after_end = is_end(&timings[index - 1]);
        let timing = &mut timings[index];
        if timing.end - timing.start > usual.max_s && usual.max_s > 0.0 {
            if is_end(timing) {
                timing.end = timing.start + usual.max_s;
            } else if after_end {
                timing.start = timing.end - usual.max_s;
            }
        }
    }
}

/// Joins marks such as opening quotes to the word behind them and marks such as commas to the word before.
pub(super) fn merge_punctuation(timings: &mut [Timing], prepended: &str, appended: &str) {
    let join = |timings: &mut [Timing], from: usize, onto: usize, is_before: bool| {
        let (word, n_tokens) = (std::mem::take(&mut timings[from].word), std::mem::take(&mut timings[from].n_tokens));
        let target = &mut timings[onto];
        target.word = if is_before { word + &target.word } else { std::mem::take(&mut target.word) + &word };
        target.n_tokens += n_tokens;
    };
    let mut following = timings.len().saturating_sub(1);
    for index in (0..following).rev() {
        let word = &timings[index].word;
        if word.starts_with(' ') && prepended.contains(word.trim()) {
            join(timings, index, following, true);
        } else {
            following = index;
        }
    }
    let mut before = 0;
    for index in 1..timings.len() {
        if !timings[before].word.ends_with(' ') && appended.contains(&timings[index].word) {
            join(timings, index, before, false);
        } else {
            before = index;
        }
    }
}

/// Gives each segment its words; `offset_s` is the start of the window, `last_speech_s` the end of what was said before.
///
/// The segments' own times become those of their first and last words; with `usual` lengths, for words that have the
/// pauses around them, they also limit them.
pub(super) fn assign(
    segments: &mut [Segment],
    timings: &[Timing],
    n_text_tokens: &[usize],
    usual: Option<Usual>,
    (offset_s, mut last_speech_s): (f64, f64),
) {
    let mut rest = timings.iter();
    for (segment, &n_tokens) in segments.iter_mut().zip(n_text_tokens) {
        let mut n_taken = 0;
        segment.words.clear();
        while n_taken < n_tokens
            && let Some(timing) = rest.next()
        {
            n_taken += timing.n_tokens;
            if !timing.word.is_empty() {
                segment.words.push(Word {
                    word: timing.word.clone(),
                    start: hundredths(offset_s + timing.start),
                    end: hundredths(offset_s + timing.end),
                    probability: timing.probability,
                });
            }
        }
        if let Some(usual) = usual {
            fit(segment, usual, last_speech_s);
        } else if let (Some(first), Some(last)) = (segment.words.first(), segment.words.last()) {
            (segment.start, segment.end) = (first.start, last.end);
        }
        if !segment.words.is_empty() {
            last_speech_s = segment.end;
        }
    }
}

/// Shortens the first words after a pause, and settles where the segment begins and ends.
fn fit(segment: &mut Segment, Usual { median_s, max_s }: Usual, last_speech_s: f64) {
    let length = |from: &Word, to: &Word| to.end - from.start;
    if let [first, rest @ ..] = segment.words.as_mut_slice() {
        let is_after_pause = first.end - last_speech_s > 4.0 * median_s;
        let is_pair_long = |second: &Word| length(first, second) > 2.0 * max_s;
        if is_after_pause && (length(first, first) > max_s || rest.first().is_some_and(is_pair_long)) {
            if let Some(second) = rest.first_mut().filter(|second| length(second, second) > max_s) {
                let boundary = hundredths((second.end / 2.0).max(second.end - max_s));
                (first.end, second.start) = (boundary, boundary);
            }
            first.start = hundredths((first.end - max_s).max(0.0));
        }
        if segment.start < first.end && segment.start - SEGMENT_SLACK_S > first.start {
            first.start = hundredths((first.end - median_s).min(segment.start).max(0.0));
        } else {
            segment.start = first.start;
        }
    }
    if let Some(last) = segment.words.last_mut() {
        if segment.end > last.start && segment.end + SEGMENT_SLACK_S < last.end {
            last.end = hundredths((last.start + median_s).max(segment.end));
        } else {
            segment.end = last.end;
        }
    }
}

/// Rounded to 0.01 s, the resolution of the reference's words.
fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "times are set, not computed, or rounded")]
mod tests {
    use super::*;

    fn timings(words: &[(&str, f64, f64)]) -> Vec<Timing> {
        let timing = |&(word, start, end): &(&str, f64, f64)| Timing {
            word: word.to_owned(),
            n_tokens: 1,
            start,
            end,
            probability: 0.5,
        };
        words.iter().map(timing).collect()
    }

    fn texts(timings: &[Timing]) -> Vec<&str> {
        timings.iter().map(|timing| timing.word.as_str()).collect()
    }

    fn segment(start: f64, end: f64) -> Segment {
        Segment { start, end, ..Segment::default() }
    }

    const PREPENDED: &str = "\"'“¿([{-";
    const APPENDED: &str = "\"'.。,，!！?？:：”)]}、";

    #[test]
    fn punctuation_joins_its_word() {
        let mut found = timings(&[
            (" \"", 0.0, 0.1),
            ("Yes", 0.1, 0.4),
            (",", 0.4, 0.5),
            ("\"", 0.5, 0.5),
            (" so", 0.5, 1.0),
            (".", 1.0, 1.2),
        ]);
        merge_punctuation(&mut found, PREPENDED, APPENDED);
        assert_eq!(texts(&found), ["", " \"Yes,\"", "", "", " so.", ""]);
        assert_eq!(found.iter().map(|timing| timing.n_tokens).collect::<Vec<_>>(), [0, 4, 0, 0, 2, 0]);
        // Times are those of the word alone.
        assert_eq!((found[1].start, found[1].end), (0.1, 0.4));
    }

    #[test]
    fn several_opening_marks_all_join_the_word_behind_them() {
        let mut found = timings(&[(" (", 0.0, 0.1), (" [", 0.1, 0.2), (" a", 0.2, 0.3), (" -", 0.3, 0.4)]);
        merge_punctuation(&mut found, PREPENDED, APPENDED);
        assert_eq!(texts(&found), ["", "", " ( [ a", " -"]);
        for few in [0, 1] {
            let mut found = timings(&[(" (", 0.0, 0.1)][..few]);
            merge_punctuation(&mut found, PREPENDED, APPENDED);
            assert_eq!(found.len(), few);
        }
    }

    #[test]
    fn words_of_the_usual_length_have_a_median_of_at_most_0_7_s() {
        let usual = |words: &[(&str, f64, f64)]| Usual::of(&timings(words)).median_s;
        assert_eq!(usual(&[]), 0.0);
        assert_eq!(usual(&[("a", 1.0, 1.0), ("b", 1.0, 1.5), ("c", 2.0, 2.25)]), 0.375);
        assert_eq!(usual(&[("a", 0.0, 4.0), ("b", 4.0, 9.0), ("c", 9.0, 9.1)]), 0.7);
    }

    #[test]
    fn a_pause_at_the_end_of_a_sentence_belongs_to_no_word() {
        let mut found = timings(&[(" a", 0.0, 0.2), (".", 0.2, 3.0), (" b", 3.0, 6.0), (" c", 6.0, 9.0)]);
        shorten_at_sentence_ends(&mut found, Usual { median_s: 0.25, max_s: 0.5 });
        let times: Vec<_> = found.iter().map(|timing| (timing.start, timing.end)).collect();
        assert_eq!(times, [(0.0, 0.2), (0.2, 0.7), (5.5, 6.0), (6.0, 9.0)]);
    }

    #[test]
    fn words_go_to_the_segment_of_their_tokens() {
        let found = timings(&[(" a", 0.0, 0.3), (" b", 0.3, 0.6), (" c", 0.6, 0.9)]);
        let mut segments = [segment(10.0, 10.6), segment(10.6, 10.6), segment(10.6, 11.0)];
        assign(&mut segments, &found, &[2, 0, 1], Some(Usual::of(&found)), (10.0, 9.9));
        let words =
            |segment: &Segment| segment.words.iter().map(|w| (w.word.clone(), w.start, w.end)).collect::<Vec<_>>();
        assert_eq!(words(&segments[0]), [(" a".into(), 10.0, 10.3), (" b".into(), 10.3, 10.6)]);
        assert_eq!(words(&segments[1]), []);
        assert_eq!(words(&segments[2]), [(" c".into(), 10.6, 10.9)]);
        // The segments end where their words do.
        assert_eq!((segments[2].start, segments[2].end), (10.6, 10.9));
    }

    #[test]
    fn the_first_word_after_a_pause_is_shortened() {
        let usual = Usual { median_s: 0.25, max_s: 0.5 };
        let mut one = [segment(0.0, 5.0)];
        assign(&mut one, &timings(&[(" a", 0.0, 4.0), (" b", 4.0, 4.25)]), &[2], Some(usual), (0.0, 0.0));
        assert_eq!((one[0].words[0].start, one[0].start), (3.5, 3.5));
        // The second word is long too: the pause is before both.
        assign(&mut one, &timings(&[(" a", 0.0, 2.0), (" b", 2.0, 4.0)]), &[2], Some(usual), (0.0, 0.0));
        assert_eq!((one[0].words[0].start, one[0].words[0].end, one[0].words[1].start), (3.0, 3.5, 3.5));
        // Not after a pause: as it was aligned.
        assign(&mut one, &timings(&[(" a", 0.0, 0.75), (" b", 0.75, 1.0)]), &[2], Some(usual), (0.0, 0.0));
        assert_eq!(one[0].words[0].start, 0.0);
    }

    #[test]
    fn words_that_have_no_pauses_stay_as_they_are() {
        let mut one = [segment(1.0, 2.0)];
        assign(&mut one, &timings(&[(" a", 0.0, 1.5), (" b", 1.5, 4.0)]), &[2], None, (0.0, 0.0));
        assert_eq!((one[0].words[0].start, one[0].words[1].end), (0.0, 4.0));
        assert_eq!((one[0].start, one[0].end), (0.0, 4.0));
    }

    #[test]
    fn the_segment_limits_words_that_are_too_long() {
        let usual = Usual { median_s: 0.25, max_s: 0.5 };
        let mut one = [segment(1.0, 2.0)];
        assign(&mut one, &timings(&[(" a", 0.0, 1.5), (" b", 1.5, 4.0)]), &[2], Some(usual), (0.0, 1.25));
        assert_eq!((one[0].words[0].start, one[0].words[1].end), (1.0, 2.0));
        assert_eq!((one[0].start, one[0].end), (1.0, 2.0));
    }
}
