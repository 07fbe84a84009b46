//! The decoder: HiFi-GAN's generator, some frames at a time. Each convolution goes as far as what it depends on is there
//! and no step is computed twice, so that memory and the delay of the first samples do not grow with the text.
//!
//! Source: Kong, Kim and Bae, "HiFi-GAN" (2020), and its `models.py` (`Generator`, `ResBlock1`, `ResBlock2`).

use std::ops::Range;

use super::{
    conv::{Activation, Begin, Conv, Upsample},
    line::{Line, Rows},
    weights::Tensors,
};
use crate::{
    Result,
    infer::kernels::{dots, tanh},
};

/// Frames that are decoded together.
const FRAMES: usize = 32;
/// Slopes of the rectifiers between the layers, and before the last one.
const SLOPE: Activation = Activation::Leaky(0.1);
const LAST_SLOPE: Activation = Activation::Leaky(0.01);
/// Most samples of a frame.
const MAX_HOP_LENGTH: usize = 4096;

/// The decoder.
#[derive(Debug)]
pub(super) struct Decoder {
    pre: Conv,
    /// Of a voice with several speakers.
    condition: Option<Conv>,
    stages: Vec<Stage>,
    post: Post,
    /// Samples of a frame.
    pub hop_length: usize,
}

/// A step of upsampling and the residual blocks behind it, whose mean is what goes on.
#[derive(Debug)]
struct Stage {
    up: Upsample,
    blocks: Vec<Block>,
}

/// Convolutions, one after the other.
#[derive(Debug)]
struct Block {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    conv: Conv,
    /// What is added: the block's input is 0, what the first step gives 1, and so on.
    residual: Option<usize>,
}

/// The last convolution, to one channel.
#[derive(Debug)]
struct Post {
    /// `[kernel, n_inputs]`.
    weight: Vec<f32>,
    bias: f32,
    n_inputs: usize,
    /// Steps before and after an output that it depends on.
    reach: (usize, usize),
}

/// What is held between the layers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pre: Line,
    stages: Vec<StageMemory>,
    window: Vec<f32>,
}

#[derive(Debug, Default)]
struct StageMemory {
    up: Line,
    /// Inputs that the upsampler has taken.
    n_taken: usize,
    /// What each step of each block gives, but the last.
    blocks: Vec<Vec<Line>>,
    sum: Line,
}

impl Decoder {
    pub(super) fn load(tensors: &Tensors<'_>, flow_size: usize, speaker: Option<usize>) -> Result<Self> {
        let pre = tensors.convolution("decoder.conv_pre")?;
        let mut n = pre.bias.len();
        let condition = speaker.map(|size| tensors.conv("decoder.cond", n, size, 1)).transpose()?;
        let pre = tensors.conv("decoder.conv_pre", n, flow_size, 1)?;
        let n_stages = tensors.count(|stage| format!("decoder.upsampler.{stage}"));
        let n_blocks = tensors.count(|block| Block::first(tensors, block));
        if n_stages == 0 || n_blocks == 0 || !n_blocks.is_multiple_of(n_stages) {
            let reason =
                format!("{n_blocks} residual blocks for {n_stages} upsamplers; expected equally many for each");
            return Err(tensors.damaged(reason));
        }
        let per_stage = n_blocks / n_stages;
        // The mean over the blocks of the stage before is in the weights of what follows.
        let (mut stages, mut hop_length, mut scale) = (Vec::new(), 1, 1.0);
        for stage in 0..n_stages {
            let stage = Stage::load(tensors, stage, per_stage, n, scale)?;
            (n, scale) = (stage.up.n_outputs(), 1.0 / per_stage as f32);
            hop_length *= stage.up.stride();
            stages.push(stage);
        }
        if hop_length > MAX_HOP_LENGTH {
            return Err(tensors.damaged(format!("a frame has {hop_length} samples; expected at most {MAX_HOP_LENGTH}")));
        }
        Ok(Self { pre, condition, stages, post: Post::load(tensors, n, scale)?, hop_length })
    }

