//! Words where nobody spoke: segments of very long, short or improbable words that have silence around them are
//! dropped, and the silence is skipped. Source: openai/whisper `transcribe.py` (20250625).

use super::{super::segments::Window, last_end};
use crate::{
    audio::mel::N_FRAMES,
    text::transcript::{Segment, Word},
};

/// Mel frames in a second.
const FRAMES_PER_SECOND: f64 = 100.0;
/// Words of a segment that are looked at.
const MAX_WORDS: usize = 8;
/// Marks that are not counted as words: those that join words.
const PUNCTUATION: &str = "\"'“¿([{-\"'.。,，!！?？:：”)]}、";
/// Less silence than this at the edge of a window says nothing, seconds.
const EDGE_S: f64 = 2.0;

/// Where a window is in the audio.
#[derive(Debug, Clone, Copy)]
pub(in crate::infer::whisper) struct Place {
    pub(in crate::infer::whisper) window: Window,
    /// Frames of the whole audio.
    pub(in crate::infer::whisper) n_frames: usize,
    /// Whether the window ended on a single time token: nothing is said after it.
    pub(in crate::infer::whisper) ends_on_single: bool,
    /// The end of what was said before the window, seconds.
    pub(in crate::infer::whisper) last_speech_s: f64,
}

/// The frame from which to go on after a window whose segments have their words, where it would be `seek` without them.
///
/// With a `threshold`, segments that are likely made up are taken away if they have more than so many seconds of
/// silence around them.
pub(in crate::infer::whisper) fn next_seek(
    segments: &mut Vec<Segment>,
    place: &Place,
    seek: usize,
    threshold: Option<f64>,
) -> usize {
    let start_s = place.window.seek as f64 / FRAMES_PER_SECOND;
    let last_word = last_end(segments).filter(|&end| end > start_s && !place.ends_on_single);
    let after_words = last_word.map_or(seek, frames);
    let next = match threshold {
        Some(threshold) => Judge { threshold, start_s, place }.next_seek(segments, last_word, after_words),
        None => after_words,
    };
    // A window never begins where the last one began, whatever the times of words say.
    next.max(place.window.seek + 1)
}

struct Judge<'a> {
    threshold: f64,
    start_s: f64,
    place: &'a Place,
}

impl Judge<'_> {
    fn next_seek(&self, segments: &mut Vec<Segment>, last_word: Option<f64>, after_words: usize) -> usize {
        let Place { window, n_frames, .. } = *self.place;
        let seek = match last_word {
            Some(end) if self.window_end_s() - end <= self.threshold => window.seek + window.n_frames,
            _ => after_words,
        };
        if let Some(first) = segments.iter().find(|segment| !segment.words.is_empty())
            && is_anomaly(first)
            && first.start - self.start_s > self.threshold
        {
            let gap = frames(first.start - self.start_s);
            segments.clear();
            return window.seek + gap;
        }
        let Some(index) = self.first_made_up(segments) else { return seek };
        let segment = &segments[index];
        let seek = if n_frames as f64 / FRAMES_PER_SECOND - segment.end < self.threshold {
            n_frames
        } else {
            frames(segment.start.max(self.start_s + 1.0))
        };
        segments.truncate(index);
        seek
    }

    /// The first segment that is improbable and alone.
    fn first_made_up(&self, segments: &[Segment]) -> Option<usize> {
        let mut last_end_s = self.place.last_speech_s;
        let content_end_s = self.start_s + self.place.window.n_frames as f64 / FRAMES_PER_SECOND;
        for (index, segment) in segments.iter().enumerate().filter(|(_, segment)| !segment.words.is_empty()) {
            if is_anomaly(segment) {
                let next = segments[index + 1..].iter().find(|segment| !segment.words.is_empty());
                let next_start_s = next.map_or(content_end_s, |next| next.words[0].start);
                let is_silent_before = segment.start - last_end_s > self.threshold
                    || segment.start < self.threshold
                    || segment.start - self.start_s < EDGE_S;
                let is_silent_after = next_start_s - segment.end > self.threshold
                    || next.is_some_and(is_anomaly)
                    || self.window_end_s() - segment.end < EDGE_S;
                if is_silent_before && is_silent_after {
                    return Some(index);
                }
            }
            last_end_s = segment.end;
        }
        None
    }

    /// The end of a full window, whether there is audio or not.
    fn window_end_s(&self) -> f64 {
        self.start_s + N_FRAMES as f64 / FRAMES_PER_SECOND
    }
}

