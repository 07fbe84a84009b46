//! From probabilities to stretches of speech. Source: silero-vad 6.2.3 `get_speech_timestamps_from_probs`.

use super::CHUNK;
use crate::{Error, Result};

/// Samples in a millisecond, at 16 kHz.
const SAMPLES_PER_MS: usize = 16;
/// Pauses longer than this are places to cut speech that lasts too long, samples. Source: silero-vad, 98 ms.
const MIN_CUT_SILENCE: usize = 98 * SAMPLES_PER_MS;
/// Longest duration that an option may state, ms: an hour.
const MAX_MS: u32 = 3_600_000;

/// When a probability counts as speech. The defaults are Silero's.
#[derive(Debug, Clone, PartialEq)]
pub struct VadOptions {
    /// Speech begins at this probability, 0 to 1.
    pub threshold: f32,
    /// Speech ends below this probability; `threshold - 0.15`, at least 0.01, when absent.
    pub neg_threshold: Option<f32>,
    /// Shorter speech is dropped, ms.
    pub min_speech_duration_ms: u32,
    /// Longer speech is cut at its longest pause above 98 ms, else where it gets too long, seconds.
    pub max_speech_duration_s: f64,
    /// Speech ends with a pause of this length, ms.
    pub min_silence_duration_ms: u32,
    /// Added to both ends of speech as far as the pauses go, ms.
    pub speech_pad_ms: u32,
}

impl Default for VadOptions {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            neg_threshold: None,
            min_speech_duration_ms: 250,
            max_speech_duration_s: f64::INFINITY,
            min_silence_duration_ms: 100,
            speech_pad_ms: 30,
        }
    }
}

impl VadOptions {
    /// For transcription: only long pauses end speech, and generous margins keep quiet first and last sounds.
    ///
    /// Source: faster-whisper 1.2.1 `VadOptions`.
    #[must_use]
    pub fn for_transcription() -> Self {
        Self { min_speech_duration_ms: 0, min_silence_duration_ms: 2000, speech_pad_ms: 400, ..Self::default() }
    }

    /// Padding at each end, samples.
    pub(crate) fn speech_pad(&self) -> usize {
        self.speech_pad_ms as usize * SAMPLES_PER_MS
    }

    /// Whether the numbers are possible.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::InvalidInput(message));
        for (name, value) in [("threshold", Some(self.threshold)), ("neg_threshold", self.neg_threshold)] {
            if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
                return refuse(format!("{name} is {value}; expected a probability, 0 to 1"));
            }
        }
        for (name, value) in [
            ("min_speech_duration_ms", self.min_speech_duration_ms),
            ("min_silence_duration_ms", self.min_silence_duration_ms),
            ("speech_pad_ms", self.speech_pad_ms),
        ] {
            if value > MAX_MS {
                return refuse(format!("{name} is {value}; expected 0 to {MAX_MS}"));
            }
        }
        let shortest_s = (2 * self.speech_pad_ms as usize * SAMPLES_PER_MS + 2 * CHUNK) as f64 / 16_000.0;
        if self.max_speech_duration_s.is_nan() || self.max_speech_duration_s < shortest_s {
            let got = self.max_speech_duration_s;
            return refuse(format!("max_speech_duration_s is {got}; expected at least {shortest_s} with this padding"));
        }
        Ok(())
    }
}

/// A stretch of speech, in samples at 16 kHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeechSpan {
    /// First sample.
    pub start: usize,
    /// One after the last sample.
    pub end: usize,
}

impl SpeechSpan {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is no sample in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }
}

/// Finds the spans of a stream, one probability after the other.
#[derive(Debug)]
pub(crate) struct Spans {
    threshold: f32,
    neg_threshold: f32,
    min_speech: usize,
    max_speech: f64,
    min_silence: usize,
    pad: usize,
    /// Samples heard so far.
    position: usize,
    /// Where the speech that goes on began.
    start: Option<usize>,
    /// Where the pause began that the speech may end with.
    pause: Option<usize>,
    /// Pauses within the speech that it could be cut at: where, how long.
    cuts: Vec<(usize, usize)>,
    /// Spans that are over, without padding.
    found: Vec<SpeechSpan>,
}

