//! `CTranslate2`'s `model.bin`: a version, a name, then variables (name, shape, type, bytes) and aliases, little-endian.
//! Source: `CTranslate2` 4 `model_spec.py` (writer) and `models/model.cc` (reader).

use std::collections::BTreeMap;

use super::{
    Checkpoint, MAX_RANK,
    cursor::Cursor,
    entry::{Encoding, Entry},
    file::ModelFile,
    names,
};
use crate::{Error, Result};

/// Versions of the binary layout with a type byte in front of every variable.
const VERSIONS: std::ops::RangeInclusive<u32> = 4..=6;
const MAX_VARIABLES: u32 = 100_000;

/// Reads the table of `model.bin`, without the values.
pub(super) fn index(checkpoint: &mut Checkpoint, file: usize) -> Result<()> {
    let mut variables = read_variables(&checkpoint.files[file], file)?;
    attach_scales(checkpoint, &mut variables)?;
    for (name, entry) in variables {
        for (name, entry) in names::from_ctranslate2(&name, &entry) {
            checkpoint.entries.insert(name, entry);
        }
    }
    Ok(())
}

fn read_variables(file: &ModelFile, number: usize) -> Result<BTreeMap<String, Entry>> {
    let mut cursor = Cursor::new(file);
    let version = cursor.u32()?;
    if !VERSIONS.contains(&version) {
        return Err(file.damaged(format!(
            "not a model.bin of CTranslate2: binary version {version}; expected {} to {}",
            VERSIONS.start(),
            VERSIONS.end()
        )));
    }
    let spec = string(&mut cursor)?;
    if spec != "WhisperSpec" {
        return Err(Error::Unsupported(format!("{}: holds a {spec} model; expected WhisperSpec", file.path.display())));
    }
    let _revision = cursor.u32()?;
    let n_variables = cursor.u32()?;
    if n_variables > MAX_VARIABLES {
        return Err(cursor.damaged(&format!("claims {n_variables} variables; at most {MAX_VARIABLES} are possible")));
    }
    let mut variables = BTreeMap::new();
    for index in 0..n_variables {
        cursor.place = format!("the name of variable {index}");
        let name = string(&mut cursor)?;
        cursor.place = format!("variable {name}");
        variables.insert(name, variable(&mut cursor, number)?);
    }
    cursor.place = "the aliases".into();
    for _ in 0..cursor.u32()?.min(MAX_VARIABLES) {
        let (alias, name) = (string(&mut cursor)?, string(&mut cursor)?);
        if let Some(entry) = variables.get(&name).cloned() {
            variables.insert(alias, entry);
        }
    }
    Ok(variables)
}

/// Gives quantised weights the scale that is stored as a variable of its own.
fn attach_scales(checkpoint: &Checkpoint, variables: &mut BTreeMap<String, Entry>) -> Result<()> {
    let mut scales = BTreeMap::new();
    for (name, entry) in &*variables {
        if let Some(weight) = name.strip_suffix("_scale") {
            scales.insert(weight.to_owned(), checkpoint.values(name, entry)?);
        }
    }
    for (name, scale) in scales {
        let Some(entry) = variables.get_mut(&name).filter(|entry| !entry.shape.is_empty()) else { continue };
        let fits = scale.len() == 1 || scale.len() == entry.shape[0];
        if !fits || scale.iter().any(|scale| !scale.is_normal()) {
            return Err(checkpoint.damaged(format!("variable {name}_scale does not fit {name}")));
        }
        entry.scale = Some(scale);
    }
    Ok(())
}

/// A length in two bytes, then that many bytes with a zero at the end.
fn string(cursor: &mut Cursor<'_>) -> Result<String> {
    let len = u16::from_le_bytes(cursor.array()?);
    let text = cursor.bytes(len.into())?.strip_suffix(&[0]).map(|text| String::from_utf8(text.to_vec()));
    match text {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => Err(cursor.damaged("a name is not UTF-8")),
        None => Err(cursor.damaged("a name does not end in a zero byte")),
    }
}

/// Shape, type and size of a variable; its values are skipped.
fn variable(cursor: &mut Cursor<'_>, file: usize) -> Result<Entry> {
    let [rank] = cursor.array()?;
    if usize::from(rank) > MAX_RANK {
        return Err(cursor.damaged(&format!("{rank} dimensions; at most {MAX_RANK} are possible")));
    }
    let shape = (0..rank).map(|_| Ok(cursor.u32()? as usize)).collect::<Result<Vec<_>>>()?;
    let encoding = match cursor.array()? {
        [0] => Encoding::F32,
        [1] => Encoding::I8,
        [2] => Encoding::I16,
        [3] => Encoding::I32,
        [4] => Encoding::F16,
        [5] => Encoding::BF16,
        [other] => return Err(cursor.damaged(&format!("unknown type {other}"))),
    };
    let n_bytes = cursor.u32()? as usize;
    let entry = Entry { file, offset: cursor.offset, encoding, shape, scale: None };
    if entry.n_bytes() != Some(n_bytes) {
        let expected = entry.n_bytes();
        return Err(cursor.damaged(&format!("shape {:?} has {n_bytes} bytes; expected {expected:?}", entry.shape)));
    }
    cursor.skip(n_bytes)?;
    Ok(entry)
}
