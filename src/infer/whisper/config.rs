//! The sizes of a Whisper model, read from its tensors and settings.

use crate::{Error, Result, infer::weights::Checkpoint};

/// Values in one attention head of every published Whisper model; used where the files do not say.
const USUAL_HEAD_SIZE: usize = 64;
/// Width of the largest models, tiny and base, whose decoder in `int8` has some weights in 16 bits.
const MAX_WIDTH_OF_WORDS: usize = 512;

/// The sizes of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimensions {
    /// Mel bands of the input.
    pub n_mels: usize,
    /// Positions of the encoder's output: 1500 for 30 s.
    pub n_audio_ctx: usize,
    /// Positions of the decoder.
    pub n_text_ctx: usize,
    /// Values in a position.
    pub width: usize,
    /// Attention heads of an encoder layer.
    pub n_encoder_heads: usize,
    /// Attention heads of a decoder layer.
    pub n_decoder_heads: usize,
    /// Layers of the encoder.
    pub n_encoder_layers: usize,
    /// Layers of the decoder.
    pub n_decoder_layers: usize,
    /// Tokens.
    pub n_vocab: usize,
}

impl Dimensions {
    /// Reads the sizes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the settings are those of another kind of model; [`Error::Weights`] when the tensors
    /// are not those of a Whisper model.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        refuse_other_models(checkpoint)?;
        let shape = |name: &str, rank: usize| {
            checkpoint.shape(name).filter(|shape| shape.len() == rank && !shape.contains(&0)).ok_or_else(|| {
                let found = checkpoint.names().next().unwrap_or("nothing");
                damaged(
                    checkpoint,
                    format!("no tensor {name} of {rank} dimensions, but {found}; expected a Whisper model"),
                )
            })
        };
        let conv1 = shape("encoder.conv1.weight", 3)?;
        let embedding = shape("decoder.embed_tokens.weight", 2)?;
        let width = embedding[1];
        let heads = |side: &str| -> Result<usize> {
            let configured = checkpoint.setting(&format!("{side}_attention_heads")).and_then(serde_json::Value::as_u64);
            let stored = checkpoint.scalar(&format!("{side}/num_heads"))?.map(|heads| heads as u64);
            let n = configured.or(stored).map_or(width / USUAL_HEAD_SIZE, |n| usize::try_from(n).unwrap_or(0));
            if n == 0 || width % n != 0 {
                return Err(damaged(checkpoint, format!("{n} {side} attention heads do not divide the width {width}")));
            }
            Ok(n)
        };
        Ok(Self {
            n_mels: conv1[1],
            n_audio_ctx: shape("encoder.embed_positions.weight", 2)?[0],
            n_text_ctx: shape("decoder.embed_positions.weight", 2)?[0],
            width,
            n_encoder_heads: heads("encoder")?,
            n_decoder_heads: heads("decoder")?,
            n_encoder_layers: n_layers(checkpoint, "encoder"),
            n_decoder_layers: n_layers(checkpoint, "decoder"),
            n_vocab: embedding[0],
        })
    }

    /// Whether `int8` means 16 bits in the second matrix of the decoder's MLPs: it makes two fifths of what 8 bits cost the
    /// decoder's layers. What they cost larger models has not been measured, and there the matrices take longer.
    pub(super) fn has_words(&self) -> bool {
        self.width <= MAX_WIDTH_OF_WORDS
    }

    /// Whether the model knows languages other than English. Source: openai/whisper `model.py`.
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.n_vocab >= 51_865
    }
}

/// Says what a checkpoint is whose settings name another architecture.
fn refuse_other_models(checkpoint: &Checkpoint) -> Result<()> {
    let text = |name: &str| checkpoint.setting(name).and_then(serde_json::Value::as_str);
    let kind = text("model_type").or_else(|| checkpoint.setting("architectures")?.get(0)?.as_str());
    match kind {
        Some(kind) if !kind.to_ascii_lowercase().contains("whisper") => Err(Error::Unsupported(format!(
            "{} holds a model of type {kind}; expected whisper",
            checkpoint.path().display()
        ))),
        _ => Ok(()),
    }
}

fn n_layers(checkpoint: &Checkpoint, side: &str) -> usize {
    let exists = |layer: &usize| checkpoint.shape(&format!("{side}.layers.{layer}.fc1.weight")).is_some();
    (0..checkpoint.names().count()).take_while(exists).count()
}

fn damaged(checkpoint: &Checkpoint, reason: String) -> Error {
    Error::Weights { path: checkpoint.path().to_owned(), reason }
}
