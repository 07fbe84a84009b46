//! Cutting a window's tokens into segments at its time tokens. Source: openai/whisper `transcribe.py` (20250625).

use super::{decode::Decoded, tokenizer::Tokenizer};
use crate::{
    audio::mel::{HOP_LENGTH, SAMPLE_RATE},
    text::transcript::Segment,
};

/// Mel frames in one step of a time token: 0.02 s.
const FRAMES_PER_TIMESTAMP: usize = 2;
/// Mel frames by which the next window is later, at least.
pub(super) const MIN_ADVANCE: usize = FRAMES_PER_TIMESTAMP;

/// A window of the audio, in mel frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// First frame.
    pub seek: usize,
    /// Frames with content: a whole window, or what is left of the audio.
    pub n_frames: usize,
}

/// Seconds from the start of the audio to a mel frame.
pub(super) fn frames_to_s(n_frames: usize) -> f64 {
    (n_frames * HOP_LENGTH) as f64 / f64::from(SAMPLE_RATE)
}

/// A window's tokens, cut.
#[derive(Debug)]
pub(super) struct Cut {
    /// The segments; without text where there is none, or no time for it.
    pub segments: Vec<Segment>,
    /// How many frames further the next window starts.
    pub advance: usize,
    /// Whether a single time at the end says that nothing is spoken after it.
    pub ends_on_single: bool,
}

/// Cuts a window's tokens into segments.
pub(super) fn split(tokenizer: &Tokenizer, window: Window, decoded: &Decoded) -> Cut {
    let begin = tokenizer.special().timestamp_begin;
    let is_time = |token: u32| token >= begin;
    let position = |token: Option<&u32>| token.map_or(0, |&token| token.saturating_sub(begin) as usize);
    let start_s = frames_to_s(window.seek);
    let at = |position: usize| start_s + frames_to_s(position * FRAMES_PER_TIMESTAMP);
    let cut_out = |start: f64, end: f64, tokens: &[u32]| new_segment(tokenizer, window, decoded, (start, end), tokens);

    let tokens = &decoded.tokens;
    let mut cuts: Vec<usize> =
        (1..tokens.len()).filter(|&index| is_time(tokens[index - 1]) && is_time(tokens[index])).collect();
    let ends_on_single = matches!(tokens[..], [.., before, last] if !is_time(before) && is_time(last));
    if cuts.is_empty() {
        let last = tokens.iter().rev().find(|&&token| is_time(token)).map_or(0, |token| position(Some(token)));
        let end = if last > 0 { at(last) } else { start_s + frames_to_s(window.n_frames) };
        let segments = vec![cut_out(start_s, end, tokens)];
        return Cut { segments, advance: window.n_frames, ends_on_single };
    }
    if ends_on_single {
        cuts.push(tokens.len());
    }
    let first_tokens = std::iter::once(0).chain(cuts.iter().copied());
    let parts = first_tokens.zip(&cuts).map(|(from, &to)| {
        let part = &tokens[from..to];
        cut_out(at(position(part.first())), at(position(part.last())), part)
    });
    let segments = parts.collect();
    // An unfinished segment is heard again.
    let last_cut = cuts.last().map_or(0, |&cut| position(tokens.get(cut - 1)));
    let advance = if ends_on_single { window.n_frames } else { last_cut * FRAMES_PER_TIMESTAMP };
    Cut { segments, advance: advance.max(FRAMES_PER_TIMESTAMP), ends_on_single }
}

fn new_segment(
    tokenizer: &Tokenizer,
    window: Window,
    decoded: &Decoded,
    (start, end): (f64, f64),
    tokens: &[u32],
) -> Segment {
    let text = tokenizer.decode(tokens);
    // Source: an instantaneous or empty segment is cleared, but keeps its place.
    let is_empty = start >= end || text.trim().is_empty();
    Segment {
        id: 0,
        seek: window.seek,
        start,
        end,
        text: if is_empty { String::new() } else { text },
        tokens: if is_empty { Vec::new() } else { tokens.to_vec() },
        temperature: decoded.temperature,
        avg_logprob: decoded.avg_logprob,
        compression_ratio: decoded.compression_ratio,
        no_speech_prob: decoded.no_speech_prob,
        words: Vec::new(),
    }
}
