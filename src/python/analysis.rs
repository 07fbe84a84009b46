//! Bindings of [`crate::analysis`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use numpy::ndarray::{Array2, Axis};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Serialize;

use crate::analysis::pitch::{self, Pyin, VoicedFrame, Yin};
use crate::analysis::{self, Agreement, Analyzer, Field, LoudnessTrack, Options, Tracks};
use crate::audio::Limits;

/// The header (`None` for samples), the analysis as JSON, what happens over time, damaged packets.
type Found<'py> = (Option<String>, String, Bound<'py, PyDict>, usize);

/// Samples of a channel that are copied together.
const PIECE: usize = 1 << 16;

fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn options(fields: Option<Vec<String>>, frames: bool, tracks: bool) -> PyResult<Options> {
    let fields = fields.map(|names| Field::parse(&names)).transpose()?;
    let fields = fields.unwrap_or_else(|| Field::ALL.into());
    Ok(Options { fields, keeps_frames: frames, keeps_tracks: tracks })
}

/// Analyses a file; see `violet.analyze`.
#[pyfunction]
#[pyo3(signature = (path, fields, frames, tracks))]
fn analyze_file(
    py: Python<'_>,
    path: PathBuf,
    fields: Option<Vec<String>>,
    frames: bool,
    tracks: bool,
) -> PyResult<Found<'_>> {
    let options = options(fields, frames, tracks)?;
    let found = py.detach(|| analysis::analyze_file(path, options, &Limits::default()))?;
    let tracks = track_dict(py, found.tracks)?;
    Ok((Some(json(&found.info)?), json(&found.analysis)?, tracks, found.skipped_packets))
}

/// Analyses samples, `[n_samples, n_channels]`; see `violet.analyze`.
#[pyfunction]
#[pyo3(signature = (samples, sample_rate, fields, frames, tracks))]
fn analyze_samples<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray2<'py, f32>,
    sample_rate: u32,
    fields: Option<Vec<String>>,
    frames: bool,
    tracks: bool,
) -> PyResult<Found<'py>> {
    let options = options(fields, frames, tracks)?;
    let samples = samples.as_array();
    let mut analyzer = Analyzer::new(sample_rate, samples.ncols(), options)?;
    for piece in samples.axis_chunks_iter(Axis(0), PIECE) {
        // Copied, since Python may write to the array while it is analysed.
        let piece: Vec<f32> = piece.iter().copied().collect();
        py.detach(|| analyzer.push(&piece));
    }
    let (analysis, tracks) = py.detach(|| analyzer.finish())?;
    Ok((None, json(&analysis)?, track_dict(py, tracks)?, 0))
}

fn track_dict(py: Python<'_>, tracks: Tracks) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let (low, high): (Vec<f32>, Vec<f32>) = tracks.outline.into_iter().unzip();
    dict.set_item("outline_low", low.into_pyarray(py))?;
    dict.set_item("outline_high", high.into_pyarray(py))?;
    let LoudnessTrack { momentary_lufs, short_term_lufs } = tracks.loudness;
    dict.set_item("momentary_lufs", numbers(py, momentary_lufs))?;
    dict.set_item("short_term_lufs", numbers(py, short_term_lufs))?;
    let (f0_hz, probability) = pitch_arrays(py, &tracks.pitch);
    dict.set_item("f0_hz", f0_hz)?;
    dict.set_item("voiced_probability", probability)?;
    dict.set_item("picture", tracks.picture)?;
    let frames = PyDict::new(py);
    for (name, rows) in tracks.frames.features {
        let shape = (rows.len(), rows.first().map_or(0, Vec::len));
        let array = Array2::from_shape_vec(shape, rows.concat());
        let array = array.map_err(|error| PyValueError::new_err(error.to_string()))?;
        frames.set_item(name, array.into_pyarray(py))?;
    }
    dict.set_item("frames", frames)?;
    Ok(dict)
}

/// Values with NaN where there is none.
fn numbers(py: Python<'_>, values: Vec<Option<f64>>) -> Bound<'_, PyArray1<f64>> {
    values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect::<Vec<_>>().into_pyarray(py)
}

type Arrays<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

fn pitch_arrays<'py>(py: Python<'py>, frames: &[VoicedFrame]) -> Arrays<'py> {
    let f0 = numbers(py, frames.iter().map(|frame| frame.f0_hz).collect());
    let probability: Vec<f64> = frames.iter().map(|frame| frame.voiced_probability).collect();
    (f0, probability.into_pyarray(py))
}

