//! A transcript in another clock's times.

use super::Transcript;

/// Steps of the times that come out, in one second: as fine as subtitles are.
const STEPS: f64 = 1_000.0;

impl Transcript {
    /// The same transcript with every time as `original` says, of a recording of `duration_s` seconds; times outside it go
    /// to its edges. Tokens stay: the time tokens among them are those of the audio that was heard.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a day has few frames"
    )]
    pub fn in_times(mut self, duration_s: f64, original: impl Fn(f64) -> f64) -> Self {
        let time = |at_s: f64| (original(at_s).clamp(0.0, duration_s) * STEPS).round() / STEPS;
        for segment in &mut self.segments {
            (segment.start, segment.end) = (time(segment.start), time(segment.end));
            // Frames of 10 ms.
            segment.seek = (original(segment.seek as f64 / 100.0).clamp(0.0, duration_s) * 100.0).round() as usize;
            for word in &mut segment.words {
                (word.start, word.end) = (time(word.start), time(word.end));
            }
        }
        self.duration_s = duration_s;
        self
    }
}

#[cfg(test)]
mod tests {
    use crate::text::transcript::{Segment, Transcript, Word};

    #[test]
    fn every_time_moves_and_stays_within_the_recording() {
        let word = |start, end| Word { word: " a".to_owned(), start, end, probability: 0.5 };
        let segment = Segment {
            seek: 100,
            start: 1.0,
            end: 3.5,
            words: vec![word(1.0, 2.0), word(3.0, 3.5)],
            ..Segment::default()
        };
        let heard = Transcript { duration_s: 3.5, segments: vec![segment], ..Transcript::default() };
        // Heard 1 s late, at half the speed.
        let original = heard.in_times(1.2, |at_s| (at_s - 1.0) / 2.0);
        let segment = &original.segments[0];
        assert_eq!((original.duration_s, segment.start, segment.end, segment.seek), (1.2, 0.0, 1.2, 0));
        let times: Vec<_> = segment.words.iter().map(|word| (word.start, word.end)).collect();
        assert_eq!(times, [(0.0, 0.5), (1.0, 1.2)]);
    }
}
