//! `DistillMOS` v7: six convolutions over a compressed complex spectrum, and seven transformer layers over time.
//!
//! Source: distillmos 0.9.1 `sqa.py` and xls-r-sqa 0.1.0 (`sqa_model.py`, `transformer_wrapper.py`, `pool_att_ff.py`);
//! Stahl and Gamper, "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality
//! Assessment" (ICASSP 2025).

use std::path::Path;

use rayon::prelude::*;

use super::{
    Spare, check,
    conv::{Direct, Rectifier, Scratch, Weights, Winograd},
    plane::Plane,
    values,
};
use crate::{
    Result,
    infer::{
        fourier::Fourier,
        kernels::{Left, Panels, layer_norm, softmax},
        weights::Checkpoint,
    },
};

/// Samples of one window: 7.68 s.
const WINDOW: usize = 122_880;
/// Windows are at most this far apart, samples.
const MAX_HOP: usize = 16_000;
/// Length and step of the transform's frames, samples.
const N_FFT: usize = 320;
const HOP_LENGTH: usize = 160;
const N_FRAMES: usize = WINDOW / HOP_LENGTH;
/// Exponent that magnitudes are compressed with.
const COMPRESSION: f32 = 0.3;
/// Channels after each convolution.
const CHANNELS: [usize; 6] = [64, 64, 128, 256, 256, 256];
/// Steps, and features of each, after the convolutions.
const N_STEPS: usize = N_FRAMES / 2;
const N_BANDS: usize = 4;
const N_FEATURES: usize = N_BANDS * CHANNELS[5];
/// Of the transformer.
const WIDTH: usize = 200;
const N_HEADS: usize = 8;
const HEAD: usize = WIDTH / N_HEADS;
const N_LAYERS: usize = 7;
/// Added to variances. `PyTorch`'s default.
const EPSILON: f32 = 1e-5;

/// The network in memory. Any number of threads may share it.
#[derive(Debug)]
pub struct DistillMos {
    fourier: Fourier,
    first: Direct,
    middle: [Winograd; 4],
    last: Direct,
    projection: Linear,
    /// `[N_STEPS, WIDTH]`.
    positions: Vec<f32>,
    layers: Vec<Layer>,
    /// Scale and shift of what comes out of the transformer.
    out_norm: (Vec<f32>, Vec<f32>),
    attention: [Linear; 2],
    score: Linear,
    spare: Spare<Memory>,
}

#[derive(Debug)]
struct Layer {
    fused: Linear,
    out: Linear,
    norms: [(Vec<f32>, Vec<f32>); 2],
    up: Linear,
    down: Linear,
}

#[derive(Debug)]
struct Linear {
    weights: Panels,
    bias: Vec<f32>,
}

/// What lies between the layers of one window.
#[derive(Debug, Default)]
struct Memory {
    samples: Vec<f32>,
    planes: [Plane; 2],
    scratch: Scratch,
    features: Vec<f32>,
    x: Vec<f32>,
    fused: Vec<f32>,
    mixed: Vec<f32>,
    hidden: Vec<f32>,
    scores: Vec<f32>,
    keys: Panels,
    values: Panels,
}

