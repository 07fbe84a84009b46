//! The stochastic duration predictor: noise, and the text's encoding, to how long each symbol lasts.
//!
//! Source: VITS `models.py` and `modules.py` (`StochasticDurationPredictor` in reverse, `DDSConv`, `ConvFlow`).

use pulp::Arch;

use super::{
    conv::{Activation, Conv, Weights},
    encoder::EPSILON,
    noise::Noise,
    spline::Spline,
    weights::{Norm, Tensors},
};
use crate::{
    Result,
    audio::Once,
    infer::kernels::{gelu, layer_norm},
};

/// The stochastic duration predictor.
#[derive(Debug)]
pub(super) struct DurationPredictor {
    pre: Conv,
    /// Of a voice with several speakers.
    condition: Option<Conv>,
    convs: Separable,
    project: Conv,
    /// In the order in which they are undone.
    flows: Vec<ConvFlow>,
    translate: [f64; 2],
    scale: [f64; 2],
}

impl DurationPredictor {
    pub(super) fn load(tensors: &Tensors<'_>, hidden: usize, speaker: Option<usize>) -> Result<Self> {
        let name = |part: &str| format!("duration_predictor.{part}");
        let pre = tensors.conv(&name("conv_pre"), hidden, hidden, 1)?;
        let condition = speaker.map(|size| tensors.conv(&name("cond"), hidden, size, 1)).transpose()?;
        // The first flow behind the affine one is left out when the flows are undone, as in the original.
        let n_flows = tensors.count(|flow| name(&format!("flows.{}.conv_pre", flow + 2)));
        let flows = (2..2 + n_flows).rev();
        let flows = flows.map(|flow| ConvFlow::load(tensors, &name(&format!("flows.{flow}")), hidden));
        let translate = tensors.values(&name("flows.0.translate"), &[2])?;
        // Exporters fold `exp(-logs)` into a constant of the graph.
        let folded = "/dp/flows.0/Exp_output_0";
        let scale: Vec<f64> = match tensors.shape(folded) {
            Some(_) => tensors.values(folded, &[2])?.into_iter().map(f64::from).collect(),
            None => tensors.values(&name("flows.0.log_scale"), &[2])?.iter().map(|x| (-f64::from(*x)).exp()).collect(),
        };
        Ok(Self {
            pre,
            condition,
            convs: Separable::load(tensors, &name("conv_dds"), hidden)?,
            project: tensors.conv(&name("conv_proj"), hidden, hidden, 1)?,
            flows: flows.collect::<Result<_>>()?,
            translate: [0, 1].map(|i| f64::from(translate[i])),
            scale: [0, 1].map(|i| scale[i]),
        })
    }

    /// How many frames each symbol lasts at the voice's own speed, from the encoding `[n, hidden]`.
    pub(super) fn forward(&self, hidden: &[f32], speaker: Option<&[f32]>, noise: &mut Noise, noise_w: f32) -> Vec<f64> {
        let mut x = self.pre.all(hidden, Activation::None);
        if let Some((condition, speaker)) = self.condition.as_ref().zip(speaker) {
            let condition = condition.all(speaker, Activation::None);
            for row in x.chunks_exact_mut(condition.len()) {
                row.iter_mut().zip(&condition).for_each(|(value, condition)| *value += condition);
            }
        }
        self.convs.forward(&mut x);
        let x = self.project.all(&x, Activation::None);
        let n = x.len() / self.project.n_outputs();
        let mut latents: Vec<[f64; 2]> = (0..n).map(|_| [0; 2].map(|_| f64::from(noise.next() * noise_w))).collect();
        for flow in &self.flows {
            for pair in &mut latents {
                pair.swap(0, 1);
            }
            flow.undo(&mut latents, &x);
        }
        // The last flip and the affine flow; the second of each pair is of no use.
        latents.iter().map(|pair| ((pair[1] - self.translate[0]) * self.scale[0]).exp()).collect()
    }
}

/// A flow that bends one half of the latents by a spline that the other half decides on.
#[derive(Debug)]
struct ConvFlow {
    pre: Conv,
    convs: Separable,
    project: Conv,
    n_bins: usize,
}

