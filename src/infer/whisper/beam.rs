//! Beam search. Source: openai/whisper `decoding.py` (20250625), `BeamSearchDecoder` with patience 1 and ranking by
//! mean log probability.

use super::{
    decode::{Next, Sequence},
    rules::Rules,
};
use crate::infer::kernels::log_sum_exp;

/// The likeliest sequences so far.
#[derive(Debug)]
pub(super) struct Beams {
    beam_size: usize,
    max_sampled: usize,
    n_sampled: usize,
    /// One a row of the cache; a single empty one at first.
    beams: Vec<Sequence>,
    finished: Vec<Sequence>,
}

/// A sequence with one more token, and the row of the cache that it continues.
struct Candidate {
    row: usize,
    token: usize,
    sum_logprob: f64,
}

impl Beams {
    /// A search that keeps `beam_size` sequences of at most `max_sampled` tokens.
    pub(super) fn new(beam_size: usize, max_sampled: usize) -> Self {
        Self { beam_size, max_sampled, n_sampled: 0, beams: vec![Sequence::default()], finished: Vec::new() }
    }

    /// The tokens of the likeliest sequence so far.
    pub(super) fn tokens_so_far(&self) -> &[u32] {
        self.beams.first().map_or(&[], |beam| &beam.tokens)
    }

    /// Takes the scores of the next token of every beam.
    pub(super) fn advance(&mut self, rules: &Rules, logits: &mut [f32]) -> Next {
        let mut candidates: Vec<Candidate> = Vec::new();
        for (row, (beam, logits)) in self.beams.iter().zip(logits.chunks_exact_mut(rules.n_vocab())).enumerate() {
            rules.apply(logits, &beam.tokens);
            let total = log_sum_exp(logits);
            candidates.extend(best(logits, self.beam_size + 1).into_iter().map(|token| Candidate {
                row,
                token,
                sum_logprob: beam.sum_logprob + f64::from(logits[token] - total),
            }));
        }
        candidates.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob));
        let mut kept: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            if candidate.token == rules.special().end_of_text as usize {
                if self.finished.len() < self.beam_size {
                    let tokens = self.beams[candidate.row].tokens.clone();
                    self.finished.push(Sequence { tokens, sum_logprob: candidate.sum_logprob });
                }
            } else {
                kept.push(candidate);
                if kept.len() == self.beam_size {
                    break;
                }
            }
        }
        self.beams = kept.iter().map(|candidate| self.beams[candidate.row].extended(candidate)).collect();
        self.n_sampled += 1;
        if self.finished.len() >= self.beam_size || self.beams.is_empty() || self.n_sampled >= self.max_sampled {
            return Next::Done(self.finish());
        }
        Next::Feed {
            rows: kept.iter().map(|candidate| candidate.row).collect(),
            tokens: kept.iter().map(|candidate| candidate.token as u32).collect(),
        }
    }

    fn finish(&mut self) -> Sequence {
        let mut finished = std::mem::take(&mut self.finished);
        if finished.len() < self.beam_size {
            // Too few ended: the likeliest unfinished ones take part.
            self.beams.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob));
            finished.extend(self.beams.drain(..).take(self.beam_size - finished.len()));
        }
        let mean = |sequence: &Sequence| sequence.sum_logprob / sequence.tokens.len().max(1) as f64;
        let best = finished.into_iter().reduce(|best, other| if mean(&other) > mean(&best) { other } else { best });
        best.unwrap_or(Sequence { tokens: Vec::new(), sum_logprob: f64::NEG_INFINITY })
    }
}

impl Sequence {
    fn extended(&self, candidate: &Candidate) -> Self {
        let mut tokens = self.tokens.clone();
        tokens.push(candidate.token as u32);
        Self { tokens, sum_logprob: candidate.sum_logprob }
    }
}

/// Indices of the `n` largest finite values, largest first.
fn best(logits: &[f32], n: usize) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::with_capacity(n + 1);
    for (token, &score) in logits.iter().enumerate() {
        if score == f32::NEG_INFINITY || (best.len() == n && score <= logits[best[n - 1]]) {
            continue;
        }
        let place = best.partition_point(|&other| logits[other] >= score);
        best.insert(place, token);
        best.truncate(n);
    }
    best
}
