//! The decoder for many sequences at once, whatever their lengths: each token knows its place in its cache.

use super::{
    model::{Feed, Model},
    plan::{Items, Laid, part},
    step::Observed,
    weights::{Attention, DecoderLayer, Mlp, Norm},
};
use crate::{
    Error, Result,
    infer::{
        cuda::{Append, Attend, BiasGelu, Element, Embed, Gpu, HEAD, LayerNorm, Memory, Multiply, Scores, Span},
        ops::EPSILON,
    },
};

/// What tokens are worked on in; tokens that follow each other share it.
pub(super) struct Room {
    x: Memory,
    normalised: Memory,
    /// Queries, keys and values.
    projected: Memory,
    mixed: Memory,
    /// What is in between in the perceptrons.
    hidden: Memory,
    /// Parts of softmaxes.
    partial: Memory,
    /// The scores after the wanted tokens, `[n, n_vocab]` in f32.
    pub logits: Memory,
    /// Elements of the keys of a layer in a cache.
    plane: usize,
}

/// A token of each sequence in work: launches alone.
pub(super) struct Pass<'a> {
    pub model: &'a Model,
    pub laid: &'a Laid,
    pub parcel: &'a Memory,
    pub room: &'a Room,
}

impl Room {
    /// Room for any one of `laid`.
    pub(super) fn new(model: &Model, laid: &[Laid], feeds: &[&mut Feed<'_>]) -> Result<Self> {
        let (gpu, width) = (&model.gpu, model.dimensions.width);
        let plane = feeds.first().map_or(0, |feed| feed.cache.shape().plane());
        if feeds.iter().any(|feed| feed.cache.shape().plane() != plane) {
            return Err(Error::Model { source: "caches of different sizes in one step".into() });
        }
        let most = |n: &dyn Fn(&Laid) -> usize| laid.iter().map(n).max().unwrap_or_default();
        let (n_tokens, n_wanted) = (most(&|laid| laid.n_tokens), most(&|laid| laid.n_wanted));
        let n_partial = most(&|laid| {
            let n_splits = laid.own.n_splits.max(laid.heard.n_splits);
            Attend::n_partial_bytes(laid.n_tokens, width, n_splits)
        });
        let hidden = model.weights.decoder.iter().map(|layer| layer.mlp.up.n_outputs).max().unwrap_or_default();
        let room = |n_rows: usize, n: usize| Memory::new(gpu, n_rows * n * gpu.element().n_bytes());
        Ok(Self {
            x: room(n_tokens, width)?,
            // The scores after one token may be wanted more than once.
            normalised: room(n_tokens.max(n_wanted), width)?,
            projected: room(n_tokens, 3 * width)?,
            mixed: room(n_tokens, width)?,
            hidden: room(n_tokens, hidden)?,
            partial: Memory::new(gpu, n_partial)?,
            logits: Memory::new(gpu, n_wanted * model.dimensions.n_vocab * 4)?,
            plane,
        })
    }
}

impl Pass<'_> {
    /// Feeds tokens; the scores after the wanted ones are in the room then.
    pub(super) fn run(&self, tokens: Span<'_>, observed: Option<&Observed<'_>>) -> Result<()> {
        self.embed(tokens)?;
        for (index, layer) in self.model.weights.decoder.iter().enumerate() {
            self.layer(index, layer, observed)?;
        }
        self.logits()
    }

    fn gpu(&self) -> &dyn Gpu {
        &*self.model.gpu
    }

    fn embed(&self, tokens: Span<'_>) -> Result<()> {
        Embed {
            out: self.room.x.all(),
            tokens,
            positions: part(self.parcel, &self.laid.positions)?,
            embedding: self.model.weights.embedding.all(),
            table: self.model.weights.text_positions.all(),
            n_tokens: self.laid.n_tokens,
            width: self.model.dimensions.width,
        }
        .run(self.gpu())
    }

    fn layer(&self, index: usize, layer: &DecoderLayer, observed: Option<&Observed<'_>>) -> Result<()> {
        self.attend_to_tokens(index, &layer.attention)?;
        self.attend_to_audio(index, &layer.cross, observed)?;
        self.transform(&layer.mlp)
    }

    fn attend_to_tokens(&self, index: usize, layer: &Attention) -> Result<()> {
        let (width, plane) = (self.model.dimensions.width, self.room.plane);
        self.normalise(&layer.norm, &layer.out.bias)?;
        self.product(layer, self.room.projected.all())?;
        Append {
            projected: self.room.projected.all(),
            places: part(self.parcel, &self.laid.places)?,
            layer_offset: index * 2 * plane,
            value_offset: plane,
            n_tokens: self.laid.n_tokens,
            width,
        }
        .run(self.gpu())?;
        self.attend(layer, &self.laid.own, [index * 2 * plane, plane, width, 3 * width])
    }