impl Spans {
    pub(crate) fn new(options: &VadOptions) -> Self {
        let samples = |ms: u32| ms as usize * SAMPLES_PER_MS;
        let pad = options.speech_pad();
        Self {
            threshold: options.threshold,
            neg_threshold: options.neg_threshold.unwrap_or_else(|| (options.threshold - 0.15).max(0.01)),
            min_speech: samples(options.min_speech_duration_ms),
            max_speech: options.max_speech_duration_s * 16_000.0 - (CHUNK + 2 * pad) as f64,
            min_silence: samples(options.min_silence_duration_ms),
            pad,
            position: 0,
            start: None,
            pause: None,
            cuts: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Where the speech that goes on began, without padding.
    pub(crate) fn start(&self) -> Option<usize> {
        self.start
    }

    /// Samples heard so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Takes the spans that are over, without padding.
    pub(crate) fn take(&mut self) -> Vec<SpeechSpan> {
        std::mem::take(&mut self.found)
    }

    /// Takes the probability of the next [`CHUNK`].
    pub(crate) fn push(&mut self, probability: f32) {
        let now = self.position;
        self.position += CHUNK;
        if probability >= self.threshold
            && let Some(pause) = self.pause.take().filter(|pause| now - pause > MIN_CUT_SILENCE)
        {
            self.cuts.push((pause, now - pause));
        }
        let Some(start) = self.start else {
            self.start = (probability >= self.threshold).then_some(now);
            return;
        };
        if (now - start) as f64 > self.max_speech {
            self.pause = None;
            // Of equally long pauses the first, as Python's `max` takes it.
            let longest = self.cuts.iter().rev().max_by_key(|(_, len)| *len).copied();
            self.cuts.clear();
            let (end, next) = longest.map_or((now, None), |(pause, len)| (pause, Some(pause + len)));
            self.found.push(SpeechSpan { start, end });
            self.start = next;
            if next.is_none() {
                return;
            }
        }
        if probability < self.neg_threshold {
            self.hear_pause(now);
        }
    }

    fn hear_pause(&mut self, now: usize) {
        let pause = *self.pause.get_or_insert(now);
        if now - pause < self.min_silence {
            return;
        }
        if let Some(start) = self.start.take().filter(|start| pause - start > self.min_speech) {
            self.found.push(SpeechSpan { start, end: pause });
        }
        self.pause = None;
        self.cuts.clear();
    }

    /// The spans of the whole stream of `n_samples`, padded.
    pub(crate) fn finish(mut self, n_samples: usize) -> Vec<SpeechSpan> {
        self.end(n_samples);
        let mut spans = self.found;
        pad(&mut spans, self.pad, n_samples);
        spans
    }

    /// Ends the speech that goes on with the stream of `n_samples`.
    pub(crate) fn end(&mut self, n_samples: usize) {
        if let Some(start) = self.start.take().filter(|start| n_samples.saturating_sub(*start) > self.min_speech) {
            self.found.push(SpeechSpan { start, end: n_samples });
        }
    }
}

/// Widens every span by `pad` samples at both ends; two that are too close for it share the pause between them.
fn pad(spans: &mut [SpeechSpan], pad: usize, n_samples: usize) {
    if let Some(first) = spans.first_mut() {
        first.start = first.start.saturating_sub(pad);
    }
    for index in 0..spans.len() {
        let end = spans[index].end;
        match spans.get_mut(index + 1) {
            Some(next) if next.start - end < 2 * pad => {
                let half = (next.start - end) / 2;
                next.start -= half;
                spans[index].end += half;
            }
            Some(next) => {
                next.start -= pad;
                spans[index].end = n_samples.min(end + pad);
            }
            None => spans[index].end = n_samples.min(end + pad),
        }
    }
}
