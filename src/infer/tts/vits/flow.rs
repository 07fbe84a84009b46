//! The flow between what the text says and what the decoder hears, undone: residual couplings whose networks are
//! `WaveNet`'s.
//!
//! Source: VITS `models.py` and `modules.py` (`ResidualCouplingBlock` in reverse, `WN`).

use rayon::prelude::*;

use super::{
    conv::{Activation, Begin, Conv, Weights},
    line::Rows,
    weights::Tensors,
};
use crate::{Result, infer::kernels::gate};

/// Steps that one thread works on at a time.
const TILE: usize = 48;

/// The flow. Where the original exchanges the channels of the two halves between couplings, the couplings' weights are
/// exchanged here.
#[derive(Debug)]
pub(super) struct Flow {
    /// In the order in which they are undone.
    couplings: Vec<Coupling>,
}

#[derive(Debug)]
struct Coupling {
    /// From all channels; those that are changed have no weight.
    pre: Conv,
    layers: Vec<Layer>,
    /// Of a voice with several speakers: the biases of all layers.
    condition: Option<Conv>,
    /// What is added to all channels; nothing to those that are kept.
    post: Conv,
}

#[derive(Debug)]
struct Layer {
    /// To twice the channels: of a tanh and of the sigmoid that lets it through.
    input: Conv,
    /// What goes on to the next layer; the last has none.
    residual: Option<Conv>,
    skip: Conv,
}

impl Flow {
    pub(super) fn load(tensors: &Tensors<'_>, size: usize, speaker: Option<usize>) -> Result<Self> {
        let module = |flow| format!("flow.flows.{flow}");
        let n_flows = tensors.count(|flow| format!("{}.conv_pre", module(flow)));
        let undone = (0..n_flows).rev().enumerate();
        let couplings =
            undone.map(|(n_before, flow)| Coupling::load(tensors, &module(flow), size, n_before % 2 == 0, speaker));
        if n_flows % 2 == 1 || size % 2 == 1 {
            return Err(tensors.damaged(format!("{n_flows} flows of {size} channels; expected even numbers")));
        }
        Ok(Self { couplings: couplings.collect::<Result<_>>()? })
    }

    /// Undoes the flow in place, `[n_steps, size]`.
    pub(super) fn undo(&self, latents: &mut Vec<f32>, speaker: Option<&[f32]>) {
        for coupling in &self.couplings {
            coupling.undo(latents, speaker);
        }
    }
}

impl Coupling {
    /// `is_reversed`: the channels come in the opposite order.
    fn load(
        tensors: &Tensors<'_>,
        module: &str,
        size: usize,
        is_reversed: bool,
        speaker: Option<usize>,
    ) -> Result<Self> {
        let half = size / 2;
        let place = |channel: usize| if is_reversed { size - 1 - channel } else { channel };
        let pre = tensors.convolution(&format!("{module}.conv_pre"))?;
        let hidden = pre.bias.len();
        let pre = tensors.checked(&format!("{module}.conv_pre"), hidden, half)?;
        let mut all = Weights { values: vec![0.0; hidden * size], bias: pre.bias, n_inputs: size, kernel: 1 };
        for (index, value) in pre.values.iter().enumerate() {
            all.values[index / half * size + place(index % half)] = *value;
        }
        let pre = Conv::new(&all, 1);
        let post = tensors.checked(&format!("{module}.conv_post"), half, hidden)?;
        let mut all = Weights { values: vec![0.0; size * hidden], bias: vec![0.0; size], n_inputs: hidden, kernel: 1 };
        for channel in 0..half {
            let row = place(half + channel);
            all.bias[row] = -post.bias[channel];
            for (out, value) in all.values[row * hidden..].iter_mut().zip(&post.values[channel * hidden..][..hidden]) {
                *out = -value;
            }
        }
        let n_layers = tensors.count(|layer| format!("{module}.wavenet.in_layers.{layer}"));
        let layers = (0..n_layers).map(|layer| Layer::load(tensors, module, layer, hidden));
        let condition =
            speaker.map(|size| tensors.conv(&format!("{module}.wavenet.cond_layer"), 2 * hidden * n_layers, size, 1));
        Ok(Self {
            pre,
            layers: layers.collect::<Result<_>>()?,
            condition: condition.transpose()?,
            post: Conv::new(&all, 1),
        })
    }

