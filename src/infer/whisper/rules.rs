//! Which tokens may come next. Source: openai/whisper `decoding.py` (20250625), its logit filters.

use std::{ops::Range, sync::Arc};

use super::{
    options::Options,
    tokenizer::{Special, Tokenizer},
};
use crate::{
    Error, Result,
    infer::kernels::{largest, log_sum_exp},
};

/// Time tokens in a second.
const TIMESTAMPS_PER_SECOND: f32 = 50.0;
const NEVER: f32 = f32::NEG_INFINITY;

/// The rules of decoding.
#[derive(Debug)]
pub(crate) struct Rules {
    tokenizer: Arc<Tokenizer>,
    n_vocab: usize,
    /// Tokens that are not speech, and those that are not text: what -1 stands for, and what is never sampled.
    non_speech: Arc<[usize]>,
    never: Arc<[usize]>,
    /// Not sampled first: a space, the end.
    blank: Arc<[usize]>,
    chosen: Chosen,
}

/// Which tokens may come next as far as times decide it: text in `text_from..time_begin`, and times. The rest is what an
/// engine that chooses by itself needs to know for the tokens after that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub text_from: usize,
    pub times: Range<usize>,
    /// The first time token; the number of tokens where times have no rules.
    pub time_begin: usize,
    pub end_of_text: usize,
    /// The first time that may come after more text.
    pub floor: usize,
    /// Whether a time that comes next opens a segment.
    pub opens: bool,
    /// Whether it is the window's first token.
    pub is_first: bool,
}

impl Allowed {
    /// Whatever the model knows.
    pub(crate) fn everything(n_vocab: usize) -> Self {
        let (times, floor) = (n_vocab..n_vocab, n_vocab);
        Self { text_from: 0, times, time_begin: n_vocab, end_of_text: 0, floor, opens: true, is_first: false }
    }
}

/// What the options say.
#[derive(Debug)]
struct Chosen {
    suppressed: Vec<usize>,
    suppress_blank: bool,
    with_timestamps: bool,
    /// In time tokens.
    max_initial_timestamp: Option<usize>,
    repetition_penalty: f32,
    no_repeat_ngram_size: usize,
}

impl Rules {
    /// The rules for a tokenizer and a model's number of tokens, with the options' defaults.
    pub(super) fn new(tokenizer: Arc<Tokenizer>, n_vocab: usize) -> Result<Self> {
        let special = *tokenizer.special();
        let mut never =
            vec![special.transcribe, special.translate, special.start_of_transcript, special.start_of_previous];
        never.extend([special.no_speech, special.no_timestamps]);
        never.extend(special.start_of_lm);
        let mut blank = tokenizer.encode(" ")?;
        blank.push(special.end_of_text);
        let indices = |tokens: Vec<u32>| tokens.into_iter().map(|token| token as usize).collect::<Arc<[usize]>>();
        let non_speech = indices(tokenizer.non_speech_tokens()?);
        let (never, blank) = (indices(never), indices(blank));
        let chosen = Chosen::new(&Options::default(), &non_speech, n_vocab)?;
        Ok(Self { tokenizer, n_vocab, non_speech, never, blank, chosen })
    }

