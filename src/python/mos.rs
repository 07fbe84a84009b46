//! Bindings of [`crate::infer::mos`] and [`crate::infer::speaker`].

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;

use super::vad::Vad;
use crate::audio::{Waveform, resample};
use crate::infer::{self, mos::SAMPLE_RATE, speaker};

/// `DistillMOS` in memory; one may serve several threads.
#[pyclass(frozen, module = "violet._core")]
struct DistillMos(infer::DistillMos);

#[pymethods]
impl DistillMos {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self(py.detach(|| infer::DistillMos::load(&path))?))
    }

    /// Score of every clip of 16 kHz samples.
    #[pyo3(signature = (clips, num_threads=None))]
    fn scores(
        &self,
        py: Python<'_>,
        clips: Vec<PyReadonlyArray1<'_, f32>>,
        num_threads: Option<usize>,
    ) -> PyResult<Vec<f64>> {
        let clips = owned(&clips);
        Ok(py.detach(|| infer::mos::for_each_clip(&clips, num_threads, |clip| self.0.score(clip)))?)
    }
}

/// DNSMOS in memory; one may serve several threads.
#[pyclass(frozen, module = "violet._core")]
struct DnsMos(infer::DnsMos);

#[pymethods]
impl DnsMos {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self(py.detach(|| infer::DnsMos::load(&path))?))
    }

    /// `(sig, bak, ovr, p808)` of every clip of 16 kHz samples.
    #[pyo3(signature = (clips, num_threads=None))]
    fn scores(
        &self,
        py: Python<'_>,
        clips: Vec<PyReadonlyArray1<'_, f32>>,
        num_threads: Option<usize>,
    ) -> PyResult<Vec<(f64, f64, f64, f64)>> {
        let clips = owned(&clips);
        let scores = py.detach(|| infer::mos::for_each_clip(&clips, num_threads, |clip| self.0.score(clip)))?;
        Ok(scores.iter().map(|scores| (scores.sig, scores.bak, scores.ovr, scores.p808)).collect())
    }
}

/// A vector, first and last samples of the pieces `[n, 2]`, and their vectors `[n, 256]`.
type Voice<'py> = (Bound<'py, PyArray1<f32>>, Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<f32>>);

/// The GE2E speaker encoder in memory; one may serve several threads.
#[pyclass(frozen, module = "violet._core")]
struct SpeakerEncoder(infer::SpeakerEncoder);

#[pymethods]
impl SpeakerEncoder {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self(py.detach(|| infer::SpeakerEncoder::load(&path))?))
    }

    /// The voice of 16 kHz samples.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        samples: PyReadonlyArray1<'py, f32>,
        partials_per_s: f64,
        num_threads: Option<usize>,
    ) -> PyResult<Voice<'py>> {
        let clips = owned(&[samples]);
        let mut found =
            py.detach(|| infer::mos::for_each_clip(&clips, num_threads, |clip| self.0.embed(clip, partials_per_s)))?;
        let Some(voice) = found.pop() else { unreachable!("one clip has one voice") };
        let n = voice.partials.len();
        let sample = |sample: usize| i64::try_from(sample).unwrap_or(i64::MAX);
        let spans = voice.partials.iter().flat_map(|partial| [sample(partial.start), sample(partial.end)]).collect();
        let vectors = voice.partials.into_iter().flat_map(|partial| partial.embedding).collect();
        Ok((
            voice.embedding.into_pyarray(py),
            PyArray1::from_vec(py, spans).reshape([n, 2])?,
            PyArray1::from_vec(py, vectors).reshape([n, speaker::EMBEDDING_SIZE])?,
        ))
    }
}

/// Samples, and the stretches that they are of.
type Prepared<'py> = (Bound<'py, PyArray1<f32>>, Vec<(usize, usize)>);

/// Samples at one level without long pauses, and the first and last samples of the stretches that they are of.
#[pyfunction]
fn prepare_voice<'py>(py: Python<'py>, samples: PyReadonlyArray1<'py, f32>, vad: &Vad) -> PyResult<Prepared<'py>> {
    let samples = samples.as_array().to_vec();
    let (left, stretches) = py.detach(|| speaker::prepare(&samples, &vad.0))?;
    Ok((left.into_pyarray(py), stretches))
}

/// The samples at 16 kHz.
#[pyfunction]
fn to_16_khz<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray1<'py, f32>,
    sample_rate: u32,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let samples = samples.as_array().to_vec();
    let waveform = py.detach(|| resample(&Waveform::from_samples(samples, sample_rate)?, SAMPLE_RATE))?;
    Ok(waveform.into_samples().into_pyarray(py))
}

fn owned(clips: &[PyReadonlyArray1<'_, f32>]) -> Vec<Vec<f32>> {
    clips.iter().map(|clip| clip.as_array().to_vec()).collect()
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<DistillMos>()?;
    module.add_class::<DnsMos>()?;
    module.add_class::<SpeakerEncoder>()?;
    module.add_function(wrap_pyfunction!(prepare_voice, module)?)?;
    module.add_function(wrap_pyfunction!(to_16_khz, module)?)
}
