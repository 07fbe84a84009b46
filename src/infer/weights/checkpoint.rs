//! A model's files, opened: what its tensors are called, where they lie, and their values on demand.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde_json::Value;

use super::{
    ctranslate2,
    entry::Entry,
    file::{ModelFile, read_json},
    ggml, huggingface,
    onnx::{self, Convolution},
    torch,
};
use crate::{Error, Result};

/// Numbers that are read and converted at once: bytes and result stay in a core's own cache.
const PIECE_LEN: usize = 16 * 1024;

/// A model directory or file, opened: what its tensors are called and where they lie. Values are read when they are
/// asked for, one tensor at a time, so that loading needs little more memory than the loaded model. Any number of
/// threads may read.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) files: Vec<ModelFile>,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) config: Value,
    generation_config: Value,
    pub(super) vocabulary: Option<Vec<Vec<u8>>>,
    pub(super) convolutions: BTreeMap<String, Convolution>,
}

impl Checkpoint {
    /// Opens a directory with one model, or one file of a model: `CTranslate2`'s `model.bin`, Hugging Face's
    /// safetensors (one file, or the index of several), whisper.cpp's `ggml-NAME.bin`, the initialisers of an ONNX graph, or
    /// `PyTorch`'s `.pt`. `config.json` and `generation_config.json` are taken from beside the weights.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no model; [`Error::InvalidInput`] when a directory holds several;
    /// [`Error::Weights`] naming the file and the place in it that is damaged; [`Error::Unsupported`] for a format that
    /// is not read, with its name; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let (directory, weights) = find_weights(path)?;
        let mut checkpoint = Self {
            path: path.to_owned(),
            files: Vec::new(),
            entries: BTreeMap::new(),
            config: read_json(&directory.join("config.json"))?.unwrap_or(Value::Null),
            generation_config: read_json(&directory.join("generation_config.json"))?.unwrap_or(Value::Null),
            vocabulary: None,
            convolutions: BTreeMap::new(),
            directory,
        };
        let name = weights.to_string_lossy().into_owned();
        let is_named = |suffix: &str| name.ends_with(suffix);
        if is_named(".safetensors.index.json") {
            huggingface::index_shards(&mut checkpoint, &weights)?;
        } else if is_named(".safetensors") {
            huggingface::index_file(&mut checkpoint, weights)?;
        } else if is_named(".onnx") {
            let number = checkpoint.add_file(weights)?;
            onnx::index(&mut checkpoint, number)?;
        } else {
            let number = checkpoint.add_file(weights)?;
            let file = &checkpoint.files[number];
            if ggml::is_ggml(file)? {
                ggml::index(&mut checkpoint, number)?;
            } else if is_named(".pt") && torch::is_torch(file)? {
                torch::index(&mut checkpoint, number)?;
            } else if let Some(format) = other_format(file)? {
                return Err(Error::Unsupported(format!(
                    "{} is {format}; expected a model of CTranslate2, safetensors or whisper.cpp (ggml)",
                    file.path.display()
                )));
            } else {
                ctranslate2::index(&mut checkpoint, number)?;
            }
        }
        Ok(checkpoint)
    }

    /// The directory or file that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the weights and what belongs to them lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A value of `generation_config.json`, else of `config.json`, else of the weights' own header.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Value> {
        self.generation_config.get(name).or_else(|| self.config.get(name)).filter(|value| !value.is_null())
    }

    /// The bytes of the text tokens in the order of their ids, where the weights carry them (whisper.cpp's files do).
    #[must_use]
    pub fn vocabulary(&self) -> Option<&[Vec<u8>]> {
        self.vocabulary.as_deref()
    }

    /// How the convolution of a module skips, where the file has the graph (ONNX).
    #[must_use]
    pub fn convolution(&self, module: &str) -> Option<Convolution> {
        self.convolutions.get(module).copied()
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor; `None` when there is none of this name.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The only value of a tensor of one element; `None` when there is no such tensor.
    ///
    /// # Errors
    /// [`Error::Weights`] when the file is damaged, [`Error::Io`].
    pub fn scalar(&self, name: &str) -> Result<Option<f32>> {
        let Some(entry) = self.entries.get(name).filter(|entry| entry.n_elements() == Some(1)) else {
            return Ok(None);
        };
        let mut value = [0.0];
        self.read_elements(name, entry, 0..1, &mut value, &mut Vec::new())?;
        Ok(Some(value[0]))
    }

    /// A tensor in f32, of exactly this shape.
    ///
    /// # Errors
    /// [`Error::Weights`] when it is missing, has another shape or holds a value that is not a number; [`Error::Io`].
    pub fn tensor(&self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
        let n = self.entry(name, shape)?.n_elements().unwrap_or(0);
        let mut values = vec![0.0; n];
        self.read_into(name, shape, &mut values)?;
        Ok(Tensor::from_vec(values, shape, device)?)
    }

    /// Fills `out` with a tensor of exactly this shape, in f32, by the threads of the current rayon pool.
    ///
    /// # Errors
    /// [`Error::Weights`] when it is missing, has another shape or holds a value that is not a number;
    /// [`Error::InvalidInput`] when `out` has another length; [`Error::Io`].
    pub fn read_into(&self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        let entry = self.entry(name, shape)?;
        check_len(name, out.len(), entry.n_elements().unwrap_or(0))?;
        if out.len() <= PIECE_LEN {
            return self.read_elements(name, entry, 0..out.len(), out, &mut Vec::new());
        }
        out.par_chunks_mut(PIECE_LEN).enumerate().try_for_each_init(Vec::new, |bytes, (index, piece)| {
            let start = index * PIECE_LEN;
            self.read_elements(name, entry, start..start + piece.len(), piece, bytes)
        })
    }

    /// Fills `out` with some rows (of the first dimension) of a tensor of exactly this shape, in f32, on this thread.
    ///
    /// # Errors
    /// As [`Self::read_into`], also when there are no such rows.
    pub fn read_rows(&self, name: &str, shape: &[usize], rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let entry = self.entry(name, shape)?;
        let n_rows = shape.first().copied().unwrap_or(1);
        if rows.start > rows.end || rows.end > n_rows {
            return Err(Error::InvalidInput(format!("tensor {name} has {n_rows} rows; asked for {rows:?}")));
        }
        let row_len = entry.row_len();
        check_len(name, out.len(), rows.len() * row_len)?;
        let mut bytes = Vec::new();
        let mut start = rows.start * row_len;
        for piece in out.chunks_mut(PIECE_LEN) {
            self.read_elements(name, entry, start..start + piece.len(), piece, &mut bytes)?;
            start += piece.len();
        }
        Ok(())
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry> {
        let Some(entry) = self.entries.get(name) else {
            return Err(self.damaged(format!("tensor {name} is missing; expected shape {shape:?}")));
        };
        if entry.shape != shape {
            let reason = format!("tensor {name} has shape {:?}; expected {shape:?}", entry.shape);
            return Err(self.files[entry.file].damaged(reason));
        }
        Ok(entry)
    }

    /// Reads and converts one piece; `bytes` is room that is used again.
    fn read_elements(
        &self,
        name: &str,
        entry: &Entry,
        elements: Range<usize>,
        out: &mut [f32],
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let (offset, n_bytes) = entry.byte_range(&elements);
        bytes.resize(n_bytes, 0);
        let file = &self.files[entry.file];
        file.read_into(offset, bytes)?;
        entry.decode(bytes, elements.start, out);
        if out.iter().fold(false, |found, value| found | !value.is_finite()) {
            return Err(file.damaged(format!("tensor {name} holds values that are not finite numbers")));
        }
        Ok(())
    }

    /// All values of a tensor.
    pub(super) fn values(&self, name: &str, entry: &Entry) -> Result<Vec<f32>> {
        let file = &self.files[entry.file];
        let too_large = || file.damaged(format!("tensor {name} is too large"));
        file.check_range(entry.offset, entry.n_bytes().ok_or_else(too_large)?)?;
        let mut values = vec![0.0; entry.n_elements().ok_or_else(too_large)?];
        self.read_elements(name, entry, 0..values.len(), &mut values, &mut Vec::new())?;
        Ok(values)
    }

    pub(super) fn damaged(&self, reason: String) -> Error {
        let path = self.files.first().map_or(&self.path, |file| &file.path);
        Error::Weights { path: path.clone(), reason }
    }

    /// Opens a file of the model; returns its number.
    pub(super) fn add_file(&mut self, path: PathBuf) -> Result<usize> {
        self.files.push(ModelFile::open(path)?);
        Ok(self.files.len() - 1)
    }
}

fn check_len(name: &str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::InvalidInput(format!("room for {got} values of tensor {name}; expected {expected}")))
}