    fn undo(&self, latents: &mut Vec<f32>, speaker: Option<&[f32]>) {
        let n = self.pre.n_outputs();
        let mut x = self.pre.all(latents, Activation::None);
        let condition = self.condition.as_ref().zip(speaker).map(|(conv, speaker)| conv.all(speaker, Activation::None));
        let (mut next, mut sum) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for (index, layer) in self.layers.iter().enumerate() {
            let bias = condition.as_deref().map(|condition| &condition[index * 2 * n..][..2 * n]);
            layer.forward(Rows::all(&x, n), bias, &mut next, &mut sum);
            std::mem::swap(&mut x, &mut next);
        }
        let mut out = vec![0.0; latents.len()];
        let (rows, sum) = (Rows::all(latents, self.post.n_outputs()), Rows::all(&sum, n));
        self.post.forward(sum, 0..rows.total, Activation::None, Begin::Rows(rows), &mut out);
        *latents = out;
    }
}

/// Room of one thread.
#[derive(Debug, Default)]
struct Scratch {
    window: Vec<f32>,
    sums: Vec<f32>,
    gated: Vec<f32>,
}

impl Layer {
    fn load(tensors: &Tensors<'_>, module: &str, layer: usize, n: usize) -> Result<Self> {
        let input = format!("{module}.wavenet.in_layers.{layer}");
        let dilation = tensors.power("wavenet_dilation_rate", layer, &input)?;
        let both = tensors.convolution(&format!("{module}.wavenet.res_skip_layers.{layer}"))?;
        let n_both = both.bias.len();
        if (n_both != n && n_both != 2 * n) || both.n_inputs != n || both.kernel != 1 {
            let reason = format!(
                "{module}.wavenet.res_skip_layers.{layer} has {n_both} outputs and {} inputs; expected {n} or {}, and {n}",
                both.n_inputs,
                2 * n
            );
            return Err(tensors.damaged(reason));
        }
        let rows = |first: usize| {
            let values = both.values[first * n..(first + n) * n].to_vec();
            Conv::new(&Weights { values, bias: both.bias[first..first + n].to_vec(), n_inputs: n, kernel: 1 }, 1)
        };
        Ok(Self {
            input: tensors.conv(&input, 2 * n, n, dilation)?,
            residual: (n_both > n).then(|| rows(0)),
            skip: rows(n_both - n),
        })
    }

    /// What goes on into `next`, and what is skipped onto `sum`.
    fn forward(&self, x: Rows<'_>, bias: Option<&[f32]>, next: &mut [f32], sum: &mut [f32]) {
        let n = self.skip.n_outputs();
        let tiles = next.par_chunks_mut(TILE * n).zip(sum.par_chunks_mut(TILE * n)).enumerate();
        tiles.for_each_init(Scratch::default, |scratch, (index, (next, sum))| {
            let steps = index * TILE..index * TILE + sum.len() / n;
            let Scratch { window, sums, gated } = scratch;
            sums.resize(steps.len() * 2 * n, 0.0);
            gated.resize(steps.len() * n, 0.0);
            self.input.tile(x, steps.clone(), Activation::None, Begin::Bias, sums, window);
            if let Some(bias) = bias {
                for row in sums.chunks_exact_mut(2 * n) {
                    row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
                }
            }
            gate(gated, sums, n);
            let gated = Rows::all(gated, n);
            let all = 0..steps.len();
            let here = Rows::all(x.of(&steps), n);
            if let Some(residual) = &self.residual {
                residual.tile(gated, all.clone(), Activation::None, Begin::Rows(here), next, window);
            }
            self.skip.tile(gated, all, Activation::None, Begin::Onto, sum, window);
        });
    }
}
