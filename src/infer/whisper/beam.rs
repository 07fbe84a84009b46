//! Beam search. Source: openai/whisper `decoding.py` (20250625), `BeamSearchDecoder` with patience 1 and ranking by
//! mean log probability.

use std::ops::ControlFlow;

use super::{
    cache::{Cache, Cross},
    decode::{Compute, Decoder, Sequence, go_on},
};
use crate::{Result, infer::kernels::log_sum_exp};

/// A sequence with one more token, and the row of the cache that it continues.
struct Candidate {
    row: usize,
    token: usize,
    sum_logprob: f64,
}

/// The best sequence that a beam of `beam_size` finds. `cache` has one row, after the initial tokens.
pub(super) fn search<C: Compute>(
    decoder: &Decoder<'_, C>,
    first: Vec<f32>,
    beam_size: usize,
    max_sampled: usize,
    cross: &Cross,
    cache: &Cache,
    check: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Sequence> {
    let n_vocab = first.len();
    let mut beams = vec![Sequence { tokens: Vec::new(), sum_logprob: 0.0 }];
    let mut finished: Vec<Sequence> = Vec::new();
    let mut logits = first;
    let mut rows: Option<Cache> = None;
    for n_sampled in 1..=max_sampled {
        let mut candidates: Vec<Candidate> = Vec::new();
        for (row, (beam, logits)) in beams.iter().zip(logits.chunks_exact_mut(n_vocab)).enumerate() {
            decoder.rules.apply(logits, &beam.tokens);
            let total = log_sum_exp(logits);
            candidates.extend(best(logits, beam_size + 1).into_iter().map(|token| Candidate {
                row,
                token,
                sum_logprob: beam.sum_logprob + f64::from(logits[token] - total),
            }));
        }
        candidates.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob));
        let mut kept: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            if candidate.token == decoder.end_of_text() {
                if finished.len() < beam_size {
                    let tokens = beams[candidate.row].tokens.clone();
                    finished.push(Sequence { tokens, sum_logprob: candidate.sum_logprob });
                }
            } else {
                kept.push(candidate);
                if kept.len() == beam_size {
                    break;
                }
            }
        }
        beams = kept.iter().map(|candidate| beams[candidate.row].extended(candidate)).collect();
        if finished.len() >= beam_size || beams.is_empty() || n_sampled == max_sampled {
            break;
        }
        go_on(n_sampled, check)?;
        let sources: Vec<usize> = kept.iter().map(|candidate| candidate.row).collect();
        let mut next = decoder.compute.run(|| rows.as_ref().unwrap_or(cache).select(&sources))?;
        let tokens: Vec<u32> = kept.iter().map(|candidate| candidate.token as u32).collect();
        logits = decoder.step(&tokens, &[0], cross, &mut next)?;
        rows = Some(next);
    }
    if finished.len() < beam_size {
        // Too few ended: the likeliest unfinished ones take part.
        beams.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob));
        finished.extend(beams.into_iter().take(beam_size - finished.len()));
    }
    let mean = |sequence: &Sequence| sequence.sum_logprob / sequence.tokens.len().max(1) as f64;
    let best = finished.into_iter().reduce(|best, other| if mean(&other) > mean(&best) { other } else { best });
    Ok(best.unwrap_or(Sequence { tokens: Vec::new(), sum_logprob: f64::NEG_INFINITY }))
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
