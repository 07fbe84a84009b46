//! whisper.cpp's `ggml-NAME.bin`: sizes, mel filters, the vocabulary, then tensors, little-endian.
//! Source: whisper.cpp `models/convert-pt-to-ggml.py` (writer) and `src/whisper.cpp`, `whisper_model_load` (reader).

use serde_json::json;

use super::{
    Checkpoint,
    cursor::Cursor,
    entry::{Encoding, Entry},
    file::ModelFile,
    names,
    quantized::Block,
};
use crate::{
    Result,
    infer::whisper::{Dimensions, Published},
};

/// "ggml", the last letter first.
const MAGIC: u32 = 0x6767_6d6c;
/// Largest number of dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;
/// Above this the file type also counts versions of the quantisation.
const VERSION_FACTOR: u32 = 1000;
/// The only version that whisper.cpp's files have had since its quantised formats were fixed.
const VERSION: u32 = 2;

/// The sizes in front of the tensors, in the file's order.
#[derive(Debug)]
struct Sizes {
    n_vocab: u32,
    n_audio_ctx: u32,
    n_audio_state: u32,
    n_audio_head: u32,
    n_audio_layer: u32,
    n_text_ctx: u32,
    n_text_state: u32,
    n_text_head: u32,
    n_text_layer: u32,
    n_mels: u32,
    file_type: u32,
}

/// Whether a file begins as whisper.cpp's do.
pub(super) fn is_ggml(file: &ModelFile) -> Result<bool> {
    let mut magic = [0; 4];
    if file.len < 4 {
        return Ok(false);
    }
    file.read_into(0, &mut magic)?;
    Ok(u32::from_le_bytes(magic) == MAGIC)
}

/// Reads the sizes, the vocabulary and the table of tensors, without the values.
pub(super) fn index(checkpoint: &mut Checkpoint, number: usize) -> Result<()> {
    let file = &checkpoint.files[number];
    let mut cursor = Cursor::new(file);
    cursor.skip(4)?;
    let sizes = Sizes::read(&mut cursor)?;
    skip_mel_filters(&mut cursor)?;
    let vocabulary = read_vocabulary(&mut cursor, sizes.n_vocab)?;
    let mut entries = Vec::new();
    while cursor.n_left() > 0 {
        cursor.place = format!("tensor {}", entries.len());
        entries.push(read_tensor(&mut cursor, number)?);
    }
    sizes.check(file, &entries)?;
    let published = Published::of(&sizes.dimensions(), &file.path.to_string_lossy());
    let mut config = json!({
        "model_type": "whisper",
        "encoder_attention_heads": sizes.n_audio_head,
        "decoder_attention_heads": sizes.n_text_head,
    });
    // The file does not say which heads follow the words, but its sizes say which model it is.
    if let Some(heads) = published.map(|published| published.alignment_heads).filter(|heads| !heads.is_empty()) {
        config["alignment_heads"] = json!(heads);
    }
    checkpoint.entries.extend(entries);
    checkpoint.vocabulary = Some(vocabulary);
    checkpoint.config = config;
    Ok(())
}

impl Sizes {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        Ok(Self {
            n_vocab: cursor.u32()?,
            n_audio_ctx: cursor.u32()?,
            n_audio_state: cursor.u32()?,
            n_audio_head: cursor.u32()?,
            n_audio_layer: cursor.u32()?,
            n_text_ctx: cursor.u32()?,
            n_text_state: cursor.u32()?,
            n_text_head: cursor.u32()?,
            n_text_layer: cursor.u32()?,
            n_mels: cursor.u32()?,
            file_type: cursor.u32()?,
        })
        .and_then(|sizes| {
            let version = sizes.file_type / VERSION_FACTOR;
            if version != 0 && version != VERSION {
                return Err(cursor.damaged(&format!("quantisation version {version}; expected {VERSION}")));
            }
            Ok(sizes)
        })
    }

    fn dimensions(&self) -> Dimensions {
        Dimensions {
            n_mels: self.n_mels as usize,
            n_audio_ctx: self.n_audio_ctx as usize,
            n_text_ctx: self.n_text_ctx as usize,
            width: self.n_text_state as usize,
            n_encoder_heads: self.n_audio_head as usize,
            n_decoder_heads: self.n_text_head as usize,
            n_encoder_layers: self.n_audio_layer as usize,
            n_decoder_layers: self.n_text_layer as usize,
            n_vocab: self.n_vocab as usize,
        }
    }

    /// Compares the sizes with the tensors that have them.
    fn check(&self, file: &ModelFile, entries: &[(String, Entry)]) -> Result<()> {
        let last_layer = |side: &str, n: u32| format!("{side}.layers.{}.fc1.weight", n.saturating_sub(1));
        for (name, dimension, what, expected) in [
            ("decoder.embed_tokens.weight".to_owned(), 0, "n_vocab", self.n_vocab),
            ("decoder.embed_positions.weight".to_owned(), 0, "n_text_ctx", self.n_text_ctx),
            ("encoder.embed_positions.weight".to_owned(), 0, "n_audio_ctx", self.n_audio_ctx),
            ("encoder.conv1.weight".to_owned(), 1, "n_mels", self.n_mels),
            (last_layer("encoder", self.n_audio_layer), 1, "n_audio_state", self.n_audio_state),
            (last_layer("decoder", self.n_text_layer), 1, "n_text_state", self.n_text_state),
        ] {
            let Some((_, entry)) = entries.iter().find(|(found, _)| *found == name) else {
                return Err(file.damaged(format!("tensor {name} is missing (a broken download?)")));
            };
            if entry.shape.get(dimension) != Some(&(expected as usize)) {
                let shape = &entry.shape;
                return Err(file.damaged(format!("tensor {name} has shape {shape:?}; {what} is {expected}")));
            }
        }
        Ok(())
    }
}

