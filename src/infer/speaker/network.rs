//! Three layers of long short-term memory, and a fully connected one behind the last step.

use super::{EMBEDDING_SIZE, N_MELS, PARTIAL_FRAMES, normalise};
use crate::{
    Result,
    infer::{
        kernels::{Fixed, INPUT_BYTES, Left, Panels, lstm_step, to_fixed},
        mos::values,
        weights::Checkpoint,
    },
};

/// Cells of a layer, and sums of their gates.
const WIDTH: usize = 256;
const GATES: usize = 4 * WIDTH;
/// Steps that a layer takes before the next one follows: what is between stays in the cache.
const BLOCK: usize = 4;

/// What a layer puts out lies within (-1, 1): its products are those of [`Fixed`] numbers.
#[derive(Debug)]
pub(super) struct Network {
    /// From mel frames to the gates of the first layer.
    input: Panels,
    /// From what a layer puts out to the gates of the next one.
    between: [Fixed; 2],
    layers: [Layer; 3],
    output: Panels,
    output_bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    recurrent: Fixed,
    bias: Vec<f32>,
}

/// What a layer remembers, for each row: its cells, and what it put out last, also as the inputs of products.
struct State {
    cells: Vec<f32>,
    hidden: Vec<f32>,
    inputs: Vec<u8>,
}

impl Network {
    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let get = |name: &str, shape: &[usize]| values(checkpoint, &format!("model_state.{name}"), shape);
        let part = |part: &str, index: usize, shape: &[usize]| get(&format!("lstm.{part}_l{index}"), shape);
        let fixed = |name: &str, index: usize| -> Result<Fixed> {
            let weights = part(name, index, &[GATES, WIDTH])?;
            Ok(Fixed::new(WIDTH, GATES, |input, output| weights[output * WIDTH + input]))
        };
        let layer = |index: usize| -> Result<Layer> {
            let biases = part("bias_ih", index, &[GATES])?.into_iter().zip(part("bias_hh", index, &[GATES])?);
            Ok(Layer { recurrent: fixed("weight_hh", index)?, bias: biases.map(|(a, b)| a + b).collect() })
        };
        Ok(Self {
            input: panels(&part("weight_ih", 0, &[GATES, N_MELS])?, N_MELS),
            between: [fixed("weight_ih", 1)?, fixed("weight_ih", 2)?],
            layers: [layer(0)?, layer(1)?, layer(2)?],
            output: panels(&get("linear.weight", &[EMBEDDING_SIZE, WIDTH])?, WIDTH),
            output_bias: get("linear.bias", &[EMBEDDING_SIZE])?,
        })
    }

    /// What the frames `[n_frames, N_MELS]` give to the first layer's gates, with its bias, `[n_frames, GATES]`: partial
    /// utterances that overlap share it.
    pub(super) fn frames(&self, mel: &[f32]) -> Vec<f32> {
        let n_frames = mel.len() / N_MELS;
        let mut gates = self.layers[0].bias.repeat(n_frames);
        self.input.product(Left::new(mel, n_frames, N_MELS), &mut gates, GATES, true);
        gates
    }

    /// The vectors of the partial utterances that begin at these frames, one after the other.
    pub(super) fn embeddings(&self, frames: &[f32], starts: &[usize]) -> Vec<f32> {
        let n_rows = starts.len();
        let n = n_rows * WIDTH;
        let mut states = self.layers.each_ref().map(|_| State {
            cells: vec![0.0; n],
            hidden: vec![0.0; n],
            inputs: vec![0; n * INPUT_BYTES],
        });
        let (mut gates, mut steps) = (vec![0.0; BLOCK * n_rows * GATES], vec![0; BLOCK * n * INPUT_BYTES]);
        for first in (0..PARTIAL_FRAMES).step_by(BLOCK) {
            let [one, two, three] = &mut states;
            self.layers[0].advance(one, &mut gates, &mut steps, false, |step, row| {
                &frames[(starts[row] + first + step) * GATES..][..GATES]
            });
            for ((layer, between), state) in self.layers[1..].iter().zip(&self.between).zip([two, three]) {
                between.product(&steps, &mut gates, false);
                layer.advance(state, &mut gates, &mut steps, true, |_, _| &layer.bias);
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
    /// Some steps, from the gates' sums `[n_steps, n_rows, GATES]` without the steps before (nothing, if not `onto`) and
    /// `bias(step, row)`, to what the layer puts out, `[n_steps, n_rows, WIDTH]` inputs of the next one.
    fn advance<'b>(
        &self,
        state: &mut State,
        gates: &mut [f32],
        steps: &mut [u8],
        onto: bool,
        bias: impl Fn(usize, usize) -> &'b [f32],
    ) {
        let State { cells, hidden, inputs } = state;
        let steps = gates.chunks_exact_mut(4 * cells.len()).zip(steps.chunks_exact_mut(inputs.len()));
        for (index, (gates, step)) in steps.enumerate() {
            self.recurrent.product(inputs, gates, onto);
            lstm_step(gates, |row| bias(index, row), cells, hidden);
            to_fixed(hidden, inputs);
            step.copy_from_slice(inputs);
        }
    }
}

/// Of weights `[n_outputs, n_inputs]`.
fn panels(weights: &[f32], n_inputs: usize) -> Panels {
    Panels::new(n_inputs, weights.len() / n_inputs, |input, output| weights[output * n_inputs + input])
}