impl ConvFlow {
    fn load(tensors: &Tensors<'_>, module: &str, hidden: usize) -> Result<Self> {
        let project = tensors.convolution(&format!("{module}.conv_proj"))?;
        let n_bins = project.bias.len().div_ceil(3);
        if n_bins < 2 || 3 * n_bins - 1 != project.bias.len() || project.n_inputs != hidden {
            let reason = format!(
                "{module}.conv_proj has {} outputs and {} inputs; expected 3 * bins - 1 and {hidden}",
                project.bias.len(),
                project.n_inputs
            );
            return Err(tensors.damaged(reason));
        }
        Ok(Self {
            pre: tensors.conv(&format!("{module}.conv_pre"), hidden, 1, 1)?,
            convs: Separable::load(tensors, &format!("{module}.conv_dds"), hidden)?,
            project: Conv::new(&project, 1),
            n_bins,
        })
    }

    fn undo(&self, latents: &mut [[f64; 2]], condition: &[f32]) {
        let first: Vec<f32> = latents.iter().map(|pair| pair[0] as f32).collect();
        let mut hidden = self.pre.all(&first, Activation::None);
        hidden.iter_mut().zip(condition).for_each(|(value, condition)| *value += condition);
        self.convs.forward(&mut hidden);
        let shapes = self.project.all(&hidden, Activation::None);
        let scale = (self.pre.n_outputs() as f64).sqrt();
        let mut spline = Spline::default();
        for (pair, shape) in latents.iter_mut().zip(shapes.chunks_exact(self.project.n_outputs())) {
            let sizes: Vec<f64> = shape[..2 * self.n_bins].iter().map(|size| f64::from(*size) / scale).collect();
            spline.set(&sizes[..self.n_bins], &sizes[self.n_bins..], &shape[2 * self.n_bins..]);
            pair[1] = spline.inverse(pair[1]);
        }
    }
}

/// Dilated convolutions of each channel alone, each followed by one that mixes the channels of a step.
#[derive(Debug)]
struct Separable {
    layers: Vec<SeparableLayer>,
}

#[derive(Debug)]
struct SeparableLayer {
    dilated: Weights,
    dilation: usize,
    pointwise: Conv,
    norms: [Norm; 2],
}

impl Separable {
    fn load(tensors: &Tensors<'_>, module: &str, n: usize) -> Result<Self> {
        let n_layers = tensors.count(|layer| format!("{module}.convs_dilated.{layer}"));
        let mut layers = Vec::new();
        for layer in 0..n_layers {
            let dilated = tensors.checked(&format!("{module}.convs_dilated.{layer}"), n, 1)?;
            let dilation = dilated.kernel.saturating_pow(layer as u32);
            layers.push(SeparableLayer {
                dilation,
                pointwise: tensors.conv(&format!("{module}.convs_pointwise.{layer}"), n, n, 1)?,
                norms: [
                    tensors.norm(&format!("{module}.norms_1.{layer}"), n)?,
                    tensors.norm(&format!("{module}.norms_2.{layer}"), n)?,
                ],
                dilated,
            });
        }
        Ok(Self { layers })
    }

    fn forward(&self, x: &mut [f32]) {
        let (mut y, mut normed) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for layer in &self.layers {
            layer.dilate(x, &mut y);
            layer_norm(&mut normed, &y, &layer.norms[0].gamma, &layer.norms[0].beta, EPSILON);
            gelu(&mut normed);
            let mixed = layer.pointwise.all(&normed, Activation::None);
            layer_norm(&mut normed, &mixed, &layer.norms[1].gamma, &layer.norms[1].beta, EPSILON);
            gelu(&mut normed);
            x.iter_mut().zip(&normed).for_each(|(x, y)| *x += y);
        }
    }
}

impl SeparableLayer {
    fn dilate(&self, x: &[f32], out: &mut [f32]) {
        let Weights { values, bias, kernel, .. } = &self.dilated;
        let n = bias.len();
        let taps: Vec<Vec<f32>> =
            (0..*kernel).map(|tap| values.iter().skip(tap).step_by(*kernel).copied().collect()).collect();
        let before = (kernel - 1) * self.dilation / 2;
        for (step, out) in out.chunks_exact_mut(n).enumerate() {
            out.copy_from_slice(bias);
            for (tap, weights) in taps.iter().enumerate() {
                let Some(from) = (step + tap * self.dilation).checked_sub(before) else { continue };
                let Some(row) = x.get(from * n..(from + 1) * n) else { continue };
                let (out, once) = (&mut *out, Once);
                Arch::new().dispatch(
                    #[inline(always)]
                    move || {
                        once.spend();
                        for ((out, weight), value) in out.iter_mut().zip(weights).zip(row) {
                            *out += weight * value;
                        }
                    },
                );
            }
        }
    }
}