    /// Decodes latents `[n_frames, flow_size]`; `hear` is given the samples piece by piece.
    ///
    /// # Errors
    /// Those of `hear`.
    pub(super) fn forward(
        &self,
        latents: &[f32],
        speaker: Option<&[f32]>,
        memory: &mut Memory,
        mut hear: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let latents = Rows::all(latents, self.pre.n_inputs());
        let condition = self.condition.as_ref().zip(speaker).map(|(conv, speaker)| conv.all(speaker, Activation::None));
        self.restart(memory, latents.total);
        let mut n_heard = 0;
        while !memory.pre.is_done() {
            let steps = memory.pre.end()..(memory.pre.end() + FRAMES).min(latents.total);
            let out = memory.pre.extend(steps.len());
            self.pre.forward(latents, steps, Activation::None, Begin::Bias, out);
            if let Some(condition) = &condition {
                for row in out.chunks_exact_mut(condition.len()) {
                    row.iter_mut().zip(condition).for_each(|(value, condition)| *value += condition);
                }
            }
            let mut input = &mut memory.pre;
            for (stage, memory) in self.stages.iter().zip(&mut memory.stages) {
                stage.forward(input, memory);
                input = &mut memory.sum;
            }
            let mut samples = Vec::new();
            let end = input.ready(self.post.reach.1);
            self.post.forward(input, n_heard..end, &mut memory.window, &mut samples);
            input.forget(end.saturating_sub(self.post.reach.0));
            n_heard = end;
            hear(&samples)?;
        }
        Ok(())
    }

    fn restart(&self, memory: &mut Memory, n_frames: usize) {
        memory.pre.restart(self.pre.n_outputs(), n_frames, 0);
        memory.stages.resize_with(self.stages.len(), StageMemory::default);
        let mut total = n_frames;
        for (stage, memory) in self.stages.iter().zip(&mut memory.stages) {
            total *= stage.up.stride();
            let n = stage.up.n_outputs();
            memory.up.restart(n, total, stage.up.padding());
            memory.n_taken = 0;
            memory.sum.restart(n, total, 0);
            memory.blocks.resize_with(stage.blocks.len(), Vec::new);
            for (block, lines) in stage.blocks.iter().zip(&mut memory.blocks) {
                lines.resize_with(block.steps.len() - 1, Line::default);
                for (step, line) in block.steps.iter().zip(lines) {
                    line.restart(step.conv.n_outputs(), total, 0);
                }
            }
        }
    }
}

impl Stage {
    fn load(tensors: &Tensors<'_>, stage: usize, n_blocks: usize, n_inputs: usize, scale: f32) -> Result<Self> {
        let module = format!("decoder.upsampler.{stage}");
        let [found, n, kernel] = tensors.transposed_dims(&module)?;
        let stride = tensors.stride(&module, ("upsample_rates", &[stage]))?;
        if found != n_inputs || kernel < stride || (kernel - stride) % 2 != 0 {
            let reason = format!(
                "{module}.weight has shape [{found}, {n}, {kernel}] and stride {stride}; expected {n_inputs} inputs, and \
                 a kernel that is longer than the stride by an even number"
            );
            return Err(tensors.damaged(reason));
        }
        let values = tensors.weight(&module, &[n_inputs, n, kernel])?;
        let bias = tensors.values(&format!("{module}.bias"), &[n])?;
        let blocks = (0..n_blocks).map(|block| Block::load(tensors, stage * n_blocks + block, block, n));
        Ok(Self { up: Upsample::new(&values, &bias, kernel, stride, scale), blocks: blocks.collect::<Result<_>>()? })
    }

    /// Goes as far as the input is there.
    fn forward(&self, input: &mut Line, memory: &mut StageMemory) {
        let StageMemory { up, n_taken, blocks, sum } = memory;
        let end = if input.is_done() { self.up.n_phases(input.total()) } else { input.end() };
        let out = up.extend((end - *n_taken) * self.up.stride());
        self.up.forward(input.rows(), *n_taken..end, SLOPE, out);
        *n_taken = end;
        input.forget(end.saturating_sub(self.up.reach()));
        let ready = self.blocks.iter().zip(&mut *blocks).map(|(block, lines)| block.advance(up, lines)).min();
        let steps = sum.end()..ready.unwrap_or(0).max(sum.end());
        let out = sum.extend(steps.len());
        for (index, (block, lines)) in self.blocks.iter().zip(&*blocks).enumerate() {
            block.finish(up, lines, steps.clone(), index > 0, out);
        }
        let needed = self.blocks.iter().zip(blocks).map(|(block, lines)| block.forget(lines, steps.end)).min();
        up.forget(needed.unwrap_or(0));
    }
}

