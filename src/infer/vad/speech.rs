//! The speech of a stream, stretch by stretch, while the stream is still being read.

use std::collections::VecDeque;

use super::{CHUNK, Spans, SpeechSpan, Vad, VadOptions, VadState};
use crate::Result;

/// The stretches of speech in blocks of samples: where each is, and its samples.
///
/// They are those of [`Vad::speech`], found with no more memory than the longest of them needs.
pub(crate) struct Speech<'a, B> {
    vad: &'a Vad,
    state: VadState,
    spans: Spans,
    pad: usize,
    blocks: B,
    /// What was read and may still be needed; `first` says which sample of the stream is its first.
    samples: Vec<f32>,
    first: usize,
    n_samples: usize,
    /// Stretches that are over, without padding; but the first one's start may have got its padding already.
    found: VecDeque<SpeechSpan>,
    padded_start: Option<usize>,
    has_ended: bool,
}

impl<'a, B: Iterator<Item = Result<Vec<f32>>>> Speech<'a, B> {
    /// # Errors
    /// [`crate::Error::InvalidInput`] for impossible options.
    pub(crate) fn new(vad: &'a Vad, options: &VadOptions, blocks: B) -> Result<Self> {
        options.check()?;
        Ok(Self {
            vad,
            state: VadState::default(),
            spans: Spans::new(options),
            pad: options.speech_pad(),
            blocks,
            samples: Vec::new(),
            first: 0,
            n_samples: 0,
            found: VecDeque::new(),
            padded_start: None,
            has_ended: false,
        })
    }

    fn read(&mut self) -> Result<()> {
        let mut probabilities = Vec::new();
        if let Some(block) = self.blocks.next() {
            let block = block?;
            self.n_samples += block.len();
            self.vad.push(&mut self.state, &block, &mut probabilities);
            self.samples.extend(block);
        } else {
            self.has_ended = true;
            self.vad.finish(&mut self.state, &mut probabilities);
        }
        for probability in probabilities {
            self.spans.push(probability);
        }
        if self.has_ended {
            self.spans.end(self.n_samples);
        }
        self.found.extend(self.spans.take());
        // Speech that begins with the next chunk still wants its padding.
        let oldest = self.found.front().map(|span| span.start).or(self.spans.start());
        let needed = oldest.unwrap_or(self.spans.position()).saturating_sub(self.pad.max(CHUNK));
        self.forget(self.padded_start.map_or(needed, |start| start.min(needed)));
        Ok(())
    }

    fn forget(&mut self, before: usize) {
        let n = before.saturating_sub(self.first).min(self.samples.len());
        self.samples.drain(..n);
        self.first += n;
    }

    /// The first stretch with its padding, once what follows it is known well enough.
    fn ready(&mut self) -> Option<SpeechSpan> {
        let span = *self.found.front()?;
        let start = self.padded_start.unwrap_or_else(|| span.start.saturating_sub(self.pad));
        let next = self.found.get(1).map(|next| next.start);
        let is_far = |next: usize| next - span.end >= 2 * self.pad;
        let (end, padded_next) = match next {
            Some(next) if !is_far(next) => {
                let half = (next - span.end) / 2;
                (span.end + half, Some(next - half))
            }
            Some(_) => (span.end + self.pad, None),
            None if self.has_ended => (self.n_samples.min(span.end + self.pad), None),
            // What goes on may yet turn out to be too short to be speech.
            None if is_far(self.spans.start().unwrap_or(self.spans.position())) => (span.end + self.pad, None),
            None => return None,
        };
        self.found.pop_front();
        self.padded_start = padded_next;
        Some(SpeechSpan { start, end: end.min(self.n_samples) })
    }
}

impl<B: Iterator<Item = Result<Vec<f32>>>> Iterator for Speech<'_, B> {
    type Item = Result<(SpeechSpan, Vec<f32>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(span) = self.ready() {
                let samples = self.samples[span.start - self.first..span.end - self.first].to_vec();
                return Some(Ok((span, samples)));
            }
            if self.has_ended {
                return None;
            }
            if let Err(error) = self.read() {
                self.has_ended = true;
                self.found.clear();
                return Some(Err(error));
            }
        }
    }
}
