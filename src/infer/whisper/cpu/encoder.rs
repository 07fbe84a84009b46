//! The encoder: blocks of 64 positions go through a layer on one thread each, from attention to the next layer's keys
//! and values, so that what lies between stays in that core's cache and threads wait for each other once a layer.

use rayon::prelude::*;

use super::{
    linear::{By, Input, Linear, Norm},
    memory::{BLOCK, Memory, Part},
    pool::{Lent, Pool},
};
use crate::infer::kernels::{Finish, Queries, Rows};

/// Sets of memory that wait for the next window; each is about 20 MB for base.
const MAX_IDLE: usize = 4;

#[derive(Debug)]
pub(super) struct Encoder {
    /// `[n_outputs, 3 * n_inputs]`: for each output, the inputs at t-1, at t and at t+1.
    pub conv1: Linear,
    /// Likewise, for every other t.
    pub conv2: Linear,
    /// `[n_audio_ctx, width]`.
    pub positions: Vec<f32>,
    pub layers: Vec<EncoderLayer>,
    pub norm: Norm,
    pub n_heads: usize,
    pub in_integers: bool,
    pub windows: Pool<Window>,
    pub scratches: Pool<Scratch>,
}

#[derive(Debug)]
pub(super) struct EncoderLayer {
    pub attention: SelfAttention,
    pub mlp: Mlp,
}

#[derive(Debug)]
pub(super) struct SelfAttention {
    pub norm: Norm,
    /// Queries, keys and values in one product.
    pub fused: Linear,
    pub out: Linear,
}

#[derive(Debug)]
pub(super) struct Mlp {
    pub norm: Norm,
    pub up: Linear,
    pub down: Linear,
}

/// One window on its way through the encoder.
#[derive(Debug)]
pub(super) struct Window {
    pub blocks: Vec<Block>,
    /// Keys and values of a layer, and of the next.
    memories: [Memory; 2],
}

/// 64 positions of a window, fewer at its end.
#[derive(Debug)]
pub(super) struct Block {
    /// `[n_positions, width]`; at the end, the encoder's output.
    pub x: Vec<f32>,
    /// Queries, keys and values, `[n_positions, 3 * width]`.
    fused: Vec<f32>,
}

/// What one thread needs while it works on a block.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub rows: Rows,
    pub queries: Queries,
    pub normed: Vec<f32>,
    pub hidden: Vec<f32>,
    mixed: Vec<f32>,
}

/// A log-mel window, dense `[n_mels, n_frames]`.
#[derive(Clone, Copy)]
pub(super) struct Mel<'a> {
    pub values: &'a [f32],
    pub n_frames: usize,
}

impl Encoder {
    /// Pools that keep what the threads of this machine can use at once.
    pub(super) fn pools() -> (Pool<Window>, Pool<Scratch>) {
        (Pool::new(MAX_IDLE), Pool::new(2 * rayon::current_num_threads()))
    }

    pub(super) fn scratch(&self) -> Lent<Scratch> {
        self.scratches.take(|_| true, Scratch::default)
    }

    fn width(&self) -> usize {
        self.norm.gamma.len()
    }

    /// The window after the encoder.
    pub(super) fn forward(&self, mel: Mel<'_>) -> Lent<Window> {
        let (n_positions, width) = (mel.n_frames / 2, self.width());
        let is_wanted = |window: &Window| window.memories[0].n_positions() == n_positions;
        let mut window = self.windows.take(is_wanted, || self.window(n_positions));
        let Window { blocks, memories: [memory, next] } = &mut *window;
        let blocks_and_parts = blocks.par_iter_mut().zip(memory.parts_mut()).enumerate();
        blocks_and_parts.for_each(|(index, (block, mut part))| {
            let mut scratch = self.scratch();
            self.convolve(mel, index * BLOCK, &mut block.x, &mut scratch);
            if let Some(layer) = self.layers.first() {
                layer.attention.project(block, &mut part, &mut scratch, width);
            }
        });
        let (mut memory, mut next) = (memory, next);
        for (index, layer) in self.layers.iter().enumerate() {
            let looked_at: &Memory = memory;
            blocks.par_iter_mut().zip(next.parts_mut()).for_each(|(block, mut part)| {
                let mut scratch = self.scratch();
                layer.forward(looked_at, block, &mut scratch, width);
                if let Some(layer) = self.layers.get(index + 1) {
                    layer.attention.project(block, &mut part, &mut scratch, width);
                } else {
                    self.norm.forward(&block.x, &mut scratch.normed);
                    block.x.copy_from_slice(&scratch.normed);
                }
            });
            std::mem::swap(&mut memory, &mut next);
        }
        window
    }

