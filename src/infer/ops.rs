//! The operations that the models are written in. On the processor in f32 they run our own kernels, which fuse what
//! belongs together; on any other device or type they are compositions of candle's operations.

use std::ops::Deref;

use candle_core::{CpuStorage, D, DType, Layout, Result, Storage, Tensor, bail};

use super::kernels::{self, Attention, Heads, Matrix};

/// Up to this many rows a product reads the weights by dot products instead of the blocked matrix product.
const FEW_ROWS: usize = 8;

/// A fully connected layer: `y = x W^T + b`.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    /// `[n_outputs, n_inputs]`, contiguous.
    pub weight: Tensor,
    /// `[n_outputs]`.
    pub bias: Option<Tensor>,
}

/// Layer normalisation over the last dimension.
#[derive(Debug, Clone)]
pub(super) struct LayerNorm {
    /// Scale, `[n]`.
    pub gamma: Tensor,
    /// Shift, `[n]`.
    pub beta: Tensor,
}

/// A convolution over time with kernel 3 and one step of padding on either side, followed by GELU.
#[derive(Debug, Clone)]
pub(super) struct Conv3 {
    /// `[n_outputs, 3 * n_inputs]`: for each output, the inputs at t-1, at t and at t+1.
    pub weight: Tensor,
    /// `[n_outputs]`.
    pub bias: Tensor,
    /// 1 or 2.
    pub stride: usize,
}

/// Added to the variance before the root. Source: openai/whisper `model.py` (`PyTorch`'s default).
pub(super) const EPSILON: f32 = 1e-5;

impl Linear {
    /// `x W^T + b` for `x` `[.., n_inputs]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.product(x, None, false)
    }

    /// GELU of the product.
    pub(super) fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        self.product(x, None, true)
    }

    /// The product added to `residual`, which has its shape.
    pub(super) fn forward_onto(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.product(x, Some(residual), false)
    }

    pub(super) fn product(&self, x: &Tensor, residual: Option<&Tensor>, gelu: bool) -> Result<Tensor> {
        let (n_outputs, n_inputs) = self.weight.dims2()?;
        let mut shape = x.dims().to_vec();
        match shape.last_mut() {
            Some(last) if *last == n_inputs => *last = n_outputs,
            _ => bail!("linear layer of {n_inputs} inputs got {:?}", x.shape()),
        }
        if !is_native(x) {
            return self.composed(x, residual, gelu, &shape);
        }
        let x = x.contiguous()?;
        let residual = residual.map(Tensor::contiguous).transpose()?;
        let n_rows = x.elem_count() / n_inputs;
        let mut out = start(n_rows, n_outputs, self.bias.as_ref(), residual.as_ref())?;
        let (input, weight) = (x.read()?, self.weight.read()?);
        let (input, weight) = (input.slice()?, &weight.slice()?[..n_outputs * n_inputs]);
        let input = &input[..n_rows * n_inputs];
        if n_rows <= FEW_ROWS {
            kernels::matvec(&mut out, input, weight, n_inputs);
        } else {
            let (left, right) = (Matrix::dense(input, n_rows, n_inputs), Matrix::dense(weight, n_outputs, n_inputs));
            kernels::matmul_onto(&mut out, n_outputs, true, left, right.transposed(), 1.0, true);
        }
        if gelu {
            kernels::gelu(&mut out);
        }
        Tensor::from_vec(out, shape, x.device())
    }

    pub(super) fn composed(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        gelu: bool,
        shape: &[usize],
    ) -> Result<Tensor> {
        let flat = x.reshape(((), x.dim(D::Minus1)?))?;
        let mut y = flat.matmul(&self.weight.t()?)?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(bias)?;
        }
        if gelu {
            y = y.gelu_erf()?;
        }
        let y = y.reshape(shape)?;
        residual.map_or(Ok(y.clone()), |residual| residual + &y)
    }
}

/// What a product is added to: the residual, or zero, plus the bias.
fn start(n_rows: usize, n_outputs: usize, bias: Option<&Tensor>, residual: Option<&Tensor>) -> Result<Vec<f32>> {
    let mut out = match residual {
        Some(residual) => {
            if residual.elem_count() != n_rows * n_outputs {
                bail!("residual {:?} does not fit {n_rows} x {n_outputs}", residual.shape());
            }
            residual.read()?.slice()?[..n_rows * n_outputs].to_vec()
        }
        None => vec![0.0; n_rows * n_outputs],
    };
    if let Some(bias) = bias {
        let bias = bias.read()?;
        for row in out.chunks_exact_mut(n_outputs) {
            for (out, bias) in row.iter_mut().zip(bias.slice()?) {
                *out += bias;
            }
        }
    }
    Ok(out)
}

impl LayerNorm {
    /// Every vector of the last dimension, normalised, scaled and shifted.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        if !is_native(&x) {
            return candle_nn::ops::layer_norm(&x, &self.gamma, &self.beta, EPSILON);
        }
        let n = self.gamma.elem_count();
        if x.dim(D::Minus1)? != n {
            bail!("layer norm of {n} values got {:?}", x.shape());
        }
        let mut out = vec![0.0; x.elem_count()];
        let (input, gamma, beta) = (x.read()?, self.gamma.read()?, self.beta.read()?);
        let (input, gamma, beta) = (&input.slice()?[..out.len()], &gamma.slice()?[..n], &beta.slice()?[..n]);
        kernels::layer_norm(&mut out, input, gamma, beta, EPSILON);
        Tensor::from_vec(out, x.shape(), x.device())
    }
}

