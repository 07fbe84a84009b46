//! `PyTorch`'s checkpoints: zip archives (since version 1.6), and the sequence of pickles that came before.
//!
//! Tensors are called by the keys that lead to them, joined by dots: `model.cnn.0.weight`.
//! Source: `PyTorch` 2.9 `torch/serialization.py` (`_save`, `_legacy_save`) and `torch/_utils.py` (`_rebuild_tensor_v2`).

use std::collections::HashMap;

use super::{
    Checkpoint, MAX_RANK,
    entry::{Encoding, Entry},
    file::ModelFile,
    pickle::{Id, Pickle, Value},
};
use crate::{Error, Result};

/// Longest pickle that is read: the tables of weights have some 100 bytes a tensor.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// Most members of an archive.
const MAX_MEMBERS: usize = 1 << 16;
/// Most values that are looked at, and the deepest dict inside of dicts.
const MAX_VALUES: usize = 1 << 16;
const MAX_DEPTH: usize = 8;
/// The pickle of the number that older checkpoints begin with.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// Storages by their keys: where they lie, and how many bytes they have.
type Storages = HashMap<String, (u64, u64)>;

/// Whether a file is one of these.
pub(super) fn is_torch(file: &ModelFile) -> Result<bool> {
    let mut start = [0; MAGIC.len()];
    if file.len < start.len() as u64 {
        return Ok(false);
    }
    file.read_into(0, &mut start)?;
    Ok(start == MAGIC || start.starts_with(b"PK\x03\x04"))
}

/// Reads the table of a file, without the values.
pub(super) fn index(checkpoint: &mut Checkpoint, number: usize) -> Result<()> {
    let file = &checkpoint.files[number];
    let mut start = [0; MAGIC.len()];
    file.read_into(0, &mut start)?;
    let (pickle, storages) = if start == MAGIC { legacy(file)? } else { archive(file)? };
    let mut found =
        Found { pickle: &pickle, storages: &storages, file: number, n_left: MAX_VALUES, entries: Vec::new() };
    found
        .visit(pickle.root, "", 0)
        .map_err(|name| file.damaged(format!("tensor {name} does not lie in one piece inside of the file")))?;
    checkpoint.entries.extend(found.entries);
    Ok(())
}

/// The pickle and the storages of a zip archive.
fn archive(file: &ModelFile) -> Result<(Pickle, Storages)> {
    let damaged =
        |error: zip::result::ZipError| file.damaged(format!("is no PyTorch checkpoint, or is damaged: {error}"));
    let mut archive = zip::ZipArchive::new(file.reader()).map_err(damaged)?;
    if archive.len() > MAX_MEMBERS {
        return Err(file.damaged(format!("has {} members; the limit is {MAX_MEMBERS}", archive.len())));
    }
    let (mut pickle, mut storages) = (None, Storages::new());
    for number in 0..archive.len() {
        let member = archive.by_index_raw(number).map_err(damaged)?;
        let name = member.name().map_err(damaged)?.into_owned();
        let place = member.data_start().filter(|_| member.compression() == zip::CompressionMethod::Stored);
        let Some(start) = place else { return Err(file.damaged(format!("{name} is compressed; expected stored"))) };
        if name.ends_with("/data.pkl") {
            pickle = Some((start, member.size()));
        } else if let Some((_, key)) = name.rsplit_once("/data/") {
            storages.insert(key.to_owned(), (start, member.size()));
        }
    }
    let Some((start, n_bytes)) = pickle else {
        return Err(file.damaged("has no data.pkl; expected a PyTorch checkpoint".to_owned()));
    };
    Ok((read_pickle(file, start, n_bytes)?, storages))
}

/// The pickle and the storages of an older checkpoint: magic, version, system, the object, the storages' keys in order,
/// and then each storage behind its length.
fn legacy(file: &ModelFile) -> Result<(Pickle, Storages)> {
    let mut at = 0;
    let mut next = || {
        let pickle = read_pickle(file, at, file.len.saturating_sub(at))?;
        at += pickle.n_bytes as u64;
        Ok::<_, Error>((pickle, at))
    };
    for _ in 0..3 {
        next()?;
    }
    let ((object, _), (keys, mut at)) = (next()?, next()?);
    let mut storages = Storages::new();
    let widths = storage_widths(&object);
    for &key in keys.items(keys.root).unwrap_or_default() {
        let key = keys.text(key).unwrap_or_default();
        let mut n_elements = [0; 8];
        file.read_into(at, &mut n_elements)?;
        let n_bytes = u64::from_le_bytes(n_elements).checked_mul(widths.get(key).copied().unwrap_or(0));
        let end = n_bytes.and_then(|n| n.checked_add(at + 8)).filter(|&end| end <= file.len);
        let Some(end) = end else { return Err(file.damaged(format!("storage {key} reaches beyond the end"))) };
        storages.insert(key.to_owned(), (at + 8, end - at - 8));
        at = end;
    }
    Ok((object, storages))
}