    fn window(&self, n_positions: usize) -> Window {
        let width = self.width();
        let block = |start| {
            let n = BLOCK.min(n_positions - start);
            Block { x: vec![0.0; n * width], fused: vec![0.0; n * 3 * width] }
        };
        let memory = |()| Memory::new(n_positions, self.n_heads, width, self.in_integers);
        Window { blocks: (0..n_positions).step_by(BLOCK).map(block).collect(), memories: [(); 2].map(memory) }
    }

    /// Both convolutions and the positions for the positions from `start` on.
    fn convolve(&self, mel: Mel<'_>, start: usize, x: &mut [f32], scratch: &mut Scratch) {
        let width = self.width();
        let n_mels = self.conv1.n_inputs() / 3;
        let n = x.len() / width;
        // The second convolution takes steps 2 start - 1 to 2 (start + n) - 1 of the first, and that one frame more on
        // either side; outside of the window is zero.
        let n_steps = 2 * n + 1;
        let frames = &mut scratch.normed;
        frames.clear();
        frames.resize((n_steps + 2) * n_mels, 0.0);
        for (row, frame) in frames.chunks_exact_mut(n_mels).enumerate() {
            let Some(at) = (2 * start + row).checked_sub(2).filter(|at| *at < mel.n_frames) else { continue };
            for (value, band) in frame.iter_mut().zip(mel.values.chunks_exact(mel.n_frames)) {
                *value = band[at];
            }
        }
        let steps = &mut scratch.hidden;
        steps.resize(n_steps * width, 0.0);
        let input = Input { values: frames, n_rows: n_steps, stride: n_mels };
        self.conv1.forward(input, &mut scratch.rows, steps, Finish::Gelu, By::OneThread);
        if start == 0 {
            steps[..width].fill(0.0);
        }
        let input = Input { values: steps, n_rows: n, stride: 2 * width };
        self.conv2.forward(input, &mut scratch.rows, x, Finish::Gelu, By::OneThread);
        x.iter_mut().zip(&self.positions[start * width..]).for_each(|(x, position)| *x += position);
    }
}

impl SelfAttention {
    /// Queries of the block, and its keys and values for all.
    fn project(&self, block: &mut Block, part: &mut Part<'_>, scratch: &mut Scratch, width: usize) {
        self.norm.forward(&block.x, &mut scratch.normed);
        let input = Input::dense(&scratch.normed, width);
        self.fused.forward(input, &mut scratch.rows, &mut block.fused, Finish::Set, By::OneThread);
        part.fill(&block.fused[width..], &block.fused[2 * width..], 3 * width);
    }
}

impl EncoderLayer {
    fn forward(&self, memory: &Memory, block: &mut Block, scratch: &mut Scratch, width: usize) {
        let Scratch { rows, queries, normed, hidden, mixed } = scratch;
        let n = block.x.len() / width;
        mixed.resize(block.x.len(), 0.0);
        memory.attend(&block.fused, (n, 3 * width), mixed, queries, false);
        self.attention.out.forward(Input::dense(mixed, width), rows, &mut block.x, Finish::Add, By::OneThread);
        self.mlp.forward(&mut block.x, rows, normed, hidden, By::OneThread);
    }
}

impl Mlp {
    /// Adds the layer to `x`; the rest is room.
    pub(super) fn forward(&self, x: &mut [f32], rows: &mut Rows, normed: &mut Vec<f32>, hidden: &mut Vec<f32>, by: By) {
        let n_inputs = self.up.n_inputs();
        self.norm.forward(x, normed);
        hidden.resize(x.len() / n_inputs * self.up.n_outputs(), 0.0);
        self.up.forward(Input::dense(normed, n_inputs), rows, hidden, Finish::Gelu, by);
        self.down.forward(Input::dense(hidden, self.up.n_outputs()), rows, x, Finish::Add, by);
    }
}
