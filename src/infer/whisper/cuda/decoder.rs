//! One step of the decoder for many sequences at once, whatever their lengths: each token knows its place in its cache.

use std::sync::Arc;

use super::{
    cache::{Audio, Cache},
    model::{Feed, Masks, Model},
    weights::{Attention, DecoderLayer, Mlp, Norm},
};
use crate::{
    Error, Result,
    infer::{
        cuda::{
            Append, Attend, AttendItem, BiasGelu, Choose, ChooseResult, ChooseRule, Element, Embed, Gpu, HEAD,
            LayerNorm, MAX_QUERIES, Memory, Multiply, Plain, Scores, Span,
        },
        ops::EPSILON,
    },
};

/// What is fed, as the kernels read it.
#[derive(Debug, Default)]
struct Plan {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    /// Where each token's keys go.
    places: Vec<u64>,
    /// Attention over the tokens so far, and over the audio: first the items of one query.
    own: Vec<AttendItem>,
    heard: Vec<AttendItem>,
    /// Most keys of an item of each.
    n_own: usize,
    n_heard: usize,
    /// The tokens after which scores are wanted.
    wanted: Vec<u32>,
}

/// Heads whose scores are kept, as `align` wants them.
pub(super) struct Observed<'a> {
    pub heads: &'a [(usize, usize)],
    pub audio: &'a Audio,
    /// `[heads.len(), n_tokens, n_positions]` in f32.
    pub scores: &'a Memory,
}

/// A step in work.
struct Pass<'a> {
    model: &'a Model,
    gpu: &'a Arc<dyn Gpu>,
    n_tokens: usize,
    capacity_elements: usize,
    own: Items,
    heard: Items,
    places: Memory,
    x: Memory,
    normalised: Memory,
    /// Queries, keys and values.
    projected: Memory,
    mixed: Memory,
    /// What is in between in the perceptrons.
    hidden: Memory,
    /// Parts of softmaxes.
    partial: Memory,
}

/// Items of an attention, in the GPU's memory.
struct Items {
    memory: Memory,
    n: usize,
    n_single: usize,
    n_splits: usize,
}

