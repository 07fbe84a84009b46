//! Kernels that take value by value, or row by row.

use super::{THREADS, check_width, int, launch, long};
use crate::{
    Result,
    infer::cuda::gpu::{Gpu, Span, mistake},
};

/// `out[i] = embedding[tokens[i]] + table[positions[i]]`. The ids must be in range.
pub(crate) struct Embed<'a> {
    pub out: Span<'a>,
    pub tokens: Span<'a>,
    pub positions: Span<'a>,
    pub embedding: Span<'a>,
    pub table: Span<'a>,
    pub n_tokens: usize,
    pub width: usize,
}

impl Embed<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, u64, u64, i32);
        let Self { n_tokens, width, .. } = *self;
        let arguments = Arguments(
            self.out.address(n_tokens * width * gpu.element().n_bytes())?,
            self.tokens.address(n_tokens * 4)?,
            self.positions.address(n_tokens * 4)?,
            self.embedding.start(),
            self.table.start(),
            int(width)?,
        );
        launch(gpu, "embed", [n_tokens, 1, 1], &arguments)
    }
}

/// Layer normalisation of rows of `x`, all in order or the named ones; `bias` is added to `x` afterwards.
pub(crate) struct LayerNorm<'a> {
    pub out: Span<'a>,
    pub x: Span<'a>,
    pub rows: Option<Span<'a>>,
    pub gamma: Span<'a>,
    pub beta: Span<'a>,
    pub bias: Option<Span<'a>>,
    pub n_rows: usize,
    pub width: usize,
    pub epsilon: f32,
}

impl LayerNorm<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, u64, u64, u64, i32, f32);
        let Self { n_rows, width, .. } = *self;
        check_width(gpu.element(), width)?;
        let n_bytes = n_rows * width * gpu.element().n_bytes();
        let arguments = Arguments(
            self.out.address(n_bytes)?,
            if self.rows.is_some() { self.x.start() } else { self.x.address(n_bytes)? },
            self.rows.map_or(Ok(0), |rows| rows.address(n_rows * 4))?,
            self.gamma.address(width * 4)?,
            self.beta.address(width * 4)?,
            self.bias.map_or(Ok(0), |bias| bias.address(width * 4))?,
            int(width)?,
            self.epsilon,
        );
        launch(gpu, "layer_norm", [n_rows, 1, 1], &arguments)
    }
}

/// `x = gelu(x + bias) + table` for windows `window_stride` elements apart.
pub(crate) struct BiasGelu<'a> {
    pub x: Span<'a>,
    pub bias: Span<'a>,
    pub table: Option<Span<'a>>,
    pub n_windows: usize,
    pub window_stride: usize,
    pub n_rows: usize,
    pub width: usize,
}

impl BiasGelu<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, i64, i32, i32);
        let Self { n_windows, n_rows, width, .. } = *self;
        let size = gpu.element().n_bytes();
        let n = n_rows * width;
        if width % (16 / size) != 0 {
            return Err(mistake(format!("rows of {width}; the kernels take multiples of 8")));
        }
        let arguments = Arguments(
            self.x.address((n_windows.saturating_sub(1) * self.window_stride + n) * size)?,
            self.bias.address(width * 4)?,
            self.table.map_or(Ok(0), |table| table.address(n * 4))?,
            long(self.window_stride)?,
            int(n_rows)?,
            int(width)?,
        );
        launch(gpu, "bias_gelu", [n.div_ceil(THREADS * 16 / size), n_windows, 1], &arguments)
    }
}

/// Log-mel spectra `[n_windows, n_mels, n_frames]` in f32 to rows `[n_windows, n_frames + 2, n_mels]`, zeros at the ends.
pub(crate) struct MelRows<'a> {
    pub out: Span<'a>,
    pub mel: Span<'a>,
    pub n_windows: usize,
    pub n_mels: usize,
    pub n_frames: usize,
}

impl MelRows<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, i32, i32);
        let Self { n_windows, n_mels, n_frames, .. } = *self;
        let arguments = Arguments(
            self.out.address(n_windows * (n_frames + 2) * n_mels * gpu.element().n_bytes())?,
            self.mel.address(n_windows * n_mels * n_frames * 4)?,
            int(n_mels)?,
            int(n_frames)?,
        );
        launch(gpu, "mel_rows", [(n_frames + 2).div_ceil(32), n_mels.div_ceil(32), n_windows], &arguments)
    }
}
