//! Binding of [`crate::audio::Encoder`]: a file that is written piece by piece.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::audio::encode_options;
use crate::Error;
use crate::audio::{self, Encoder};

/// An audio file of one channel, while it is written.
#[pyclass(frozen, module = "violet._core")]
struct AudioWriter(Mutex<Option<Box<dyn Encoder>>>);

#[pymethods]
impl AudioWriter {
    #[new]
    #[pyo3(signature = (path, sample_rate, format, allow_ffmpeg=false))]
    fn new(py: Python<'_>, path: PathBuf, sample_rate: u32, format: &str, allow_ffmpeg: bool) -> PyResult<Self> {
        let options = encode_options(format, "16", None, Some(0), allow_ffmpeg)?;
        let encoder = py.detach(|| {
            let file = File::create(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
            audio::encoder(BufWriter::new(file), &path.display().to_string(), sample_rate, 1, &options)
        })?;
        Ok(Self(Mutex::new(Some(encoder))))
    }

    /// Takes more samples, in [-1, 1].
    fn write(&self, py: Python<'_>, samples: PyReadonlyArray1<'_, f32>) -> PyResult<()> {
        let samples = samples.as_array().to_vec();
        py.detach(|| match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(encoder) => encoder.write(&samples),
            None => Err(Error::InvalidInput("the file is finished; nothing can be added".to_owned())),
        })?;
        Ok(())
    }

    /// Writes what is left.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(encoder) => encoder.finish(),
            None => Ok(()),
        })?;
        Ok(())
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AudioWriter>()
}
