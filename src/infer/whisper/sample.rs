//! Greedy decoding and sampling. Source: openai/whisper `decoding.py` (20250625), `GreedyDecoder`.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    decode::{Next, Request},
    rules::Rules,
    sequence::{Ranking, Sequence},
};
use crate::infer::kernels::log_sum_exp;

/// Sequences that grow by the likeliest token, or by ones drawn.
#[derive(Debug)]
pub(super) struct Samples {
    temperature: f32,
    rng: StdRng,
    max_sampled: usize,
    ranking: Ranking,
    /// Those that go on, one a row of the cache; at first all continue its only row.
    going: Vec<Sequence>,
    ended: Vec<Sequence>,
    /// For the draws.
    weights: Vec<f64>,
}

impl Samples {
    /// Goes on from `start` with what the request says: at temperature 0 with the likeliest tokens, above with `best_of`
    /// drawn sequences.
    pub(super) fn new(request: &Request, start: &Sequence, max_sampled: usize) -> Self {
        let n = if request.temperature > 0.0 { request.best_of.max(1) } else { 1 };
        Self {
            temperature: request.temperature,
            rng: StdRng::seed_from_u64(request.seed),
            max_sampled,
            ranking: Ranking { length_penalty: request.length_penalty },
            going: vec![start.clone(); n],
            ended: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// The tokens so far of a sequence that goes on.
    pub(super) fn tokens(&self) -> &[u32] {
        self.going.first().map_or(&[], |sequence| &sequence.tokens)
    }

    /// Takes the scores of the next token of every row.
    pub(super) fn advance(&mut self, rules: &Rules, logits: &mut [f32]) -> Next {
        let n_vocab = rules.n_vocab();
        let n_rows = logits.len() / n_vocab;
        let (mut rows, mut tokens, mut total) = (Vec::new(), Vec::new(), 0.0);
        for (index, mut sequence) in std::mem::take(&mut self.going).into_iter().enumerate() {
            let row = index.min(n_rows - 1);
            let logits = &mut logits[row * n_vocab..][..n_vocab];
            if index == row {
                rules.apply(logits, &sequence.tokens);
                total = log_sum_exp(logits);
            }
            if total == f32::NEG_INFINITY {
                // The options forbid every token.
                self.ended.push(sequence);
                continue;
            }
            let token = if self.temperature > 0.0 {
                draw(logits, self.temperature, &mut self.rng, &mut self.weights)
            } else {
                likeliest(logits)
            };
            sequence.sum_logprob += f64::from(logits[token] - total);
            let is_end = token == rules.special().end_of_text as usize;
            if !is_end {
                sequence.tokens.push(token as u32);
            }
            if is_end || sequence.n_sampled() >= self.max_sampled {
                self.ended.push(sequence);
            } else {
                rows.push(row);
                tokens.push(token as u32);
                self.going.push(sequence);
            }
        }
        if self.going.is_empty() {
            return Next::Done(self.ranking.best(std::mem::take(&mut self.ended)));
        }
        Next::Feed { rows, tokens }
    }
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

/// Draws an index with probability softmax(logits / temperature); `weights` is scratch.
fn draw(logits: &[f32], temperature: f32, rng: &mut StdRng, weights: &mut Vec<f64>) -> usize {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    weights.clear();
    weights.extend(logits.iter().map(|&score| f64::from((score - max) / temperature).exp()));
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
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
        let n = (0..4000).filter(|_| draw(&logits, 1.0, &mut rng, &mut weights) == 1).count();
        assert!((2880..3120).contains(&n), "{n} of 4000 draws; 3000 expected");
        let mut again = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..64).map(|_| draw(&logits, 0.5, &mut rng, &mut weights)).collect::<Vec<_>>()
        };
        assert_eq!(again(7), again(7));
        assert_ne!(again(7), again(8));
    }
}
