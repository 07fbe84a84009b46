//! One window of audio to tokens: greedy, sampled, or by beam search. Source: openai/whisper `decoding.py` (20250625).
//!
//! A [`Decoding`] never calls the model: it says what to feed and takes the scores, so that one loop can step the
//! windows of many recordings together.

use std::{io::Write, sync::Arc};

use flate2::{Compression, write::ZlibEncoder};

use super::{
    beam::Beams,
    choice::{Answer, Choice, Choices, Chosen, Masks},
    model::{Audio, Cache, Step, Whisper},
    rules::{Allowed, Rules},
    sample::Samples,
    sequence::Sequence,
};
use crate::{
    Result,
    infer::{cuda::MAX_AHEAD, kernels::log_sum_exp},
};

/// How one window is to be decoded.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which tokens may come when.
    pub rules: Arc<Rules>,
    /// Text tokens in front of the window; the last ones that fit are used.
    pub prompt: Vec<u32>,
    /// `<|startoftranscript|>` and what follows it.
    pub start: Vec<u32>,
    /// What the window begins with: text, after a time where there are times.
    pub given: Vec<u32>,
    /// 0 takes the likeliest token; above, tokens are drawn.
    pub temperature: f32,
    /// Sequences that are kept at temperature 0; 1 is greedy.
    pub beam_size: usize,
    /// Sequences that are drawn above.
    pub best_of: usize,
    /// The beam search ends when `beam_size * patience` sequences have ended.
    pub patience: f32,
    /// See [`Ranking`](super::sequence::Ranking).
    pub length_penalty: Option<f32>,
    /// Most tokens that are sampled.
    pub max_new_tokens: Option<usize>,
    /// For the draws.
    pub seed: u64,
}

/// What a window says.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    /// Text and time tokens, without the end.
    pub tokens: Vec<u32>,
    pub avg_logprob: f32,
    pub no_speech_prob: f32,
    pub compression_ratio: f32,
    pub temperature: f32,
}

/// What a search wants after it has seen scores.
pub(super) enum Next {
    /// Row `i` of the cache goes on as what was row `rows[i]`, with the token `tokens[i]`.
    Feed { rows: Vec<usize>, tokens: Vec<u32> },
    /// Enough is known.
    Done(Sequence),
}

/// One window on its way from audio to tokens, with its own memory.
#[derive(Debug)]
pub(crate) struct Decoding {
    rules: Arc<Rules>,
    temperature: f32,
    cache: Cache,
    /// Which rows of the cache go on; to be selected before the next step.
    rows: Option<Vec<usize>>,
    /// What the next step feeds, and which scores it wants.
    tokens: Vec<u32>,
    wanted: Vec<usize>,
    /// Where the engine can choose tokens by itself: how, and how many after each other.
    masks: Option<Masks>,
    choices: Vec<Choice>,
    n_ahead: usize,
    /// Of the first step, which feeds the prompt.
    no_speech_prob: Option<f32>,
    search: Search,
}

/// How the next token is chosen.
#[derive(Debug)]
enum Search {
    Samples(Box<Samples>),
    Beams(Beams),
}

impl Decoding {
    /// Prepares to decode the window that `audio` is of.
    pub(crate) fn new(request: Request, model: &Whisper, audio: &Audio) -> Result<Self> {
        let n_context = model.dimensions().n_text_ctx;
        let mut tokens = Vec::new();
        // Differs from openai/whisper, where a long prompt and a long prefix together leave no room.
        let max_given = n_context / 2 - 1;
        let given = &request.given[..request.given.len().min(max_given)];
        let max_prompt = max_given - given.len();
        if !request.prompt.is_empty() && max_prompt > 0 {
            tokens.push(request.rules.special().start_of_previous);
            tokens.extend(&request.prompt[request.prompt.len().saturating_sub(max_prompt)..]);
        }
        let sot = tokens.len();
        tokens.extend(&request.start);
        tokens.extend(given);
        // Source: openai/whisper samples at most half a context, and stops when the context is full.
        let max_sampled = (n_context / 2).min((n_context + 1).saturating_sub(tokens.len()));
        let max_sampled = max_sampled.min(request.max_new_tokens.unwrap_or(usize::MAX)).max(1);
        let start = Sequence { tokens: given.to_vec(), n_given: given.len(), sum_logprob: 0.0 };
        let search = if request.beam_size > 1 && request.temperature == 0.0 {
            Search::Beams(Beams::new(&request, start, max_sampled))
        } else {
            Search::Samples(Box::new(Samples::new(&request, &start, max_sampled)))
        };
        let forbidden = match &search {
            Search::Samples(_) => request.rules.forbidden(),
            // A search wants the likeliest of all rows.
            Search::Beams(_) => None,
        };
        let masks = forbidden.map_or(Ok(None), |sets| model.masks(&sets))?;
        let mut decoding = Self {
            rules: request.rules,
            temperature: request.temperature,
            cache: model.new_cache(audio, 1)?,
            rows: None,
            wanted: vec![sot, tokens.len() - 1],
            tokens,
            masks,
            choices: Vec::new(),
            n_ahead: 1,
            no_speech_prob: None,
            search,
        };
        decoding.choose();
        Ok(decoding)
    }