impl DistillMos {
    /// Loads `model.pt` in `directory`, or that file.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when no weights are there, [`crate::Error::Weights`] when they are damaged or another
    /// model's (with the file and the tensor), [`crate::Error::Io`].
    pub fn load(directory: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(directory)?;
        let get = |name: &str, shape: &[usize]| values(&checkpoint, &format!("model.{name}"), shape);
        let conv = |index: usize| -> Result<(Vec<f32>, Vec<f32>)> {
            let n_inputs = if index == 0 { 2 } else { CHANNELS[index - 1] };
            let name = format!("cnn.cnn.{}", 2 * index);
            let weights = get(&format!("{name}.weight"), &[CHANNELS[index], n_inputs, 3, 3])?;
            Ok((weights, get(&format!("{name}.bias"), &[CHANNELS[index]])?))
        };
        let rectifier = Rectifier(0.1);
        let direct = |index: usize, strides| -> Result<Direct> {
            let (values, bias) = conv(index)?;
            Ok(Direct::new(Weights { values: &values, bias: &bias, is_time_last: true }, strides, rectifier))
        };
        let winograd = |index: usize| -> Result<Winograd> {
            let (values, bias) = conv(index)?;
            Ok(Winograd::new(Weights { values: &values, bias: &bias, is_time_last: true }, 2, rectifier))
        };
        let linear = |name: &str, n_outputs: usize, n_inputs: usize| -> Result<Linear> {
            let weights = get(&format!("{name}.weight"), &[n_outputs, n_inputs])?;
            Ok(Linear::new(&weights, get(&format!("{name}.bias"), &[n_outputs])?))
        };
        let pair = |name: &str| -> Result<(Vec<f32>, Vec<f32>)> {
            Ok((get(&format!("{name}.weight"), &[WIDTH])?, get(&format!("{name}.bias"), &[WIDTH])?))
        };
        let batch_norm = |name: &str, n: usize| -> Result<(Vec<f32>, Vec<f32>)> {
            let part = |part: &str| get(&format!("{name}.{part}"), &[n]);
            let (weight, bias, mean, variance) =
                (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
            let scale: Vec<f32> = weight.iter().zip(&variance).map(|(w, v)| w / (v + EPSILON).sqrt()).collect();
            let shift = bias.iter().zip(&mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale).collect();
            Ok((scale, shift))
        };
        let layer = |index: usize| -> Result<Layer> {
            let name =
                |part: &str| format!("transformer_pool_attn.transformer.transformer_encoder.layers.{index}.{part}");
            let fused = get(&name("self_attn.in_proj_weight"), &[3 * WIDTH, WIDTH])?;
            Ok(Layer {
                fused: Linear::new(&fused, get(&name("self_attn.in_proj_bias"), &[3 * WIDTH])?),
                out: linear(&name("self_attn.out_proj"), WIDTH, WIDTH)?,
                norms: [pair(&name("norm1"))?, pair(&name("norm2"))?],
                up: linear(&name("linear1"), 2 * WIDTH, WIDTH)?,
                down: linear(&name("linear2"), WIDTH, 2 * WIDTH)?,
            })
        };
        let norms = [
            batch_norm("transformer_pool_attn.norm_input", N_FEATURES)?,
            batch_norm("transformer_pool_attn.transformer.norm", N_FEATURES)?,
        ];
        let name = "transformer_pool_attn.transformer.linear_proj";
        let projection =
            (get(&format!("{name}.weight"), &[WIDTH, N_FEATURES])?, get(&format!("{name}.bias"), &[WIDTH])?);
        let pool = |index: usize| format!("transformer_pool_attn.pool.linear{index}");
        Ok(Self {
            fourier: Fourier::hann(N_FFT, HOP_LENGTH),
            first: direct(0, (1, 1))?,
            middle: [winograd(1)?, winograd(2)?, winograd(3)?, winograd(4)?],
            last: direct(5, (2, 2))?,
            projection: normed_projection(&projection.0, &projection.1, &norms),
            positions: get("transformer_pool_attn.transformer.position_encoding.pe", &[1, N_STEPS, WIDTH])?,
            layers: (0..N_LAYERS).map(layer).collect::<Result<_>>()?,
            out_norm: batch_norm("transformer_pool_attn.norm_trans", WIDTH)?,
            attention: [linear(&pool(1), 2 * WIDTH, WIDTH)?, linear(&pool(2), 1, 2 * WIDTH)?],
            score: linear(&pool(3), 1, WIDTH)?,
            spare: Spare::default(),
        })
    }

    /// The mean opinion score of a clip (mono, 16 kHz, in [-1, 1]), 1 (bad) to 5 (excellent): the mean of windows of
    /// 7.68 s that cover it, at most a second apart. A shorter clip is filled up with silence, as the original does: it
    /// should have some seconds. Loudness does not matter.
    ///
    /// The windows are shared by the threads of the current rayon pool; their number does not change a bit.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] for a clip without samples, or with some that are not finite or far above 1.
    pub fn score(&self, samples: &[f32]) -> Result<f64> {
        check(samples)?;
        let starts = window_starts(samples.len());
        let score = |&start: &usize| {
            let window = &samples[start..samples.len().min(start + WINDOW)];
            f64::from(self.spare.with(|memory| self.window(window, memory)))
        };
        let scores: Vec<f64> = starts.par_iter().map(score).collect();
        Ok(1.0 + 4.0 * scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The score of one window, 0 to 1.
    fn window(&self, samples: &[f32], memory: &mut Memory) -> f32 {
        self.spectrum(samples, memory);
        let Memory { planes: [a, b], scratch, .. } = memory;
        self.first.forward(a, b, 0, scratch);
        for conv in &self.middle {
            conv.forward(b, a, 0, scratch);
            std::mem::swap(a, b);
        }
        self.last.forward(b, a, 0, scratch);
        memory.features.clear();
        for step in 0..N_STEPS {
            memory.features.extend_from_slice(memory.planes[0].row(step));
        }
        self.projection.forward(&memory.features, &mut memory.x);
        memory.x.iter_mut().zip(&self.positions).for_each(|(x, position)| *x += position);
        for layer in &self.layers {
            layer.forward(memory);
        }
        self.pool(memory)
    }

    /// The compressed spectrum of a window at full level: the first plane.
    fn spectrum(&self, samples: &[f32], memory: &mut Memory) {
        const MARGIN: usize = (N_FFT - HOP_LENGTH) / 2;
        let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs())) + 1e-8;
        let padded = &mut memory.samples;
        padded.clear();
        padded.resize(WINDOW + 2 * MARGIN, 0.0);
        for (out, sample) in padded[MARGIN..].iter_mut().zip(samples) {
            *out = sample / peak;
        }
        for offset in 0..MARGIN {
            padded[offset] = padded[2 * MARGIN - offset];
            padded[MARGIN + WINDOW + offset] = padded[MARGIN + WINDOW - 2 - offset];
        }
        let plane = &mut memory.planes[0];
        plane.reshape(N_FRAMES, self.fourier.n_bins(), 2, 0);
        // Some frames at once: the matrix is read once for them.
        let n = 2 * self.fourier.n_bins();
        let spectra = &mut memory.hidden;
        spectra.resize(64 * n, 0.0);
        for first in (0..N_FRAMES).step_by(64) {
            self.fourier.spectra(&padded[first * HOP_LENGTH..], 64.min(N_FRAMES - first), spectra, n);
            for (step, spectrum) in spectra.chunks_exact(n).enumerate().take(N_FRAMES - first) {
                let row = plane.row_mut(first + step);
                for (out, &[re, im]) in row.as_chunks_mut::<2>().0.iter_mut().zip(spectrum.as_chunks().0) {
                    let magnitude = (re * re + im * im).sqrt().max(1e-12);
                    let factor = magnitude.powf(COMPRESSION) / magnitude;
                    *out = [re * factor, im * factor];
                }
            }
        }
    }

    /// The score of what comes out of the transformer.
    fn pool(&self, memory: &mut Memory) -> f32 {
        let (scale, shift) = &self.out_norm;
        for x in memory.x.chunks_exact_mut(WIDTH) {
            x.iter_mut().zip(scale).zip(shift).for_each(|((x, scale), shift)| *x = *x * scale + shift);
        }
        let [hidden, attention] = &self.attention;
        hidden.forward(&memory.x, &mut memory.hidden);
        rectify(&mut memory.hidden);
        attention.forward(&memory.hidden, &mut memory.scores);
        softmax(&mut memory.scores, N_STEPS);
        let mut mean = vec![0.0; WIDTH];
        for (x, weight) in memory.x.chunks_exact(WIDTH).zip(&memory.scores) {
            mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += weight * x);
        }
        let mut score = Vec::new();
        self.score.forward(&mean, &mut score);
        1.0 / (1.0 + (-score[0]).exp())
    }
}

