//! DNSMOS: opinions on speech with noise. P.835 asks for the speech, the background and the whole; P.808 for the whole.
//!
//! Source: speechmos 0.0.1.1 `dnsmos.py`, and the graphs of `sig_bak_ovr.onnx` and `model_v8.onnx`; Reddy, Gopal and
//! Cutler, "DNSMOS P.835" (ICASSP 2022) and "DNSMOS" (ICASSP 2021).

use std::path::Path;

use rayon::prelude::*;

use super::{
    SAMPLE_RATE, Spare, check,
    conv::{Direct, Rectifier, Scratch, Weights, Winograd},
    plane::Plane,
    values,
};
use crate::{
    Error, Result,
    infer::{
        fourier::{Fourier, MelFilter, mel_filters},
        kernels::{Left, Panels},
        weights::Checkpoint,
    },
};

/// Length of a window, seconds and samples.
const WINDOW_S: f64 = 9.01;
const WINDOW: usize = 144_160;
/// Step of the frames of both networks, samples.
const HOP_LENGTH: usize = 160;
const N_FRAMES: usize = 900;
/// Of P.835's network: length of a frame, samples; frequency bins.
const N_FFT: usize = 320;
const N_BINS: usize = 161;
/// Of P.808's: length of a frame, samples; mel bands.
const MEL_N_FFT: usize = 321;
const N_MELS: usize = 120;
/// Steps of a strip, which lies in the caches; the last strip has what the lags leave: 8 * 113 = 900 + [`LAG`].
const STRIP: usize = 8;
/// Convolutions of P.835 that go in strips, each a step behind the one before.
const LAG: usize = 4;
const RECTIFIER: Rectifier = Rectifier(0.0);

/// What listeners would say, each 1 (bad) to 5 (excellent).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DnsMosScores {
    /// Of the speech (P.835).
    pub sig: f64,
    /// Of the background: 5 is not noticeable (P.835).
    pub bak: f64,
    /// Of the whole (P.835).
    pub ovr: f64,
    /// Of the whole, by listeners who were asked nothing else (P.808).
    pub p808: f64,
}

/// Both networks in memory. Any number of threads may share them.
#[derive(Debug)]
pub struct DnsMos {
    p835: P835,
    p808: P808,
    spare: Spare<Memory>,
}

/// What lies between the layers.
#[derive(Debug, Default)]
struct Memory {
    planes: [Plane; 3],
    /// Of the spectrum and of what the layers before the first maxima give: whole they would take 150 MB.
    strips: [Plane; LAG + 1],
    scratch: Scratch,
    spectra: Vec<f32>,
}

impl DnsMos {
    /// Loads `sig_bak_ovr.onnx` and `model_v8.onnx` in `directory`.
    ///
    /// # Errors
    /// [`Error::Weights`] when they are damaged or another model's (with the file and the tensor), [`Error::Io`] when
    /// they are not there.
    pub fn load(directory: &Path) -> Result<Self> {
        let open = |name: &str| {
            let path = directory.join(name);
            if path.is_file() {
                return Checkpoint::open(&path);
            }
            Err(Error::NotFound(format!(
                "{}: no model here; expected sig_bak_ovr.onnx and model_v8.onnx",
                path.display()
            )))
        };
        Ok(Self {
            p835: P835::load(&open("sig_bak_ovr.onnx")?)?,
            p808: P808::load(&open("model_v8.onnx")?)?,
            spare: Spare::default(),
        })
    }

    /// The scores of a clip (mono, 16 kHz, in [-1, 1]): means over windows of 9.01 s, one a second. A shorter clip is
    /// repeated until it fills one, as the original does: it should have some seconds.
    ///
    /// The windows are shared by the threads of the current rayon pool; their number does not change a bit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a clip without samples, or with some that are not finite or far above 1.
    pub fn score(&self, samples: &[f32]) -> Result<DnsMosScores> {
        // Differs from speechmos: samples just above 1, as decoders and resamplers make them, are taken as they are.
        check(samples)?;
        let mut repeated = Vec::new();
        let samples = if samples.len() < WINDOW {
            repeated.extend(samples.iter().cycle().take(repeated_len(samples.len())));
            &repeated
        } else {
            samples
        };
        let starts = window_starts(samples.len());
        let score = |&start: &usize| {
            let window = &samples[start..start + WINDOW];
            self.spare.with(|memory| {
                let [sig, bak, ovr] = self.p835.window(window, memory);
                [sig, bak, ovr, self.p808.window(&window[..WINDOW - HOP_LENGTH], memory)]
            })
        };
        let scores: Vec<[f64; 4]> = starts.par_iter().map(score).collect();
        let mean = |index: usize| scores.iter().map(|scores| scores[index]).sum::<f64>() / scores.len() as f64;
        Ok(DnsMosScores { sig: mean(0), bak: mean(1), ovr: mean(2), p808: mean(3) })
    }
}

