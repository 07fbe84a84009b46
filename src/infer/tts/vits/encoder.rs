//! The text encoder: a transformer whose attention knows how far its inputs are apart, up to a few steps.
//!
//! Source: VITS `models.py` and `attentions.py` (`TextEncoder`, `Encoder`, `MultiHeadAttention`, `FFN`).

use rayon::prelude::*;

use super::{
    conv::{Activation, Begin, Conv},
    line::Rows,
    weights::{Norm, Tensors},
};
use crate::{
    Result,
    infer::kernels::{Matrix, layer_norm, matmul_onto, softmax},
};

/// Queries that one thread works on at a time.
const QUERIES: usize = 32;
pub(super) const EPSILON: f32 = 1e-5;

/// The text encoder.
#[derive(Debug)]
pub(super) struct TextEncoder {
    /// `[n_symbols, hidden]`, scaled.
    embedding: Vec<f32>,
    hidden: usize,
    layers: Vec<Layer>,
    project: Conv,
}

#[derive(Debug)]
struct Layer {
    attention: Attention,
    first_norm: Norm,
    feed_forward: [Conv; 2],
    second_norm: Norm,
}

/// What the encoder says about a text of `n` symbols.
pub(super) struct Encoded {
    /// `[n, hidden]`.
    pub hidden: Vec<f32>,
    /// Means and logarithms of deviations, `[n, 2 * flow_size]`.
    pub prior: Vec<f32>,
}

impl TextEncoder {
    pub(super) fn load(tensors: &Tensors<'_>) -> Result<Self> {
        let table = "text_encoder.embed_tokens.weight";
        let [n_symbols, hidden] = tensors.dims(table)?;
        let scale = (hidden as f32).sqrt();
        let mut embedding = tensors.values(table, &[n_symbols, hidden])?;
        for value in &mut embedding {
            *value *= scale;
        }
        let module = |layer| format!("text_encoder.encoder.layers.{layer}");
        let n_layers = tensors.count(|layer| format!("{}.attention.q_proj", module(layer)));
        let layers = (0..n_layers).map(|layer| Layer::load(tensors, &module(layer), hidden)).collect::<Result<_>>()?;
        let [double, ..] = tensors.dims::<3>("text_encoder.project.weight")?;
        let project = tensors.conv("text_encoder.project", double, hidden, 1)?;
        Ok(Self { embedding, hidden, layers, project })
    }

    /// Channels of the encoder.
    pub(super) fn hidden(&self) -> usize {
        self.hidden
    }

    /// Channels of the flow.
    pub(super) fn flow_size(&self) -> usize {
        self.project.n_outputs() / 2
    }

    /// Symbols that it knows.
    pub(super) fn n_symbols(&self) -> usize {
        self.embedding.len() / self.hidden
    }

    /// Encodes symbols, each below [`Self::n_symbols`].
    pub(super) fn forward(&self, symbols: &[usize]) -> Encoded {
        let n = self.hidden;
        let mut hidden: Vec<f32> =
            symbols.iter().flat_map(|symbol| &self.embedding[symbol * n..(symbol + 1) * n]).copied().collect();
        for layer in &self.layers {
            hidden = layer.forward(&hidden);
        }
        let prior = self.project.all(&hidden, Activation::None);
        Encoded { hidden, prior }
    }
}

impl Layer {
    fn load(tensors: &Tensors<'_>, module: &str, hidden: usize) -> Result<Self> {
        let first = format!("{module}.feed_forward.conv_1");
        let [inner, ..] = tensors.dims::<3>(&format!("{first}.weight"))?;
        Ok(Self {
            attention: Attention::load(tensors, &format!("{module}.attention"), hidden)?,
            first_norm: tensors.norm(&format!("{module}.layer_norm"), hidden)?,
            feed_forward: [
                tensors.conv(&first, inner, hidden, 1)?,
                tensors.conv(&format!("{module}.feed_forward.conv_2"), hidden, inner, 1)?,
            ],
            second_norm: tensors.norm(&format!("{module}.final_layer_norm"), hidden)?,
        })
    }

    fn forward(&self, input: &[f32]) -> Vec<f32> {
        let mut sum = self.attention.forward(input);
        let mut normed = vec![0.0; input.len()];
        layer_norm(&mut normed, &sum, &self.first_norm.gamma, &self.first_norm.beta, EPSILON);
        let inner = self.feed_forward[0].all(&normed, Activation::None);
        let (n, steps) = (self.feed_forward[1].n_outputs(), inner.len() / self.feed_forward[0].n_outputs());
        let (rows, inner) = (Rows::all(&normed, n), Rows::all(&inner, self.feed_forward[0].n_outputs()));
        self.feed_forward[1].forward(inner, 0..steps, Activation::Leaky(0.0), Begin::Rows(rows), &mut sum);
        let mut out = normed.clone();
        layer_norm(&mut out, &sum, &self.second_norm.gamma, &self.second_norm.beta, EPSILON);
        out
    }
}