/// Where the windows begin: as many as are needed, evenly spread. Source: `sqa.py`, with numpy's `linspace`.
fn window_starts(n_samples: usize) -> Vec<usize> {
    let rest = n_samples.saturating_sub(WINDOW);
    let n_hops = rest.div_ceil(MAX_HOP);
    let step = 1.0 / n_hops.max(1) as f64;
    (0..=n_hops).map(|hop| if hop == n_hops { rest } else { (hop as f64 * step * rest as f64) as usize }).collect()
}

/// The projection of features that are normed twice before: the norms become part of it, and the features go from
/// `[channel, band]` to the planes' order.
fn normed_projection(weights: &[f32], bias: &[f32], norms: &[(Vec<f32>, Vec<f32>); 2]) -> Linear {
    let [(scale1, shift1), (scale2, shift2)] = norms;
    let mut bias = bias.to_vec();
    for (bias, weights) in bias.iter_mut().zip(weights.chunks_exact(N_FEATURES)) {
        let both = shift1.iter().zip(scale2).zip(shift2).map(|((shift1, scale2), shift2)| shift1 * scale2 + shift2);
        *bias += weights.iter().zip(both).map(|(weight, shift)| weight * shift).sum::<f32>();
    }
    let panels = Panels::new(N_FEATURES, WIDTH, |input, output| {
        let (band, channel) = (input / CHANNELS[5], input % CHANNELS[5]);
        let feature = channel * N_BANDS + band;
        weights[output * N_FEATURES + feature] * scale1[feature] * scale2[feature]
    });
    Linear { weights: panels, bias }
}

