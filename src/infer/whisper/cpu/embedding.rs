//! The tokens' embedding: it turns tokens into vectors, and vectors into scores for tokens.
//!
//! Of all matrices this one suffers most from 8 bits, and they hurt only where scores are high: the tokens that look
//! likely in 8 bits are scored again with weights that are kept in 16-bit floats, in which most models come.

use half::{f16, slice::HalfFloatSliceExt};

use super::linear::{By, Input, Linear};
use crate::infer::kernels::{self, Finish, Rows};

/// How far below the likeliest token, nats, others are scored again: as far as there are no more than [`MAX_LIKELY`].
const MARGINS: [f32; 5] = [12.0, 8.0, 5.0, 3.0, 1.5];
/// Most tokens that are scored again. Where more are about equally likely, all scores stay as they are.
const MAX_LIKELY: usize = 160;
/// Tokens whose largest score is looked at before theirs.
const PIECE: usize = 64;

#[derive(Debug)]
pub(super) struct Embedding {
    /// Scores of all tokens.
    pub all: Linear,
    /// The weights, `[n_vocab, width]`, where `all` has them in 8 bits; else empty.
    pub exact: Vec<f16>,
}

/// Room for the tokens that are scored again.
#[derive(Default)]
struct Again {
    tokens: Vec<usize>,
    weights: Vec<f32>,
    scores: Vec<f32>,
}

impl Embedding {
    /// Number of tokens.
    pub(super) fn n_vocab(&self) -> usize {
        self.all.n_outputs()
    }

    /// The vector of one token.
    pub(super) fn vector(&self, token: usize, out: &mut [f32]) {
        let at = token * out.len()..(token + 1) * out.len();
        match &self.all {
            Linear::Float(float) => out.copy_from_slice(&float.weight[at]),
            Linear::Integer(_) => self.exact[at].convert_to_f32_slice(out),
        }
    }

    /// The scores of all tokens for every vector, `[n_rows, n_vocab]`. `rows` is room.
    pub(super) fn scores(&self, vectors: &[f32], rows: &mut Rows) -> Vec<f32> {
        let (width, n_vocab) = (self.all.n_inputs(), self.n_vocab());
        let mut scores = vec![0.0; vectors.len() / width * n_vocab];
        self.all.forward(Input::dense(vectors, width), rows, &mut scores, Finish::Set, By::AllThreads);
        if !self.exact.is_empty() {
            let mut again = Again::default();
            for (vector, scores) in vectors.chunks_exact(width).zip(scores.chunks_exact_mut(n_vocab)) {
                self.score_again(vector, scores, &mut again);
            }
        }
        scores
    }

    fn score_again(&self, vector: &[f32], scores: &mut [f32], again: &mut Again) {
        let width = vector.len();
        find_likely(scores, &mut again.tokens);
        if again.tokens.is_empty() {
            return;
        }
        again.weights.resize(again.tokens.len() * width, 0.0);
        for (weights, &token) in again.weights.chunks_exact_mut(width).zip(&again.tokens) {
            self.vector(token, weights);
        }
        again.scores.clear();
        again.scores.resize(again.tokens.len(), 0.0);
        kernels::matvec(&mut again.scores, vector, &again.weights, width);
        for (&token, &score) in again.tokens.iter().zip(&again.scores) {
            scores[token] = score;
        }
    }
}

/// The tokens that are worth a second look.
fn find_likely(scores: &[f32], found: &mut Vec<usize>) {
    let mut of_pieces = vec![f32::NEG_INFINITY; scores.len().div_ceil(PIECE)];
    kernels::largest_of_pieces(scores, PIECE, &mut of_pieces);
    let of_all = kernels::largest(&of_pieces);
    for margin in MARGINS {
        let least = of_all - margin;
        found.clear();
        for (piece, _) in of_pieces.iter().enumerate().filter(|(_, largest)| **largest >= least) {
            let tokens = piece * PIECE..(piece * PIECE + PIECE).min(scores.len());
            found.extend(tokens.filter(|token| scores[*token] >= least));
            if found.len() > MAX_LIKELY {
                break;
            }
        }
        if found.len() <= MAX_LIKELY {
            return;
        }
    }
    found.clear();
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;
    use crate::infer::kernels::{Numbers, Packed};

    #[test]
    fn likely_tokens_have_the_scores_of_the_weights_as_they_are() {
        let (n_vocab, width) = (700, 48);
        let random = |n: u32| (n.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
        let weight: Vec<f32> = (0..(n_vocab * width) as u32).map(|n| f16::from_f32(3.0 * random(n)).to_f32()).collect();
        let mut packed = Packed::zeros(n_vocab, width, Numbers::Bytes);
        packed.panels_mut().for_each(|mut panel| {
            let outputs = panel.outputs.clone();
            panel.fill(&weight[outputs.start * width..outputs.end * width], &[]);
        });
        let embedding = Embedding {
            all: Linear::Integer(packed),
            exact: weight.iter().map(|&weight| f16::from_f32(weight)).collect(),
        };
        let vectors: Vec<f32> = (0..2 * width).map(|n| (n as f32).cos()).collect();
        let scores = embedding.scores(&vectors, &mut Rows::default());
        for (vector, scores) in vectors.chunks_exact(width).zip(scores.chunks_exact(n_vocab)) {
            let exact: Vec<f32> =
                weight.chunks_exact(width).map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect();
            let of_all = exact.iter().copied().fold(0.0, f32::max);
            let n_exact = exact.iter().zip(scores).filter(|(a, b)| (**a - **b).abs() < 1e-3).count();
            for (exact, score) in exact.iter().zip(scores) {
                let tolerance = if *exact > of_all - 2.5 { 1e-3 } else { 1.0 };
                assert!((exact - score).abs() < tolerance, "{score} is not {exact}; the largest is {of_all}");
            }
            assert!(n_exact < n_vocab / 2, "{n_exact} scores are those of the weights as they are");
        }
        let mut vector = vec![0.0; width];
        embedding.vector(3, &mut vector);
        assert_eq!(vector, weight[3 * width..4 * width]);
    }

    #[test]
    fn a_few_tokens_of_many_are_looked_at_again() {
        let mut found = Vec::new();
        let mut scores = vec![-20.0; 1000];
        (scores[3], scores[999], scores[500]) = (5.0, 1.0, -6.0);
        find_likely(&scores, &mut found);
        assert_eq!(found, [3, 500, 999]);
        // 200 tokens are within 12 and within 8, 100 of them within 5.
        scores[..100].fill(4.0);
        scores[100..200].fill(-1.5);
        scores[999] = -20.0;
        find_likely(&scores, &mut found);
        assert_eq!(found, (0..100).collect::<Vec<_>>());
        // Equal ones, and no numbers at all.
        for scores in [vec![1.0; 1000], vec![f32::NAN; 1000], Vec::new()] {
            find_likely(&scores, &mut found);
            assert!(found.is_empty());
        }
    }
}
