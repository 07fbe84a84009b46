//! Silero's network. Source: silero-vad 6.2.3 `tinygrad_model.py` for the layers, `silero_vad_16k_op15.onnx` for the
//! weights: those that the package has as safetensors are of an earlier training and differ.
//!
//! All that a chunk does not need of its predecessors is computed for many chunks together, as matrix products; only
//! the recurrent part goes from chunk to chunk.

use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder, linalg::general_mat_mul};
use pulp::Arch;
use rayon::prelude::*;

use crate::{Error, Result, audio::Once, infer::weights::Checkpoint};

/// Samples that one probability is of: 32 ms at 16 kHz.
pub const CHUNK: usize = 512;
/// Samples before a chunk that the network hears with it.
const CONTEXT: usize = 64;
/// Samples of a chunk with its context, and with its end mirrored.
const HEARD: usize = CONTEXT + CHUNK + 64;
/// Length and step of the Fourier transform's windows, samples.
const N_FFT: usize = 256;
const HOP: usize = 128;
/// Windows in a chunk.
const POSITIONS: usize = 4;
const BINS: usize = N_FFT / 2 + 1;
/// Values of the recurrent state.
const STATE: usize = 128;
const GATES: usize = 4 * STATE;
/// Chunks that are computed together: their values fit into the second-level cache.
const BLOCK: usize = 64;
/// Blocks that are computed side by side.
const MAX_BLOCKS: usize = 32;

/// The weights, each matrix as `[n_inputs, n_outputs]`.
#[derive(Debug)]
pub(super) struct Network {
    fourier: Vec<f32>,
    convolutions: [Layer; 4],
    input: Layer,
    /// `[STATE, GATES]`.
    recurrent: Vec<f32>,
    output: Vec<f32>,
    output_bias: f32,
}

#[derive(Debug)]
struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Where a stream is: what the network remembers, and samples that are no full chunk yet.
#[derive(Debug, Clone)]
pub struct VadState {
    hidden: [f32; STATE],
    cell: [f32; STATE],
    /// The context of the next chunk, then samples that wait.
    samples: Vec<f32>,
}

impl Default for VadState {
    fn default() -> Self {
        Self { hidden: [0.0; STATE], cell: [0.0; STATE], samples: vec![0.0; CONTEXT] }
    }
}

impl VadState {
    pub(super) fn push(&mut self, network: &Network, samples: &[f32], probabilities: &mut Vec<f32>) {
        // In pieces, so that a long recording is not copied as a whole.
        for piece in samples.chunks(MAX_BLOCKS * BLOCK * CHUNK) {
            self.samples.extend(piece.iter().map(|sample| if sample.is_finite() { *sample } else { 0.0 }));
            let n_chunks = (self.samples.len() - CONTEXT) / CHUNK;
            if n_chunks > 0 {
                self.advance(network, n_chunks, probabilities);
                self.samples.drain(..n_chunks * CHUNK);
            }
        }
    }

    pub(super) fn finish(&mut self, network: &Network, probabilities: &mut Vec<f32>) {
        if self.samples.len() > CONTEXT {
            self.samples.resize(CONTEXT + CHUNK, 0.0);
            self.advance(network, 1, probabilities);
            self.samples.drain(..CHUNK);
        }
    }

    fn advance(&mut self, network: &Network, n_chunks: usize, probabilities: &mut Vec<f32>) {
        let starts: Vec<usize> = (0..n_chunks).step_by(BLOCK).collect();
        let encode = |start: &usize| network.encode(&self.samples[start * CHUNK..], BLOCK.min(n_chunks - start));
        let blocks: Vec<Vec<f32>> = if starts.len() == 1 {
            starts.iter().map(encode).collect()
        } else {
            starts.par_iter().map(encode).collect()
        };
        for gates in blocks.iter().flat_map(|block| block.chunks_exact(GATES)) {
            probabilities.push(network.recur(gates, &mut self.hidden, &mut self.cell));
        }
    }
}