/// A short clip is put behind itself until it is long enough.
fn repeated_len(mut n_samples: usize) -> usize {
    while n_samples < WINDOW {
        n_samples *= 2;
    }
    n_samples
}

/// Where the windows begin; in floating point as the original, which drops a window that comes out short.
fn window_starts(n_samples: usize) -> Vec<usize> {
    let rate = f64::from(SAMPLE_RATE);
    let n_hops = ((n_samples as f64 / rate).floor() - WINDOW_S) as usize + 1;
    let starts = (0..n_hops).filter(|&hop| {
        let end = ((hop as f64 + WINDOW_S) * rate) as usize;
        end.min(n_samples) >= hop * SAMPLE_RATE as usize + WINDOW
    });
    starts.map(|hop| hop * SAMPLE_RATE as usize).collect()
}

/// The network of P.835: seven convolutions over the logarithmic power spectrum.
#[derive(Debug)]
struct P835 {
    fourier: Fourier,
    /// Smallest power, and what its logarithm is divided by.
    floor: f32,
    log_scale: f32,
    first: Direct,
    convs: [Winograd; 6],
    dense: [Dense; 3],
}

impl P835 {
    fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let part = |name: &str| values(checkpoint, &format!("time2freq/stft-{name}/kernel:0"), &[N_BINS, N_FFT, 1]);
        let (real, imaginary) = (part("real")?, part("imag")?);
        let fourier = Fourier::from_weights(N_FFT, N_BINS, HOP_LENGTH, |sample, output| {
            let part = if output % 2 == 0 { &real } else { &imaginary };
            part[output / 2 * N_FFT + sample]
        });
        let constant =
            |name: &str| Ok::<_, Error>(values(checkpoint, &format!("mos_estimator_logpow/{name}"), &[])?[0]);
        let conv = |index: usize, n_inputs: usize, n_outputs: usize| -> Result<Winograd> {
            let (values, bias) = conv_weights(checkpoint, index, n_inputs, n_outputs)?;
            Ok(Winograd::new(Weights { values: &values, bias: &bias, is_time_last: false }, 1, RECTIFIER))
        };
        let (values, bias) = conv_weights(checkpoint, 0, 1, 128)?;
        let dense = |name: &str, n_inputs, n_outputs| {
            Dense::load(checkpoint, "mos_estimator_logpow", name, n_inputs, n_outputs)
        };
        Ok(Self {
            fourier,
            floor: constant("Maximum/x:0")?,
            log_scale: constant("truediv/y:0")?,
            first: Direct::new(Weights { values: &values, bias: &bias, is_time_last: false }, (1, 1), RECTIFIER),
            convs: [
                conv(1, 128, 64)?,
                conv(2, 64, 64)?,
                conv(3, 64, 32)?,
                conv(4, 32, 32)?,
                conv(5, 32, 32)?,
                conv(6, 32, 64)?,
            ],
            dense: [dense("dense", 64, 128)?, dense("dense_1", 128, 64)?, dense("dense_3", 64, 3)?],
        })
    }

    /// Speech, background and the whole, of one window.
    fn window(&self, samples: &[f32], memory: &mut Memory) -> [f64; 3] {
        let Memory { planes: [a, b, spectrum], strips, scratch, spectra } = memory;
        let n = 2 * N_BINS;
        spectra.resize(60 * n, 0.0);
        spectrum.reshape(N_FRAMES, N_BINS, 1, 1);
        for first in (0..N_FRAMES).step_by(60) {
            self.fourier.spectra(&samples[first * HOP_LENGTH..], 60, spectra, n);
            for (step, values) in spectra.chunks_exact(n).enumerate() {
                let row = spectrum.row_mut(first + step).iter_mut();
                for (out, &[re, im]) in row.zip(values.as_chunks().0) {
                    *out = (re * re + im * im).max(self.floor).ln() / self.log_scale;
                }
            }
        }
        self.in_strips(spectrum, strips, a, scratch);
        let [.., fourth, fifth, last] = &self.convs;
        fourth.forward(a, b, 1, scratch);
        b.max_pool(a, 1);
        fifth.forward(a, b, 1, scratch);
        b.max_pool(a, 1);
        last.forward(a, b, 1, scratch);
        let scores = Dense::forward(&self.dense, b.channel_maxima());
        let [sig, bak, ovr] = [scores[0], scores[1], scores[2]].map(f64::from);
        // Calibration of the raw scores. Source: `get_polyfit_val`, not personalised.
        let polynomial = |x: f64, [a, b, c]: [f64; 3]| (a * x + b) * x + c;
        [
            polynomial(sig, [-0.083_972_78, 1.220_839_53, 0.005_243_9]),
            polynomial(bak, [-0.131_668_88, 1.609_155_14, -0.396_045_46]),
            polynomial(ovr, [-0.067_662_83, 1.115_464_68, 0.046_025_35]),
        ]
    }

    /// The first four convolutions and the maxima behind them.
    fn in_strips(&self, spectrum: &Plane, strips: &mut [Plane; LAG + 1], pooled: &mut Plane, scratch: &mut Scratch) {
        let n_channels = [1, self.first.n_outputs(), self.convs[0].n_outputs(), self.convs[1].n_outputs()];
        for (strip, n_channels) in strips.iter_mut().zip(n_channels) {
            strip.strip(STRIP, N_BINS, n_channels, 1);
        }
        pooled.reshape(N_FRAMES / 2, N_BINS / 2, self.convs[2].n_outputs(), 1);
        for end in (STRIP..N_FRAMES + LAG + STRIP).step_by(STRIP) {
            let [frames, layers @ .., last] = strips;
            frames.advance();
            for (step, frame) in (end - STRIP..end).enumerate() {
                let row = frames.row_mut(step);
                if frame < N_FRAMES { row.copy_from_slice(spectrum.row(frame)) } else { row.fill(0.0) }
            }
            let mut before = frames;
            for (layer, out) in layers.iter_mut().enumerate() {
                out.advance();
                match layer {
                    0 => self.first.forward(before, out, 1, scratch),
                    _ => self.convs[layer - 1].forward(before, out, 1, scratch),
                }
                // What lies before the first frame or behind the last is the next layer's padding.
                for step in 0..STRIP {
                    if !(STRIP + layer + 1..STRIP + layer + 1 + N_FRAMES).contains(&(end + step)) {
                        out.row_mut(step).fill(0.0);
                    }
                }
                before = out;
            }
            self.convs[2].forward(before, last, 1, scratch);
            for step in (0..STRIP).step_by(2) {
                if (STRIP + LAG..STRIP + LAG + N_FRAMES).contains(&(end + step)) {
                    last.pool_step(step, pooled.row_mut((end + step - STRIP - LAG) / 2));
                }
            }
        }
    }
}

