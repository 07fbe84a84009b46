//! Bindings of [`crate::audio`].

use std::io::Cursor;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArrayDyn};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::audio_source::{AudioSource, arguments};
use crate::Error;
use crate::audio::{self, Blocks, Info, Mix, mel};

/// Samples as Python sees them: float32, `[n_samples]` or `[n_frames, n_channels]`, with their rate in Hz.
type Samples<'py> = (Bound<'py, PyAny>, u32);

/// Audio as float32 samples in [-1, 1] and their sample rate, Hz.
#[pyfunction]
#[pyo3(signature = (path, sample_rate=None, **options))]
fn load<'py>(
    py: Python<'py>,
    path: AudioSource,
    sample_rate: Option<u32>,
    options: Option<Bound<'py, PyDict>>,
) -> PyResult<Samples<'py>> {
    let options = arguments(sample_rate, options.as_ref())?;
    let is_all = options.mix == Mix::All;
    let sound = py.detach(|| match path {
        AudioSource::Path(path) => audio::read(path, &options),
        AudioSource::Bytes(bytes) => audio::read_from(Cursor::new(bytes), "audio", &options),
        AudioSource::File(file) => audio::read_from(file, "audio", &options),
        AudioSource::Arriving(chunks) => {
            let blocks = Blocks::from_arriving(chunks, "audio", &options)?;
            audio::Sound::collect(blocks)
        }
    })?;
    Ok((shaped(py, sound.samples, is_all.then_some(sound.n_channels))?, sound.sample_rate))
}

/// Audio file's bytes as mono float32 samples in [-1, 1] and their sample rate, Hz.
#[pyfunction]
#[pyo3(signature = (data, sample_rate=None, **options))]
fn decode<'py>(
    py: Python<'py>,
    data: AudioSource,
    sample_rate: Option<u32>,
    options: Option<Bound<'py, PyDict>>,
) -> PyResult<Samples<'py>> {
    match data {
        AudioSource::Bytes(_) => load(py, data, sample_rate, options),
        _ => Err(PyTypeError::new_err("data must be the bytes of an audio file; violet.load takes paths and files")),
    }
}

/// What a file's header says.
#[pyfunction]
fn probe(py: Python<'_>, path: AudioSource) -> PyResult<Bound<'_, PyDict>> {
    let limits = audio::Limits { max_duration_s: f64::MAX, max_bytes: u64::MAX, ..audio::Limits::default() };
    let info: Info = py.detach(|| match path {
        AudioSource::Path(path) => audio::probe(path, &limits),
        AudioSource::Bytes(bytes) => audio::probe_reader(Cursor::new(bytes), "audio", &limits),
        AudioSource::File(file) => audio::probe_reader(file, "audio", &limits),
        AudioSource::Arriving(_) => {
            Err(Error::InvalidInput("a header can be read from a path, bytes or a file that can seek".to_owned()))
        }
    })?;
    let dict = PyDict::new(py);
    dict.set_item("duration_s", info.duration_s)?;
    dict.set_item("sample_rate", info.sample_rate)?;
    dict.set_item("n_channels", info.n_channels)?;
    dict.set_item("layout", info.layout)?;
    dict.set_item("codec", info.codec)?;
    dict.set_item("container", info.container)?;
    dict.set_item("bit_depth", info.bit_depth)?;
    dict.set_item("bit_rate", info.bit_rate)?;
    dict.set_item("tags", info.tags)?;
    Ok(dict)
}

/// Blocks of a recording, decoded while they are asked for.
#[pyclass(module = "violet._core")]
struct AudioStream {
    blocks: Blocks<'static>,
    is_all: bool,
}

#[pymethods]
impl AudioStream {
    #[new]
    #[pyo3(signature = (source, block_s, sample_rate=None, **options))]
    fn new(
        py: Python<'_>,
        source: AudioSource,
        block_s: f64,
        sample_rate: Option<u32>,
        options: Option<Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let options = arguments(sample_rate, options.as_ref())?;
        let opened = py.detach(|| match source {
            AudioSource::Path(path) => Blocks::open_with(path, &options),
            AudioSource::Bytes(bytes) => Blocks::from_reader(Cursor::new(bytes), "audio", &options),
            AudioSource::File(file) => Blocks::from_reader(file, "audio", &options),
            AudioSource::Arriving(chunks) => Blocks::from_arriving(chunks, "audio", &options),
        })?;
        Ok(Self { blocks: opened.in_blocks_of(block_s)?, is_all: options.mix == Mix::All })
    }

    #[getter]
    fn sample_rate(&self) -> u32 {
        self.blocks.sample_rate()
    }

    #[getter]
    fn n_channels(&self) -> usize {
        self.blocks.n_channels()
    }

    #[getter]
    fn duration_s(&self) -> Option<f64> {
        self.blocks.stated_s()
    }

    #[getter]
    fn skipped_packets(&self) -> usize {
        self.blocks.skipped_packets()
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Self { blocks, is_all } = self;
        let block = py.detach(|| blocks.next()).transpose()?;
        block.map(|samples| shaped(py, samples, is_all.then_some(blocks.n_channels()))).transpose()
    }
}

/// Samples at another rate; each channel by itself.
#[pyfunction]
fn resample<'py>(
    py: Python<'py>,
    samples: PyReadonlyArrayDyn<'py, f32>,
    from_rate: u32,
    to_rate: u32,
) -> PyResult<Bound<'py, PyAny>> {
    let is_flat = samples.as_array().ndim() == 1;
    let (samples, n_channels) = interleaved(&samples)?;
    let samples = py.detach(|| audio::resample_interleaved(&samples, n_channels, from_rate, to_rate))?;
    shaped(py, samples, (!is_flat).then_some(n_channels))
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

/// Samples frame by frame, and the number of channels.
pub(super) fn interleaved(samples: &PyReadonlyArrayDyn<'_, f32>) -> PyResult<(Vec<f32>, usize)> {
    let samples = samples.as_array();
    match *samples.shape() {
        [_] => Ok((samples.iter().copied().collect(), 1)),
        [_, n_channels] if (1..=32).contains(&n_channels) => Ok((samples.iter().copied().collect(), n_channels)),
        ref shape => Err(Error::InvalidInput(format!(
            "samples have the shape {shape:?}; expected [n_samples] or [n_frames, n_channels] with 1 to 32 channels"
        ))
        .into()),
    }
}

/// An array of one dimension, or of frames and channels.
fn shaped(py: Python<'_>, samples: Vec<f32>, n_channels: Option<usize>) -> PyResult<Bound<'_, PyAny>> {
    let n_samples = samples.len();
    let flat: Bound<'_, PyArray1<f32>> = samples.into_pyarray(py);
    match n_channels {
        None => Ok(flat.into_any()),
        Some(n_channels) => Ok(flat.reshape([n_samples / n_channels.max(1), n_channels])?.into_any()),
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AudioStream>()?;
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(decode, module)?)?;
    module.add_function(wrap_pyfunction!(probe, module)?)?;
    module.add_function(wrap_pyfunction!(resample, module)?)?;
    module.add_function(wrap_pyfunction!(log_mel, module)?)
}