    /// The rules of one transcription.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a token that the model does not have.
    pub(super) fn with(&self, options: &Options) -> Result<Self> {
        Ok(Self {
            tokenizer: Arc::clone(&self.tokenizer),
            n_vocab: self.n_vocab,
            non_speech: Arc::clone(&self.non_speech),
            never: Arc::clone(&self.never),
            blank: Arc::clone(&self.blank),
            chosen: Chosen::new(options, &self.non_speech, self.n_vocab)?,
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

    /// Sets the scores of impossible tokens to negative infinity; `sampled` are the tokens of the window so far. To be
    /// applied once.
    pub(super) fn apply(&self, logits: &mut [f32], sampled: &[u32]) {
        let chosen = &self.chosen;
        penalize_repetition(logits, sampled, chosen.repetition_penalty);
        forbid_repeated_ngrams(logits, sampled, chosen.no_repeat_ngram_size);
        // Differs from openai/whisper, where an empty list of suppressed tokens allows those that are not text.
        for &token in self.never.iter().chain(&chosen.suppressed) {
            logits[token] = NEVER;
        }
        if sampled.is_empty() && chosen.suppress_blank {
            for &token in &*self.blank {
                logits[token] = NEVER;
            }
        }
        let allowed = self.allowed(sampled);
        logits[..allowed.text_from].fill(NEVER);
        let (text, times) = logits.split_at_mut(allowed.time_begin);
        times[..allowed.times.start - allowed.time_begin].fill(NEVER);
        times[allowed.times.end - allowed.time_begin..].fill(NEVER);
        // All times together being likelier than any text, it is a time.
        if log_sum_exp(times) > largest(text) {
            text.fill(NEVER);
        }
    }

    /// Which tokens may come next as far as times decide it.
    pub(super) fn allowed(&self, sampled: &[u32]) -> Allowed {
        let (n_vocab, special) = (self.n_vocab, self.special());
        let end_of_text = special.end_of_text as usize;
        let is_first = sampled.is_empty();
        if !self.chosen.with_timestamps {
            let (times, floor) = (n_vocab..n_vocab, n_vocab);
            return Allowed { text_from: 0, times, time_begin: n_vocab, end_of_text, floor, is_first, opens: true };
        }
        let time_begin = special.timestamp_begin as usize;
        let is_time = |token: Option<&u32>| token.is_some_and(|&token| token as usize >= time_begin);
        let last_is_time = is_time(sampled.last());
        // Times come in pairs, except that one may stand before the end.
        let opened_segment = last_is_time && (sampled.len() < 2 || is_time(sampled.get(sampled.len() - 2)));
        let ended_segment = last_is_time && !opened_segment;
        // Times do not decrease, and a segment that ends has a length (or decoding might never move on).
        let last_time = sampled.iter().rev().find(|token| is_time(Some(token))).map(|&token| token as usize);
        let floor = last_time.map_or(time_begin, |time| time + 1);
        let times = match last_time {
            _ if is_first => {
                let latest = self.chosen.max_initial_timestamp.map_or(n_vocab, |latest| time_begin + latest + 1);
                time_begin..latest.min(n_vocab)
            }
            _ if opened_segment => n_vocab..n_vocab,
            Some(time) if ended_segment => time..n_vocab,
            _ => floor..n_vocab,
        };
        let text_from = match (is_first, ended_segment) {
            (true, _) => time_begin,
            (_, true) => end_of_text,
            _ => 0,
        };
        Allowed { text_from, times, time_begin, end_of_text, floor, is_first, opens: is_first || last_is_time }
    }

    /// The tokens that never come, and those that do not come first; `None` where it depends on more than
    /// [`Self::allowed`] says.
    pub(super) fn forbidden(&self) -> Option<[Vec<usize>; 2]> {
        let chosen = &self.chosen;
        #[allow(clippy::float_cmp, reason = "exactly 1 is the default, which does nothing")]
        let is_simple = chosen.repetition_penalty == 1.0 && chosen.no_repeat_ngram_size == 0;
        let always: Vec<usize> = self.never.iter().chain(&chosen.suppressed).copied().collect();
        let mut first = always.clone();
        first.extend(self.blank.iter().filter(|_| chosen.suppress_blank));
        is_simple.then_some([always, first])
    }
}

impl Chosen {
    fn new(options: &Options, non_speech: &[usize], n_vocab: usize) -> Result<Self> {
        let mut suppressed = Vec::new();
        for &token in &options.suppress_tokens {
            match usize::try_from(token) {
                Ok(token) if token < n_vocab => suppressed.push(token),
                Err(_) if token == -1 => suppressed.extend(non_speech),
                _ => {
                    return Err(Error::InvalidInput(format!(
                        "suppress_tokens has {token}; expected -1 or tokens from 0 to {}",
                        n_vocab - 1
                    )));
                }
            }
        }
        Ok(Self {
            suppressed,
            suppress_blank: options.suppress_blank,
            with_timestamps: !options.without_timestamps,
            max_initial_timestamp: options
                .max_initial_timestamp
                .map(|seconds| (seconds * TIMESTAMPS_PER_SECOND).round() as usize),
            repetition_penalty: options.repetition_penalty,
            no_repeat_ngram_size: options.no_repeat_ngram_size,
        })
    }
}

/// Source: Keskar et al. 2019, section 4.1, as `CTranslate2` does it (both signs of a score are handled).
#[allow(clippy::float_cmp, reason = "exactly 1 is the default, which does nothing")]
fn penalize_repetition(logits: &mut [f32], sampled: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    for (index, &token) in sampled.iter().enumerate() {
        if !sampled[..index].contains(&token) {
            let score = &mut logits[token as usize];
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }
}

fn forbid_repeated_ngrams(logits: &mut [f32], sampled: &[u32], size: usize) {
    if size == 0 || sampled.len() < size {
        return;
    }
    let last = &sampled[sampled.len() + 1 - size..];
    for ngram in sampled.windows(size) {
        if ngram[..size - 1] == *last {
            logits[ngram[size - 1] as usize] = NEVER;
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_token_loses_whatever_its_sign_and_once() {
        let mut logits = [2.0, -2.0, 3.0, NEVER];
        penalize_repetition(&mut logits, &[0, 1, 0, 3], 2.0);
        assert_eq!(logits, [1.0, -4.0, 3.0, NEVER]);
        penalize_repetition(&mut logits, &[0], 1.0);
        assert_eq!(logits[0], 1.0);
    }

    #[test]
    fn only_the_token_that_would_complete_a_repeated_ngram_is_forbidden() {
        let forbidden = |sampled: &[u32], size| {
            let mut logits = [0.0; 6];
            forbid_repeated_ngrams(&mut logits, sampled, size);
            (0..6).filter(|&token| logits[token] == NEVER).collect::<Vec<_>>()
        };
        assert_eq!(forbidden(&[1, 2, 3, 1, 2], 3), [3]);
        assert_eq!(forbidden(&[1, 2, 3, 1, 2], 2), [3]);
        assert_eq!(forbidden(&[1, 2, 3, 1, 2], 1), [1, 2, 3]);
        assert_eq!(forbidden(&[1, 2, 1, 3, 1], 2), [2, 3]);
        assert!(forbidden(&[1, 2, 3, 1, 2], 0).is_empty());
        assert!(forbidden(&[1, 2], 3).is_empty());
        assert!(forbidden(&[], 1).is_empty());
    }
}
