//! Bindings of [`crate::audio`].

use std::io::Cursor;
use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::audio::{self, Decoded, Limits, mel};

/// Samples as Python sees them: float32, mono, with their rate in Hz.
type Samples<'py> = (Bound<'py, PyArray1<f32>>, u32);

/// Audio file as mono float32 samples in [-1, 1] and their sample rate, Hz.
#[pyfunction]
#[pyo3(signature = (path, sample_rate=None))]
fn load(py: Python<'_>, path: PathBuf, sample_rate: Option<u32>) -> PyResult<Samples<'_>> {
    let decoded = py.detach(|| audio::load(&path, sample_rate, &Limits::default()))?;
    Ok(samples(py, decoded))
}

/// Audio file's bytes as mono float32 samples in [-1, 1] and their sample rate, Hz.
#[pyfunction]
#[pyo3(signature = (data, sample_rate=None))]
fn decode(py: Python<'_>, data: Vec<u8>, sample_rate: Option<u32>) -> PyResult<Samples<'_>> {
    let decoded = py.detach(|| audio::decode(Cursor::new(data), "audio", sample_rate, &Limits::default()))?;
    Ok(samples(py, decoded))
}

/// What a file's header says: duration, rate, channels, codec, container.
#[pyfunction]
fn probe(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let info = py.detach(|| audio::probe(&path, &Limits::default()))?;
    let dict = PyDict::new(py);
    dict.set_item("duration_s", info.duration_s)?;
    dict.set_item("sample_rate", info.sample_rate)?;
    dict.set_item("n_channels", info.n_channels)?;
    dict.set_item("codec", info.codec)?;
    dict.set_item("container", info.container)?;
    Ok(dict)
}

/// Log-mel features of 16 kHz samples, `[n_mels, n_frames]`.
#[pyfunction]
#[pyo3(signature = (samples, n_mels=80, padding=0))]
fn log_mel<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray1<'py, f32>,
    n_mels: usize,
    padding: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let samples = samples.as_array().to_vec();
    let features = py.detach(|| mel::log_mel(&samples, n_mels, padding))?;
    Ok(features.into_pyarray(py))
}

fn samples(py: Python<'_>, decoded: Decoded) -> Samples<'_> {
    let sample_rate = decoded.waveform.sample_rate();
    (decoded.waveform.into_samples().into_pyarray(py), sample_rate)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(decode, module)?)?;
    module.add_function(wrap_pyfunction!(probe, module)?)?;
    module.add_function(wrap_pyfunction!(log_mel, module)?)
}