impl Network {
    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let values = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let tensor = checkpoint.tensor(name, shape, &candle_core::Device::Cpu)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        // `[n_out, n_in, 3]` to `[taps * n_in, n_out]`, without the taps that only ever meet the padding.
        let convolution = |name: &str, n_out: usize, n_in: usize, taps: std::ops::Range<usize>| -> Result<Layer> {
            let name = format!("model.encoder.{name}.reparam_conv");
            let stored = values(&format!("{name}.weight"), &[n_out, n_in, 3])?;
            let inputs = taps.flat_map(|tap| (0..n_in).map(move |channel| (tap, channel)));
            let weight = inputs
                .flat_map(|(tap, channel)| (0..n_out).map(move |out| (out * n_in + channel) * 3 + tap))
                .map(|index| stored[index])
                .collect();
            Ok(Layer { weight, bias: values(&format!("{name}.bias"), &[n_out])? })
        };
        let biases = (values("model.decoder.rnn.bias_ih", &[GATES])?, values("model.decoder.rnn.bias_hh", &[GATES])?);
        let output_bias = values("model.decoder.decoder.2.bias", &[1])?;
        Ok(Self {
            fourier: transposed(&values("model.stft.forward_basis_buffer", &[2 * BINS, 1, N_FFT])?, N_FFT),
            convolutions: [
                convolution("0", 128, BINS, 0..3)?,
                convolution("1", 64, 128, 0..3)?,
                convolution("2", 64, 64, 1..3)?,
                convolution("3", 128, 64, 1..2)?,
            ],
            input: Layer {
                weight: transposed(&values("model.decoder.rnn.weight_ih", &[GATES, STATE])?, STATE),
                bias: biases.0.iter().zip(&biases.1).map(|(a, b)| a + b).collect(),
            },
            recurrent: transposed(&values("model.decoder.rnn.weight_hh", &[GATES, STATE])?, STATE),
            output: values("model.decoder.decoder.2.weight", &[1, STATE, 1])?,
            output_bias: *output_bias.first().ok_or_else(|| Error::InvalidInput("no bias".into()))?,
        })
    }

    /// The inputs of the recurrent part, `[n_chunks, GATES]`; `samples` begin with the first chunk's context.
    fn encode(&self, samples: &[f32], n_chunks: usize) -> Vec<f32> {
        let mut heard = Vec::with_capacity(n_chunks * HEARD);
        for chunk in 0..n_chunks {
            let chunk = &samples[chunk * CHUNK..][..CONTEXT + CHUNK];
            heard.extend_from_slice(chunk);
            heard.extend(chunk[..chunk.len() - 1].iter().rev().take(HEARD - CONTEXT - CHUNK));
        }
        let mut spectra = vec![0.0; n_chunks * POSITIONS * 2 * BINS];
        for position in 0..POSITIONS {
            let rows = Rows { n: n_chunks, stride: HEARD, width: N_FFT };
            let out = Rows { n: n_chunks, stride: POSITIONS * 2 * BINS, width: 2 * BINS };
            product(rows.of(&heard[position * HOP..]), &self.fourier, out.of_mut(&mut spectra[position * 2 * BINS..]));
        }
        // One position of silence before and behind: the convolutions' padding.
        let mut magnitudes = vec![0.0; n_chunks * (POSITIONS + 2) * BINS];
        for (from, to) in
            spectra.chunks_exact(POSITIONS * 2 * BINS).zip(magnitudes.chunks_exact_mut((POSITIONS + 2) * BINS))
        {
            for (spectrum, magnitudes) in from.chunks_exact(2 * BINS).zip(to[BINS..].chunks_exact_mut(BINS)) {
                let (real, imaginary) = spectrum.split_at(BINS);
                for ((magnitude, re), im) in magnitudes.iter_mut().zip(real).zip(imaginary) {
                    *magnitude = (re * re + im * im).sqrt();
                }
            }
        }
        let [conv1, conv2, conv3, conv4] = &self.convolutions;
        let mut first = vec![0.0; n_chunks * 5 * 128];
        for position in 0..POSITIONS {
            let rows = Rows { n: n_chunks, stride: (POSITIONS + 2) * BINS, width: 3 * BINS };
            let out = Rows { n: n_chunks, stride: 5 * 128, width: 128 };
            conv1.apply(rows, &magnitudes[position * BINS..], out, &mut first[(position + 1) * 128..]);
        }
        let mut second = vec![0.0; n_chunks * 2 * 64];
        for position in 0..2 {
            let rows = Rows { n: n_chunks, stride: 5 * 128, width: 3 * 128 };
            let out = Rows { n: n_chunks, stride: 2 * 64, width: 64 };
            conv2.apply(rows, &first[2 * position * 128..], out, &mut second[position * 64..]);
        }
        let rows = |width| Rows { n: n_chunks, stride: width, width };
        let (mut third, mut fourth) = (vec![0.0; n_chunks * 64], vec![0.0; n_chunks * STATE]);
        conv3.apply(rows(2 * 64), &second, rows(64), &mut third);
        conv4.apply(rows(64), &third, rows(STATE), &mut fourth);
        let mut gates = vec![0.0; n_chunks * GATES];
        product(rows(STATE).of(&fourth), &self.input.weight, rows(GATES).of_mut(&mut gates));
        for row in gates.chunks_exact_mut(GATES) {
            row.iter_mut().zip(&self.input.bias).for_each(|(value, bias)| *value += bias);
        }
        gates
    }

    /// One step of the recurrent part; returns the probability of speech.
    fn recur(&self, gates: &[f32], hidden: &mut [f32; STATE], cell: &mut [f32; STATE]) -> f32 {
        let mut sums = [0.0_f32; GATES];
        sums.copy_from_slice(gates);
        let (sums, once) = (&mut sums, Once);
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
                self.step(sums, hidden, cell)
            },
        )
    }

    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    fn step(&self, sums: &mut [f32; GATES], hidden: &mut [f32; STATE], cell: &mut [f32; STATE]) -> f32 {
        let (rows, _) = self.recurrent.as_chunks::<GATES>();
        let (rows, _) = rows.as_chunks::<4>();
        let (inputs, _) = hidden.as_chunks::<4>();
        for ([a, b, c, d], [x, y, z, w]) in rows.iter().zip(inputs) {
            for index in 0..GATES {
                sums[index] += (x * a[index] + y * b[index]) + (z * c[index] + w * d[index]);
            }
        }
        let (input, rest) = sums.split_at(STATE);
        let (forget, rest) = rest.split_at(STATE);
        let (new, output) = rest.split_at(STATE);
        for index in 0..STATE {
            cell[index] = sigmoid(forget[index]) * cell[index] + sigmoid(input[index]) * tanh(new[index]);
            hidden[index] = sigmoid(output[index]) * tanh(cell[index]);
        }
        let score: f32 = hidden.iter().zip(&self.output).map(|(value, weight)| value.max(0.0) * weight).sum();
        sigmoid(score + self.output_bias)
    }
}

