//! Speech without its pauses: stretches of speech joined to chunks of at most one window, and the way back from a time
//! in a chunk to one in the recording. Semantics: faster-whisper 1.2.1 `collect_chunks` and `SpeechTimestampsMap`.

use crate::{
    Result,
    audio::mel::{N_SAMPLES, SAMPLE_RATE},
    infer::vad::SpeechSpan,
    text::transcript::Segment,
};

/// Where the parts of a shortened recording were in the whole one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TimeMap {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// One after its last sample in the shortened recording.
    end: usize,
    /// Samples that were left out before it.
    left_out: usize,
}

impl TimeMap {
    /// Appends a stretch of the whole recording to the shortened one.
    pub(crate) fn push(&mut self, span: SpeechSpan) {
        let start = self.len();
        self.pieces.push(Piece { end: start + span.len(), left_out: span.start - start });
    }

    /// Samples of the shortened recording.
    pub(crate) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |piece| piece.end)
    }

    /// The first sample of the last stretch in the whole recording.
    fn last_start(&self) -> Option<usize> {
        let before = self.pieces.len().checked_sub(2).map_or(0, |index| self.pieces[index].end);
        self.pieces.last().map(|piece| before + piece.left_out)
    }

    /// Moves the times of a segment and of its words to the whole recording.
    pub(crate) fn restore(&self, segment: &mut Segment) {
        for word in &mut segment.words {
            // A word is where its middle is: it does not span a pause.
            let offset_s = self.offset_s(word.start.midpoint(word.end), false);
            word.start += offset_s;
            word.end += offset_s;
        }
        let start_s = self.offset_s(segment.start, false);
        let end_s = self.offset_s(segment.end, true);
        segment.start = segment.words.first().map_or(segment.start + start_s, |word| word.start);
        segment.end = segment.words.last().map_or(segment.end + end_s, |word| word.end).max(segment.start);
    }

    /// Seconds that were left out before a time in the shortened recording, seconds. At the seam between two pieces an
    /// end belongs to the earlier one.
    pub(crate) fn offset_s(&self, time_s: f64, is_end: bool) -> f64 {
        let sample = (time_s * f64::from(SAMPLE_RATE)).round().max(0.0) as usize;
        let index = self.pieces.partition_point(|piece| if is_end { piece.end < sample } else { piece.end <= sample });
        seconds(self.pieces.get(index).or(self.pieces.last()).map_or(0, |piece| piece.left_out))
    }
}

fn seconds(n_samples: usize) -> f64 {
    n_samples as f64 / f64::from(SAMPLE_RATE)
}

/// Speech for one window.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub samples: Vec<f32>,
    pub map: TimeMap,
}

/// Joins stretches of speech, in order, to chunks that are as long as they can be.
pub(crate) struct Chunks<S> {
    speech: S,
    max_len: usize,
    /// Whether every stretch is a chunk of its own.
    is_apart: bool,
    /// Parts of the recording, in order, of which no chunk holds more than one; none to join all.
    clips: Vec<SpeechSpan>,
    current: Chunk,
    /// What did not fit into the chunk before.
    rest: Option<(SpeechSpan, Vec<f32>)>,
}

impl<S: Iterator<Item = Result<(SpeechSpan, Vec<f32>)>>> Chunks<S> {
    /// Chunks of at most one window.
    pub(crate) fn joined(speech: S) -> Self {
        Self { speech, max_len: N_SAMPLES, is_apart: false, clips: Vec::new(), current: Chunk::default(), rest: None }
    }

    /// Every stretch for itself, cut where it is longer than a window.
    pub(crate) fn apart(speech: S) -> Self {
        Self { is_apart: true, ..Self::joined(speech) }
    }

    /// With no stretches of different clips in one chunk.
    pub(crate) fn within(self, clips: Vec<SpeechSpan>) -> Self {
        Self { clips, ..self }
    }

    fn is_of_another_clip(&self, span: SpeechSpan) -> bool {
        let clip_of = |start| self.clips.partition_point(|clip| clip.end <= start);
        self.current.map.last_start().is_some_and(|last| clip_of(last) != clip_of(span.start))
    }

    /// Adds a stretch; returns the chunk before it when it does not fit into it.
    fn add(&mut self, span: SpeechSpan, mut samples: Vec<f32>) -> Option<Chunk> {
        let is_full = self.current.samples.len() + samples.len() > self.max_len;
        if !self.current.samples.is_empty() && (is_full || self.is_of_another_clip(span)) {
            self.rest = Some((span, samples));
            return Some(std::mem::take(&mut self.current));
        }
        let len = samples.len().min(self.max_len);
        if len < samples.len() {
            let tail = samples.split_off(len);
            self.rest = Some((SpeechSpan { start: span.start + len, end: span.end }, tail));
        }
        self.current.map.push(SpeechSpan { start: span.start, end: span.start + len });
        self.current.samples.append(&mut samples);
        self.is_apart.then(|| std::mem::take(&mut self.current))
    }
}