/// Whether nearly all of the segment's first words are unlike speech.
fn is_anomaly(segment: &Segment) -> bool {
    let words = segment.words.iter().filter(|word| !PUNCTUATION.contains(&word.word)).take(MAX_WORDS);
    let (n, score) = words.fold((0.0, 0.0), |(n, sum), word| (n + 1.0, sum + anomaly(word)));
    !segment.words.is_empty() && (score >= 3.0 || score + 0.01 >= n)
}

/// How improbable, short and long a word is; 0 for one as usual.
fn anomaly(word: &Word) -> f64 {
    let length = word.end - word.start;
    let improbable = if word.probability < 0.15 { 1.0 } else { 0.0 };
    improbable + (0.133 - length).max(0.0) * 15.0 + (length - 2.0).max(0.0)
}

fn frames(seconds: f64) -> usize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; `as` saturates")]
    let frames = (seconds * FRAMES_PER_SECOND).round().max(0.0) as usize;
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(words: &[(f64, f64, f32)]) -> Segment {
        let word = |&(start, end, probability): &(f64, f64, f32)| Word { word: " a".into(), start, end, probability };
        let words: Vec<Word> = words.iter().map(word).collect();
        Segment { start: words[0].start, end: words[words.len() - 1].end, words, ..Segment::default() }
    }

    fn place(seek: usize, n_frames: usize) -> Place {
        let window = Window { seek, n_frames: N_FRAMES.min(n_frames - seek) };
        Place { window, n_frames, ends_on_single: false, last_speech_s: 0.0 }
    }

    fn good(start: f64) -> Segment {
        segment(&[(start, start + 0.3, 0.9), (start + 0.3, start + 0.6, 0.9)])
    }

    fn made_up(start: f64) -> Segment {
        segment(&[(start, start + 0.02, 0.05), (start + 0.02, start + 4.0, 0.1)])
    }

    #[test]
    fn the_next_window_begins_after_the_last_word() {
        let mut segments = vec![good(1.0), good(20.0)];
        assert_eq!(next_seek(&mut segments, &place(0, 9_000), 3_000, None), 2_060);
        let ends_on_single = Place { ends_on_single: true, ..place(0, 9_000) };
        assert_eq!(next_seek(&mut segments, &ends_on_single, 3_000, None), 3_000);
        assert_eq!(next_seek(&mut Vec::new(), &place(0, 9_000), 3_000, None), 3_000);
    }

    #[test]
    fn little_silence_at_the_end_of_a_window_is_skipped() {
        let mut segments = vec![good(1.0), good(29.0)];
        assert_eq!(next_seek(&mut segments, &place(0, 9_000), 2_960, Some(2.0)), 3_000);
        assert_eq!(segments.len(), 2);
    }

    #[test]
    fn silence_before_a_made_up_first_segment_is_skipped_and_the_rest_heard_again() {
        let mut segments = vec![made_up(15.0), good(22.0)];
        assert_eq!(next_seek(&mut segments, &place(1_000, 9_000), 4_000, Some(2.0)), 1_500);
        assert!(segments.is_empty());
    }

    #[test]
    fn a_made_up_segment_in_silence_is_dropped() {
        let mut segments = vec![good(1.0), made_up(10.0), good(20.0)];
        assert_eq!(next_seek(&mut segments, &place(0, 9_000), 3_000, Some(2.0)), 1_000);
        assert_eq!(segments, [good(1.0)]);
        // Where the audio ends soon after, all is done.
        let mut segments = vec![good(1.0), made_up(25.0)];
        assert_eq!(next_seek(&mut segments, &place(0, 3_050), 3_000, Some(2.0)), 3_050);
        assert_eq!(segments, [good(1.0)]);
        // Not without silence before it, and never without a threshold.
        for threshold in [Some(12.0), None] {
            let mut segments = vec![good(9.4), made_up(13.0), good(20.0)];
            next_seek(&mut segments, &place(0, 9_000), 3_000, threshold);
            assert_eq!(segments.len(), 3);
        }
    }

    #[test]
    fn usual_words_are_no_anomaly() {
        assert!(!is_anomaly(&good(0.0)));
        assert!(is_anomaly(&made_up(0.0)));
        assert!(!is_anomaly(&Segment::default()));
    }
}
