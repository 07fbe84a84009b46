//! Model files: the only place that opens them. Both formats give the same thing, named tensors under Hugging Face's names.

mod ctranslate2;
mod huggingface;
mod names;
mod onnx;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Mutex,
};

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use serde_json::Value;

use crate::{Error, Result};

/// Largest number of dimensions of a tensor in any format that is read here.
const MAX_RANK: usize = 8;

/// A model directory, opened: what its tensors are called and where they lie. Values are read when they are asked for,
/// one tensor at a time, so that loading needs little more memory than the loaded model.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    files: Vec<ModelFile>,
    entries: BTreeMap<String, Entry>,
    config: Value,
    generation_config: Value,
}

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    F32,
    F16,
    BF16,
    I8,
    I16,
    I32,
}

/// Where a tensor lies and how to read it.
#[derive(Debug, Clone)]
struct Entry {
    file: usize,
    offset: u64,
    encoding: Encoding,
    shape: Vec<usize>,
    /// For quantised numbers: the factors that they were multiplied with, one for all or one a row.
    scale: Option<Vec<f32>>,
}

#[derive(Debug)]
struct ModelFile {
    path: PathBuf,
    len: u64,
    file: Mutex<File>,
}

impl Checkpoint {
    /// Opens a directory with `CTranslate2`'s `model.bin` or with Hugging Face's `model.safetensors` (one or sharded).
    ///
    /// # Errors
    /// [`Error::NotFound`] when the directory holds neither; [`Error::Weights`] naming the file and the place in it
    /// that is damaged; [`Error::Io`].
    pub fn open(directory: &Path) -> Result<Self> {
        let mut checkpoint = Self {
            directory: directory.to_owned(),
            files: Vec::new(),
            entries: BTreeMap::new(),
            config: read_json(&directory.join("config.json"))?.unwrap_or(Value::Null),
            generation_config: read_json(&directory.join("generation_config.json"))?.unwrap_or(Value::Null),
        };
        if directory.join("model.safetensors").is_file() || directory.join("model.safetensors.index.json").is_file() {
            huggingface::index(&mut checkpoint)?;
        } else if directory.join("model.bin").is_file() {
            ctranslate2::index(&mut checkpoint)?;
        } else if directory.join("model.onnx").is_file() {
            onnx::index(&mut checkpoint)?;
        } else {
            return Err(Error::NotFound(format!(
                "{}: no model here; expected model.bin (CTranslate2) or model.safetensors (Hugging Face)",
                directory.display()
            )));
        }
        Ok(checkpoint)
    }

    /// The directory that was opened.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A value of `generation_config.json`, else of `config.json`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Value> {
        self.generation_config.get(name).or_else(|| self.config.get(name)).filter(|value| !value.is_null())
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
        match self.entries.get(name) {
            Some(entry) if entry.n_elements() == Some(1) => Ok(self.values(name, entry)?.first().copied()),
            _ => Ok(None),
        }
    }

    /// A tensor in f32, of exactly this shape.
    ///
    /// # Errors
    /// [`Error::Weights`] when it is missing, has another shape or holds a value that is not a number; [`Error::Io`].
    pub fn tensor(&self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
        let Some(entry) = self.entries.get(name) else {
            return Err(self.damaged(format!("tensor {name} is missing; expected shape {shape:?}")));
        };
        if entry.shape != shape {
            return Err(self.damaged(format!("tensor {name} has shape {:?}; expected {shape:?}", entry.shape)));
        }
        let values = self.values(name, entry)?;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(self.damaged(format!("tensor {name} holds values that are not finite numbers")));
        }
        Ok(Tensor::from_vec(values, shape, device)?)
    }

    fn values(&self, name: &str, entry: &Entry) -> Result<Vec<f32>> {
        let file = &self.files[entry.file];
        let n_bytes = entry.n_bytes().ok_or_else(|| self.damaged(format!("tensor {name} is too large")))?;
        let bytes = file.read(entry.offset, n_bytes)?;
        let mut values = entry.encoding.decode(&bytes);
        if let Some(scale) = &entry.scale {
            let row_len = values.len() / scale.len().max(1);
            for (row, scale) in values.chunks_mut(row_len.max(1)).zip(scale) {
                for value in row {
                    *value /= scale;
                }
            }
        }
        Ok(values)
    }

    fn damaged(&self, reason: String) -> Error {
        let path = self.files.first().map_or(&self.directory, |file| &file.path);
        Error::Weights { path: path.clone(), reason }
    }

    /// Opens a file of the model; returns its number.
    fn add_file(&mut self, name: &str) -> Result<usize> {
        let path = self.directory.join(name);
        let io_error = |source| Error::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(io_error)?;
        let len = file.metadata().map_err(io_error)?.len();
        self.files.push(ModelFile { path, len, file: Mutex::new(file) });
        Ok(self.files.len() - 1)
    }
}

impl ModelFile {
    /// Reads a range, which must lie inside the file.
    fn read(&self, offset: u64, n_bytes: usize) -> Result<Vec<u8>> {
        let is_inside = offset.checked_add(n_bytes as u64).is_some_and(|end| end <= self.len);
        if !is_inside {
            return Err(self.damaged(format!(
                "ends at byte {}; {n_bytes} bytes at {offset} are missing (a broken download?)",
                self.len
            )));
        }
        let mut bytes = vec![0; n_bytes];
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|source| Error::Io { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Weights { path: self.path.clone(), reason }
    }
}

impl Entry {
    fn n_elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n))
    }

    fn n_bytes(&self) -> Option<usize> {
        self.n_elements()?.checked_mul(self.encoding.size())
    }

    /// Rows `from..to` of the first dimension, as a tensor of its own.
    fn rows(&self, from: usize, to: usize) -> Option<Self> {
        let n_rows = *self.shape.first()?;
        let row_bytes = self.n_bytes()?.checked_div(n_rows)?;
        let mut part = self.clone();
        part.shape[0] = to.checked_sub(from).filter(|_| to <= n_rows)?;
        part.offset += (from * row_bytes) as u64;
        part.scale = match &self.scale {
            Some(scale) if scale.len() > 1 => Some(scale.get(from..to)?.to_vec()),
            other => other.clone(),
        };
        Some(part)
    }
}

impl Encoding {
    fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 => 1,
        }
    }

    /// Little-endian bytes to f32.
    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let (pairs, _) = bytes.as_chunks::<2>();
        let (quads, _) = bytes.as_chunks::<4>();
        match self {
            Self::F32 => quads.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Self::F16 => pairs.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Self::BF16 => pairs.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            Self::I8 => bytes.iter().map(|b| f32::from(b.cast_signed())).collect(),
            Self::I16 => pairs.iter().map(|b| f32::from(i16::from_le_bytes(*b))).collect(),
            Self::I32 => quads.iter().map(|b| i32::from_le_bytes(*b) as f32).collect(),
        }
    }
}

/// A JSON file, at most 64 MiB; `None` when it does not exist.
pub(super) fn read_json(path: &Path) -> Result<Option<Value>> {
    const MAX_BYTES: u64 = 64 << 20;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| Error::Weights { path: path.to_owned(), reason: format!("not JSON: {error}") })
}
