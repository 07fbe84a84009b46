//! The kernels as functions: arguments are checked against the memory that they name, then put into the layout that the
//! sources in `kernels/` expect.

use std::ffi::c_void;

use super::{
    HEAD,
    gpu::{Element, Gpu, Operand, Plain, Product, Span, mistake},
};
use crate::Result;

/// Threads of a block. Source: `kernels/*.cu`.
const THREADS: usize = 128;
/// The most queries of one [`AttendItem`]. Source: `kernels/decoder.cu`.
pub(crate) const MAX_QUERIES: usize = 8;
/// The widest row that `layer_norm` keeps. Source: `kernels/pointwise.cu`.
const MAX_WIDTH: usize = 2048;

/// Runs a kernel over a grid, which may be empty.
fn launch<A>(gpu: &dyn Gpu, kernel: &'static str, grid: [usize; 3], arguments: &A) -> Result<()> {
    if grid.contains(&0) {
        return Ok(());
    }
    let arguments: *const A = arguments;
    // SAFETY: every caller below passes the struct that its kernel declares, with addresses checked by `Span::address`.
    unsafe { gpu.launch(kernel, grid, arguments.cast::<c_void>()) }
}

fn int(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|_| mistake(format!("{n} is too large for a kernel's argument")))
}

fn long(n: usize) -> Result<i64> {
    i64::try_from(n).map_err(|_| mistake(format!("{n} is too large for a kernel's argument")))
}

/// Elements of a vector access: rows must be multiples of it.
fn check_width(element: Element, width: usize) -> Result<()> {
    if width == 0 || width > MAX_WIDTH || !width.is_multiple_of(16 / element.n_bytes()) {
        return Err(mistake(format!("rows of {width}; the kernels take multiples of 8 up to {MAX_WIDTH}")));
    }
    Ok(())
}

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

/// Which tokens a row may choose: text from `text_from` up to the first time token, and times in `time_from..time_to`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ChooseRule {
    /// The first text token.
    pub text_from: i32,
    /// The first time token.
    pub time_from: i32,
    /// The first time token that is too late.
    pub time_to: i32,
    /// Which of the masks forbids more.
    pub mask: i32,
}
// SAFETY: numbers without padding.
unsafe impl Plain for ChooseRule {}

/// A chosen token.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ChooseResult {
    /// Its id; `i32::MAX` when none was allowed.
    pub token: i32,
    /// The logarithm of its probability among the tokens that were allowed.
    pub log_probability: f32,
}
// SAFETY: numbers without padding.
unsafe impl Plain for ChooseResult {}

/// The likeliest token of every row that its rule allows.
pub(crate) struct Choose<'a> {
    pub out: Span<'a>,
    pub logits: Span<'a>,
    pub rules: Span<'a>,
    pub masks: Span<'a>,
    pub n_rows: usize,
    pub n_vocab: usize,
    pub timestamp_begin: usize,
}

impl Choose<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, u64, i32, i32);
        let Self { n_rows, n_vocab, .. } = *self;
        let arguments = Arguments(
            self.out.address(n_rows * size_of::<ChooseResult>())?,
            self.logits.address(n_rows * n_vocab * 4)?,
            self.rules.address(n_rows * size_of::<ChooseRule>())?,
            self.masks.address(n_vocab.div_ceil(32) * 4)?,
            int(n_vocab)?,
            int(self.timestamp_begin)?,
        );
        launch(gpu, "choose", [n_rows, 1, 1], &arguments)
    }
}

/// `out = left x right^T`, or added to `out`; several at once, with strides in elements.
pub(crate) struct Multiply<'a> {
    pub out: Span<'a>,
    pub left: Span<'a>,
    pub right: Span<'a>,
    pub n_rows: usize,
    pub n_columns: usize,
    pub n_inner: usize,
    /// Elements between rows of `out`, `left` and `right`.
    pub row_strides: [usize; 3],
    /// Elements between the matrices of several products.
    pub strides: [usize; 3],
    pub n_products: usize,
    pub out_element: Element,
    pub accumulates: bool,
}

impl Multiply<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        let Self { n_rows, n_columns, n_inner, n_products, .. } = *self;
        if [n_rows, n_columns, n_inner, n_products].contains(&0) {
            return Ok(());
        }
        let operand = |index: usize, span: Span<'_>, element: Element, [rows, columns]: [usize; 2]| {
            let (row_stride, stride) = (self.row_strides[index], self.strides[index]);
            if row_stride < columns {
                return Err(mistake(format!("a matrix of {columns} columns with rows {row_stride} apart")));
            }
            let n = (n_products - 1) * stride + (rows - 1) * row_stride + columns;
            Ok(Operand { address: span.address(n * element.n_bytes())?, row_stride, stride })
        };
        let product = Product {
            n_rows,
            n_columns,
            n_inner,
            out: operand(0, self.out, self.out_element, [n_rows, n_columns])?,
            left: operand(1, self.left, gpu.element(), [n_rows, n_inner])?,
            right: operand(2, self.right, gpu.element(), [n_columns, n_inner])?,
            out_element: self.out_element,
            accumulates: self.accumulates,
            n_products,
        };
        // SAFETY: `operand` has checked that every element of the three lies in its memory.
        unsafe { gpu.multiply(&product) }
    }
}