impl Block {
    /// The first convolution of a block, by either of the two kinds' names.
    fn first(tensors: &Tensors<'_>, block: usize) -> String {
        let name = |kind: &str| format!("decoder.resblocks.{block}.{kind}.0");
        if tensors.has(&name("convs1")) { name("convs1") } else { name("convs") }
    }

    /// The block with number `block`, number `place` of its stage.
    fn load(tensors: &Tensors<'_>, block: usize, place: usize, n: usize) -> Result<Self> {
        let name = |kind: &str, unit: usize| format!("decoder.resblocks.{block}.{kind}.{unit}");
        let is_double = tensors.has(&name("convs1", 0));
        let first = if is_double { "convs1" } else { "convs" };
        let mut steps = Vec::new();
        for unit in 0..tensors.count(|unit| name(first, unit)) {
            let module = name(first, unit);
            let dilation = tensors.dilation(&module, ("resblock_dilation_sizes", &[place, unit]))?;
            let residual = Some(steps.len());
            let conv = tensors.conv(&module, n, n, dilation)?;
            if is_double {
                steps.push(Step { conv, residual: None });
                steps.push(Step { conv: tensors.conv(&name("convs2", unit), n, n, 1)?, residual });
            } else {
                steps.push(Step { conv, residual });
            }
        }
        Ok(Self { steps })
    }

    /// Takes all steps but the last as far as the block's input is there; up to where the last one can go.
    fn advance(&self, input: &Line, lines: &mut [Line]) -> usize {
        for (index, step) in self.steps.iter().enumerate() {
            let (before, after) = lines.split_at_mut(index.min(lines.len()));
            let line = |index: usize| if index == 0 { input } else { &before[index - 1] };
            let ready = line(index).ready(step.conv.reach().1);
            let Some(out) = after.first_mut() else { return ready };
            let steps = out.end()..ready.max(out.end());
            let begin = step.residual.map_or(Begin::Bias, |residual| Begin::Rows(line(residual).rows()));
            step.conv.forward(line(index).rows(), steps.clone(), SLOPE, begin, out.extend(steps.len()));
        }
        0
    }

    /// The last step, into `out`, or onto it.
    fn finish(&self, input: &Line, lines: &[Line], steps: Range<usize>, onto: bool, out: &mut [f32]) {
        let line = |index: usize| if index == 0 { input } else { &lines[index - 1] };
        let Some(step) = self.steps.last() else { return };
        let residual = line(step.residual.unwrap_or(0)).rows();
        let begin = if onto { Begin::RowsOnto(residual) } else { Begin::Rows(residual) };
        step.conv.forward(line(self.steps.len() - 1).rows(), steps, SLOPE, begin, out);
    }

    /// Drops what no step needs any more, the last one having reached `end`; the first row of the input that is needed.
    fn forget(&self, lines: &mut [Line], end: usize) -> usize {
        let ends: Vec<usize> = lines.iter().map(Line::end).chain([end]).collect();
        let needed = |index: usize| {
            let uses = self.steps.iter().zip(&ends).enumerate().filter_map(|(at, (step, end))| {
                let by_conv = (at == index).then(|| end.saturating_sub(step.conv.reach().0));
                by_conv.into_iter().chain((step.residual == Some(index)).then_some(*end)).min()
            });
            uses.min().unwrap_or(end)
        };
        for (index, line) in lines.iter_mut().enumerate() {
            line.forget(needed(index + 1));
        }
        needed(0)
    }
}

impl Post {
    fn load(tensors: &Tensors<'_>, n_inputs: usize, scale: f32) -> Result<Self> {
        let weights = tensors.checked("decoder.conv_post", 1, n_inputs)?;
        let kernel = weights.kernel;
        let weight =
            (0..kernel * n_inputs).map(|i| weights.values[i % n_inputs * kernel + i / n_inputs] * scale).collect();
        Ok(Self { weight, bias: weights.bias[0], n_inputs, reach: ((kernel - 1) / 2, kernel / 2) })
    }

    fn forward(&self, input: &Line, steps: Range<usize>, window: &mut Vec<f32>, out: &mut Vec<f32>) {
        out.resize(steps.len(), 0.0);
        if steps.is_empty() {
            return;
        }
        input.rows().window(&steps, self.reach, LAST_SLOPE, window);
        dots(out, window, self.n_inputs, &self.weight);
        for sample in &mut *out {
            *sample += self.bias;
        }
        tanh(out);
    }
}