#[derive(Debug)]
struct Attention {
    query: Conv,
    key: Conv,
    value: Conv,
    output: Conv,
    /// For keys and for values: a vector for each distance, `[2 * window + 1, head_size]`.
    relative: [Vec<f32>; 2],
    window: usize,
    head_size: usize,
}

impl Attention {
    fn load(tensors: &Tensors<'_>, module: &str, hidden: usize) -> Result<Self> {
        let [one, n_places, head_size] = tensors.dims(&format!("{module}.emb_rel_k"))?;
        if one != 1 || n_places % 2 != 1 || !hidden.is_multiple_of(head_size) {
            let reason = format!(
                "{module}.emb_rel_k has shape [{one}, {n_places}, {head_size}]; expected [1, odd, a divisor of {hidden}]"
            );
            return Err(tensors.damaged(reason));
        }
        let [key, value] =
            ["k", "v"].map(|name| tensors.values(&format!("{module}.emb_rel_{name}"), &[1, n_places, head_size]));
        let conv = |name: &str| tensors.conv(&format!("{module}.{name}"), hidden, hidden, 1);
        Ok(Self {
            query: conv("q_proj")?,
            key: conv("k_proj")?,
            value: conv("v_proj")?,
            output: conv("out_proj")?,
            relative: [key?, value?],
            window: n_places / 2,
            head_size,
        })
    }

    /// The input and what attention adds to it.
    fn forward(&self, input: &[f32]) -> Vec<f32> {
        let n = self.output.n_outputs();
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|conv| conv.all(input, Activation::None));
        let mut mixed = vec![0.0; input.len()];
        mixed.par_chunks_mut(QUERIES * n).enumerate().for_each_init(Vec::new, |scores, (index, out)| {
            for head in 0..n / self.head_size {
                self.head(head, index * QUERIES, [&query, &key, &value], out, scores);
            }
        });
        let mut out = vec![0.0; input.len()];
        let rows = Rows::all(input, n);
        self.output.forward(Rows::all(&mixed, n), 0..rows.total, Activation::None, Begin::Rows(rows), &mut out);
        out
    }

    /// One head of some queries, the first of which is `first`.
    fn head(
        &self,
        head: usize,
        first: usize,
        [query, key, value]: [&[f32]; 3],
        out: &mut [f32],
        scores: &mut Vec<f32>,
    ) {
        let (n, size) = (self.output.n_outputs(), self.head_size);
        let (n_queries, n_keys) = (out.len() / n, key.len() / n);
        let part = |data, rows| Matrix { data, rows, columns: size, row_stride: n, column_stride: 1 };
        let queries = &query[first * n + head * size..];
        let scale = 1.0 / (size as f32).sqrt();
        scores.clear();
        scores.resize(n_queries * n_keys, 0.0);
        let keys = part(&key[head * size..], n_keys).transposed();
        matmul_onto(scores, n_keys, false, part(queries, n_queries), keys, scale, false);
        for (row, scores) in scores.chunks_exact_mut(n_keys).enumerate() {
            let query = &queries[row * n..][..size];
            for (place, score) in self.near(first + row, n_keys) {
                let relative = &self.relative[0][place * size..][..size];
                scores[score] += scale * query.iter().zip(relative).map(|(a, b)| a * b).sum::<f32>();
            }
        }
        softmax(scores, n_keys);
        let out = &mut out[head * size..];
        let weights = Matrix::dense(scores, n_queries, n_keys);
        matmul_onto(out, n, false, weights, part(&value[head * size..], n_keys), 1.0, false);
        for (row, scores) in scores.chunks_exact(n_keys).enumerate() {
            for (place, score) in self.near(first + row, n_keys) {
                let relative = &self.relative[1][place * size..][..size];
                for (out, value) in out[row * n..].iter_mut().zip(relative) {
                    *out += scores[score] * value;
                }
            }
        }
    }

    /// The keys near a query: their place in the window, and which they are.
    fn near(&self, query: usize, n_keys: usize) -> impl Iterator<Item = (usize, usize)> {
        let window = self.window;
        (0..=2 * window).filter_map(move |place| {
            let key = (query + place).checked_sub(window).filter(|key| *key < n_keys)?;
            Some((place, key))
        })
    }
}