fn read_pickle(file: &ModelFile, start: u64, n_bytes: u64) -> Result<Pickle> {
    let n_bytes = usize::try_from(n_bytes.min(MAX_PICKLE_BYTES)).unwrap_or(0);
    Pickle::read(&file.read(start, n_bytes)?)
        .ok_or_else(|| file.damaged(format!("the pickle at byte {start} is damaged, or of more than tensors")))
}

/// How the numbers of a storage class are stored, and the bytes of one; no encoding for those that no model here has.
fn storage_class(global: &str) -> Option<(Option<Encoding>, u64)> {
    Some(match global.strip_prefix("torch ")? {
        "FloatStorage" => (Some(Encoding::F32), 4),
        "HalfStorage" => (Some(Encoding::F16), 2),
        "BFloat16Storage" => (Some(Encoding::BF16), 2),
        "DoubleStorage" | "LongStorage" => (None, 8),
        "IntStorage" => (None, 4),
        "ShortStorage" => (None, 2),
        "CharStorage" | "ByteStorage" | "BoolStorage" => (None, 1),
        _ => return None,
    })
}

/// Bytes of one number of each storage that the object refers to.
fn storage_widths(pickle: &Pickle) -> HashMap<&str, u64> {
    pickle.values().filter_map(|value| storage(pickle, value)).map(|(key, (_, width))| (key, width)).collect()
}

/// The key and the class of a persistent value: `("storage", class, key, device, n_elements, ..)`.
fn storage<'a>(pickle: &'a Pickle, value: &Value) -> Option<(&'a str, (Option<Encoding>, u64))> {
    let Value::Persistent(id) = value else { return None };
    let [_, class, key, ..] = pickle.items(*id)? else { return None };
    let Value::Global(class) = pickle.value(*class) else { return None };
    Some((pickle.text(*key)?, storage_class(class)?))
}

/// Tensors that were found on the way through dicts.
struct Found<'a> {
    pickle: &'a Pickle,
    storages: &'a Storages,
    file: usize,
    /// Values that may still be looked at: dicts that hold each other lead to the same ones on many ways.
    n_left: usize,
    entries: Vec<(String, Entry)>,
}

impl Found<'_> {
    /// Looks at a value and all below it; an error is the name of a tensor that is not where it should be.
    fn visit(&mut self, id: Id, name: &str, depth: usize) -> Result<(), String> {
        let Some(n_left) = self.n_left.checked_sub(1) else { return Ok(()) };
        self.n_left = n_left;
        match self.pickle.value(id) {
            Value::Dict(items) if depth < MAX_DEPTH => {
                for (key, value) in items {
                    let Some(key) = self.pickle.text(*key) else { continue };
                    let name = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
                    self.visit(*value, &name, depth + 1)?;
                }
            }
            Value::Call(callable, arguments) if matches!(self.pickle.value(*callable), Value::Global(name) if name == "torch._utils _rebuild_tensor_v2") =>
            {
                self.entries.extend(self.tensor(*arguments, name).ok_or_else(|| name.to_owned())?);
            }
            _ => {}
        }
        Ok(())
    }

    #[allow(clippy::option_option, reason = "the outer one is damage, the inner one a tensor that is not read")]
    /// The tensor of `(storage, offset, shape, strides, ..)`; none of types that no model here has.
    fn tensor(&self, arguments: Id, name: &str) -> Option<Option<(String, Entry)>> {
        let [source, offset, shape, strides, ..] = self.pickle.items(arguments)? else { return None };
        let (key, (encoding, width)) = storage(self.pickle, self.pickle.value(*source))?;
        let Some(encoding) = encoding else { return Some(None) };
        let (shape, strides) = (self.pickle.numbers(*shape)?, self.pickle.numbers(*strides)?);
        let &(start, n_bytes) = self.storages.get(key)?;
        let skipped = (self.pickle.number(*offset)? as u64).checked_mul(width)?;
        let entry = Entry { file: self.file, offset: start.checked_add(skipped)?, encoding, shape, scale: None };
        let end = skipped.checked_add(entry.n_bytes()? as u64)?;
        (entry.shape.len() <= MAX_RANK && is_dense(&entry.shape, &strides) && end <= n_bytes)
            .then(|| Some((name.to_owned(), entry)))
    }
}

/// Whether the last dimension is the innermost, without gaps.
fn is_dense(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(&n, &stride)| {
            let is_next = n == 1 || stride == step;
            step *= n;
            is_next
        })
}
