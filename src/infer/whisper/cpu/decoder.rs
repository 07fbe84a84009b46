//! The decoder: the rows of all steps go through the linear layers together, so that weights are read once for all;
//! every row attends to the tokens of its own sequence and to its own audio.

use rayon::prelude::*;

use super::{
    cache::Cache,
    embedding::Embedding,
    encoder::{Mlp, Scratch, SelfAttention},
    linear::{By, Input, Linear, Norm},
    model::Step,
};
use crate::{
    Error, Result,
    infer::{
        kernels::{Finish, Queries, attend_places},
        whisper::model::Alignment,
    },
};

#[derive(Debug)]
pub(super) struct Decoder {
    pub embedding: Embedding,
    /// `[n_text_ctx, width]`.
    pub positions: Vec<f32>,
    pub layers: Vec<DecoderLayer>,
    pub norm: Norm,
    pub n_heads: usize,
}

#[derive(Debug)]
pub(super) struct DecoderLayer {
    pub attention: SelfAttention,
    pub cross_norm: Norm,
    pub cross_queries: Linear,
    /// Keys and values of the audio in one product.
    pub cross_fused: Linear,
    pub cross_out: Linear,
    pub mlp: Mlp,
}

/// The next tokens of one cache, placed among the rows of all.
struct Fed<'a> {
    cache: &'a mut Cache,
    /// Tokens of each row.
    n: usize,
    /// Tokens of each row before these.
    start: usize,
    first_place: usize,
}

/// Hears of the queries of each layer to the audio.
type Watch<'a> = &'a mut dyn FnMut(usize, &[f32]);

impl Decoder {
    fn width(&self) -> usize {
        self.norm.gamma.len()
    }

