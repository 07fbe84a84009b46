//! Three layers of long short-term memory, and a fully connected one behind the last step.

use super::{EMBEDDING_SIZE, N_MELS, PARTIAL_FRAMES, normalise};
use crate::{
    Result,
    infer::{
        kernels::{Left, Panels, lstm_step},
        mos::values,
        weights::Checkpoint,
    },
};

/// Cells of a layer, and sums of their gates.
const WIDTH: usize = 256;
const GATES: usize = 4 * WIDTH;
/// Steps that a layer takes before the next one follows: what is between stays in the cache.
const BLOCK: usize = 16;

#[derive(Debug)]
pub(super) struct Network {
    layers: [Layer; 3],
    output: Panels,
    output_bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    input: Panels,
    recurrent: Panels,
    bias: Vec<f32>,
}

/// What a layer remembers, for each row.
struct State {
    hidden: Vec<f32>,
    cells: Vec<f32>,
}

impl Network {
    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let get = |name: &str, shape: &[usize]| values(checkpoint, &format!("model_state.{name}"), shape);
        let layer = |index: usize| -> Result<Layer> {
            let n_inputs = if index == 0 { N_MELS } else { WIDTH };
            let part = |part: &str, shape: &[usize]| get(&format!("lstm.{part}_l{index}"), shape);
            let biases = part("bias_ih", &[GATES])?.into_iter().zip(part("bias_hh", &[GATES])?);
            Ok(Layer {
                input: panels(&part("weight_ih", &[GATES, n_inputs])?, n_inputs),
                recurrent: panels(&part("weight_hh", &[GATES, WIDTH])?, WIDTH),
                bias: biases.map(|(a, b)| a + b).collect(),
            })
        };
        Ok(Self {
            layers: [layer(0)?, layer(1)?, layer(2)?],
            output: panels(&get("linear.weight", &[EMBEDDING_SIZE, WIDTH])?, WIDTH),
            output_bias: get("linear.bias", &[EMBEDDING_SIZE])?,
        })
    }

    /// What the frames `[n_frames, N_MELS]` give to the first layer's gates, `[n_frames, GATES]`: partial utterances
    /// that overlap share it.
    pub(super) fn frames(&self, mel: &[f32]) -> Vec<f32> {
        let mut gates = Vec::new();
        self.layers[0].gates(mel, &mut gates);
        gates
    }

    /// The vectors of the partial utterances that begin at these frames, one after the other.
    pub(super) fn embeddings(&self, frames: &[f32], starts: &[usize]) -> Vec<f32> {
        let n_rows = starts.len();
        let mut states = self
            .layers
            .each_ref()
            .map(|_| State { hidden: vec![0.0; n_rows * WIDTH], cells: vec![0.0; n_rows * WIDTH] });
        let (mut gates, mut steps) = (Vec::new(), vec![0.0; BLOCK * n_rows * WIDTH]);
        for first in (0..PARTIAL_FRAMES).step_by(BLOCK) {
            for (index, (layer, state)) in self.layers.iter().zip(&mut states).enumerate() {
                if index == 0 {
                    gates.clear();
                    for frame in first..first + BLOCK {
                        for start in starts {
                            gates.extend_from_slice(&frames[(start + frame) * GATES..][..GATES]);
                        }
                    }
                } else {
                    layer.gates(&steps, &mut gates);
                }
                layer.advance(state, &mut gates, &mut steps, n_rows);
            }
        }
        let mut out: Vec<f32> = starts.iter().flat_map(|_| &self.output_bias).copied().collect();
        self.output.product(Left::new(&states[2].hidden, n_rows, WIDTH), &mut out, EMBEDDING_SIZE, true);
        for vector in out.chunks_exact_mut(EMBEDDING_SIZE) {
            for value in vector.iter_mut() {
                *value = value.max(0.0);
            }
            normalise(vector);
        }
        out
    }
}

impl Layer {
    /// The part of the gates' sums that does not depend on the steps before.
    fn gates(&self, x: &[f32], gates: &mut Vec<f32>) {
        let n_inputs = self.input.n_inputs();
        let n_rows = x.len() / n_inputs;
        gates.resize(n_rows * GATES, 0.0);
        self.input.product(Left::new(x, n_rows, n_inputs), gates, GATES, false);
    }

    /// Some steps, `[n_steps, n_rows, GATES]` to `[n_steps, n_rows, WIDTH]`.
    fn advance(&self, state: &mut State, gates: &mut [f32], out: &mut [f32], n_rows: usize) {
        for (gates, out) in gates.chunks_exact_mut(n_rows * GATES).zip(out.chunks_exact_mut(n_rows * WIDTH)) {
            self.recurrent.product(Left::new(&state.hidden, n_rows, WIDTH), gates, GATES, true);
            lstm_step(gates, &self.bias, &mut state.cells, out);
            state.hidden.copy_from_slice(out);
        }
    }
}

/// Of weights `[n_outputs, n_inputs]`.
fn panels(weights: &[f32], n_inputs: usize) -> Panels {
    Panels::new(n_inputs, weights.len() / n_inputs, |input, output| weights[output * n_inputs + input])
}