    /// The likeliest tokens so far, those that were given included.
    pub(crate) fn tokens(&self) -> &[u32] {
        match &self.search {
            Search::Samples(samples) => samples.tokens(),
            Search::Beams(beams) => beams.tokens(),
        }
    }

    /// Prepares the memory for the next step. May be called again after an error.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    pub(crate) fn prepare(&mut self) -> Result<()> {
        if let Some(rows) = &self.rows {
            self.cache.select(rows)?;
            self.rows = None;
        }
        Ok(())
    }

    /// What the model is to compute next, after [`Self::prepare`]; [`Self::advance`] takes the answer.
    pub(crate) fn step(&mut self) -> Step<'_> {
        let Self { cache, tokens, wanted, masks, choices, n_ahead, .. } = self;
        let choices = masks.as_ref().map(|masks| Choices { each: choices, masks, n_ahead: *n_ahead });
        Step { cache, tokens, wanted, choices }
    }

    /// Takes the answer to the last step; returns the result at the end.
    pub(crate) fn advance(&mut self, answer: Answer) -> Option<Decoded> {
        let next = match answer {
            Answer::Scores(scores) => self.take_scores(scores),
            Answer::Chosen(chosen) => self.take_chosen(&chosen),
        };
        match next {
            Next::Feed { rows, tokens } => {
                (self.rows, self.tokens, self.wanted) = (Some(rows), tokens, vec![0]);
                self.choose();
                None
            }
            Next::Done(sequence) => Some(Decoded {
                avg_logprob: sequence.avg_logprob(),
                no_speech_prob: self.no_speech_prob.unwrap_or_default(),
                compression_ratio: compression_ratio(self.rules.tokenizer().decode(&sequence.tokens).trim()),
                temperature: self.temperature,
                tokens: sequence.tokens,
            }),
        }
    }

    fn take_scores(&mut self, mut scores: Vec<f32>) -> Next {
        let mut logits = scores.as_mut_slice();
        if self.no_speech_prob.is_none() {
            let (at_start, last) = logits.split_at_mut(self.rules.n_vocab());
            let no_speech = at_start[self.rules.special().no_speech as usize];
            logits = last;
            self.no_speech_prob = Some((no_speech - log_sum_exp(at_start)).exp());
        }
        match &mut self.search {
            Search::Samples(samples) => samples.advance(&self.rules, logits),
            Search::Beams(beams) => beams.advance(&self.rules, logits),
        }
    }

    fn take_chosen(&mut self, mut chosen: &[Chosen]) -> Next {
        if let (None, [no_speech, rest @ ..]) = (self.no_speech_prob, chosen) {
            self.no_speech_prob = Some(no_speech.log_probability.exp());
            chosen = rest;
        }
        match &mut self.search {
            Search::Samples(samples) => samples.take(&self.rules, chosen, self.cache.n_rows()),
            // It has asked for scores.
            Search::Beams(beams) => beams.advance(&self.rules, &mut []),
        }
    }

    /// Says how an engine that can is to choose the next tokens.
    fn choose(&mut self) {
        let (Some(_), Search::Samples(samples)) = (&self.masks, &self.search) else { return };
        if self.no_speech_prob.is_some() {
            self.choices = samples.choices(&self.rules, |index| index);
            self.n_ahead = samples.n_ahead();
            return;
        }
        let no_speech = Choice {
            row: 0,
            allowed: Allowed::everything(self.rules.n_vocab()),
            observed: Some(self.rules.special().no_speech),
            temperature: 0.0,
            uniforms: [0.0; MAX_AHEAD],
        };
        self.choices = std::iter::once(no_speech).chain(samples.choices(&self.rules, |_| 1)).collect();
    }
}

/// Length of the text's UTF-8 over that of its zlib compression: speech is below 2.4, repetition above.
#[must_use]
pub fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    compressed.map_or(0.0, |compressed| text.len() as f32 / compressed.len() as f32)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    #[test]
    fn compression_ratio_equals_pythons_zlib() {
        // Made by: python3 -c "import zlib; b = text.encode(); print(len(b), len(zlib.compress(b)))"
        for (text, bytes, compressed) in [
            ("", 0, 8),
            ("a", 1, 9),
            (
                "And so my fellow Americans ask not what your country can do for you ask what you can do for your country",
                104,
                75,
            ),
        ] {
            assert_eq!(text.len(), bytes);
            assert_eq!(compression_ratio(text), bytes as f32 / compressed as f32, "{text}");
        }
    }
}
