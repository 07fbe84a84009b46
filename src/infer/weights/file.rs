//! One file of a model: reads that stay inside of it, and errors that name it.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{Error, Result};

/// Largest file that is read whole: many times the longest published tokenizer.
const MAX_BYTES: u64 = 64 << 20;

/// A file of a model, opened. Any number of threads may read it.
#[derive(Debug)]
pub(super) struct ModelFile {
    pub(super) path: PathBuf,
    pub(super) len: u64,
    file: File,
}

impl ModelFile {
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((len, file)) => Ok(Self { path, len, file }),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// The file itself, for readers of archives.
    pub(super) fn reader(&self) -> &File {
        &self.file
    }

    /// Fills `bytes` from `offset`; the range must lie inside of the file.
    pub(super) fn read_into(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.check_range(offset, bytes.len())?;
        self.file.read_exact_at(bytes, offset).map_err(|source| Error::Io { path: self.path.clone(), source })
    }

    /// A range, which must lie inside of the file: nothing larger is ever allocated.
    pub(super) fn read(&self, offset: u64, n_bytes: usize) -> Result<Vec<u8>> {
        self.check_range(offset, n_bytes)?;
        let mut bytes = vec![0; n_bytes];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn check_range(&self, offset: u64, n_bytes: usize) -> Result<()> {
        if offset.checked_add(n_bytes as u64).is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        Err(self.damaged(format!(
            "ends at byte {}; {n_bytes} bytes at {offset} are missing (a broken download?)",
            self.len
        )))
    }

    pub(super) fn damaged(&self, reason: String) -> Error {
        Error::Weights { path: self.path.clone(), reason }
    }
}

/// A JSON file, at most 64 MiB; `None` when it does not exist.
pub(in crate::infer) fn read_json(path: &Path) -> Result<Option<Value>> {
    let parse = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Weights { path: path.to_owned(), reason: format!("not JSON: {error}") })
    };
    read_bytes(path)?.map(parse).transpose()
}

/// The bytes of a small file beside the weights, at most 64 MiB; `None` when it does not exist.
pub(in crate::infer) fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    let io_error = |source| Error::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(source)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io_error)?;
    Ok(Some(bytes))
}
