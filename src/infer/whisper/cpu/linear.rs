//! Fully connected layers and layer normalisation.

use crate::infer::kernels::{self, Finish, Matrix, Packed, Rows};

/// Added to the variance before the root. Source: openai/whisper `model.py` (`PyTorch`'s default).
const EPSILON: f32 = 1e-5;

/// A fully connected layer: `y = x W^T + b`.
#[derive(Debug)]
pub(super) enum Linear {
    /// In 32-bit floats.
    Float(Float),
    /// In integers: the weights once, when they are loaded, and each row of inputs as it comes.
    Integer(Packed),
}

/// Weights as they are.
#[derive(Debug)]
pub(super) struct Float {
    /// `[n_outputs, n_inputs]`.
    pub weight: Vec<f32>,
    /// `[n_outputs]`.
    pub bias: Vec<f32>,
}

/// Rows that are multiplied: `n_rows` of the layer's inputs, `stride` apart, which may overlap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub values: &'a [f32],
    pub n_rows: usize,
    pub stride: usize,
}

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// This thread; the rows are many.
    OneThread,
    /// The threads of the current pool; each result is summed in an order that does not depend on the number of rows.
    AllThreads,
}

/// Layer normalisation.
#[derive(Debug)]
pub(super) struct Norm {
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
}

impl Linear {
    /// Number of outputs.
    pub(super) fn n_outputs(&self) -> usize {
        match self {
            Self::Float(float) => float.bias.len(),
            Self::Integer(packed) => packed.n_outputs(),
        }
    }

    /// Number of inputs.
    pub(super) fn n_inputs(&self) -> usize {
        match self {
            Self::Float(float) => float.weight.len() / float.bias.len(),
            Self::Integer(packed) => packed.n_inputs(),
        }
    }

    /// Computes into `out`, dense `[n_rows, n_outputs]`. `rows` is room.
    pub(super) fn forward(&self, input: Input<'_>, rows: &mut Rows, out: &mut [f32], finish: Finish, by: By) {
        match self {
            Self::Float(float) => float.forward(input, out, finish, by),
            Self::Integer(packed) => {
                rows.set(input.values, (input.n_rows, packed.n_inputs()), input.stride, packed.numbers());
                packed.product(rows, out, finish, by == By::AllThreads);
            }
        }
    }
}

impl Float {
    fn forward(&self, input: Input<'_>, out: &mut [f32], finish: Finish, by: By) {
        let (n_outputs, n_inputs) = (self.bias.len(), self.weight.len() / self.bias.len());
        for out in out.chunks_exact_mut(n_outputs) {
            if finish == Finish::Add {
                out.iter_mut().zip(&self.bias).for_each(|(out, bias)| *out += bias);
            } else {
                out.copy_from_slice(&self.bias);
            }
        }
        if by == By::AllThreads && input.stride == n_inputs {
            kernels::matvec(out, &input.values[..input.n_rows * n_inputs], &self.weight, n_inputs);
        } else {
            let left = Matrix {
                data: input.values,
                rows: input.n_rows,
                columns: n_inputs,
                row_stride: input.stride,
                column_stride: 1,
            };
            let right = Matrix::dense(&self.weight, n_outputs, n_inputs).transposed();
            kernels::matmul_onto(out, n_outputs, true, left, right, 1.0, by == By::AllThreads);
        }
        if finish == Finish::Gelu {
            kernels::gelu(out);
        }
    }
}

impl<'a> Input<'a> {
    /// Rows without gaps.
    pub(super) fn dense(values: &'a [f32], n: usize) -> Self {
        Self { values, n_rows: values.len() / n, stride: n }
    }
}

impl Norm {
    /// Every row of `input`, normalised, scaled and shifted, into `out`.
    pub(super) fn forward(&self, input: &[f32], out: &mut Vec<f32>) {
        out.resize(input.len(), 0.0);
        kernels::layer_norm(out, input, &self.gamma, &self.beta, EPSILON);
    }
}
