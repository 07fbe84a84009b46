//! `CTranslate2`'s `model.bin`: a version, a name, then variables (name, shape, type, bytes) and aliases, little-endian.
//! Source: `CTranslate2` 4 `model_spec.py` (writer) and `models/model.cc` (reader).

use std::collections::BTreeMap;

use super::{Checkpoint, Encoding, Entry, MAX_RANK, ModelFile, names};
use crate::{Error, Result};

/// Versions of the binary layout with a type byte in front of every variable.
const VERSIONS: std::ops::RangeInclusive<u32> = 4..=6;
const MAX_VARIABLES: u32 = 100_000;

/// Reads the table of `model.bin`, without the values.
pub(super) fn index(checkpoint: &mut Checkpoint) -> Result<()> {
    let file = checkpoint.add_file("model.bin")?;
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
    let mut cursor = Cursor { file, offset: 0, place: "the header".into() };
    let version = cursor.u32()?;
    if !VERSIONS.contains(&version) {
        return Err(cursor.damaged(format!(
            "not a model.bin of CTranslate2: binary version {version}; expected {} to {}",
            VERSIONS.start(),
            VERSIONS.end()
        )));
    }
    let spec = cursor.string()?;
    if spec != "WhisperSpec" {
        return Err(Error::Unsupported(format!("{}: holds a {spec} model; expected WhisperSpec", file.path.display())));
    }
    let _revision = cursor.u32()?;
    let n_variables = cursor.u32()?;
    if n_variables > MAX_VARIABLES {
        return Err(cursor.damaged(format!("claims {n_variables} variables; at most {MAX_VARIABLES} are possible")));
    }
    let mut variables = BTreeMap::new();
    for index in 0..n_variables {
        cursor.place = format!("the name of variable {index}");
        let name = cursor.string()?;
        cursor.place = format!("variable {name}");
        variables.insert(name, cursor.variable(number)?);
    }
    cursor.place = "the aliases".into();
    for _ in 0..cursor.u32()?.min(MAX_VARIABLES) {
        let (alias, name) = (cursor.string()?, cursor.string()?);
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

struct Cursor<'a> {
    file: &'a ModelFile,
    offset: u64,
    /// What is being read, for messages.
    place: String,
}

impl Cursor<'_> {
    fn damaged(&self, reason: String) -> Error {
        self.file.damaged(reason)
    }

    fn bytes(&mut self, n: usize) -> Result<Vec<u8>> {
        let bytes = self.file.read(self.offset, n).map_err(|error| match error {
            Error::Weights { path, reason } => Error::Weights { path, reason: format!("in {}: {reason}", self.place) },
            other => other,
        })?;
        self.offset += n as u64;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A length in two bytes, then that many bytes with a zero at the end.
    fn string(&mut self) -> Result<String> {
        let len = u16::from_le_bytes(self.array()?);
        let mut bytes = self.bytes(len.into())?;
        if bytes.pop() != Some(0) {
            return Err(self.damaged(format!("in {}: a name does not end in a zero byte", self.place)));
        }
        String::from_utf8(bytes).map_err(|_| self.damaged(format!("in {}: a name is not UTF-8", self.place)))
    }

    /// Shape, type and size of a variable; its values are skipped.
    fn variable(&mut self, file: usize) -> Result<Entry> {
        let [rank] = self.array()?;
        if usize::from(rank) > MAX_RANK {
            return Err(self.damaged(format!("{} has {rank} dimensions; at most {MAX_RANK} are possible", self.place)));
        }
        let shape = (0..rank).map(|_| Ok(self.u32()? as usize)).collect::<Result<Vec<_>>>()?;
        let encoding = match self.array()? {
            [0] => Encoding::F32,
            [1] => Encoding::I8,
            [2] => Encoding::I16,
            [3] => Encoding::I32,
            [4] => Encoding::F16,
            [5] => Encoding::BF16,
            [other] => return Err(self.damaged(format!("{} has the unknown type {other}", self.place))),
        };
        let n_bytes = self.u32()?;
        let entry = Entry { file, offset: self.offset, encoding, shape, scale: None };
        if entry.n_bytes() != Some(n_bytes as usize) {
            return Err(self.damaged(format!(
                "{} of shape {:?} has {n_bytes} bytes; expected {:?}",
                self.place,
                entry.shape,
                entry.n_bytes()
            )));
        }
        self.offset += u64::from(n_bytes);
        if self.offset > self.file.len {
            return Err(self.damaged(format!(
                "{} reaches to byte {}; the file ends at {} (a broken download?)",
                self.place, self.offset, self.file.len
            )));
        }
        Ok(entry)
    }
}
