//! One-dimensional convolutions over rows of channels, `[n_steps, n_channels]`, as products with packed weights.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::line::Rows;
use crate::audio::Once;
use crate::infer::kernels::{Left, Panels};

/// Inputs of a product: its weights for 32 outputs, 16 KB, stay in the first cache while rows pass by.
const INPUTS: usize = 128;
/// Values of the rows that one thread works on at a time, and the bounds of their number.
const TILE_VALUES: usize = 16 * 1024;
const TILE_ROWS: (usize, usize) = (48, 384);

/// What is done with the inputs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Activation {
    /// Nothing.
    None,
    /// What is negative is multiplied by this.
    Leaky(f32),
}

/// What the products are added to.
#[derive(Clone, Copy)]
pub(super) enum Begin<'a> {
    /// The bias.
    Bias,
    /// The bias and these rows.
    Rows(Rows<'a>),
    /// The bias and what is there.
    Onto,
    /// The bias, these rows and what is there.
    RowsOnto(Rows<'a>),
}

/// Weights of a convolution as files have them.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    /// `[n_outputs, n_inputs, kernel]`.
    pub values: Vec<f32>,
    /// `[n_outputs]`.
    pub bias: Vec<f32>,
    pub n_inputs: usize,
    pub kernel: usize,
}

/// A convolution with one step's stride. Any number of threads may share it; their number does not change a bit.
#[derive(Debug)]
pub(super) struct Conv {
    /// Taps that are multiplied together, the first ones first.
    parts: Vec<Panels>,
    taps: usize,
    bias: Vec<f32>,
    n_inputs: usize,
    dilation: usize,
    /// Steps before and after an output that it depends on.
    reach: (usize, usize),
}

impl Conv {
    /// Outputs are as many as inputs, which are followed and preceded by zeros.
    pub(super) fn new(weights: &Weights, dilation: usize) -> Self {
        let (n_inputs, kernel) = (weights.n_inputs, weights.kernel);
        let span = (kernel - 1) * dilation;
        let weight = |tap, input, output| weights.values[(output * n_inputs + input) * kernel + tap];
        Self::of(weights.bias.clone(), n_inputs, kernel, weight, dilation, (span / 2, span - span / 2))
    }

    /// `weight(tap, input, output)`.
    pub(super) fn of(
        bias: Vec<f32>,
        n_inputs: usize,
        kernel: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
        dilation: usize,
        reach: (usize, usize),
    ) -> Self {
        let n_parts = (kernel * n_inputs).div_ceil(INPUTS).min(kernel);
        let taps = kernel.div_ceil(n_parts);
        let part = |first: usize| {
            let n_taps = taps.min(kernel - first);
            Panels::new(n_taps * n_inputs, bias.len(), |input, output| {
                weight(first + input / n_inputs, input % n_inputs, output)
            })
        };
        let parts = (0..kernel).step_by(taps).map(part).collect();
        Self { parts, taps, bias, n_inputs, dilation, reach }
    }

    /// Steps before and after an output that it depends on.
    pub(super) fn reach(&self) -> (usize, usize) {
        self.reach
    }

    /// Channels that go in.
    pub(super) fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Channels that come out.
    pub(super) fn n_outputs(&self) -> usize {
        self.bias.len()
    }

    /// The outputs of some steps into `out`, `[steps.len(), n_outputs]`, by the threads of the current rayon pool.
    pub(super) fn forward(
        &self,
        input: Rows<'_>,
        steps: Range<usize>,
        activation: Activation,
        begin: Begin<'_>,
        out: &mut [f32],
    ) {
        let n_outputs = self.bias.len();
        let rows = (TILE_VALUES / self.n_inputs.max(n_outputs)).clamp(TILE_ROWS.0, TILE_ROWS.1);
        out.par_chunks_mut(rows * n_outputs).enumerate().for_each_init(Vec::new, |scratch, (index, out)| {
            let first = steps.start + index * rows;
            self.tile(input, first..first + out.len() / n_outputs, activation, begin, out, scratch);
        });
    }

