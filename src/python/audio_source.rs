//! Where Python's audio comes from: a path, bytes, a file object, or an iterable of bytes.

use std::io::{Error as IoError, Read, Result as IoResult, Seek, SeekFrom};
use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyDict, PyIterator};

use crate::audio::{Mix, Options};

/// What a caller handed over.
pub(super) enum AudioSource {
    Path(PathBuf),
    Bytes(PyBackedBytes),
    File(PyFile),
    Arriving(Chunks),
}

impl<'py> FromPyObject<'_, 'py> for AudioSource {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.extract::<PyBackedBytes>() {
            return Ok(Self::Bytes(bytes));
        }
        if let Ok(path) = object.extract::<PathBuf>() {
            return Ok(Self::Path(path));
        }
        if object.hasattr("read")? {
            let file = PyFile(object.to_owned().unbind());
            let is_seekable = object.hasattr("seekable")? && object.call_method0("seekable")?.extract()?;
            return Ok(if is_seekable { Self::File(file) } else { Self::Arriving(Chunks::File(file)) });
        }
        match object.try_iter() {
            Ok(chunks) => Ok(Self::Arriving(Chunks::Iterator { chunks: chunks.unbind(), rest: Vec::new(), start: 0 })),
            Err(_) => Err(PyTypeError::new_err(format!(
                "audio is a {}; expected a path, bytes, a binary file or an iterable of bytes",
                object.get_type().name()?
            ))),
        }
    }
}

/// A binary file object.
pub(super) struct PyFile(Py<PyAny>);

impl Read for PyFile {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        Python::attach(|py| {
            let bytes = self.0.bind(py).call_method1("read", (buffer.len(),))?;
            let bytes: PyBackedBytes =
                bytes.extract().map_err(|_| IoError::other("read() gave no bytes; open the file in binary mode"))?;
            let Some(target) = buffer.get_mut(..bytes.len()) else {
                return Err(IoError::other("read() gave more bytes than it was asked for"));
            };
            target.copy_from_slice(&bytes);
            Ok(bytes.len())
        })
    }
}

impl Seek for PyFile {
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (i64::try_from(offset).map_err(IoError::other)?, 0),
            SeekFrom::Current(offset) => (offset, 1),
            SeekFrom::End(offset) => (offset, 2),
        };
        Python::attach(|py| Ok(self.0.bind(py).call_method1("seek", (offset, whence))?.extract::<u64>()?))
    }
}

/// Bytes that come when they come.
pub(super) enum Chunks {
    File(PyFile),
    Iterator { chunks: Py<PyIterator>, rest: Vec<u8>, start: usize },
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let (chunks, rest, start) = match self {
            Self::File(file) => return file.read(buffer),
            Self::Iterator { chunks, rest, start } => (chunks, rest, start),
        };
        while *start == rest.len() {
            let next = Python::attach(|py| {
                chunks.bind(py).clone().next().map(|chunk| chunk?.extract::<Vec<u8>>()).transpose()
            })?;
            let Some(chunk) = next else { return Ok(0) };
            (*rest, *start) = (chunk, 0);
        }
        let n = buffer.len().min(rest.len() - *start);
        buffer[..n].copy_from_slice(&rest[*start..*start + n]);
        *start += n;
        Ok(n)
    }
}

/// How audio is to be heard, from keyword arguments.
pub(super) fn arguments(sample_rate: Option<u32>, given: Option<&Bound<'_, PyDict>>) -> PyResult<Options> {
    let mut options = Options { sample_rate, ..Options::default() };
    let (mut is_mono, mut channel) = (true, None);
    for (key, value) in given.into_iter().flatten() {
        match key.extract::<String>()?.as_str() {
            "mono" => is_mono = value.extract()?,
            "channel" => channel = value.extract::<Option<usize>>()?,
            "start_s" => options.start_s = value.extract()?,
            "duration_s" => options.duration_s = value.extract()?,
            "allow_ffmpeg" => options.allow_ffmpeg = value.extract()?,
            "max_duration_s" => options.limits.max_duration_s = value.extract()?,
            "max_bytes" => options.limits.max_bytes = value.extract()?,
            key => return Err(PyTypeError::new_err(format!("unexpected keyword argument {key:?}"))),
        }
    }
    options.mix = match channel {
        Some(channel) => Mix::Channel(channel),
        None if is_mono => Mix::Mono,
        None => Mix::All,
    };
    Ok(options)
}
