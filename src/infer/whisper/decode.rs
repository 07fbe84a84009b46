//! One window of audio to tokens: greedy, sampled, or by beam search. Source: openai/whisper `decoding.py` (20250625).

use std::{io::Write, ops::ControlFlow};

use flate2::{Compression, write::ZlibEncoder};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    beam,
    cache::{Cache, Cross},
    model::Whisper,
    rules::Rules,
    tokenizer::Tokenizer,
};
use crate::{Error, Result, infer::kernels::log_sum_exp};

/// Tokens between two looks whether the caller wants to stop.
const TOKENS_PER_CHECK: usize = 8;

/// How one window is to be decoded.
pub(super) struct Request<'a> {
    /// Text tokens in front of the window; the last ones that fit are used.
    pub prompt: &'a [u32],
    /// `<|startoftranscript|>` and what follows it.
    pub start: &'a [u32],
    /// 0 takes the likeliest token; above, tokens are drawn.
    pub temperature: f32,
    /// Sequences that are kept at temperature 0; 1 is greedy.
    pub beam_size: usize,
    /// For the draws.
    pub seed: u64,
}

/// What a window says.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    /// Text and time tokens, without the end.
    pub tokens: Vec<u32>,
    pub avg_logprob: f32,
    pub no_speech_prob: f32,
    pub compression_ratio: f32,
    pub temperature: f32,
}

/// Runs tensor work on the threads that the transcriber was given.
pub(super) trait Compute: Sync {
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T;
}

impl Compute for rayon::ThreadPool {
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.install(work)
    }
}

/// A model with its tokenizer and rules, on its threads.
pub(super) struct Decoder<'a, C> {
    pub model: &'a Whisper,
    pub tokenizer: &'a Tokenizer,
    pub rules: &'a Rules,
    pub compute: &'a C,
}

/// A sequence that is being or was decoded.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    /// Sampled tokens.
    pub tokens: Vec<u32>,
    /// Sum of the log probabilities of the sampled tokens, the end included.
    pub sum_logprob: f64,
}

impl<C: Compute> Decoder<'_, C> {
    /// Decodes one window. `cache` is reused between windows; it has one row.
    ///
    /// `check` is asked now and then whether to go on; [`Error::Cancelled`] when not.
    pub(super) fn decode(
        &self,
        request: &Request<'_>,
        cross: &Cross,
        cache: &mut Cache,
        check: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Decoded> {
        let (prompt, sot) = self.initial_tokens(request);
        cache.clear();
        let mut logits = self.step(&prompt, &[sot, prompt.len() - 1], cross, cache)?;
        let last = logits.split_off(self.rules.n_vocab());
        let no_speech = logits[self.tokenizer.special().no_speech as usize];
        let no_speech_prob = (no_speech - log_sum_exp(&logits)).exp();

        let n_context = self.model.dimensions().n_text_ctx;
        // Source: openai/whisper samples at most half a context, and stops when the context is full.
        let max_sampled = (n_context / 2).min(n_context + 1 - prompt.len());
        let sequence = if request.beam_size > 1 && request.temperature == 0.0 {
            beam::search(self, last, request.beam_size, max_sampled, cross, cache, check)?
        } else {
            self.sample(last, request, max_sampled, cross, cache, check)?
        };
        let text = self.tokenizer.decode(&sequence.tokens);
        Ok(Decoded {
            avg_logprob: sequence.avg_logprob(),
            no_speech_prob,
            compression_ratio: compression_ratio(text.trim()),
            temperature: request.temperature,
            tokens: sequence.tokens,
        })
    }

    /// The tokens that decoding starts from, and where `<|startoftranscript|>` is among them.
    fn initial_tokens(&self, request: &Request<'_>) -> (Vec<u32>, usize) {
        let max_prompt = self.model.dimensions().n_text_ctx / 2 - 1;
        let mut tokens = Vec::new();
        if !request.prompt.is_empty() {
            tokens.push(self.tokenizer.special().start_of_previous);
            tokens.extend(&request.prompt[request.prompt.len().saturating_sub(max_prompt)..]);
        }
        let sot = tokens.len();
        tokens.extend(request.start);
        (tokens, sot)
    }

    fn sample(
        &self,
        mut logits: Vec<f32>,
        request: &Request<'_>,
        max_sampled: usize,
        cross: &Cross,
        cache: &mut Cache,
        check: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Sequence> {
        let mut rng = StdRng::seed_from_u64(request.seed);
        let mut sequence = Sequence { tokens: Vec::new(), sum_logprob: 0.0 };
        loop {
            self.rules.apply(&mut logits, &sequence.tokens);
            let token = if request.temperature > 0.0 {
                draw(&logits, request.temperature, &mut rng)
            } else {
                likeliest(&logits)
            };
            sequence.sum_logprob += f64::from(logits[token] - log_sum_exp(&logits));
            if token == self.tokenizer.special().end_of_text as usize {
                return Ok(sequence);
            }
            sequence.tokens.push(token as u32);
            if sequence.tokens.len() >= max_sampled {
                return Ok(sequence);
            }
            go_on(sequence.tokens.len(), check)?;
            logits = self.step(&[token as u32], &[0], cross, cache)?;
        }
    }

    /// Feeds tokens to the model; returns the scores after the wanted positions, one after the other.
    pub(super) fn step(&self, tokens: &[u32], wanted: &[usize], cross: &Cross, cache: &mut Cache) -> Result<Vec<f32>> {
        self.compute.run(|| Ok(self.model.decode(tokens, wanted, cross, cache)?.flatten_all()?.to_vec1()?))
    }

    /// The rules of decoding.
    pub(super) fn end_of_text(&self) -> usize {
        self.tokenizer.special().end_of_text as usize
    }
}

impl Sequence {
    fn avg_logprob(&self) -> f32 {
        // Source: openai/whisper counts the end token, also where decoding stopped before it.
        (self.sum_logprob / (self.tokens.len() + 1) as f64) as f32
    }
}

/// Asks every few tokens whether to go on.
pub(super) fn go_on(n_tokens: usize, check: &mut dyn FnMut() -> ControlFlow<()>) -> Result<()> {
    if n_tokens.is_multiple_of(TOKENS_PER_CHECK) && check().is_break() { Err(Error::Cancelled) } else { Ok(()) }
}

/// Index of the largest value, the first of equal ones.
pub(super) fn likeliest(logits: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &score) in logits.iter().enumerate() {
        if score > best.1 {
            best = (token, score);
        }
    }
    best.0
}

/// Draws an index with probability softmax(logits / temperature).
fn draw(logits: &[f32], temperature: f32, rng: &mut StdRng) -> usize {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|&score| f64::from((score - max) / temperature).exp()).collect();
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (token, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    likeliest(logits)
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

    #[test]
    fn draws_follow_the_distribution_and_the_seed() {
        let logits = [0.0, 3.0_f32.ln(), f32::NEG_INFINITY];
        let mut rng = StdRng::seed_from_u64(1);
        let n = (0..4000).filter(|_| draw(&logits, 1.0, &mut rng) == 1).count();
        assert!((2880..3120).contains(&n), "{n} of 4000 draws; 3000 expected");
        let again = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..64).map(|_| draw(&logits, 0.5, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(again(7), again(7));
        assert_ne!(again(7), again(8));
    }
}