    /// The outputs of all steps.
    pub(super) fn all(&self, input: &[f32], activation: Activation) -> Vec<f32> {
        let rows = Rows::all(input, self.n_inputs);
        let mut out = vec![0.0; rows.total * self.bias.len()];
        self.forward(rows, 0..rows.total, activation, Begin::Bias, &mut out);
        out
    }

    /// The outputs of some steps, on this thread; `scratch` is room that is used again.
    pub(super) fn tile(
        &self,
        input: Rows<'_>,
        steps: Range<usize>,
        activation: Activation,
        begin: Begin<'_>,
        out: &mut [f32],
        scratch: &mut Vec<f32>,
    ) {
        self.begin(&steps, begin, out);
        input.window(&steps, self.reach, activation, scratch);
        for (part, panels) in self.parts.iter().enumerate() {
            let first = part * self.taps * self.dilation * self.n_inputs;
            let left = Left {
                pieces: panels.n_inputs() / self.n_inputs,
                piece_stride: self.dilation * self.n_inputs,
                ..Left::new(&scratch[first..], steps.len(), self.n_inputs)
            };
            panels.product(left, out, self.bias.len(), true);
        }
    }

    fn begin(&self, steps: &Range<usize>, begin: Begin<'_>, out: &mut [f32]) {
        let n = self.bias.len();
        let rows = out.chunks_exact_mut(n);
        let once = Once;
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
                match begin {
                    Begin::Bias => rows.for_each(|row| row.copy_from_slice(&self.bias)),
                    Begin::Rows(residual) => {
                        for (row, residual) in rows.zip(residual.of(steps).chunks_exact(n)) {
                            for ((value, residual), bias) in row.iter_mut().zip(residual).zip(&self.bias) {
                                *value = residual + bias;
                            }
                        }
                    }
                    Begin::Onto => rows.for_each(|row| {
                        row.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
                    }),
                    Begin::RowsOnto(residual) => {
                        for (row, residual) in rows.zip(residual.of(steps).chunks_exact(n)) {
                            for ((value, residual), bias) in row.iter_mut().zip(residual).zip(&self.bias) {
                                *value += residual + bias;
                            }
                        }
                    }
                }
            },
        );
    }
}

/// A transposed convolution in its polyphase form: the outputs between one input and the next are the channels of one
/// product.
#[derive(Debug)]
pub(super) struct Upsample {
    phases: Conv,
    stride: usize,
    /// Outputs that are cut off at the front.
    padding: usize,
}

impl Upsample {
    /// `values` are `[n_inputs, n_outputs, kernel]`, all of them multiplied by `scale`.
    pub(super) fn new(values: &[f32], bias: &[f32], kernel: usize, stride: usize, scale: f32) -> Self {
        let n_outputs = bias.len();
        let n_inputs = values.len() / kernel / n_outputs;
        let n_taps = kernel.div_ceil(stride);
        let weight = |tap: usize, input: usize, output: usize| {
            let at = output / n_outputs + (n_taps - 1 - tap) * stride;
            if at < kernel { values[(input * n_outputs + output % n_outputs) * kernel + at] * scale } else { 0.0 }
        };
        let phases = Conv::of(bias.repeat(stride), n_inputs, n_taps, weight, 1, (n_taps - 1, 0));
        Self { phases, stride, padding: (kernel - stride) / 2 }
    }

    /// Channels that come out.
    pub(super) fn n_outputs(&self) -> usize {
        self.phases.n_outputs() / self.stride
    }

    /// Outputs for one input.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Outputs that are cut off at the front.
    pub(super) fn padding(&self) -> usize {
        self.padding
    }

    /// How far back from an input what it gives depends on others.
    pub(super) fn reach(&self) -> usize {
        self.phases.reach.0
    }

    /// Inputs whose phases hold all outputs of `n` inputs.
    pub(super) fn n_phases(&self, n: usize) -> usize {
        n + self.padding.div_ceil(self.stride)
    }

    /// The outputs between some inputs, `[inputs.len() * stride, n_outputs]`; the first is `padding` before them.
    pub(super) fn forward(&self, input: Rows<'_>, inputs: Range<usize>, activation: Activation, out: &mut [f32]) {
        self.phases.forward(input, inputs, activation, Begin::Bias, out);
    }
}
