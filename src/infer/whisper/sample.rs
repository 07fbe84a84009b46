//! Greedy decoding and sampling. Source: openai/whisper `decoding.py` (20250625), `GreedyDecoder`.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    decode::{Next, Sequence},
    rules::Rules,
};
use crate::infer::kernels::log_sum_exp;

/// A sequence that grows by the likeliest token, or by one drawn.
#[derive(Debug)]
pub(super) struct Samples {
    temperature: f32,
    rng: StdRng,
    max_sampled: usize,
    sequence: Sequence,
}

impl Samples {
    /// The likeliest tokens at temperature 0, drawn ones above.
    pub(super) fn new(temperature: f32, seed: u64, max_sampled: usize) -> Self {
        Self { temperature, rng: StdRng::seed_from_u64(seed), max_sampled, sequence: Sequence::default() }
    }

    /// The tokens so far.
    pub(super) fn tokens_so_far(&self) -> &[u32] {
        &self.sequence.tokens
    }

    /// Takes the scores of the next token.
    pub(super) fn advance(&mut self, rules: &Rules, logits: &mut [f32]) -> Next {
        rules.apply(logits, &self.sequence.tokens);
        let token =
            if self.temperature > 0.0 { draw(logits, self.temperature, &mut self.rng) } else { likeliest(logits) };
        self.sequence.sum_logprob += f64::from(logits[token] - log_sum_exp(logits));
        if token == rules.special().end_of_text as usize {
            return Next::Done(std::mem::take(&mut self.sequence));
        }
        self.sequence.tokens.push(token as u32);
        if self.sequence.tokens.len() >= self.max_sampled {
            return Next::Done(std::mem::take(&mut self.sequence));
        }
        Next::Feed { rows: vec![0], tokens: vec![token as u32] }
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

#[cfg(test)]
mod tests {
    use super::*;

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
