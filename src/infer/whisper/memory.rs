//! The memory that a model needs, from its sizes alone.

use super::config::Dimensions;
use crate::infer::ComputeType;

/// Bytes that a model and the work with it take. What the runtime itself needs (code, a GPU's context) is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The weights.
    pub weights_bytes: u64,
    /// The keys and values that the decoder takes from one window of audio: kept while the window is decoded.
    pub window_bytes: u64,
    /// The keys and values of one sequence of tokens at its full length, and the scores of its next token. Each beam
    /// is a sequence.
    pub row_bytes: u64,
    /// What the encoder works in, for each window encoded at once: its input, two vectors a position, and the widest
    /// layer's.
    pub workspace_bytes: u64,
}

impl Memory {
    /// Bytes for `n_windows` encoded together and decoded together, `n_rows` sequences each.
    #[must_use]
    pub fn total_bytes(&self, n_windows: u64, n_rows: u64) -> u64 {
        self.weights_bytes.saturating_add(self.batch_bytes(n_rows).saturating_mul(n_windows))
    }

    /// Windows with `n_rows` sequences each that fit together with the weights; 0 when not even one does.
    #[must_use]
    pub fn n_windows(&self, available_bytes: u64, n_rows: u64) -> u64 {
        available_bytes.saturating_sub(self.weights_bytes) / self.batch_bytes(n_rows).max(1)
    }

    fn batch_bytes(&self, n_rows: u64) -> u64 {
        self.window_bytes + self.workspace_bytes + n_rows.saturating_mul(self.row_bytes)
    }
}

impl Dimensions {
    /// The memory that a model of these sizes needs. [`ComputeType::Auto`] counts as the largest, `float32`.
    ///
    /// With `int8`, matrices take a byte a value (the tokens' embedding two more, some of a small model's decoder one) and
    /// four for the scale of each row; everything else stays in `float32`.
    /// With `float16` and `bfloat16`, positions, norms and biases do.
    #[must_use]
    pub fn memory(&self, compute_type: ComputeType) -> Memory {
        let float_bytes = match compute_type {
            ComputeType::Float16 | ComputeType::BFloat16 => 2,
            ComputeType::Auto | ComputeType::Float32 | ComputeType::Int8 => 4,
        };
        let weights = self.weights();
        let weights_bytes = match compute_type {
            ComputeType::Int8 => {
                let words = if self.has_words() { weights.decoder_down } else { 0 };
                let integers = weights.matrix + 2 * weights.embedding + words;
                integers + float_bytes * (weights.matrix_rows + weights.convolution + weights.vector)
            }
            _ => float_bytes * (weights.matrix + weights.convolution) + 4 * weights.vector,
        };
        let [width, n_layers] = [self.width as u64, self.n_decoder_layers as u64];
        let [n_audio_ctx, n_text_ctx] = [self.n_audio_ctx as u64, self.n_text_ctx as u64];
        Memory {
            weights_bytes,
            window_bytes: float_bytes * 2 * n_layers * n_audio_ctx * width,
            row_bytes: float_bytes * 2 * n_layers * n_text_ctx * width + 4 * self.n_vocab as u64,
            // The input twice: as it comes, and turned to rows between zeros.
            workspace_bytes: float_bytes * (2 + MLP) * n_audio_ctx * width
                + (4 * 2 * n_audio_ctx + float_bytes * (2 * n_audio_ctx + 2)) * self.n_mels as u64,
        }
    }

    /// Numbers in the weights. Source: openai/whisper `model.py`; keys have no bias.
    fn weights(&self) -> Weights {
        let [width, n_mels, n_vocab] = [self.width as u64, self.n_mels as u64, self.n_vocab as u64];
        let [n_encoder, n_decoder] = [self.n_encoder_layers as u64, self.n_decoder_layers as u64];
        // One layer of the encoder has an attention and the two matrices of the MLP; the decoder's has one attention more.
        let mlp = 2 * MLP * width * width;
        let embedding = n_vocab * width;
        let matrix = n_encoder * (4 * width * width + mlp) + n_decoder * (8 * width * width + mlp) + embedding;
        let decoder_down = n_decoder * MLP * width * width;
        let matrix_rows = n_encoder * (4 + MLP + 1) * width + n_decoder * (8 + MLP + 1) * width + n_vocab;
        let norm = 2 * width;
        let convolution = 3 * width * n_mels + 3 * width * width;
        let vector = 2 * width
            + (self.n_audio_ctx as u64 + self.n_text_ctx as u64) * width
            + n_encoder * ((3 + MLP + 1) * width + 2 * norm)
            + n_decoder * ((6 + MLP + 1) * width + 3 * norm)
            + 2 * norm;
        Weights { matrix, embedding, decoder_down, matrix_rows, convolution, vector }
    }
}

