//! Scaled dot-product attention in tiles of queries, so that scores stay in the cache and never exist as a whole
//! (for a 30 s window of Whisper tiny they would be 54 MB a layer).

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    matmul::{Matrix, dot, matmul_onto},
    pointwise::{softmax, softmax_row},
};

/// Queries in a tile: 128 x 1500 scores are 768 KB, about an L2 cache.
const TILE: usize = 128;
/// At most so many queries go through plain dot products instead of the matrix product.
const FEW_QUERIES: usize = 8;

/// `[n_rows, n_positions, n_heads * head_size]` inside a slice, the last dimension dense.
#[derive(Clone, Copy)]
pub(in crate::infer) struct Heads<'a> {
    /// The values, from the first one used.
    pub data: &'a [f32],
    /// Number of positions.
    pub n_positions: usize,
    /// Distance between batch rows, in elements.
    pub row_stride: usize,
    /// Distance between positions, in elements.
    pub position_stride: usize,
}

impl<'a> Heads<'a> {
    fn matrix(self, row: usize, positions: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Matrix<'a> {
        Matrix {
            data: &self.data[row * self.row_stride + positions.start * self.position_stride + columns.start..],
            rows: positions.len(),
            columns: columns.len(),
            row_stride: self.position_stride,
            column_stride: 1,
        }
    }

    #[inline(always)]
    fn vector(self, row: usize, position: usize, columns: std::ops::Range<usize>) -> &'a [f32] {
        let start = row * self.row_stride + position * self.position_stride;
        &self.data[start + columns.start..start + columns.end]
    }
}

/// One attention over several batch rows.
#[derive(Clone, Copy)]
pub(in crate::infer) struct Attention<'a> {
    /// What asks.
    pub queries: Heads<'a>,
    /// What is compared with.
    pub keys: Heads<'a>,
    /// What is mixed.
    pub values: Heads<'a>,
    /// Number of heads, which divide the width evenly.
    pub n_heads: usize,
    /// `n_heads * head_size`.
    pub width: usize,
    /// With `Some(offset)`, query `i` sees keys up to `offset + i`; with `None`, all.
    pub causal: Option<usize>,
}

impl Attention<'_> {
    fn visible(&self, query: usize) -> usize {
        self.causal.map_or(self.keys.n_positions, |offset| (offset + query + 1).min(self.keys.n_positions))
    }
}

/// Computes the attention into `out`, dense `[n_rows, n_queries, width]`.
pub(in crate::infer) fn attention(out: &mut [f32], attention: &Attention<'_>) {
    let n_queries = attention.queries.n_positions;
    let head_size = attention.width / attention.n_heads;
    if n_queries <= FEW_QUERIES {
        out.par_chunks_mut(head_size).enumerate().for_each_init(Vec::new, |scores, (index, out)| {
            let (query, head) = (index / attention.n_heads, index % attention.n_heads);
            let position = (query / n_queries, query % n_queries);
            Arch::new().dispatch(OneQuery { out, attention, head, position, scores });
        });
        return;
    }
    for (row, out) in out.chunks_exact_mut(n_queries * attention.width).enumerate() {
        let tile = TILE.min(n_queries.div_ceil(rayon::current_num_threads())).max(1);
        out.par_chunks_mut(tile * attention.width).enumerate().for_each_init(Vec::new, |scores, (index, out)| {
            let queries = index * tile..(index * tile + tile).min(n_queries);
            for head in 0..attention.n_heads {
                one_tile(out, attention, head, row, queries.clone(), scores);
            }
        });
    }
}

fn one_tile(
    out: &mut [f32],
    attention: &Attention<'_>,
    head: usize,
    row: usize,
    queries: std::ops::Range<usize>,
    scores: &mut Vec<f32>,
) {
    let head_size = attention.width / attention.n_heads;
    let columns = head * head_size..(head + 1) * head_size;
    let n_keys = attention.visible(queries.end - 1);
    scores.resize(queries.len() * n_keys, 0.0);
    let asked = attention.queries.matrix(row, queries.clone(), columns.clone());
    let keys = attention.keys.matrix(row, 0..n_keys, columns.clone());
    let scale = 1.0 / (head_size as f32).sqrt();
    matmul_onto(scores, n_keys, false, asked, keys.transposed(), scale, false);
    if attention.causal.is_some() {
        for (query, scores) in queries.clone().zip(scores.chunks_exact_mut(n_keys)) {
            scores[attention.visible(query)..].fill(f32::NEG_INFINITY);
        }
    }
    softmax(scores, n_keys);
    let weights = Matrix::dense(scores, queries.len(), n_keys);
    let values = attention.values.matrix(row, 0..n_keys, columns.clone());
    matmul_onto(&mut out[columns.start..], attention.width, false, weights, values, 1.0, false);
}

/// One head of one query, without the matrix product's set-up.
struct OneQuery<'a> {
    out: &'a mut [f32],
    attention: &'a Attention<'a>,
    head: usize,
    /// Batch row and query.
    position: (usize, usize),
    scores: &'a mut Vec<f32>,
}

impl WithSimd for OneQuery<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { out, attention, head, position: (row, query), scores } = self;
        let head_size = out.len();
        let columns = head * head_size..(head + 1) * head_size;
        let scale = 1.0 / (head_size as f32).sqrt();
        let asked = attention.queries.vector(row, query, columns.clone());
        scores.clear();
        for key in 0..attention.visible(query) {
            scores.push(scale * dot(simd, asked, attention.keys.vector(row, key, columns.clone())));
        }
        softmax_row(scores);
        out.fill(0.0);
        for (key, &weight) in scores.iter().enumerate() {
            for (out, value) in out.iter_mut().zip(attention.values.vector(row, key, columns.clone())) {
                *out += weight * value;
            }
        }
    }
}

/// Attention of one query over keys and values that lie scattered in two arrays of vectors, such as the tokens of one
/// of several beams: the position `i` is vector `places[i]`.
pub(in crate::infer) fn attend_places(
    out: &mut [f32],
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    places: &[u32],
    n_heads: usize,
) {
    Arch::new().dispatch(Scattered { out, query, keys, values, places, n_heads });
}

struct Scattered<'a> {
    out: &'a mut [f32],
    query: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    places: &'a [u32],
    n_heads: usize,
}

impl WithSimd for Scattered<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { out, query, keys, values, places, n_heads } = self;
        let width = out.len();
        let head_size = width / n_heads;
        let scale = 1.0 / (head_size as f32).sqrt();
        let mut scores = Vec::with_capacity(places.len());
        for (head, (out, query)) in out.chunks_exact_mut(head_size).zip(query.chunks_exact(head_size)).enumerate() {
            let at = |place: u32| place as usize * width + head * head_size;
            scores.clear();
            // A closure, as `extend` would take, is not compiled for the instructions that were found.
            for &place in places {
                scores.push(scale * dot(simd, query, &keys[at(place)..][..head_size]));
            }
            softmax_row(&mut scores);
            out.fill(0.0);
            for (&place, &weight) in places.iter().zip(&scores) {
                for (out, value) in out.iter_mut().zip(&values[at(place)..][..head_size]) {
                    *out += weight * value;
                }
            }
        }
    }
}