    /// The scores that each step wants, `[n_rows, wanted.len(), n_vocab]`.
    pub(super) fn forward(&self, steps: &mut [Step<'_>], scratch: &mut Scratch) -> Result<Vec<Vec<f32>>> {
        let width = self.width();
        let x = self.run(steps, scratch, &mut |_, _| ())?;
        let mut wanted = Vec::new();
        let mut start = 0;
        for step in &*steps {
            let n = step.tokens.len() / step.cache.n_rows();
            for row in 0..step.cache.n_rows() {
                for &position in step.wanted {
                    let at = (start + row * n + position) * width;
                    wanted.extend_from_slice(&x[at..at + width]);
                }
            }
            start += step.tokens.len();
        }
        let mut scores = self.scores(&wanted, scratch);
        if steps.len() == 1 {
            return Ok(vec![scores]);
        }
        let n_vocab = self.embedding.n_vocab();
        Ok(steps
            .iter()
            .map(|step| scores.drain(..step.cache.n_rows() * step.wanted.len() * n_vocab).collect())
            .collect())
    }

    /// How one sequence attends to its audio in some heads, and its scores.
    pub(super) fn align(&self, step: Step<'_>, heads: &[(usize, usize)], scratch: &mut Scratch) -> Result<Alignment> {
        let audio = step.cache.audio.clone();
        let n = step.tokens.len() * audio.n_positions();
        let mut scores = vec![0.0; heads.len() * n];
        let mut watch = |layer: usize, queries: &[f32]| {
            for (scores, &(_, head)) in scores.chunks_exact_mut(n).zip(heads).filter(|(_, head)| head.0 == layer) {
                scores.copy_from_slice(&audio.layer(layer).scores(queries, head));
            }
        };
        let x = self.run(&mut [step], scratch, &mut watch)?;
        let logits = self.scores(&x, scratch);
        Ok(Alignment { scores, logits })
    }

    fn scores(&self, x: &[f32], scratch: &mut Scratch) -> Vec<f32> {
        self.norm.forward(x, &mut scratch.normed);
        self.embedding.scores(&scratch.normed, &mut scratch.rows)
    }

    /// The vectors of all tokens after the last layer, and the caches grown by them.
    fn run(&self, steps: &mut [Step<'_>], scratch: &mut Scratch, watch: Watch<'_>) -> Result<Vec<f32>> {
        let width = self.width();
        let n_tokens: usize = steps.iter().map(|step| step.tokens.len()).sum();
        let mut x = vec![0.0; n_tokens * width];
        let mut fed = Vec::with_capacity(steps.len());
        let mut rest = &mut x[..];
        steps.iter().try_for_each(|step| self.check(step))?;
        for step in steps {
            let start = step.cache.len();
            let n = step.tokens.len() / step.cache.n_rows();
            let first_place = step.cache.append(n);
            let (here, later) = rest.split_at_mut(step.tokens.len() * width);
            for (index, (x, &token)) in here.chunks_exact_mut(width).zip(step.tokens).enumerate() {
                self.embedding.vector(token as usize, x);
                let position = &self.positions[(start + index % n) * width..][..width];
                x.iter_mut().zip(position).for_each(|(x, position)| *x += position);
            }
            fed.push(Fed { cache: &mut *step.cache, n, start, first_place });
            rest = later;
        }
        let mut room = Room { fused: vec![0.0; x.len() * 3], mixed: vec![0.0; x.len()], queries: vec![0.0; x.len()] };
        for (index, layer) in self.layers.iter().enumerate() {
            layer.attend_to_tokens(index, &mut x, &mut fed, self.n_heads, scratch, &mut room);
            layer.attend_to_audio(index, &mut x, &fed, scratch, &mut room, watch);
            let Scratch { rows, normed, hidden, .. } = scratch;
            layer.mlp.forward(&mut x, rows, normed, hidden, By::AllThreads);
        }
        Ok(x)
    }
}

impl Decoder {
    /// Refuses what does not fit, before any cache changes.
    fn check(&self, step: &Step<'_>) -> Result<()> {
        let (n_tokens, n_rows, len) = (step.tokens.len(), step.cache.n_rows(), step.cache.len());
        let n = n_tokens / n_rows.max(1);
        if n == 0 || n * n_rows != n_tokens || step.wanted.iter().any(|&position| position >= n) {
            let wanted = step.wanted;
            return Err(Error::InvalidInput(format!(
                "{n_tokens} tokens for {n_rows} rows, of which {wanted:?} are wanted"
            )));
        }
        let limit = self.positions.len() / self.width();
        if len + n > limit {
            return Err(Error::InvalidInput(format!("a sequence of {} tokens; at most {limit} are possible", len + n)));
        }
        let n_vocab = self.embedding.n_vocab();
        match step.tokens.iter().find(|&&token| token as usize >= n_vocab) {
            Some(token) => Err(Error::InvalidInput(format!("token {token}; the vocabulary has {n_vocab}"))),
            None => Ok(()),
        }
    }
}

/// Room for one layer.
struct Room {
    fused: Vec<f32>,
    mixed: Vec<f32>,
    queries: Vec<f32>,
}

impl DecoderLayer {
    fn attend_to_tokens(
        &self,
        index: usize,
        x: &mut [f32],
        fed: &mut [Fed<'_>],
        n_heads: usize,
        scratch: &mut Scratch,
        room: &mut Room,
    ) {
        let width = self.cross_norm.gamma.len();
        let Room { fused, mixed, .. } = room;
        self.attention.norm.forward(x, &mut scratch.normed);
        let input = Input::dense(&scratch.normed, width);
        self.attention.fused.forward(input, &mut scratch.rows, fused, Finish::Set, By::AllThreads);
        let mut start = 0;
        for fed in fed {
            let n_tokens = fed.cache.n_rows() * fed.n;
            let fused = &fused[start * 3 * width..][..n_tokens * 3 * width];
            let layer = &mut fed.cache.layers[index];
            let places = fed.first_place * width..(fed.first_place + n_tokens) * width;
            let new =
                layer.keys[places.clone()].chunks_exact_mut(width).zip(layer.values[places].chunks_exact_mut(width));
            for ((key, value), fused) in new.zip(fused.chunks_exact(3 * width)) {
                key.copy_from_slice(&fused[width..2 * width]);
                value.copy_from_slice(&fused[2 * width..]);
            }
            let (cache, layer) = (&*fed.cache, &fed.cache.layers[index]);
            let attend = |(token, (mixed, fused)): (usize, (&mut [f32], &[f32]))| {
                let places = cache.places(token / fed.n, fed.start + token % fed.n);
                attend_places(mixed, &fused[..width], &layer.keys, &layer.values, places, n_heads);
            };
            let mixed = &mut mixed[start * width..][..n_tokens * width];
            if n_tokens > 2 && rayon::current_num_threads() > 1 {
                mixed.par_chunks_exact_mut(width).zip(fused.par_chunks_exact(3 * width)).enumerate().for_each(attend);
            } else {
                mixed.chunks_exact_mut(width).zip(fused.chunks_exact(3 * width)).enumerate().for_each(attend);
            }
            start += n_tokens;
        }
        let input = Input::dense(mixed, width);
        self.attention.out.forward(input, &mut scratch.rows, x, Finish::Add, By::AllThreads);
    }

    fn attend_to_audio(
        &self,
        index: usize,
        x: &mut [f32],
        fed: &[Fed<'_>],
        scratch: &mut Scratch,
        room: &mut Room,
        watch: Watch<'_>,
    ) {
        let width = self.cross_norm.gamma.len();
        let Room { mixed, queries, .. } = room;
        self.cross_norm.forward(x, &mut scratch.normed);
        let input = Input::dense(&scratch.normed, width);
        self.cross_queries.forward(input, &mut scratch.rows, queries, Finish::Set, By::AllThreads);
        watch(index, queries);
        let mut parts = Vec::with_capacity(fed.len());
        let (mut mixed_rest, mut queries_rest) = (&mut mixed[..], &queries[..]);
        for fed in fed {
            let n = fed.cache.n_rows() * fed.n * width;
            let (mixed, queries);
            (mixed, mixed_rest) = mixed_rest.split_at_mut(n);
            (queries, queries_rest) = queries_rest.split_at(n);
            parts.push((fed.cache.audio.layer(index), mixed, queries));
        }
        if parts.len() >= rayon::current_num_threads() && parts.len() > 1 {
            parts.into_par_iter().for_each_init(Queries::default, |room, (memory, mixed, queries)| {
                memory.attend(queries, (queries.len() / width, width), mixed, room, false);
            });
        } else {
            for (memory, mixed, queries) in parts {
                memory.attend(queries, (queries.len() / width, width), mixed, &mut scratch.queries, true);
            }
        }
        self.cross_out.forward(Input::dense(mixed, width), &mut scratch.rows, x, Finish::Add, By::AllThreads);
    }
}