    fn attend_to_audio(&self, index: usize, layer: &Attention, observed: Option<&Observed<'_>>) -> Result<()> {
        let width = self.model.dimensions.width;
        self.normalise(&layer.norm, &layer.out.bias)?;
        self.product(layer, self.room.projected.all())?;
        if let Some(observed) = observed {
            self.observe(index, layer, observed)?;
        }
        let key_stride = self.model.dimensions.n_decoder_layers * 2 * width;
        self.attend(layer, &self.laid.heard, [index * 2 * width, width, key_stride, width])
    }

    fn product(&self, layer: &Attention, out: Span<'_>) -> Result<()> {
        self.model.product(&layer.project, self.room.normalised.all(), out, self.laid.n_tokens, false)
    }

    fn attend(
        &self,
        layer: &Attention,
        items: &Items,
        [layer_offset, value_offset, key_stride, query_stride]: [usize; 4],
    ) -> Result<()> {
        Attend {
            out: self.room.mixed.all(),
            queries: self.room.projected.all(),
            bias: layer.project.bias.all(),
            items: part(self.parcel, &items.place)?,
            partial: self.room.partial.all(),
            n_single_items: items.n_single,
            n_items: items.n,
            n_queries: self.laid.n_tokens,
            n_splits: items.n_splits,
            layer_offset,
            value_offset,
            key_stride,
            query_stride,
            width: self.model.dimensions.width,
        }
        .run(self.gpu())?;
        self.model.product(&layer.out, self.room.mixed.all(), self.room.x.all(), self.laid.n_tokens, true)
    }

    /// Keeps the scores of the heads of this layer that are wanted.
    fn observe(&self, index: usize, layer: &Attention, observed: &Observed<'_>) -> Result<()> {
        let (width, size) = (self.model.dimensions.width, self.gpu().element().n_bytes());
        let key_stride = self.model.dimensions.n_decoder_layers * 2 * width;
        let n_bytes = self.laid.n_tokens * observed.audio.n_positions * 4;
        let keys = observed.audio.memory.all();
        for (slot, &(_, head)) in observed.heads.iter().enumerate().filter(|(_, (layer, _))| *layer == index) {
            let offset = (index * 2 * width + head * HEAD) * size;
            Scores {
                out: observed.scores.span(slot * n_bytes, n_bytes)?,
                queries: self
                    .room
                    .projected
                    .span(head * HEAD * size, self.room.projected.all().n_bytes() - head * HEAD * size)?,
                bias: layer.project.bias.span(head * HEAD * 4, HEAD * 4)?,
                keys: keys.span(offset, keys.n_bytes().saturating_sub(offset))?,
                key_stride,
                query_stride: width,
                n_queries: self.laid.n_tokens,
                n_keys: observed.audio.n_positions,
            }
            .run(self.gpu())?;
        }
        Ok(())
    }

    fn transform(&self, mlp: &Mlp) -> Result<()> {
        self.normalise(&mlp.norm, &mlp.down.bias)?;
        let (x, bias, table) = (self.room.hidden.all(), mlp.up.bias.all(), None);
        self.model.product(&mlp.up, self.room.normalised.all(), x, self.laid.n_tokens, false)?;
        let (n_windows, window_stride, n_rows, width) = (1, 0, self.laid.n_tokens, mlp.up.n_outputs);
        BiasGelu { x, bias, table, n_windows, window_stride, n_rows, width }.run(self.gpu())?;
        self.model.product(&mlp.down, x, self.room.x.all(), self.laid.n_tokens, true)
    }

    fn normalise(&self, norm: &Norm, next_bias: &Memory) -> Result<()> {
        self.layer_norm(norm, None, Some(next_bias.all()), self.laid.n_tokens)
    }

    fn layer_norm(&self, norm: &Norm, rows: Option<Span<'_>>, bias: Option<Span<'_>>, n_rows: usize) -> Result<()> {
        LayerNorm {
            out: self.room.normalised.all(),
            x: self.room.x.all(),
            rows,
            gamma: norm.gamma.all(),
            beta: norm.beta.all(),
            bias,
            n_rows,
            width: self.model.dimensions.width,
            epsilon: EPSILON,
        }
        .run(self.gpu())
    }

    /// Scores for tokens after the wanted ones of those fed.
    fn logits(&self) -> Result<()> {
        let (width, n_vocab) = (self.model.dimensions.width, self.model.dimensions.n_vocab);
        let wanted = part(self.parcel, &self.laid.wanted)?;
        self.layer_norm(&self.model.weights.decoder_norm, Some(wanted), None, self.laid.n_wanted)?;
        Multiply {
            out: self.room.logits.all(),
            left: self.room.normalised.all(),
            right: self.model.weights.embedding.all(),
            n_rows: self.laid.n_wanted,
            n_columns: n_vocab,
            n_inner: width,
            row_strides: [n_vocab, width, width],
            strides: [0; 3],
            n_products: 1,
            out_element: Element::F32,
            accumulates: false,
        }
        .run(self.gpu())
    }
}
