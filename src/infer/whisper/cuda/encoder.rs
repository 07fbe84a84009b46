//! From log-mel spectra to the keys and values that the decoder's layers take from the audio.

use std::sync::Arc;

use super::{
    cache::Audio,
    model::Model,
    weights::{Attention, Linear, Mlp, Norm},
};
use crate::{
    Result,
    infer::{
        cuda::{
            Attend, AttendItem, BiasGelu, Element, Flash, HEAD, LayerNorm, MAX_QUERIES, MelRows, Memory, Multiply, Span,
        },
        ops::EPSILON,
        whisper::config::Dimensions,
    },
};

/// Windows in work, and the memory that they are worked on in.
struct Pass<'a> {
    model: &'a Model,
    n_windows: usize,
    /// Positions of each window.
    n: usize,
    /// The residual stream, `[n_windows * n, width]`.
    x: Memory,
    /// What is normalised, of the same shape.
    normalised: Memory,
    /// What is in between, up to four times as wide.
    wide: Memory,
}

impl Model {
    /// Encodes all these windows in one pass.
    pub(super) fn encode_together(&self, mels: &[&[f32]], n_frames: usize) -> Result<Vec<Audio>> {
        let (n_windows, n) = (mels.len(), n_frames / 2);
        let (width, size) = (self.dimensions.width, self.gpu.element().n_bytes());
        let hidden = self.weights.encoder.iter().map(|layer| layer.mlp.up.n_outputs).max().unwrap_or_default();
        let n_wide = n_windows * ((n_frames + 2) * width).max(n * hidden.max(4 * width));
        let pass = Pass {
            model: self,
            n_windows,
            n,
            x: Memory::new(&self.gpu, n_windows * n * width * size)?,
            normalised: Memory::new(&self.gpu, n_windows * n * width * size)?,
            wide: Memory::new(&self.gpu, n_wide * size)?,
        };
        pass.convolve(mels)?;
        for layer in &self.weights.encoder {
            pass.attend(&layer.attention)?;
            pass.transform(&layer.mlp)?;
        }
        pass.normalise(&self.weights.encoder_norm, None)?;
        (0..n_windows).map(|window| pass.audio(window)).collect()
    }
}

