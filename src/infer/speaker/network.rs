//! Three layers of long short-term memory, and a fully connected one behind the last step.

use super::{EMBEDDING_SIZE, N_MELS, PARTIAL_FRAMES, normalise};
use crate::{
    Result,
    infer::{
        kernels::{Left, Panels, WordRows, Words, lstm_step},
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

/// What cells put out lies between -1 and 1, and is multiplied in 16-bit integers: within 1e-6 of floats in the cosine.
#[derive(Debug)]
struct Layer {
    input: Input,
    recurrent: Words,
    bias: Vec<f32>,
}

#[derive(Debug)]
enum Input {
    /// Of mel frames, whose power has no bound.
    Mel(Panels),
    /// Of the layer before.
    Cells(Words),
}

/// What a layer remembers, for each row.
struct State {
    hidden: WordRows,
    cells: Vec<f32>,
}

/// What goes through the layers.
struct Memory {
    gates: Vec<f32>,
    /// `[BLOCK, n_rows, WIDTH]`, and the same as integers.
    steps: Vec<f32>,
    words: WordRows,
}

impl Network {
    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let get = |name: &str, shape: &[usize]| values(checkpoint, &format!("model_state.{name}"), shape);
        let layer = |index: usize| -> Result<Layer> {
            let n_inputs = if index == 0 { N_MELS } else { WIDTH };
            let part = |part: &str, shape: &[usize]| get(&format!("lstm.{part}_l{index}"), shape);
            let biases = part("bias_ih", &[GATES])?.into_iter().zip(part("bias_hh", &[GATES])?);
            let input = part("weight_ih", &[GATES, n_inputs])?;
            Ok(Layer {
                input: if index == 0 {
                    Input::Mel(panels(&input, N_MELS))
                } else {
                    Input::Cells(Words::new(&input, WIDTH))
                },
                recurrent: Words::new(&part("weight_hh", &[GATES, WIDTH])?, WIDTH),
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
        let Input::Mel(input) = &self.layers[0].input else { return Vec::new() };
        let n_frames = mel.len() / N_MELS;
        let mut gates = vec![0.0; n_frames * GATES];
        input.product(Left::new(mel, n_frames, N_MELS), &mut gates, GATES, false);
        gates
    }

    /// The vectors of the partial utterances that begin at these frames, one after the other.
    pub(super) fn embeddings(&self, frames: &[f32], starts: &[usize]) -> Vec<f32> {
        let n_rows = starts.len();
        let mut states = self.layers.each_ref().map(|_| {
            let mut hidden = WordRows::default();
            hidden.set(&vec![0.0; n_rows * WIDTH], WIDTH);
            State { hidden, cells: vec![0.0; n_rows * WIDTH] }
        });
        let mut memory = Memory {
            gates: vec![0.0; BLOCK * n_rows * GATES],
            steps: vec![0.0; BLOCK * n_rows * WIDTH],
            words: WordRows::default(),
        };
        for first in (0..PARTIAL_FRAMES).step_by(BLOCK) {
            let rows = (first..first + BLOCK).flat_map(|frame| starts.iter().map(move |start| start + frame));
            for (gates, frame) in memory.gates.chunks_exact_mut(GATES).zip(rows) {
                gates.copy_from_slice(&frames[frame * GATES..][..GATES]);
            }
            for (layer, state) in self.layers.iter().zip(&mut states) {
                layer.advance(state, &mut memory, n_rows);
            }
        }
        let mut out: Vec<f32> = starts.iter().flat_map(|_| &self.output_bias).copied().collect();
        let last = &memory.steps[(BLOCK - 1) * n_rows * WIDTH..];
        self.output.product(Left::new(last, n_rows, WIDTH), &mut out, EMBEDDING_SIZE, true);
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
    /// Some steps of all rows, from the layer before's (the first layer's gates have theirs) to its own.
    fn advance(&self, state: &mut State, memory: &mut Memory, n_rows: usize) {
        let Memory { gates, steps, words } = memory;
        if let Input::Cells(input) = &self.input {
            words.set(steps, WIDTH);
            input.product(words, gates, false);
        }
        for (gates, out) in gates.chunks_exact_mut(n_rows * GATES).zip(steps.chunks_exact_mut(n_rows * WIDTH)) {
            self.recurrent.product(&state.hidden, gates, true);
            lstm_step(gates, &self.bias, &mut state.cells, out);
            state.hidden.set(out, WIDTH);
        }
    }
}

/// Of weights `[n_outputs, n_inputs]`.
fn panels(weights: &[f32], n_inputs: usize) -> Panels {
    Panels::new(n_inputs, weights.len() / n_inputs, |input, output| weights[output * n_inputs + input])
}
