//! Bindings of [`crate::audio::encode`].

use std::fs::File;
use std::io::{BufWriter, Result as IoResult, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::audio::interleaved;
use crate::Error;
use crate::audio::{self, Augmentation, EncodeOptions, Encoder, Format, SampleType, Waveform};

/// How files are written, by the names that Python has for it: format, bits, bit rate, dither.
type Choices = (String, String, Option<u32>, Option<u64>);

fn options((format, bits, bit_rate, dither): Choices) -> PyResult<EncodeOptions> {
    let format = Format::from_name(&format).ok_or_else(|| {
        Error::InvalidInput(format!("format is {format:?}; expected wav, flac, mp3, aac, opus or pcm"))
    })?;
    let sample_type = SampleType::from_name(&bits)
        .ok_or_else(|| Error::InvalidInput(format!("bits is {bits:?}; expected 16, 24 or float")))?;
    Ok(EncodeOptions { format, sample_type, bit_rate, dither })
}

/// The bytes of a file with these samples.
#[pyfunction]
fn encode<'py>(
    py: Python<'py>,
    samples: PyReadonlyArrayDyn<'py, f32>,
    sample_rate: u32,
    choices: Choices,
) -> PyResult<Bound<'py, PyBytes>> {
    let (samples, n_channels) = interleaved(&samples)?;
    let options = options(choices)?;
    let bytes = py.detach(|| audio::encode(&samples, sample_rate, n_channels, &options))?;
    Ok(PyBytes::new(py, &bytes))
}

/// The recording after these changes by name and value.
#[pyfunction]
fn augment<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray1<'py, f32>,
    sample_rate: u32,
    steps: Vec<(String, f64)>,
    seed: u64,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let steps: Vec<Augmentation> =
        steps.iter().map(|(name, value)| Augmentation::named(name, *value)).collect::<crate::Result<_>>()?;
    let waveform = Waveform::from_samples(samples.as_array().to_vec(), sample_rate)?;
    let found = py.detach(|| audio::augment(&waveform, &steps, seed))?;
    Ok(found.into_samples().into_pyarray(py))
}

/// The recording with another one behind it, at a signal-to-noise ratio in dB.
#[pyfunction]
fn behind<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray1<'py, f32>,
    other: PyReadonlyArray1<'py, f32>,
    sample_rate: u32,
    snr_db: f64,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let waveform = Waveform::from_samples(samples.as_array().to_vec(), sample_rate)?;
    let other = Waveform::from_samples(other.as_array().to_vec(), sample_rate)?;
    let found = py.detach(|| audio::behind(&waveform, &other, snr_db))?;
    Ok(found.into_samples().into_pyarray(py))
}

/// Writes a file with these samples.
#[pyfunction]
fn save<'py>(
    py: Python<'py>,
    path: PathBuf,
    samples: PyReadonlyArrayDyn<'py, f32>,
    sample_rate: u32,
    choices: Choices,
) -> PyResult<()> {
    let (samples, n_channels) = interleaved(&samples)?;
    let options = options(choices)?;
    Ok(py.detach(|| audio::save(path, &samples, sample_rate, n_channels, &options))?)
}

/// Bytes that were written and not taken yet.
#[derive(Clone, Default)]
struct Fresh(Arc<Mutex<Vec<u8>>>);

impl Fresh {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// Samples in, piece by piece; bytes out as they are made, or a file.
#[pyclass(module = "violet._core")]
struct AudioEncoder {
    encoder: Mutex<Option<Box<dyn Encoder>>>,
    fresh: Fresh,
    n_channels: usize,
}

#[pymethods]
impl AudioEncoder {
    #[new]
    fn new(path: Option<PathBuf>, sample_rate: u32, n_channels: usize, choices: Choices) -> PyResult<Self> {
        let (fresh, options) = (Fresh::default(), options(choices)?);
        let encoder = match path {
            None => audio::live_encoder(fresh.clone(), "audio", sample_rate, n_channels, &options),
            Some(path) => {
                let name = path.display().to_string();
                let file = File::create(&path).map_err(|source| Error::Io { path, source })?;
                audio::encoder(BufWriter::new(file), &name, sample_rate, n_channels, &options)
            }
        }?;
        Ok(Self { encoder: Mutex::new(Some(encoder)), fresh, n_channels })
    }

    /// Takes samples; the bytes that they made.
    fn write<'py>(&self, py: Python<'py>, samples: PyReadonlyArrayDyn<'py, f32>) -> PyResult<Bound<'py, PyBytes>> {
        let (samples, n_channels) = interleaved(&samples)?;
        if n_channels != self.n_channels {
            let expected = self.n_channels;
            return Err(Error::InvalidInput(format!(
                "a block has {n_channels} channels; those before have {expected}"
            ))
            .into());
        }
        py.detach(|| match &mut *self.encoder.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(encoder) => encoder.write(&samples),
            None => Err(ended()),
        })?;
        Ok(PyBytes::new(py, &self.fresh.take()))
    }

    /// The last bytes.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(ended)?;
        py.detach(|| encoder.finish())?;
        Ok(PyBytes::new(py, &self.fresh.take()))
    }
}

fn ended() -> Error {
    Error::InvalidInput("the file is finished; make another encoder".to_owned())
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AudioEncoder>()?;
    module.add_function(wrap_pyfunction!(augment, module)?)?;
    module.add_function(wrap_pyfunction!(behind, module)?)?;
    module.add_function(wrap_pyfunction!(encode, module)?)?;
    module.add_function(wrap_pyfunction!(save, module)?)
}