fn rectify(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

impl Linear {
    /// Of weights `[n_outputs, n_inputs]`.
    fn new(weights: &[f32], bias: Vec<f32>) -> Self {
        let n_inputs = weights.len() / bias.len();
        Self { weights: Panels::new(n_inputs, bias.len(), |input, output| weights[output * n_inputs + input]), bias }
    }

    /// All rows of `x` into `out`.
    fn forward(&self, x: &[f32], out: &mut Vec<f32>) {
        let n_rows = x.len() / self.weights.n_inputs();
        out.clear();
        for _ in 0..n_rows {
            out.extend_from_slice(&self.bias);
        }
        self.weights.product(Left::new(x, n_rows, self.weights.n_inputs()), out, self.bias.len(), true);
    }
}

impl Layer {
    /// One layer over `memory.x`.
    fn forward(&self, memory: &mut Memory) {
        self.fused.forward(&memory.x, &mut memory.fused);
        attend(memory);
        self.out.forward(&memory.mixed, &mut memory.hidden);
        add_and_norm(memory, &self.norms[0]);
        self.up.forward(&memory.x, &mut memory.fused);
        rectify(&mut memory.fused);
        self.down.forward(&memory.fused, &mut memory.hidden);
        add_and_norm(memory, &self.norms[1]);
    }
}

/// `memory.x` becomes the norm of itself and `memory.hidden` together.
fn add_and_norm(memory: &mut Memory, (gamma, beta): &(Vec<f32>, Vec<f32>)) {
    memory.hidden.iter_mut().zip(&memory.x).for_each(|(hidden, x)| *hidden += x);
    layer_norm(&mut memory.x, &memory.hidden, gamma, beta, EPSILON);
}

/// Attention of all positions to all, from `memory.fused` to `memory.mixed`.
fn attend(memory: &mut Memory) {
    let Memory { fused, mixed, scores, keys, values, .. } = memory;
    mixed.resize(N_STEPS * WIDTH, 0.0);
    scores.resize(N_STEPS * N_STEPS, 0.0);
    let scale = 1.0 / (HEAD as f32).sqrt();
    for head in 0..N_HEADS {
        let first = head * HEAD;
        keys.fill(HEAD, N_STEPS, |input, step| fused[step * 3 * WIDTH + WIDTH + first + input] * scale);
        values.fill(N_STEPS, HEAD, |step, output| fused[step * 3 * WIDTH + 2 * WIDTH + first + output]);
        keys.product(Left::new(&fused[first..], N_STEPS, 3 * WIDTH), scores, N_STEPS, false);
        softmax(scores, N_STEPS);
        values.product(Left::new(scores, N_STEPS, N_STEPS), &mut mixed[first..], WIDTH, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_clip_at_most_a_second_apart() {
        assert_eq!(window_starts(1), [0]);
        assert_eq!(window_starts(WINDOW), [0]);
        // By numpy: int(c * 37120) for c in linspace(0, 1, 4).
        assert_eq!(window_starts(160_000), [0, 12_373, 24_746, 37_120]);
        for n_samples in (WINDOW..WINDOW + 100_000).step_by(777) {
            let starts = window_starts(n_samples);
            assert_eq!(starts.last().unwrap() + WINDOW, n_samples);
            assert!(starts.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= MAX_HOP + 1));
        }
    }
}