/// The network of P.808: five convolutions over a mel spectrogram.
#[derive(Debug)]
struct P808 {
    fourier: Fourier,
    filters: Vec<MelFilter>,
    first: Direct,
    convs: [Winograd; 4],
    dense: [Dense; 3],
}

impl P808 {
    fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let conv = |index: usize, n_outputs: usize| -> Result<Winograd> {
            let (values, bias) = conv_weights(checkpoint, index, 32, n_outputs)?;
            Ok(Winograd::new(Weights { values: &values, bias: &bias, is_time_last: false }, 1, RECTIFIER))
        };
        let (values, bias) = conv_weights(checkpoint, 5, 1, 32)?;
        let dense = |name: &str, n_outputs| Dense::load(checkpoint, "mos_estimator_small_1", name, 64, n_outputs);
        Ok(Self {
            fourier: Fourier::hann(MEL_N_FFT, HOP_LENGTH),
            filters: mel_filters(N_MELS, MEL_N_FFT, f64::from(SAMPLE_RATE)),
            first: Direct::new(Weights { values: &values, bias: &bias, is_time_last: false }, (1, 1), RECTIFIER),
            convs: [conv(6, 32)?, conv(7, 32)?, conv(8, 32)?, conv(9, 64)?],
            dense: [dense("dense_3", 64)?, dense("dense_4", 64)?, dense("dense_5", 1)?],
        })
    }

    /// The score of one window without its last frame's step.
    fn window(&self, samples: &[f32], memory: &mut Memory) -> f64 {
        let mut mel = self.fourier.mel_power(samples, &self.filters);
        // librosa's power_to_db with ref=max and top_db=80, then to about [-1, 1].
        let decibel = |power: f32| 10.0 * power.max(1e-10).log10();
        let maximum = decibel(mel.iter().copied().fold(0.0, f32::max));
        for value in &mut mel {
            *value = ((decibel(*value) - maximum).max(-80.0) + 40.0) / 40.0;
        }
        let Memory { planes: [a, b, _], scratch, .. } = memory;
        b.reshape(N_FRAMES, N_MELS, 1, 1);
        for (step, mel) in mel.chunks_exact(N_MELS).enumerate() {
            b.row_mut(step).copy_from_slice(mel);
        }
        self.first.forward(b, a, 1, scratch);
        a.max_pool(b, 1);
        let [first, second, third, fourth] = &self.convs;
        first.forward(b, a, 1, scratch);
        a.max_pool(b, 1);
        second.forward(b, a, 1, scratch);
        third.forward(a, b, 1, scratch);
        b.max_pool(a, 1);
        fourth.forward(a, b, 1, scratch);
        f64::from(Dense::forward(&self.dense, b.channel_maxima())[0])
    }
}

