//! Beam search. Source: openai/whisper `decoding.py` (20250625), `BeamSearchDecoder`.

use super::{
    decode::{Next, Request},
    rules::Rules,
    sequence::{Ranking, Sequence},
};
use crate::infer::kernels::log_sum_exp;

/// The likeliest sequences so far.
#[derive(Debug)]
pub(super) struct Beams {
    beam_size: usize,
    /// Ended sequences at which the search is over.
    max_ended: usize,
    max_sampled: usize,
    ranking: Ranking,
    /// The likeliest first, one a row of the cache; at first a single one.
    kept: Vec<Sequence>,
    ended: Vec<Sequence>,
}

/// A sequence with one more token, and the row of the cache that it continues.
struct Candidate {
    row: usize,
    token: usize,
    sum_logprob: f64,
}

impl Beams {
    /// A search that goes on from `start` with what the request says.
    pub(super) fn new(request: &Request, start: Sequence, max_sampled: usize) -> Self {
        let max_ended = (request.beam_size as f32 * request.patience).round_ties_even().max(1.0);
        Self {
            beam_size: request.beam_size,
            max_ended: max_ended as usize,
            max_sampled,
            ranking: Ranking { length_penalty: request.length_penalty },
            kept: vec![start],
            ended: Vec::new(),
        }
    }

    /// The tokens so far of the likeliest beam.
    pub(super) fn tokens(&self) -> &[u32] {
        self.kept.first().map_or(&[], |beam| &beam.tokens)
    }

    /// Takes the scores of the next token of every beam.
    pub(super) fn advance(&mut self, rules: &Rules, logits: &mut [f32]) -> Next {
        let end_of_text = rules.special().end_of_text as usize;
        let mut kept: Vec<Candidate> = Vec::with_capacity(self.beam_size);
        for candidate in self.candidates(rules, logits) {
            if candidate.token == end_of_text {
                if self.ended.len() < self.max_ended {
                    let beam = self.kept[candidate.row].clone();
                    self.ended.push(Sequence { sum_logprob: candidate.sum_logprob, ..beam });
                }
            } else {
                kept.push(candidate);
                if kept.len() == self.beam_size {
                    break;
                }
            }
        }
        let extended = |candidate: &Candidate| {
            let mut beam = self.kept[candidate.row].clone();
            beam.tokens.push(candidate.token as u32);
            Sequence { sum_logprob: candidate.sum_logprob, ..beam }
        };
        self.kept = kept.iter().map(extended).collect();
        let is_full = self.kept.first().is_none_or(|beam| beam.n_sampled() >= self.max_sampled);
        if is_full || self.ended.len() >= self.max_ended {
            return Next::Done(self.finish());
        }
        Next::Feed {
            rows: kept.iter().map(|candidate| candidate.row).collect(),
            tokens: kept.iter().map(|candidate| candidate.token as u32).collect(),
        }
    }

    /// The likeliest continuations of all beams, the likeliest first.
    fn candidates(&self, rules: &Rules, logits: &mut [f32]) -> Vec<Candidate> {
        let mut candidates = Vec::with_capacity(self.kept.len() * (self.beam_size + 1));
        for (row, (beam, logits)) in self.kept.iter().zip(logits.chunks_exact_mut(rules.n_vocab())).enumerate() {
            rules.apply(logits, &beam.tokens);
            let total = log_sum_exp(logits);
            candidates.extend(best(logits, self.beam_size + 1).into_iter().map(|token| Candidate {
                row,
                token,
                sum_logprob: beam.sum_logprob + f64::from(logits[token] - total),
            }));
        }
        candidates.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob));
        candidates
    }

    fn finish(&mut self) -> Sequence {
        let mut ended = std::mem::take(&mut self.ended);
        // Too few ended: the likeliest unfinished ones take part.
        let n_missing = self.beam_size.saturating_sub(ended.len());
        ended.extend(self.kept.drain(..).take(n_missing));
        self.ranking.best(ended)
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