impl Pass<'_> {
    /// The two convolutions and the positions, from spectra into `x`.
    fn convolve(&self, mels: &[&[f32]]) -> Result<()> {
        let Model { gpu, weights, dimensions, .. } = self.model;
        let Dimensions { n_mels, width, .. } = *dimensions;
        let (n_windows, n_frames, size) = (self.n_windows, 2 * self.n, gpu.element().n_bytes());
        let mel = Memory::new(gpu, n_windows * n_mels * n_frames * 4)?;
        for (window, values) in mels.iter().enumerate() {
            mel.span(window * n_mels * n_frames * 4, n_mels * n_frames * 4)?.upload(values)?;
        }
        let rows = Memory::new(gpu, n_windows * (n_frames + 2) * n_mels * size)?;
        MelRows { out: rows.all(), mel: mel.all(), n_windows, n_mels, n_frames }.run(&**gpu)?;
        // The first convolution's output lies between rows of zeros, for the second.
        let padded = (n_frames + 2) * width;
        self.wide.span(0, n_windows * padded * size)?.clear()?;
        let first = self.wide.span(width * size, (n_windows * padded - width) * size)?;
        self.convolve_once(&weights.conv1, rows.all(), n_mels, 1, first, padded)?;
        let shape = (n_windows, n_frames, width);
        self.bias_gelu(first, &weights.conv1.bias, None, shape, padded)?;
        self.convolve_once(&weights.conv2, self.wide.all(), width, 2, self.x.all(), self.n * width)?;
        let positions = Some(weights.audio_positions.all());
        self.bias_gelu(self.x.all(), &weights.conv2.bias, positions, (n_windows, self.n, width), self.n * width)
    }

    /// The sum of three products, one for each tap. The windows of `rows` have two rows more than frames.
    fn convolve_once(
        &self,
        conv: &Linear,
        rows: Span<'_>,
        n_inputs: usize,
        stride: usize,
        out: Span<'_>,
        out_stride: usize,
    ) -> Result<()> {
        let gpu = &*self.model.gpu;
        let size = gpu.element().n_bytes();
        for tap in 0..3 {
            let (skipped, weight_bytes) = (tap * n_inputs * size, conv.n_outputs * n_inputs * size);
            Multiply {
                out,
                left: rows.span(skipped, rows.n_bytes() - skipped)?,
                right: conv.weight.span(tap * weight_bytes, weight_bytes)?,
                n_rows: 2 * self.n / stride,
                n_columns: conv.n_outputs,
                n_inner: n_inputs,
                row_strides: [conv.n_outputs, stride * n_inputs, n_inputs],
                strides: [out_stride, (2 * self.n + 2) * n_inputs, 0],
                n_products: self.n_windows,
                out_element: gpu.element(),
                accumulates: tap > 0,
            }
            .run(gpu)?;
        }
        Ok(())
    }

    fn bias_gelu(
        &self,
        x: Span<'_>,
        bias: &Memory,
        table: Option<Span<'_>>,
        (n_windows, n_rows, width): (usize, usize, usize),
        window_stride: usize,
    ) -> Result<()> {
        BiasGelu { x, bias: bias.all(), table, n_windows, window_stride, n_rows, width }.run(&*self.model.gpu)
    }

    fn attend(&self, layer: &Attention) -> Result<()> {
        let Model { gpu, dimensions, .. } = self.model;
        let (width, size, n_rows) = (dimensions.width, gpu.element().n_bytes(), self.n_windows * self.n);
        self.normalise(&layer.norm, Some(&layer.out.bias))?;
        let projected = self.wide.span(0, n_rows * 3 * width * size)?;
        let mixed = self.wide.span(n_rows * 3 * width * size, n_rows * width * size)?;
        self.model.product(&layer.project, self.normalised.all(), projected, n_rows, false)?;
        let bias = layer.project.bias.all();
        if gpu.element() == Element::F32 {
            self.attend_plainly(mixed, projected, bias)?;
        } else {
            let (n_windows, n_positions) = (self.n_windows, self.n);
            Flash { out: mixed, projected, bias, n_windows, n_positions, width }.run(&**gpu)?;
        }
        self.model.product(&layer.out, mixed, self.x.all(), n_rows, true)
    }

    /// Without tensor cores: for f32, which they round.
    fn attend_plainly(&self, out: Span<'_>, projected: Span<'_>, bias: Span<'_>) -> Result<()> {
        let Model { gpu, dimensions, .. } = self.model;
        let (width, size) = (dimensions.width, gpu.element().n_bytes());
        let item = |first: usize| AttendItem {
            keys: projected.start() + ((first / self.n * self.n * 3 + 1) * width * size) as u64,
            n_keys: self.n as i32,
            step: 0,
            first_query: first as i32,
            n_queries: MAX_QUERIES.min(self.n - first % self.n) as i32,
        };
        let in_window = |window: usize| (0..self.n).step_by(MAX_QUERIES).map(move |i| window * self.n + i);
        let mut items: Vec<AttendItem> = (0..self.n_windows).flat_map(in_window).map(item).collect();
        items.sort_by_key(|item| item.n_queries > 1);
        Attend {
            out,
            queries: projected,
            bias,
            items: Memory::of(gpu, &items)?.all(),
            partial: out,
            n_single_items: items.iter().filter(|item| item.n_queries == 1).count(),
            n_items: items.len(),
            n_queries: self.n_windows * self.n,
            n_splits: 1,
            layer_offset: 0,
            value_offset: width,
            key_stride: 3 * width,
            query_stride: 3 * width,
            width,
        }
        .run(&**gpu)
    }

    fn transform(&self, mlp: &Mlp) -> Result<()> {
        let n_rows = self.n_windows * self.n;
        self.normalise(&mlp.norm, Some(&mlp.down.bias))?;
        self.model.product(&mlp.up, self.normalised.all(), self.wide.all(), n_rows, false)?;
        self.bias_gelu(self.wide.all(), &mlp.up.bias, None, (1, n_rows, mlp.up.n_outputs), 0)?;
        self.model.product(&mlp.down, self.wide.all(), self.x.all(), n_rows, true)
    }

    fn normalise(&self, norm: &Norm, next_bias: Option<&Memory>) -> Result<()> {
        LayerNorm {
            out: self.normalised.all(),
            x: self.x.all(),
            rows: None,
            gamma: norm.gamma.all(),
            beta: norm.beta.all(),
            bias: next_bias.map(Memory::all),
            n_rows: self.n_windows * self.n,
            width: self.model.dimensions.width,
            epsilon: EPSILON,
        }
        .run(&*self.model.gpu)
    }

    /// All decoder layers' keys and values of one window, in memory of its own.
    fn audio(&self, window: usize) -> Result<Audio> {
        let Model { gpu, weights, dimensions, .. } = self.model;
        let (width, size) = (dimensions.width, gpu.element().n_bytes());
        debug_assert_eq!(width % HEAD, 0);
        let n_columns = dimensions.n_decoder_layers * 2 * width;
        let memory = Memory::new(gpu, self.n * n_columns * size)?;
        Multiply {
            out: memory.all(),
            left: self.normalised.span(window * self.n * width * size, self.n * width * size)?,
            right: weights.cross.all(),
            n_rows: self.n,
            n_columns,
            n_inner: width,
            row_strides: [n_columns, width, width],
            strides: [0; 3],
            n_products: 1,
            out_element: gpu.element(),
            accumulates: false,
        }
        .run(&**gpu)?;
        Ok(Audio { memory: Arc::new(memory), n_positions: self.n })
    }
}