/// Violet makes its own filters.
fn skip_mel_filters(cursor: &mut Cursor<'_>) -> Result<()> {
    cursor.place = "the mel filters".into();
    let (n_mels, n_fft) = (cursor.u32()? as usize, cursor.u32()? as usize);
    let n_bytes = n_mels.saturating_mul(n_fft).saturating_mul(size_of::<f32>());
    cursor.skip(n_bytes)
}

/// The bytes of the tokens, in the order of their ids. Special tokens are not among them.
fn read_vocabulary(cursor: &mut Cursor<'_>, n_vocab: u32) -> Result<Vec<Vec<u8>>> {
    cursor.place = "the vocabulary".into();
    let n = cursor.u32()?;
    if n > n_vocab {
        return Err(cursor.damaged(&format!("{n} tokens; the model has {n_vocab}")));
    }
    let mut tokens = Vec::new();
    for index in 0..n {
        cursor.place = format!("token {index} of the vocabulary");
        let len = cursor.u32()? as usize;
        tokens.push(cursor.bytes(len)?.to_vec());
    }
    Ok(tokens)
}

/// Name, shape and type of a tensor under its Hugging Face name; its values are skipped.
fn read_tensor(cursor: &mut Cursor<'_>, file: usize) -> Result<(String, Entry)> {
    let (n_dimensions, name_len, kind) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
    if n_dimensions > MAX_DIMENSIONS {
        return Err(cursor.damaged(&format!("{n_dimensions} dimensions; at most {MAX_DIMENSIONS} are possible")));
    }
    // The dimension whose elements lie side by side comes first.
    let mut shape = (0..n_dimensions).map(|_| Ok(cursor.u32()? as usize)).collect::<Result<Vec<_>>>()?;
    shape.reverse();
    let Ok(name) = String::from_utf8(cursor.bytes(name_len as usize)?.to_vec()) else {
        return Err(cursor.damaged("the name is not UTF-8"));
    };
    cursor.place = format!("tensor {name}");
    let encoding = match kind {
        0 => Encoding::F32,
        1 => Encoding::F16,
        2 => Encoding::Quantized(Block::Q4_0),
        3 => Encoding::Quantized(Block::Q4_1),
        6 => Encoding::Quantized(Block::Q5_0),
        7 => Encoding::Quantized(Block::Q5_1),
        8 => Encoding::Quantized(Block::Q8_0),
        other => {
            return Err(cursor.damaged(&format!("type {other}; expected f32, f16, q4_0, q4_1, q5_0, q5_1 or q8_0")));
        }
    };
    let mut entry = Entry { file, offset: cursor.offset, encoding, shape, scale: None };
    let Some(n_bytes) = entry.n_bytes() else {
        return Err(cursor.damaged(&format!("shape {:?} does not consist of whole blocks", entry.shape)));
    };
    cursor.skip(n_bytes)?;
    // Convolutions' biases are stored as columns.
    if matches!(name.as_str(), "encoder.conv1.bias" | "encoder.conv2.bias") && entry.shape.get(1) == Some(&1) {
        entry.shape.truncate(1);
    }
    Ok((names::from_openai(&name), entry))
}
