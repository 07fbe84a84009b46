//! Reads the small numbers and names of a table of tensors from front to back.

use super::file::ModelFile;
use crate::{Error, Result};

/// Bytes that are read ahead; headers are short, and the values between them are skipped.
const READ_AHEAD: usize = 4096;

/// A place in a file. Errors say what was being read there.
pub(super) struct Cursor<'a> {
    pub(super) file: &'a ModelFile,
    pub(super) offset: u64,
    /// What is being read, for messages.
    pub(super) place: String,
    ahead: Vec<u8>,
    ahead_offset: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: &'a ModelFile) -> Self {
        Self { file, offset: 0, place: "the header".into(), ahead: Vec::new(), ahead_offset: 0 }
    }

    /// The error that `reason` is wrong in this file.
    pub(super) fn damaged(&self, reason: &str) -> Error {
        self.file.damaged(format!("in {}: {reason}", self.place))
    }

    /// Bytes up to the end of the file.
    pub(super) fn n_left(&self) -> u64 {
        self.file.len.saturating_sub(self.offset)
    }

    pub(super) fn bytes(&mut self, n: usize) -> Result<&[u8]> {
        let is_ahead = |start: u64, len: usize, offset: u64| {
            offset >= start && offset.saturating_add(n as u64) <= start.saturating_add(len as u64)
        };
        if !is_ahead(self.ahead_offset, self.ahead.len(), self.offset) {
            self.file.check_range(self.offset, n).map_err(|error| self.named(error))?;
            let len = n.max(READ_AHEAD).min(usize::try_from(self.n_left()).unwrap_or(usize::MAX));
            self.ahead = self.file.read(self.offset, len).map_err(|error| self.named(error))?;
            self.ahead_offset = self.offset;
        }
        let start = usize::try_from(self.offset - self.ahead_offset).unwrap_or(usize::MAX);
        self.offset += n as u64;
        Ok(&self.ahead[start..start + n])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Passes over values, which must lie inside of the file.
    pub(super) fn skip(&mut self, n_bytes: usize) -> Result<()> {
        self.file.check_range(self.offset, n_bytes).map_err(|error| self.named(error))?;
        self.offset += n_bytes as u64;
        Ok(())
    }

    fn named(&self, error: Error) -> Error {
        match error {
            Error::Weights { path, reason } => Error::Weights { path, reason: format!("in {}: {reason}", self.place) },
            other => other,
        }
    }
}
