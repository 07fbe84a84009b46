//! Parts of a recording that the options name, where something else cuts it further: speech, or windows side by side.

use super::{
    chunks::{Chunk, TimeMap},
    history,
    options::Options,
};
use crate::{
    Result,
    audio::mel::{HOP_LENGTH, N_SAMPLES},
    infer::vad::SpeechSpan,
};

/// The parts as samples, in order, without empty ones; all of the recording when none are named.
pub(super) fn clips(options: &Options) -> Vec<SpeechSpan> {
    let span = |clip: super::segments::Window| {
        let end = clip.seek.saturating_add(clip.n_frames);
        SpeechSpan { start: clip.seek.saturating_mul(HOP_LENGTH), end: end.saturating_mul(HOP_LENGTH) }
    };
    history::clips(options, usize::MAX).into_iter().map(span).filter(|clip| clip.start < clip.end).collect()
}

/// What of some stretches, in order, lies in the clips: as one stretch for each clip that it touches. Behind the last
/// clip nothing more is asked for.
pub(super) struct Clipped<S> {
    stretches: S,
    clips: Vec<SpeechSpan>,
    /// The first clip that may still have something.
    next: usize,
    /// What was not looked at of the last stretch.
    rest: Option<(SpeechSpan, Vec<f32>)>,
}

impl<S: Iterator<Item = Result<(SpeechSpan, Vec<f32>)>>> Clipped<S> {
    /// `clips` are in order.
    pub(super) fn new(stretches: S, clips: Vec<SpeechSpan>) -> Self {
        Self { stretches, clips, next: 0, rest: None }
    }
}

impl<S: Iterator<Item = Result<(SpeechSpan, Vec<f32>)>>> Iterator for Clipped<S> {
    type Item = Result<(SpeechSpan, Vec<f32>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let clip = *self.clips.get(self.next)?;
            let (span, mut samples) = match self.rest.take().map(Ok).or_else(|| self.stretches.next())? {
                Ok(stretch) => stretch,
                Err(error) => return Some(Err(error)),
            };
            let (start, end) = (span.start.max(clip.start), span.end.min(clip.end));
            if span.end > clip.end {
                // The next clip may begin in it.
                self.next += 1;
                let kept = end.max(span.start);
                let rest = samples.split_off(kept - span.start);
                self.rest = Some((SpeechSpan { start: kept, end: span.end }, rest));
            }
            if start < end {
                samples.drain(..start - span.start);
                return Some(Ok((SpeechSpan { start, end }, samples)));
            }
        }
    }
}

/// Clips as chunks, each cut where it is longer than a window.
pub(super) struct ClipChunks<S> {
    blocks: S,
    clips: std::vec::IntoIter<SpeechSpan>,
    /// What of the current clip is still to come.
    clip: Option<SpeechSpan>,
    /// The last block, from sample `position` on.
    block: Vec<f32>,
    position: usize,
}

impl<S: Iterator<Item = Result<Vec<f32>>>> ClipChunks<S> {
    /// `blocks` are the whole recording; `clips` are in order.
    pub(super) fn new(blocks: S, clips: Vec<SpeechSpan>) -> Self {
        Self { blocks, clips: clips.into_iter(), clip: None, block: Vec::new(), position: 0 }
    }

    /// Appends the samples from `from` to `to` at most; as many as the recording has.
    fn read(&mut self, samples: &mut Vec<f32>, from: usize, to: usize) -> Result<()> {
        while self.position < to {
            if self.block.is_empty() {
                match self.blocks.next().transpose()? {
                    Some(block) => self.block = block,
                    None => break,
                }
            }
            let n = self.block.len().min(to - self.position);
            let n_skipped = from.saturating_sub(self.position).min(n);
            samples.extend_from_slice(&self.block[n_skipped..n]);
            self.block.drain(..n);
            self.position += n;
        }
        Ok(())
    }
}

