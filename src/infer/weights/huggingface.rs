//! Hugging Face's safetensors, one file or several with an index.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::Metadata};
use serde_json::Value;

use super::{
    Checkpoint, MAX_RANK,
    entry::{Encoding, Entry},
    file::read_json,
};
use crate::{Error, Result};

/// Largest header that is read. Source: the safetensors format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Reads the tables of the files that a `model.safetensors.index.json` names, without the values.
pub(super) fn index_shards(checkpoint: &mut Checkpoint, index: &Path) -> Result<()> {
    let names = read_json(index)?.as_ref().and_then(shard_names).ok_or_else(|| Error::Weights {
        path: index.to_owned(),
        reason: "no usable `weight_map`; expected tensor names mapped to file names in this directory".into(),
    })?;
    names.iter().try_for_each(|name| index_file(checkpoint, checkpoint.directory.join(name)))
}

/// The files that a `model.safetensors.index.json` names, none outside of the directory.
fn shard_names(index: &Value) -> Option<BTreeSet<String>> {
    let is_plain = |name: &str| !name.is_empty() && name != ".." && !name.contains(['/', '\\']);
    let names = index.get("weight_map")?.as_object()?.values();
    names.map(|name| name.as_str().filter(|name| is_plain(name)).map(str::to_owned)).collect()
}

/// Reads the table of one file, without the values.
pub(super) fn index_file(checkpoint: &mut Checkpoint, path: PathBuf) -> Result<()> {
    let number = checkpoint.add_file(path)?;
    let file = &checkpoint.files[number];
    let mut header_len = [0; 8];
    header_len.copy_from_slice(&file.read(0, 8)?);
    let header_len = u64::from_le_bytes(header_len);
    if header_len > MAX_HEADER_BYTES {
        return Err(file.damaged(format!("not safetensors: claims a header of {header_len} bytes")));
    }
    let header = file.read(8, usize::try_from(header_len).unwrap_or(usize::MAX))?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| file.damaged(format!("the header is damaged: {error}")))?;
    let mut entries = Vec::new();
    for (name, info) in metadata.tensors() {
        let encoding = match info.dtype {
            Dtype::F32 => Encoding::F32,
            Dtype::F16 => Encoding::F16,
            Dtype::BF16 => Encoding::BF16,
            Dtype::I32 => Encoding::I32,
            other => return Err(file.damaged(format!("tensor {name} has type {other:?}; expected F32, F16 or BF16"))),
        };
        let offset = 8 + header_len + info.data_offsets.0 as u64;
        let entry = Entry { file: number, offset, encoding, shape: info.shape.clone(), scale: None };
        let stored = info.data_offsets.1.checked_sub(info.data_offsets.0);
        let end = entry.n_bytes().and_then(|n| offset.checked_add(n as u64));
        if entry.shape.len() > MAX_RANK || entry.n_bytes() != stored || end.is_none_or(|end| end > file.len) {
            return Err(file.damaged(format!("tensor {name} of shape {:?} does not fit into the file", entry.shape)));
        }
        entries.push((name.strip_prefix("model.").unwrap_or(&name).to_owned(), entry));
    }
    checkpoint.entries.extend(entries);
    Ok(())
}
