//! Attention, and the caches that it reads.

use super::{THREADS, check_width, int, launch, long};
use crate::{
    Result,
    infer::cuda::{
        HEAD,
        gpu::{Gpu, Plain, Span, mistake},
    },
};

/// The most queries of one [`AttendItem`]. Source: `kernels/decoder.cu`.
pub(crate) const MAX_QUERIES: usize = 8;

/// Copies the keys and values of `projected` `[n_tokens, 3 * width]` to where `places` say; `n_bytes` lie behind each.
pub(crate) struct Append<'a> {
    pub projected: Span<'a>,
    pub places: Span<'a>,
    pub layer_offset: usize,
    pub value_offset: usize,
    pub n_tokens: usize,
    pub width: usize,
}

impl Append<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, i64, i64, i32);
        let Self { n_tokens, width, .. } = *self;
        check_width(gpu.element(), width)?;
        let arguments = Arguments(
            self.projected.address(n_tokens * 3 * width * gpu.element().n_bytes())?,
            self.places.address(n_tokens * 8)?,
            long(self.layer_offset)?,
            long(self.value_offset)?,
            int(width)?,
        );
        launch(gpu, "append", [n_tokens, 1, 1], &arguments)
    }
}

/// Copies rows of a cache, each `[n_planes, plane]`, of whose planes the first `n_used` elements are in use.
pub(crate) struct SelectRows<'a> {
    pub to: Span<'a>,
    pub from: Span<'a>,
    pub rows: Span<'a>,
    pub n_rows: usize,
    pub n_planes: usize,
    pub plane: usize,
    pub n_used: usize,
}

impl SelectRows<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, i64, i64, i32);
        let Self { n_rows, n_planes, plane, n_used, .. } = *self;
        let arguments = Arguments(
            self.to.address(n_rows * n_planes * plane * gpu.element().n_bytes())?,
            self.from.start(),
            self.rows.address(n_rows * 4)?,
            long(plane)?,
            long(n_used.min(plane))?,
            int(n_planes)?,
        );
        launch(gpu, "select_rows", [n_planes, n_rows, 1], &arguments)
    }
}

/// Queries that share their keys.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AttendItem {
    /// Address of the keys of layer 0.
    pub keys: u64,
    /// How many the first query sees.
    pub n_keys: i32,
    /// How many more each following query sees.
    pub step: i32,
    /// The first query's row.
    pub first_query: i32,
    /// At most [`MAX_QUERIES`].
    pub n_queries: i32,
}
// SAFETY: numbers without padding.
unsafe impl Plain for AttendItem {}

/// Attention of few queries over many keys, for every item and head.
pub(crate) struct Attend<'a> {
    pub out: Span<'a>,
    /// Rows `query_stride` elements apart.
    pub queries: Span<'a>,
    /// Added to the queries.
    pub bias: Span<'a>,
    /// [`AttendItem`]s: first those of one query each, then the others.
    pub items: Span<'a>,
    /// Room for [`Attend::n_partial_bytes`]; unused with one split.
    pub partial: Span<'a>,
    pub n_single_items: usize,
    pub n_items: usize,
    pub n_queries: usize,
    /// Into how many parts each softmax is divided, to keep the device busy.
    pub n_splits: usize,
    pub layer_offset: usize,
    pub value_offset: usize,
    pub key_stride: usize,
    pub query_stride: usize,
    pub width: usize,
}