impl<S: Iterator<Item = Result<(SpeechSpan, Vec<f32>)>>> Iterator for Chunks<S> {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let full = match self.rest.take().map(Ok).or_else(|| self.speech.next()) {
                Some(Ok((span, samples))) => self.add(span, samples),
                Some(Err(error)) => return Some(Err(error)),
                None if self.current.samples.is_empty() => return None,
                None => Some(std::mem::take(&mut self.current)),
            };
            if let Some(chunk) = full {
                return Some(Ok(chunk));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test fails by panicking; these values are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::transcript::Word;

    fn chunks(spans: &[(usize, usize)], max_len: usize) -> Vec<Chunk> {
        let speech = spans.iter().map(|&(start, end)| {
            Ok((SpeechSpan { start, end }, (start..end).map(|index| index as f32).collect::<Vec<_>>()))
        });
        Chunks { max_len, ..Chunks::joined(speech) }.collect::<Result<_>>().unwrap()
    }

    #[test]
    fn no_chunk_holds_speech_of_two_clips() {
        let spans = [(0, 10), (12, 15), (20, 30), (31, 33)];
        let speech = spans.map(|(start, end)| Ok((SpeechSpan { start, end }, vec![0.0; end - start])));
        let clips = vec![SpeechSpan { start: 0, end: 20 }, SpeechSpan { start: 20, end: 40 }];
        let found: Vec<Chunk> = Chunks::joined(speech.into_iter()).within(clips).collect::<Result<_>>().unwrap();
        assert_eq!(found.iter().map(|chunk| chunk.samples.len()).collect::<Vec<_>>(), [13, 12]);
        assert_eq!(found[1].map.last_start(), Some(31));
    }

    #[test]
    fn times_come_back_to_where_the_speech_was() {
        let mut map = TimeMap::default();
        map.push(SpeechSpan { start: 16_000, end: 48_000 });
        map.push(SpeechSpan { start: 160_000, end: 176_000 });
        let restored = |start: f64, end: f64| {
            let mut segment = Segment { start, end, ..Segment::default() };
            map.restore(&mut segment);
            (segment.start, segment.end)
        };
        assert_eq!(map.len(), 48_000);
        assert_eq!(restored(0.0, 1.5), (1.0, 2.5));
        assert_eq!(restored(0.5, 2.0), (1.5, 3.0), "an end at the seam stays with what it ends");
        assert_eq!(restored(2.0, 3.0), (10.0, 11.0), "a start at the seam belongs to what begins");
        assert_eq!(restored(1.0, 2.5), (2.0, 10.5));
        assert_eq!(restored(2.5, 9.0), (10.5, 17.0), "beyond the end: as far beyond");
        let word = |start, end| Word { start, end, ..Word::default() };
        let words = vec![word(1.5, 1.9), word(1.9, 2.3), word(2.5, 2.7)];
        let mut segment = Segment { start: 1.5, end: 2.7, words, ..Segment::default() };
        map.restore(&mut segment);
        let starts: Vec<f64> = segment.words.iter().map(|word| word.start).collect();
        assert!((starts[0] - 2.5).abs() < 1e-9 && (starts[1] - 9.9).abs() < 1e-9 && (starts[2] - 10.5).abs() < 1e-9);
        assert_eq!((segment.start, segment.end), (segment.words[0].start, segment.words[2].end));
        let mut segment = Segment { start: 1.0, end: 2.0, ..Segment::default() };
        TimeMap::default().restore(&mut segment);
        assert_eq!((segment.start, segment.end), (1.0, 2.0));
    }

    #[test]
    fn chunks_are_as_long_as_they_can_be() {
        let found = chunks(&[(0, 10), (20, 30), (40, 52), (60, 61)], 20);
        assert_eq!(found.iter().map(|chunk| chunk.samples.len()).collect::<Vec<_>>(), [20, 13]);
        assert_eq!(found[0].samples[9..12], [9.0, 20.0, 21.0]);
        assert!(chunks(&[], 20).is_empty());
        let speech =
            [(0, 10), (20, 500_020)].map(|(start, end)| Ok((SpeechSpan { start, end }, vec![0.0; end - start])));
        let apart: Vec<Chunk> = Chunks::apart(speech.into_iter()).collect::<Result<_>>().unwrap();
        assert_eq!(apart.iter().map(|chunk| chunk.samples.len()).collect::<Vec<_>>(), [10, 480_000, 20_000]);
    }

    proptest! {
        #[test]
        fn every_sample_of_speech_is_in_one_chunk_and_its_time_comes_back(
            lengths in prop::collection::vec((0_usize..50, 1_usize..90), 0..40), max_len in 1_usize..60,
        ) {
            let mut at = 0;
            let spans: Vec<_> = lengths.iter().map(|(pause, len)| {
                let start = at + pause;
                at = start + len;
                (start, at)
            }).collect();
            let found = chunks(&spans, max_len);
            let all: Vec<f32> = found.iter().flat_map(|chunk| chunk.samples.clone()).collect();
            let want: Vec<f32> = spans.iter().flat_map(|(start, end)| (*start..*end).map(|i| i as f32)).collect();
            prop_assert_eq!(&all, &want);
            for chunk in found {
                prop_assert!(!chunk.samples.is_empty() && chunk.samples.len() <= max_len);
                prop_assert_eq!(chunk.map.len(), chunk.samples.len());
                for (index, sample) in chunk.samples.iter().enumerate() {
                    let time = seconds(index);
                    let original = (time + chunk.map.offset_s(time, false)) * f64::from(SAMPLE_RATE);
                    prop_assert!((original - f64::from(*sample)).abs() < 1e-6);
                }
            }
        }
    }
}