impl Conv3 {
    /// From the usual layout `[n_outputs, n_inputs, 3]`.
    pub(super) fn new(weight: &Tensor, bias: Tensor, stride: usize) -> Result<Self> {
        let (n_outputs, n_inputs, _) = weight.dims3()?;
        let weight = weight.transpose(1, 2)?.contiguous()?.reshape((n_outputs, 3 * n_inputs))?;
        Ok(Self { weight, bias, stride })
    }

    /// `[n_rows, n_steps, n_inputs]` to `[n_rows, n_steps / stride, n_outputs]`.
    pub(super) fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        let (n_rows, n_steps, n_inputs) = x.dims3()?;
        let (n_outputs, n_taps) = self.weight.dims2()?;
        if n_taps != 3 * n_inputs || n_steps % self.stride != 0 {
            bail!("convolution of {} inputs with stride {} got {:?}", n_taps / 3, self.stride, x.shape());
        }
        let n_out_steps = n_steps / self.stride;
        let shape = (n_rows, n_out_steps, n_outputs);
        let x = x.pad_with_zeros(1, 1, 1)?.contiguous()?;
        if !is_native(&x) {
            let weight = self.weight.reshape((n_outputs, 3, n_inputs))?.transpose(1, 2)?.contiguous()?;
            let y = x.transpose(1, 2)?.contiguous()?.conv1d(&weight, 0, self.stride, 1, 1)?.transpose(1, 2)?;
            return y.broadcast_add(&self.bias)?.gelu_erf();
        }
        let mut out = start(n_rows * n_out_steps, n_outputs, Some(&self.bias), None)?;
        let (input, weight) = (x.read()?, self.weight.read()?);
        let (input, weight) = (input.slice()?, Matrix::dense(weight.slice()?, n_outputs, n_taps));
        for (row, out) in out.chunks_exact_mut(n_out_steps * n_outputs).enumerate() {
            // Three neighbouring steps lie side by side: the matrix of windows is a view with overlapping rows.
            let windows = Matrix {
                data: &input[row * (n_steps + 2) * n_inputs..],
                rows: n_out_steps,
                columns: n_taps,
                row_stride: self.stride * n_inputs,
                column_stride: 1,
            };
            kernels::matmul_onto(out, n_outputs, true, windows, weight.transposed(), 1.0, true);
        }
        kernels::gelu(&mut out);
        Tensor::from_vec(out, shape, x.device())
    }
}

/// Multi-head scaled dot-product attention: `[n_rows, n_queries, width]`.
///
/// `keys` and `values` are `[n_rows, n_keys, width]`. With `causal = Some(offset)`, query `i` sees the keys up to `offset + i`.
pub(super) fn attention(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    n_heads: usize,
    causal: Option<usize>,
) -> Result<Tensor> {
    let (n_rows, n_queries, width) = queries.dims3()?;
    if keys.dims() != values.dims() || keys.dim(0)? != n_rows || keys.dim(2)? != width || width % n_heads != 0 {
        bail!("attention of {:?} over {:?} with {n_heads} heads", queries.shape(), keys.shape());
    }
    if !is_native(queries) {
        return attention_composed(queries, keys, values, n_heads, causal);
    }
    let mut out = vec![0.0; n_rows * n_queries * width];
    let (asked, compared, mixed) = (queries.read()?, keys.read()?, values.read()?);
    let inputs =
        Attention { queries: asked.heads()?, keys: compared.heads()?, values: mixed.heads()?, n_heads, width, causal };
    kernels::attention(&mut out, &inputs);
    Tensor::from_vec(out, (n_rows, n_queries, width), queries.device())
}

pub(super) fn attention_composed(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    n_heads: usize,
    causal: Option<usize>,
) -> Result<Tensor> {
    let (n_rows, n_queries, width) = queries.dims3()?;
    let n_keys = keys.dim(1)?;
    let split = |x: &Tensor| x.reshape((n_rows, (), n_heads, width / n_heads))?.transpose(1, 2)?.contiguous();
    let scale = 1.0 / ((width / n_heads) as f64).sqrt();
    let mut scores = (split(queries)? * scale)?.matmul(&split(keys)?.transpose(2, 3)?)?;
    if let Some(offset) = causal {
        let mask: Vec<f32> = (0..n_queries)
            .flat_map(|query| (0..n_keys).map(move |key| if key > offset + query { f32::NEG_INFINITY } else { 0.0 }))
            .collect();
        let mask = Tensor::from_vec(mask, (n_queries, n_keys), queries.device())?.to_dtype(scores.dtype())?;
        scores = scores.broadcast_add(&mask)?;
    }
    let weights = candle_nn::ops::softmax_last_dim(&scores)?;
    weights.matmul(&split(values)?)?.transpose(1, 2)?.contiguous()?.reshape((n_rows, n_queries, width))
}

/// Whether our own kernels take it.
fn is_native(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// A tensor's values while they are borrowed.
struct Read<'a, G> {
    storage: G,
    layout: &'a Layout,
}

trait ReadExt {
    fn read(&self) -> Result<Read<'_, impl Deref<Target = Storage>>>;
}

impl ReadExt for Tensor {
    fn read(&self) -> Result<Read<'_, impl Deref<Target = Storage>>> {
        let (storage, layout) = self.storage_and_layout();
        Ok(Read { storage, layout })
    }
}

impl<G: Deref<Target = Storage>> Read<'_, G> {
    /// The values from the tensor's first one on.
    fn slice(&self) -> Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => Ok(&values[self.layout.start_offset()..]),
            _ => bail!("expected f32 on the processor"),
        }
    }

    fn heads(&self) -> Result<Heads<'_>> {
        let [_, n_positions, _] = *self.layout.dims() else { bail!("expected three dimensions") };
        let [row_stride, position_stride, 1] = *self.layout.stride() else { bail!("the last dimension is not dense") };
        Ok(Heads { data: self.slice()?, n_positions, row_stride, position_stride })
    }
}
