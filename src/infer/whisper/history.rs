//! What was said so far, as far as it guides what comes next. Source: openai/whisper `transcribe.py` (20250625); hotwords
//! and the place of the prefix are faster-whisper 1.2.1's.

use super::{options::Options, segments::Window, tokenizer::Tokenizer};
use crate::Result;

/// The tokens so far, and what the options add to them.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Those of the prompt and of all segments.
    tokens: Vec<u32>,
    /// How many of them are the prompt's.
    n_initial: usize,
    /// Where in them the next prompt begins.
    start: usize,
    carries_initial: bool,
    hotwords: Vec<u32>,
    prefix: Vec<u32>,
    /// Most tokens of a prompt.
    max_prompt: usize,
}

impl History {
    /// Before anything was said.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] for a text that cannot be spelled in tokens.
    pub(super) fn new(options: &Options, tokenizer: &Tokenizer, n_text_ctx: usize) -> Result<Self> {
        let encode = |text: &Option<String>| match text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => tokenizer.encode(&format!(" {text}")),
            None => Ok(Vec::new()),
        };
        let tokens = encode(&options.prompt)?;
        let mut prefix = encode(&options.prefix)?;
        if !prefix.is_empty() && !options.without_timestamps {
            prefix.insert(0, tokenizer.special().timestamp_begin);
        }
        Ok(Self {
            n_initial: tokens.len(),
            tokens,
            start: 0,
            carries_initial: options.carry_initial_prompt,
            hotwords: encode(&options.hotwords)?,
            prefix,
            max_prompt: n_text_ctx / 2 - 1,
        })
    }

    /// What a window begins with.
    ///
    /// Differs from openai/whisper, which puts the prefix into every window and leaves it out of the text: here, as in
    /// faster-whisper, the first window begins with it, and so does the text.
    pub(super) fn given(&self, is_first: bool) -> &[u32] {
        if is_first { &self.prefix } else { &[] }
    }

    /// What stands before a window: hotwords, the initial prompt where it is carried on, and the last that was said.
    pub(super) fn prompt(&self, is_first: bool) -> Vec<u32> {
        let hotwords = if self.given(is_first).is_empty() { self.hotwords.as_slice() } else { &[] };
        let mut prompt: Vec<u32> = hotwords.iter().take(self.max_prompt).copied().collect();
        let mut start = self.start;
        if self.carries_initial {
            let n = self.n_initial.min(self.max_prompt - prompt.len());
            prompt.extend(&self.tokens[self.n_initial - n..self.n_initial]);
            start = start.max(self.n_initial);
        }
        let said = &self.tokens[start..];
        let n = said.len().min(self.max_prompt - prompt.len());
        prompt.extend(&said[said.len() - n..]);
        prompt
    }

    /// Adds what was said in a segment.
    pub(super) fn push(&mut self, tokens: &[u32]) {
        self.tokens.extend(tokens);
    }

    /// Prompts do not reach back before this point any more.
    pub(super) fn reset(&mut self) {
        self.start = self.tokens.len();
    }

    /// All that was said.
    pub(super) fn said(&self) -> &[u32] {
        &self.tokens[self.n_initial..]
    }
}

/// The parts of the audio that the options name, as windows of any length. Source: openai/whisper `transcribe.py`.
pub(super) fn clips(options: &Options, n_frames: usize) -> Vec<Window> {
    /// Mel frames in a second.
    const FRAMES_PER_SECOND: f64 = 100.0;
    let frame = |seconds: &f64| ((seconds * FRAMES_PER_SECOND).round() as usize).min(n_frames);
    let mut points: Vec<usize> = options.clip_timestamps.iter().map(frame).collect();
    if points.is_empty() {
        points.push(0);
    }
    if !points.len().is_multiple_of(2) {
        points.push(n_frames);
    }
    points.chunks_exact(2).map(|pair| Window { seek: pair[0], n_frames: pair[1].saturating_sub(pair[0]) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(carries_initial: bool) -> History {
        History {
            tokens: vec![1, 2, 3],
            n_initial: 3,
            carries_initial,
            hotwords: vec![8, 9],
            max_prompt: 7,
            ..History::default()
        }
    }

    #[test]
    fn a_prompt_is_hotwords_and_the_last_tokens_that_fit() {
        let mut history = history(false);
        assert_eq!(history.prompt(true), [8, 9, 1, 2, 3]);
        history.push(&[4, 5, 6]);
        assert_eq!(history.prompt(false), [8, 9, 2, 3, 4, 5, 6]);
        history.reset();
        assert_eq!(history.prompt(false), [8, 9]);
        history.push(&[7]);
        assert_eq!(history.prompt(false), [8, 9, 7]);
        assert_eq!(history.said(), [4, 5, 6, 7]);
    }

    #[test]
    fn a_carried_prompt_survives_length_and_reset() {
        let mut history = history(true);
        assert_eq!(history.prompt(true), [8, 9, 1, 2, 3]);
        history.push(&[4, 5, 6]);
        assert_eq!(history.prompt(false), [8, 9, 1, 2, 3, 5, 6]);
        history.reset();
        assert_eq!(history.prompt(false), [8, 9, 1, 2, 3]);
    }

    #[test]
    fn the_first_window_has_the_prefix_and_no_hotwords() {
        let history = History { prefix: vec![0, 5], ..history(false) };
        assert_eq!((history.given(true), history.prompt(true)), (&[0, 5][..], vec![1, 2, 3]));
        assert_eq!((history.given(false), history.prompt(false)), (&[][..], vec![8, 9, 1, 2, 3]));
    }

    #[test]
    fn clips_are_pairs_of_times_within_the_audio() {
        let clips_of = |times: &[f64]| {
            let options = Options { clip_timestamps: times.to_vec(), ..Options::default() };
            clips(&options, 1000).iter().map(|clip| (clip.seek, clip.n_frames)).collect::<Vec<_>>()
        };
        assert_eq!(clips_of(&[]), [(0, 1000)]);
        assert_eq!(clips_of(&[2.5]), [(250, 750)]);
        assert_eq!(clips_of(&[1.0, 2.0, 4.004, 99.0]), [(100, 100), (400, 600)]);
        assert_eq!(clips_of(&[50.0]), [(1000, 0)]);
    }
}