/// The directory that `path` means, and the file in it that holds the weights or lists those that do.
fn find_weights(path: &Path) -> Result<(PathBuf, PathBuf)> {
    if path.is_file() {
        return Ok((path.parent().unwrap_or(Path::new("")).to_owned(), path.to_owned()));
    }
    for name in ["model.safetensors", "model.safetensors.index.json", "model.bin", "model.onnx", "model.pt"] {
        let file = path.join(name);
        if file.is_file() {
            return Ok((path.to_owned(), file));
        }
    }
    let mut found: Vec<PathBuf> = match path.read_dir() {
        Ok(files) => files.filter_map(|file| Some(file.ok()?.path())).filter(|file| is_ggml_name(file)).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
    };
    found.sort();
    match found.len() {
        0 => Err(Error::NotFound(format!(
            "{}: no model here; expected model.bin (CTranslate2), model.safetensors (Hugging Face) or ggml-NAME.bin (whisper.cpp)",
            path.display()
        ))),
        1 => Ok((path.to_owned(), found.remove(0))),
        _ => {
            let names: Vec<_> = found.iter().filter_map(|file| file.file_name()?.to_str()).collect();
            Err(Error::InvalidInput(format!(
                "{} holds {} models; give the path of one: {}",
                path.display(),
                names.len(),
                names.join(", ")
            )))
        }
    }
}

fn is_ggml_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("ggml") && name.ends_with(".bin")
}

/// What a file is that is no model of a known format, by its first bytes.
fn other_format(file: &ModelFile) -> Result<Option<&'static str>> {
    let mut magic = [0; 4];
    if file.len >= 4 {
        file.read_into(0, &mut magic)?;
    }
    Ok(match &magic {
        b"GGUF" => Some("a GGUF file (llama.cpp)"),
        b"PK\x03\x04" => Some("a PyTorch checkpoint"),
        [0x80, 2..=5, ..] => Some("a pickle (PyTorch)"),
        b"\x08\x03\x12\x07" | b"\x08\x07\x12\x07" | b"\x08\x08\x12\x07" => Some("an ONNX model"),
        b"vers" => Some("a Git LFS pointer, not the weights themselves"),
        _ => None,
    })
}