fn conv_weights(
    checkpoint: &Checkpoint,
    index: usize,
    n_inputs: usize,
    n_outputs: usize,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let name = if index == 0 { "conv2d".to_owned() } else { format!("conv2d_{index}") };
    let weights = values(checkpoint, &format!("{name}/kernel:0"), &[n_outputs, n_inputs, 3, 3])?;
    Ok((weights, values(checkpoint, &format!("{name}/bias:0"), &[n_outputs])?))
}

/// A fully connected layer.
#[derive(Debug)]
struct Dense {
    weights: Panels,
    bias: Vec<f32>,
}

impl Dense {
    fn load(checkpoint: &Checkpoint, model: &str, name: &str, n_inputs: usize, n_outputs: usize) -> Result<Self> {
        let get = |part: &str, shape: &[usize]| {
            values(checkpoint, &format!("{model}/{name}/{part}/ReadVariableOp/resource:0"), shape)
        };
        let (weights, bias) = (get("MatMul", &[n_inputs, n_outputs])?, get("BiasAdd", &[n_outputs])?);
        Ok(Self {
            weights: Panels::new(n_inputs, n_outputs, |input, output| weights[input * n_outputs + output]),
            bias,
        })
    }

    /// The layers one after the other, with a rectifier between them.
    fn forward(layers: &[Self], mut x: Vec<f32>) -> Vec<f32> {
        for (index, layer) in layers.iter().enumerate() {
            if index > 0 {
                for x in &mut x {
                    *x = x.max(0.0);
                }
            }
            let mut out = layer.bias.clone();
            layer.weights.product(Left::new(&x, 1, 0), &mut out, layer.bias.len(), true);
            x = out;
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_every_second() {
        assert_eq!(window_starts(WINDOW), [0]);
        assert_eq!(window_starts(10 * 16_000), [0]);
        assert_eq!(window_starts(11 * 16_000), [0, 16_000]);
        assert_eq!(window_starts(12 * 16_000 - 1), [0, 16_000]);
    }

    #[test]
    fn short_clips_are_doubled_until_they_are_long_enough() {
        assert_eq!(repeated_len(1), 262_144);
        assert_eq!(repeated_len(WINDOW - 1), 2 * (WINDOW - 1));
        assert_eq!(repeated_len(64_000), 256_000);
    }
}