/// How much wider the inside of a layer's MLP is.
const MLP: u64 = 4;

struct Weights {
    /// In the matrices of linear layers, the tokens' embedding included.
    matrix: u64,
    /// Of these, in the embedding.
    embedding: u64,
    /// Of these, in the second matrices of the decoder's MLPs.
    decoder_down: u64,
    /// Rows of them.
    matrix_rows: u64,
    convolution: u64,
    /// In positions, norms and biases.
    vector: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::whisper::published::Published;

    fn memory(name: &str, compute_type: ComputeType) -> Memory {
        Published::find(name).unwrap().dimensions().memory(compute_type)
    }

    /// Encoder 8,208,384: convolutions 92,544 + 442,752, positions 576,000, four layers of 1,774,080, norm 768.
    /// Decoder 29,551,872: embedding 19,915,776, positions 172,032, four layers of 2,365,824, norm 768.
    #[test]
    fn weights_of_tiny_en_worked_by_hand() {
        assert_eq!(memory("tiny.en", ComputeType::Float32).weights_bytes, 4 * (8_208_384 + 29_551_872));
        // Positions 748,032; biases 2 x 384, 8 x 384 a layer of the encoder and 11 x 384 of the decoder; norms.
        let vectors = 748_032 + 768 + 4 * 3072 + 4 * 4224 + (4 * 2 + 4 * 3 + 2) * 768;
        assert_eq!(memory("tiny.en", ComputeType::Float16).weights_bytes, 2 * (37_760_256 + vectors));
        // Matrices: 51,864 x 384, and 12 x 147,456 or 16 x 147,456 a layer; rows: 51,864, 9 x 384 or 13 x 384 a layer.
        let (matrix, rows) = (19_915_776 + 4 * 1_769_472 + 4 * 2_359_296, 51_864 + 4 * 3456 + 4 * 4992);
        // The embedding is there in 16 bits too, and 4 x 4 x 147,456 numbers of the decoder take 16.
        let bytes = matrix + 2 * 19_915_776 + 4 * 589_824 + 4 * rows + 4 * (37_760_256 - matrix);
        assert_eq!(memory("tiny.en", ComputeType::Int8).weights_bytes, bytes);
    }

    /// The number of parameters that Hugging Face's hub counts in the models' files.
    #[test]
    fn weights_of_published_models_are_as_many_as_published() {
        for (name, n) in [
            ("tiny", 37_760_640),
            ("base", 72_593_920),
            ("small", 241_734_912),
            ("medium", 763_857_920),
            ("large-v2", 1_543_304_960),
            ("large-v3", 1_543_490_560),
            ("large-v3-turbo", 808_878_080),
        ] {
            assert_eq!(memory(name, ComputeType::Float32).weights_bytes, 4 * n, "{name}");
        }
    }

    /// Turbo in f16: 2 (keys, values) x 4 layers x 1500 x 1280 x 2 bytes a window.
    #[test]
    fn caches_of_turbo_worked_by_hand() {
        let memory = memory("large-v3-turbo", ComputeType::Float16);
        assert_eq!(memory.window_bytes, 30_720_000);
        assert_eq!(memory.row_bytes, 2 * 4 * 448 * 1280 * 2 + 51_866 * 4);
        assert_eq!(memory.workspace_bytes, 6 * 1500 * 1280 * 2 + 3000 * 128 * 4 + 3002 * 128 * 2);
    }

    #[test]
    fn as_many_windows_fit_as_are_counted() {
        let memory = memory("base", ComputeType::Int8);
        for (n_windows, n_rows) in [(1, 1), (7, 5), (64, 1)] {
            let bytes = memory.total_bytes(n_windows, n_rows);
            assert_eq!(memory.n_windows(bytes, n_rows), n_windows);
            assert_eq!(memory.n_windows(bytes - 1, n_rows), n_windows - 1);
        }
        assert_eq!(memory.n_windows(0, 1), 0);
    }
}