impl Attend<'_> {
    /// Into how many parts to divide softmaxes of up to `n_keys` keys.
    pub(crate) fn n_splits(gpu: &dyn Gpu, n_items: usize, width: usize, n_keys: usize) -> usize {
        let n_blocks = (n_items * width / HEAD).max(1);
        // Two blocks a processor; no part below 64 keys.
        (2 * gpu.n_processors() / n_blocks).min(n_keys / 64).clamp(1, 32)
    }

    /// What `partial` must hold.
    pub(crate) fn n_partial_bytes(n_queries: usize, width: usize, n_splits: usize) -> usize {
        if n_splits == 1 { 0 } else { n_queries * (width / HEAD) * n_splits * (2 + HEAD) * 4 }
    }

    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, u64, u64, i64, i64, i64, i32, i32);
        #[repr(C)]
        struct Merge(u64, u64, i32);
        let Self { n_items, n_queries, n_splits, width, query_stride, .. } = *self;
        let size = gpu.element().n_bytes();
        if width % HEAD != 0 || query_stride < width {
            return Err(mistake(format!("attention of width {width}; heads have {HEAD}")));
        }
        let out = self.out.address(n_queries * width * size)?;
        let partial = self.partial.address(Self::n_partial_bytes(n_queries, width, n_splits))?;
        let mut arguments = Arguments(
            out,
            self.queries.address((n_queries.saturating_sub(1) * query_stride + width) * size)?,
            self.bias.address(width * 4)?,
            self.items.address(n_items * size_of::<AttendItem>())?,
            if n_splits == 1 { 0 } else { partial },
            long(self.layer_offset)?,
            long(self.value_offset)?,
            long(self.key_stride)?,
            int(query_stride)?,
            int(width)?,
        );
        launch(gpu, "attend_one", [self.n_single_items, width / HEAD, n_splits], &arguments)?;
        arguments.3 += (self.n_single_items * size_of::<AttendItem>()) as u64;
        launch(gpu, "attend_many", [n_items.saturating_sub(self.n_single_items), width / HEAD, n_splits], &arguments)?;
        if n_splits == 1 {
            return Ok(());
        }
        launch(gpu, "merge_splits", [n_queries, width / HEAD, 1], &Merge(out, partial, int(n_splits)?))
    }
}

/// The scaled products of queries and keys of one head, before the softmax, `[n_queries, n_keys]` in f32.
pub(crate) struct Scores<'a> {
    pub out: Span<'a>,
    pub queries: Span<'a>,
    pub bias: Span<'a>,
    pub keys: Span<'a>,
    pub key_stride: usize,
    pub query_stride: usize,
    pub n_queries: usize,
    pub n_keys: usize,
}

impl Scores<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, u64, i64, i32, i32);
        let Self { n_queries, n_keys, query_stride, key_stride, .. } = *self;
        let size = gpu.element().n_bytes();
        let arguments = Arguments(
            self.out.address(n_queries * n_keys * 4)?,
            self.queries.address((n_queries.saturating_sub(1) * query_stride + HEAD) * size)?,
            self.bias.address(HEAD * 4)?,
            self.keys.address((n_keys.saturating_sub(1) * key_stride + HEAD) * size)?,
            long(key_stride)?,
            int(query_stride)?,
            int(n_keys)?,
        );
        launch(gpu, "scores", [n_keys.div_ceil(THREADS), n_queries, 1], &arguments)
    }
}

/// The encoder's attention of `projected` `[n_windows, n_positions, 3 * width]`. Not for [`Element::F32`].
pub(crate) struct Flash<'a> {
    pub out: Span<'a>,
    pub projected: Span<'a>,
    pub bias: Span<'a>,
    pub n_windows: usize,
    pub n_positions: usize,
    pub width: usize,
}

impl Flash<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, i32, i32);
        let Self { n_windows, n_positions, width, .. } = *self;
        let n_bytes = n_windows * n_positions * width * gpu.element().n_bytes();
        if width % HEAD != 0 {
            return Err(mistake(format!("attention of width {width}; heads have {HEAD}")));
        }
        let arguments = Arguments(
            self.out.address(n_bytes)?,
            self.projected.address(3 * n_bytes)?,
            self.bias.address(width * 4)?,
            int(n_positions)?,
            int(width)?,
        );
        launch(gpu, "flash", [n_positions.div_ceil(THREADS), width / HEAD, n_windows], &arguments)
    }
}