impl Layer {
    /// `max(0, input x weight + bias)`.
    fn apply(&self, input_rows: Rows, input: &[f32], output_rows: Rows, output: &mut [f32]) {
        product(input_rows.of(input), &self.weight, output_rows.of_mut(output));
        for row in output.chunks_mut(output_rows.stride) {
            for (value, bias) in row.iter_mut().zip(&self.bias) {
                *value = (*value + bias).max(0.0);
            }
        }
    }
}

/// `n` rows of `width` values, `stride` apart.
#[derive(Clone, Copy)]
struct Rows {
    n: usize,
    stride: usize,
    width: usize,
}

impl Rows {
    fn of(self, data: &[f32]) -> Option<ArrayView2<'_, f32>> {
        ArrayView2::from_shape((self.n, self.width).strides((self.stride, 1)), data).ok()
    }

    fn of_mut(self, data: &mut [f32]) -> Option<ArrayViewMut2<'_, f32>> {
        ArrayViewMut2::from_shape((self.n, self.width).strides((self.stride, 1)), data).ok()
    }
}

/// `output = input x weight`; the weight is as wide as the output.
fn product(input: Option<ArrayView2<'_, f32>>, weight: &[f32], output: Option<ArrayViewMut2<'_, f32>>) {
    let views = input.zip(output).and_then(|(input, output)| {
        let weight = ArrayView2::from_shape((input.ncols(), output.ncols()), weight).ok()?;
        Some((input, weight, output))
    });
    debug_assert!(views.is_some(), "the shapes are the network's own");
    if let Some((input, weight, mut output)) = views {
        general_mat_mul(1.0, &input, &weight, 0.0, &mut output);
    }
}

/// A row-major matrix of rows of `n` with rows and columns exchanged.
fn transposed(values: &[f32], n: usize) -> Vec<f32> {
    (0..n).flat_map(|column| values.iter().skip(column).step_by(n).copied()).collect()
}

#[allow(clippy::inline_always, reason = "part of a dispatched loop")]
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[allow(clippy::inline_always, reason = "part of a dispatched loop")]
#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 / (1.0 + exp(-2.0 * x)) - 1.0
}

/// e^x by 2^n * e^r with |r| <= ln 2 / 2 and e^r's series, in a form that the compiler vectorises; x is cut to +-87.
#[allow(clippy::inline_always, reason = "part of a dispatched loop")]
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 87.0);
    // Adding and taking away 1.5 * 2^23 rounds to a whole number.
    let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let r = x - n * std::f32::consts::LN_2;
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
    series * f32::from_bits(((n as i32 + 127) as u32) << 23)
}
