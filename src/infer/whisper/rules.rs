//! Which tokens may come next. Source: openai/whisper `decoding.py` (20250625), its logit filters.

use std::sync::Arc;

use super::tokenizer::{Special, Tokenizer};
use crate::{Result, infer::kernels::log_sum_exp};

/// The latest time at which the first segment of a window may start, in time tokens: 1.0 s.
const MAX_INITIAL_TIMESTAMP: usize = 50;

/// The rules of decoding with time tokens.
#[derive(Debug)]
pub(crate) struct Rules {
    tokenizer: Arc<Tokenizer>,
    /// Never sampled.
    suppressed: Vec<usize>,
    /// Not sampled first: a space, the end.
    blank: Vec<usize>,
    end_of_text: usize,
    timestamp_begin: usize,
    n_vocab: usize,
}

impl Rules {
    /// The rules for a tokenizer and a model's number of tokens.
    pub(super) fn new(tokenizer: Arc<Tokenizer>, n_vocab: usize) -> Result<Self> {
        let special = *tokenizer.special();
        let mut suppressed = tokenizer.non_speech_tokens()?;
        suppressed.extend([
            special.transcribe,
            special.translate,
            special.start_of_transcript,
            special.start_of_previous,
        ]);
        suppressed.extend([special.no_speech, special.no_timestamps]);
        suppressed.extend(special.start_of_lm);
        let mut blank = tokenizer.encode(" ")?;
        blank.push(special.end_of_text);
        let indices = |tokens: Vec<u32>| tokens.into_iter().map(|token| token as usize).collect();
        Ok(Self {
            suppressed: indices(suppressed),
            blank: indices(blank),
            end_of_text: special.end_of_text as usize,
            timestamp_begin: special.timestamp_begin as usize,
            n_vocab,
            tokenizer,
        })
    }

    /// What the tokens mean.
    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The ids of the tokens that are not text.
    pub(super) fn special(&self) -> &Special {
        self.tokenizer.special()
    }

    /// Number of tokens of the model.
    pub(super) fn n_vocab(&self) -> usize {
        self.n_vocab
    }

    /// Sets the scores of impossible tokens to negative infinity; `sampled` are the tokens of the window so far.
    pub(super) fn apply(&self, logits: &mut [f32], sampled: &[u32]) {
        const NEVER: f32 = f32::NEG_INFINITY;
        for &token in &self.suppressed {
            logits[token] = NEVER;
        }
        let is_time = |token: Option<&u32>| token.is_some_and(|&token| token as usize >= self.timestamp_begin);
        if sampled.is_empty() {
            for &token in &self.blank {
                logits[token] = NEVER;
            }
            logits[..self.timestamp_begin].fill(NEVER);
            logits[self.timestamp_begin + MAX_INITIAL_TIMESTAMP + 1..].fill(NEVER);
        }
        let (text, times) = logits.split_at_mut(self.timestamp_begin);
        let last_is_time = is_time(sampled.last());
        // Times come in pairs, except that one may stand before the end.
        let opens_segment = sampled.len() < 2 || is_time(sampled.get(sampled.len() - 2));
        if last_is_time && opens_segment {
            times.fill(NEVER);
        } else if last_is_time {
            text[..self.end_of_text].fill(NEVER);
        }
        // Times do not decrease, and a segment that ends has a length (or decoding might never move on).
        if let Some(&last) = sampled.iter().rev().find(|token| is_time(Some(token))) {
            let may_repeat = last_is_time && !opens_segment;
            let first_allowed = last as usize - self.timestamp_begin + usize::from(!may_repeat);
            let n_forbidden = first_allowed.min(times.len());
            times[..n_forbidden].fill(NEVER);
        }
        // All times together being likelier than any text, it is a time.
        if log_sum_exp(times) > text.iter().copied().fold(NEVER, f32::max) {
            text.fill(NEVER);
        }
    }
}