impl Model {
    /// Feeds tokens; returns the scores after the wanted ones, `[n, n_vocab]` in f32, and their number.
    pub(super) fn step(&self, feeds: &mut [Feed<'_>], observed: Option<&Observed<'_>>) -> Result<(Memory, usize)> {
        let plan = self.plan(feeds)?;
        let pass = Pass::new(self, &plan, feeds)?;
        pass.embed(&plan)?;
        for (index, layer) in self.weights.decoder.iter().enumerate() {
            pass.layer(index, layer, observed)?;
        }
        let logits = pass.logits(&plan.wanted)?;
        for feed in feeds {
            let n = feed.tokens.len() / feed.cache.n_rows();
            feed.cache.advance(n);
        }
        Ok((logits, plan.wanted.len()))
    }

    /// Checks what is fed, and lays it out.
    fn plan(&self, feeds: &[Feed<'_>]) -> Result<Plan> {
        let mut plan = Plan::default();
        for feed in feeds {
            let n = self.check(feed)?;
            let (len, first) = (feed.cache.len(), plan.tokens.len());
            for row in 0..feed.cache.n_rows() {
                for i in (0..n).step_by(MAX_QUERIES) {
                    plan.own.push(AttendItem {
                        keys: feed.cache.place(row, 0),
                        n_keys: (len + i + 1) as i32,
                        step: 1,
                        first_query: (first + row * n + i) as i32,
                        n_queries: MAX_QUERIES.min(n - i) as i32,
                    });
                }
                plan.positions.extend((len..len + n).map(|position| position as u32));
                plan.places.extend((len..len + n).map(|position| feed.cache.place(row, position)));
                plan.wanted.extend(feed.wanted.iter().map(|i| (first + row * n + i) as u32));
            }
            plan.tokens.extend(feed.tokens);
            let audio = feed.cache.audio();
            for i in (0..feed.tokens.len()).step_by(MAX_QUERIES) {
                plan.heard.push(AttendItem {
                    keys: audio.memory.all().start(),
                    n_keys: audio.n_positions as i32,
                    step: 0,
                    first_query: (first + i) as i32,
                    n_queries: MAX_QUERIES.min(feed.tokens.len() - i) as i32,
                });
            }
            plan.n_own = plan.n_own.max(len + n);
            plan.n_heard = plan.n_heard.max(audio.n_positions);
        }
        plan.own.sort_by_key(|item| item.n_queries > 1);
        plan.heard.sort_by_key(|item| item.n_queries > 1);
        Ok(plan)
    }

    /// How many tokens each row gets.
    fn check(&self, feed: &Feed<'_>) -> Result<usize> {
        let (n_rows, len, capacity) = (feed.cache.n_rows(), feed.cache.len(), feed.cache.shape().capacity);
        let n = feed.tokens.len() / n_rows;
        let n_vocab = self.dimensions.n_vocab;
        let reason = if n == 0 || feed.tokens.len() != n * n_rows {
            format!("{} tokens for {n_rows} rows", feed.tokens.len())
        } else if len + n > capacity {
            format!("{} tokens do not fit into {capacity} positions", len + n)
        } else if let Some(token) = feed.tokens.iter().find(|token| **token as usize >= n_vocab) {
            format!("token {token} of {n_vocab}")
        } else if let Some(wanted) = feed.wanted.iter().find(|wanted| **wanted >= n) {
            format!("the scores after token {wanted} of {n}")
        } else {
            return Ok(n);
        };
        Err(Error::Model { source: reason.into() })
    }

    /// How `tokens`, fed as one sequence, attend to the audio in some heads, `[heads.len(), tokens.len(), n_positions]`
    /// before the softmax, and the scores of the next token after each, `[tokens.len(), n_vocab]`.
    pub(in crate::infer::whisper) fn align(
        &self,
        audio: &Audio,
        tokens: &[u32],
        heads: &[(usize, usize)],
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let capacity = tokens.len().min(self.dimensions.n_text_ctx);
        let mut cache = Cache::new(&self.gpu, audio, self.shape(capacity), 1)?;
        let n_scores = heads.len() * tokens.len() * audio.n_positions;
        let scores = Memory::new(&self.gpu, n_scores * 4)?;
        let wanted: Vec<usize> = (0..tokens.len()).collect();
        let mut feeds = [Feed { cache: &mut cache, tokens, wanted: &wanted }];
        let (logits, n) = self.step(&mut feeds, Some(&Observed { heads, audio, scores: &scores }))?;
        Ok((scores.all().download(n_scores)?, logits.all().download(n * self.dimensions.n_vocab)?))
    }

    /// The likeliest allowed token of each row of scores.
    pub(super) fn choose_of(
        &self,
        logits: &Memory,
        n_rows: usize,
        rules: &[ChooseRule],
        masks: &Masks,
        timestamp_begin: usize,
    ) -> Result<Vec<ChooseResult>> {
        let out = Memory::new(&self.gpu, n_rows * size_of::<ChooseResult>())?;
        Choose {
            out: out.all(),
            logits: logits.all(),
            rules: Memory::of(&self.gpu, rules)?.all(),
            masks: masks.memory.all(),
            n_rows,
            n_vocab: self.dimensions.n_vocab,
            timestamp_begin,
        }
        .run(&*self.gpu)?;
        out.all().download(n_rows)
    }
}

impl Items {
    fn new(gpu: &Arc<dyn Gpu>, items: &[AttendItem], width: usize, n_keys: usize) -> Result<Self> {
        let n_single = items.iter().filter(|item| item.n_queries == 1).count();
        let n_splits = Attend::n_splits(&**gpu, items.len(), width, n_keys);
        Ok(Self { memory: Memory::of(gpu, items)?, n: items.len(), n_single, n_splits })
    }
}

impl<'a> Pass<'a> {
    fn new(model: &'a Model, plan: &Plan, feeds: &[Feed<'_>]) -> Result<Self> {
        let (gpu, width, n_tokens) = (&model.gpu, model.dimensions.width, plan.tokens.len());
        let size = gpu.element().n_bytes();
        let hidden = model.weights.decoder.iter().map(|layer| layer.mlp.up.n_outputs).max().unwrap_or_default();
        let room = |n: usize| Memory::new(gpu, n_tokens * n * size);
        let capacity_elements = feeds.first().map_or(0, |feed| feed.cache.shape().plane());
        if feeds.iter().any(|feed| feed.cache.shape().plane() != capacity_elements) {
            return Err(Error::Model { source: "caches of different sizes in one step".into() });
        }
        let own = Items::new(gpu, &plan.own, width, plan.n_own)?;
        let heard = Items::new(gpu, &plan.heard, width, plan.n_heard)?;
        let partial = Attend::n_partial_bytes(n_tokens, width, own.n_splits).max(Attend::n_partial_bytes(
            n_tokens,
            width,
            heard.n_splits,
        ));
        Ok(Self {
            model,
            gpu,
            n_tokens,
            capacity_elements,
            own,
            heard,
            places: Memory::of(gpu, &plan.places)?,
            x: room(width)?,
            normalised: room(width)?,
            projected: room(3 * width)?,
            mixed: room(width)?,
            hidden: room(hidden)?,
            partial: Memory::new(gpu, partial)?,
        })
    }

    fn embed(&self, plan: &Plan) -> Result<()> {
        Embed {
            out: self.x.all(),
            tokens: self.upload(&plan.tokens)?.all(),
            positions: self.upload(&plan.positions)?.all(),
            embedding: self.model.weights.embedding.all(),
            table: self.model.weights.text_positions.all(),
            n_tokens: self.n_tokens,
            width: self.model.dimensions.width,
        }
        .run(&**self.gpu)
    }

    fn upload<T: Plain>(&self, values: &[T]) -> Result<Memory> {
        Memory::of(self.gpu, values)
    }

    fn layer(&self, index: usize, layer: &DecoderLayer, observed: Option<&Observed<'_>>) -> Result<()> {
        self.attend_to_tokens(index, &layer.attention)?;
        self.attend_to_audio(index, &layer.cross, observed)?;
        self.transform(&layer.mlp)
    }

    fn attend_to_tokens(&self, index: usize, layer: &Attention) -> Result<()> {
        let (width, plane) = (self.model.dimensions.width, self.capacity_elements);
        self.normalise(&layer.norm, &layer.out.bias)?;
        self.product(layer, self.projected.all())?;
        Append {
            projected: self.projected.all(),
            places: self.places.all(),
            layer_offset: index * 2 * plane,
            value_offset: plane,
            n_tokens: self.n_tokens,
            width,
        }
        .run(&**self.gpu)?;
        self.attend(layer, &self.own, [index * 2 * plane, plane, width, 3 * width])
    }

    fn attend_to_audio(&self, index: usize, layer: &Attention, observed: Option<&Observed<'_>>) -> Result<()> {
        let width = self.model.dimensions.width;
        self.normalise(&layer.norm, &layer.out.bias)?;
        self.product(layer, self.projected.all())?;
        if let Some(observed) = observed {
            self.observe(index, layer, observed)?;
        }
        let key_stride = self.model.dimensions.n_decoder_layers * 2 * width;
        self.attend(layer, &self.heard, [index * 2 * width, width, key_stride, width])
    }

    fn product(&self, layer: &Attention, out: Span<'_>) -> Result<()> {
        self.model.product(&layer.project, self.normalised.all(), out, self.n_tokens, false)
    }

    fn attend(
        &self,
        layer: &Attention,
        items: &Items,
        [layer_offset, value_offset, key_stride, query_stride]: [usize; 4],
    ) -> Result<()> {
        Attend {
            out: self.mixed.all(),
            queries: self.projected.all(),
            bias: layer.project.bias.all(),
            items: items.memory.all(),
            partial: self.partial.all(),
            n_single_items: items.n_single,
            n_items: items.n,
            n_queries: self.n_tokens,
            n_splits: items.n_splits,
            layer_offset,
            value_offset,
            key_stride,
            query_stride,
            width: self.model.dimensions.width,
        }
        .run(&**self.gpu)?;
        self.model.product(&layer.out, self.mixed.all(), self.x.all(), self.n_tokens, true)
    }

    /// Keeps the scores of the heads of this layer that are wanted.
    fn observe(&self, index: usize, layer: &Attention, observed: &Observed<'_>) -> Result<()> {
        let (width, size) = (self.model.dimensions.width, self.gpu.element().n_bytes());
        let key_stride = self.model.dimensions.n_decoder_layers * 2 * width;
        let n_bytes = self.n_tokens * observed.audio.n_positions * 4;
        let keys = observed.audio.memory.all();
        for (slot, &(_, head)) in observed.heads.iter().enumerate().filter(|(_, (layer, _))| *layer == index) {
            let offset = (index * 2 * width + head * HEAD) * size;
            Scores {
                out: observed.scores.span(slot * n_bytes, n_bytes)?,
                queries: self
                    .projected
                    .span(head * HEAD * size, self.projected.all().n_bytes() - head * HEAD * size)?,
                bias: layer.project.bias.span(head * HEAD * 4, HEAD * 4)?,
                keys: keys.span(offset, keys.n_bytes().saturating_sub(offset))?,
                key_stride,
                query_stride: width,
                n_queries: self.n_tokens,
                n_keys: observed.audio.n_positions,
            }
            .run(&**self.gpu)?;
        }
        Ok(())
    }

    fn transform(&self, mlp: &Mlp) -> Result<()> {
        self.normalise(&mlp.norm, &mlp.down.bias)?;
        let (x, bias, table) = (self.hidden.all(), mlp.up.bias.all(), None);
        self.model.product(&mlp.up, self.normalised.all(), x, self.n_tokens, false)?;
        let (n_windows, window_stride, n_rows, width) = (1, 0, self.n_tokens, mlp.up.n_outputs);
        BiasGelu { x, bias, table, n_windows, window_stride, n_rows, width }.run(&**self.gpu)?;
        self.model.product(&mlp.down, x, self.x.all(), self.n_tokens, true)
    }

    fn normalise(&self, norm: &Norm, next_bias: &Memory) -> Result<()> {
        self.layer_norm(norm, None, Some(next_bias.all()), self.n_tokens)
    }

    fn layer_norm(&self, norm: &Norm, rows: Option<Span<'_>>, bias: Option<Span<'_>>, n_rows: usize) -> Result<()> {
        LayerNorm {
            out: self.normalised.all(),
            x: self.x.all(),
            rows,
            gamma: norm.gamma.all(),
            beta: norm.beta.all(),
            bias,
            n_rows,
            width: self.model.dimensions.width,
            epsilon: EPSILON,
        }
        .run(&**self.gpu)
    }

    /// Scores for tokens after the wanted ones of those fed.
    fn logits(&self, wanted: &[u32]) -> Result<Memory> {
        let (width, n_vocab) = (self.model.dimensions.width, self.model.dimensions.n_vocab);
        let logits = Memory::new(self.gpu, wanted.len() * n_vocab * 4)?;
        let rows = self.upload(wanted)?;
        self.layer_norm(&self.model.weights.decoder_norm, Some(rows.all()), None, wanted.len())?;
        Multiply {
            out: logits.all(),
            left: self.normalised.all(),
            right: self.model.weights.embedding.all(),
            n_rows: wanted.len(),
            n_columns: n_vocab,
            n_inner: width,
            row_strides: [n_vocab, width, width],
            strides: [0; 3],
            n_products: 1,
            out_element: Element::F32,
            accumulates: false,
        }
        .run(&**self.gpu)?;
        Ok(logits)
    }
}