impl<S: Iterator<Item = Result<Vec<f32>>>> Iterator for ClipChunks<S> {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let SpeechSpan { start, end } = self.clip.take().or_else(|| self.clips.next())?;
        let to = end.min(start.saturating_add(N_SAMPLES));
        let (mut samples, mut map) = (Vec::new(), TimeMap::default());
        if let Err(error) = self.read(&mut samples, start, to) {
            return Some(Err(error));
        }
        if samples.is_empty() {
            return None;
        }
        self.clip = (to < end).then_some(SpeechSpan { start: to, end });
        map.push(SpeechSpan { start, end: start + samples.len() });
        Some(Ok(Chunk { samples, map }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(start: usize, end: usize) -> SpeechSpan {
        SpeechSpan { start, end }
    }

    #[test]
    fn clips_are_the_options_times_as_samples() {
        let of = |times: &[f64]| clips(&Options { clip_timestamps: times.to_vec(), ..Options::default() });
        assert_eq!(of(&[1.0, 2.0, 2.0, 2.0, 3.5]), [span(16_000, 32_000), span(56_000, usize::MAX)]);
        assert_eq!(of(&[]), [span(0, usize::MAX)]);
    }

    #[test]
    fn a_clip_longer_than_a_window_is_several_chunks_and_others_stay_apart() {
        let samples: Vec<f32> = (0..1_200_000_u32).map(|n| n as f32).collect();
        let blocks = samples.chunks(70_001).map(|block| Ok(block.to_vec()));
        let clips = vec![span(1000, 2000), span(2000, 600_000), span(1_100_000, usize::MAX)];
        let chunks: Vec<Chunk> = ClipChunks::new(blocks, clips).collect::<Result<_>>().unwrap();
        let found: Vec<_> = chunks.iter().map(|chunk| (chunk.samples[0] as usize, chunk.samples.len())).collect();
        assert_eq!(found, [(1000, 1000), (2000, 480_000), (482_000, 118_000), (1_100_000, 100_000)]);
        assert!((chunks[2].map.offset_s(0.0, false) - 482_000.0 / 16_000.0).abs() < 1e-9);
        let none = ClipChunks::new(std::iter::once(Ok(vec![0.0; 10])), vec![span(20, 30), span(40, 50)]);
        assert_eq!(none.count(), 0);
    }

    #[test]
    fn nothing_is_read_behind_the_last_clip_and_errors_are_passed_on() {
        let blocks = [Ok(vec![0.0; 100]), Err(crate::Error::Cancelled)];
        assert_eq!(ClipChunks::new(blocks.into_iter(), vec![span(0, 100)]).flatten().count(), 1);
        let blocks = [Ok(vec![0.0; 100]), Err(crate::Error::Cancelled)];
        assert!(ClipChunks::new(blocks.into_iter(), vec![span(0, 101)]).next().unwrap().is_err());
        let stretches = [Ok((span(0, 9), vec![0.0; 9])), Err(crate::Error::Cancelled)];
        assert_eq!(Clipped::new(stretches.into_iter(), vec![span(0, 5)]).flatten().count(), 1);
    }

    proptest! {
        #[test]
        fn speech_in_clips_is_what_both_have(
            stretches in prop::collection::vec((1_usize..40, 1_usize..60), 0..12),
            clips in prop::collection::vec((0_usize..60, 1_usize..80), 1..8),
        ) {
            let spans = |lengths: &[(usize, usize)]| {
                let mut at = 0;
                lengths.iter().map(|(pause, n)| {
                    let start = at + pause;
                    at = start + n;
                    span(start, at)
                }).collect::<Vec<_>>()
            };
            let (stretches, clips) = (spans(&stretches), spans(&clips));
            let source = stretches.iter().map(|stretch| {
                Ok((*stretch, (stretch.start..stretch.end).map(|n| n as f32).collect::<Vec<_>>()))
            });
            let mut got = Vec::new();
            for piece in Clipped::new(source, clips.clone()) {
                let (piece, samples) = piece.unwrap();
                prop_assert_eq!(piece.len(), samples.len());
                prop_assert!(!samples.is_empty());
                prop_assert!(clips.iter().any(|clip| clip.start <= piece.start && piece.end <= clip.end));
                prop_assert_eq!(samples[0] as usize, piece.start);
                got.extend(samples);
            }
            let is_in = |spans: &[SpeechSpan], n: usize| spans.iter().any(|span| (span.start..span.end).contains(&n));
            let expected: Vec<f32> = (0..2000).filter(|&n| is_in(&stretches, n) && is_in(&clips, n)).map(|n| n as f32).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
