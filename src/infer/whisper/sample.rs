//! Greedy decoding and sampling. Source: openai/whisper `decoding.py` (20250625), `GreedyDecoder`.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    choice::{Choice, Chosen},
    decode::{Next, Request},
    rules::Rules,
    sequence::{Ranking, Sequence},
};
use crate::infer::{
    cuda::MAX_AHEAD,
    kernels::{largest, log_sum_exp},
};

/// Sequences that grow by the likeliest token, or by ones drawn.
#[derive(Debug)]
pub(super) struct Samples {
    temperature: f32,
    max_sampled: usize,
    ranking: Ranking,
    /// Those that go on, one a row of the cache; at first all continue its only row.
    going: Vec<Growing>,
    ended: Vec<Sequence>,
    /// For the draws.
    weights: Vec<f64>,
}

/// A sequence that goes on, with draws of its own: one a token, whatever the others do.
#[derive(Debug)]
struct Growing {
    sequence: Sequence,
    rng: StdRng,
}

impl Samples {
    /// Goes on from `start` with what the request says: at temperature 0 with the likeliest tokens, above with `best_of`
    /// drawn sequences.
    pub(super) fn new(request: &Request, start: &Sequence, max_sampled: usize) -> Self {
        let n = if request.temperature > 0.0 { request.best_of.max(1) } else { 1 };
        let growing = |index: usize| Growing {
            sequence: start.clone(),
            rng: StdRng::seed_from_u64(request.seed ^ (index as u64).rotate_right(8)),
        };
        Self {
            temperature: request.temperature,
            max_sampled,
            ranking: Ranking { length_penalty: request.length_penalty },
            going: (0..n).map(growing).collect(),
            ended: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// The tokens so far of a sequence that goes on.
    pub(super) fn tokens(&self) -> &[u32] {
        self.going.first().map_or(&[], |growing| &growing.sequence.tokens)
    }

    /// How the next tokens are to be chosen by an engine that can; the sequence at `index` continues row `row(index)` of
    /// the scores.
    pub(super) fn choices(&self, rules: &Rules, row: impl Fn(usize) -> usize) -> Vec<Choice> {
        let choice = |(index, Growing { sequence, rng }): (usize, &Growing)| {
            let mut rng = rng.clone();
            Choice {
                row: row(index),
                allowed: rules.allowed(&sequence.tokens),
                observed: None,
                temperature: self.temperature,
                uniforms: std::array::from_fn(|_| below_one(rng.random())),
            }
        };
        self.going.iter().enumerate().map(choice).collect()
    }

    /// How many tokens an engine may choose after each other.
    pub(super) fn n_ahead(&self) -> usize {
        let n_sampled = self.going.first().map_or(0, |growing| growing.sequence.n_sampled());
        self.max_sampled.saturating_sub(n_sampled).clamp(1, MAX_AHEAD)
    }

    /// Takes tokens that were chosen by [`Self::choices`], `[n, n_choices]`, from a cache of `n_rows`.
    pub(super) fn take(&mut self, rules: &Rules, chosen: &[Chosen], n_rows: usize) -> Next {
        let mut going: Vec<(usize, Growing)> = std::mem::take(&mut self.going).into_iter().enumerate().collect();
        for chosen in chosen.chunks_exact(going.len().max(1)) {
            for (index, mut growing) in std::mem::take(&mut going) {
                // An engine draws with numbers of a copy.
                let _: f64 = growing.rng.random();
                let Chosen { token, log_probability } = chosen[index];
                if self.extend(rules, &mut growing.sequence, token, log_probability) {
                    self.ended.push(growing.sequence);
                } else {
                    going.push((index, growing));
                }
            }
        }
        self.next(going.into_iter().map(|(index, growing)| (index.min(n_rows - 1), growing)))
    }

    /// Takes the scores of the next token of every row.
    pub(super) fn advance(&mut self, rules: &Rules, logits: &mut [f32]) -> Next {
        let n_vocab = rules.n_vocab();
        let n_rows = logits.len() / n_vocab;
        let (mut going, mut total) = (Vec::new(), 0.0);
        for (index, mut growing) in std::mem::take(&mut self.going).into_iter().enumerate() {
            let row = index.min(n_rows - 1);
            let logits = &mut logits[row * n_vocab..][..n_vocab];
            if index == row {
                rules.apply(logits, &growing.sequence.tokens);
                total = log_sum_exp(logits);
            }
            let uniform = growing.rng.random();
            let token = if total == f32::NEG_INFINITY {
                // The options forbid every token.
                None
            } else if self.temperature > 0.0 {
                Some(draw(logits, self.temperature, uniform, &mut self.weights))
            } else {
                Some(likeliest(logits))
            };
            let log_probability = token.map_or(0.0, |token| logits[token] - total);
            if self.extend(rules, &mut growing.sequence, token.map(|token| token as u32), log_probability) {
                self.ended.push(growing.sequence);
            } else {
                going.push((row, growing));
            }
        }
        self.next(going.into_iter())
    }

    /// Adds a token; returns whether it is the last.
    fn extend(&self, rules: &Rules, sequence: &mut Sequence, token: Option<u32>, log_probability: f32) -> bool {
        let Some(token) = token else { return true };
        sequence.sum_logprob += f64::from(log_probability);
        let is_end = token == rules.special().end_of_text;
        if !is_end {
            sequence.tokens.push(token);
        }
        is_end || sequence.n_sampled() >= self.max_sampled
    }

    /// What follows for those that go on, each with the row that it continues.
    fn next(&mut self, going: impl Iterator<Item = (usize, Growing)>) -> Next {
        let (mut rows, mut tokens) = (Vec::new(), Vec::new());
        for (row, growing) in going {
            rows.push(row);
            tokens.extend(growing.sequence.tokens.last());
            self.going.push(growing);
        }
        if self.going.is_empty() {
            return Next::Done(self.ranking.best(std::mem::take(&mut self.ended)));
        }
        Next::Feed { rows, tokens }
    }
}

/// A number in [0, 1) as f32, which might round up to 1.
fn below_one(uniform: f64) -> f32 {
    (uniform as f32).min(1.0 - f32::EPSILON / 2.0)
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

/// The index at which the sum of softmax(logits / temperature) passes `uniform`; `weights` is scratch.
fn draw(logits: &[f32], temperature: f32, uniform: f64, weights: &mut Vec<f64>) -> usize {
    let max = largest(logits);
    weights.clear();
    weights.extend(logits.iter().map(|&score| f64::from((score - max) / temperature).exp()));
    let mut left = uniform * weights.iter().sum::<f64>();
    for (token, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    likeliest(logits)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::infer::whisper::{model_test::model_directory, options::Options, tokenizer::Tokenizer};

    /// Draws sequences from scores that are the same at every step; returns the kept one.
    fn kept(rules: &Arc<Rules>, best_of: usize, seed: u64) -> Sequence {
        let request = Request {
            rules: Arc::clone(rules),
            prompt: Vec::new(),
            start: Vec::new(),
            given: Vec::new(),
            temperature: 1.0,
            beam_size: 1,
            best_of,
            patience: 1.0,
            length_penalty: None,
            max_new_tokens: None,
            seed,
        };
        let mut samples = Samples::new(&request, &Sequence::default(), 12);
        let mut n_rows = 1;
        loop {
            let mut row = vec![-20.0; rules.n_vocab()];
            for (token, score) in [(500, 2.0), (600, 1.0), (700, -1.0), (rules.special().end_of_text as usize, 0.5)] {
                row[token] = score;
            }
            match samples.advance(rules, &mut row.repeat(n_rows)) {
                Next::Feed { rows, tokens } => {
                    assert!(rows.len() == tokens.len() && rows.len() <= best_of);
                    assert!(rows.iter().all(|row| *row < n_rows));
                    n_rows = rows.len();
                }
                Next::Done(sequence) => return sequence,
            }
        }
    }

    #[test]
    fn the_likeliest_of_several_draws_is_kept_and_ended_ones_leave_the_cache() {
        let options = Options { without_timestamps: true, ..Options::default() };
        let tokenizer = Arc::new(Tokenizer::load(&model_directory("tiny.en")).unwrap());
        let rules = Arc::new(Rules::new(tokenizer, 51_864).unwrap().with(&options).unwrap());
        let mean = |best_of| (0..20).map(|seed| kept(&rules, best_of, seed).avg_logprob()).sum::<f32>() / 20.0;
        let (one, eight) = (mean(1), mean(8));
        assert!(eight > one + 0.1, "{eight} of 8, {one} of 1");
        assert_eq!(kept(&rules, 4, 3).tokens, kept(&rules, 4, 3).tokens);
    }

    #[test]
    fn draws_follow_the_distribution_and_the_seed() {
        let logits = [0.0, 3.0_f32.ln(), f32::NEG_INFINITY];
        let mut rng = StdRng::seed_from_u64(1);
        let mut weights = Vec::new();
        let n = (0..4000).filter(|_| draw(&logits, 1.0, rng.random(), &mut weights) == 1).count();
        assert!((2880..3120).contains(&n), "{n} of 4000 draws; 3000 expected");
        let mut again = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..64).map(|_| draw(&logits, 0.5, rng.random(), &mut weights)).collect::<Vec<_>>()
        };
        assert_eq!(again(7), again(7));
        assert_ne!(again(7), again(8));
    }
}