/// pYIN: fundamental frequency (NaN: unvoiced), Hz, and the probability of voice, of every frame.
#[pyfunction]
fn pyin<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray1<'py, f32>,
    sample_rate: u32,
    fmin_hz: f64,
    fmax_hz: f64,
    frame_length: usize,
    hop_length: usize,
) -> PyResult<Arrays<'py>> {
    let samples = samples.as_array().to_vec();
    let options = Pyin { fmin_hz, fmax_hz, frame_length, hop_length };
    let frames = py.detach(|| pitch::pyin(&samples, sample_rate, &options))?;
    Ok(pitch_arrays(py, &frames))
}

/// YIN: fundamental frequency, Hz, and aperiodicity of every frame.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "the Python function has them as keywords")]
fn yin<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray1<'py, f32>,
    sample_rate: u32,
    fmin_hz: f64,
    fmax_hz: f64,
    frame_length: usize,
    hop_length: usize,
    trough_threshold: f64,
) -> PyResult<Arrays<'py>> {
    let samples = samples.as_array().to_vec();
    let options = Yin { fmin_hz, fmax_hz, frame_length, hop_length, trough_threshold };
    let frames = py.detach(|| pitch::yin(&samples, sample_rate, &options))?;
    let (f0, rest): (Vec<f64>, Vec<f64>) = frames.iter().map(|frame| (frame.f0_hz, frame.aperiodicity)).unzip();
    Ok((f0.into_pyarray(py), rest.into_pyarray(py)))
}

/// Which speaker each vector, `[n, n_dimensions]`, belongs to.
#[pyfunction]
fn cluster_speakers(py: Python<'_>, vectors: PyReadonlyArray2<'_, f32>, threshold: f32) -> Vec<usize> {
    let vectors: Vec<Vec<f32>> = vectors.as_array().rows().into_iter().map(|row| row.to_vec()).collect();
    py.detach(|| analysis::cluster_speakers(&vectors, threshold))
}

/// Times of the syllables' nuclei, seconds.
#[pyfunction]
fn syllable_nuclei(py: Python<'_>, samples: PyReadonlyArray1<'_, f32>, sample_rate: u32) -> Vec<f64> {
    let samples = samples.as_array().to_vec();
    py.detach(|| analysis::syllable_nuclei_s(&samples, sample_rate))
}

/// The account of stretches of speech with these syllables, as JSON.
#[pyfunction]
fn speech_account(segments_s: Vec<(f64, f64)>, duration_s: f64, syllables_s: Vec<f64>) -> PyResult<String> {
    json(&analysis::speech(&segments_s, duration_s, &syllables_s))
}

/// Names of the fields that are measured without a model.
#[pyfunction]
fn analysis_fields() -> Vec<&'static str> {
    Field::ALL.map(Field::name).to_vec()
}

/// Of every field that is measured without a model: how far another machine's value may be off, absolutely and as a share,
/// and whether it is exact.
#[pyfunction]
fn analysis_agreement() -> BTreeMap<&'static str, (f64, f64, bool)> {
    let of = |field: Field| {
        let Agreement::Within { absolute, relative } = field.agreement();
        (field.name(), (absolute, relative, field.is_exact()))
    };
    Field::ALL.into_iter().map(of).collect()
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(analysis_agreement, module)?)?;
    module.add_function(wrap_pyfunction!(analysis_fields, module)?)?;
    module.add_function(wrap_pyfunction!(analyze_file, module)?)?;
    module.add_function(wrap_pyfunction!(analyze_samples, module)?)?;
    module.add_function(wrap_pyfunction!(cluster_speakers, module)?)?;
    module.add_function(wrap_pyfunction!(pyin, module)?)?;
    module.add_function(wrap_pyfunction!(speech_account, module)?)?;
    module.add_function(wrap_pyfunction!(syllable_nuclei, module)?)?;
    module.add_function(wrap_pyfunction!(yin, module)?)
}
