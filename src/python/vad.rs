//! Bindings of [`crate::infer::vad`].

use std::path::PathBuf;
use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use super::options::VadArguments;
use crate::infer;

/// Silero's voice activity detector in memory; one may serve several threads.
#[pyclass(frozen, module = "violet._core")]
pub(super) struct Vad(pub(super) Arc<infer::Vad>);

#[pymethods]
impl Vad {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self(Arc::new(py.detach(|| infer::Vad::load(&path))?)))
    }

    /// Probability of speech in each 32 ms of 16 kHz samples, `[n_chunks]`.
    fn probabilities<'py>(&self, py: Python<'py>, samples: PyReadonlyArray1<'py, f32>) -> Bound<'py, PyArray1<f32>> {
        let samples = samples.as_array().to_vec();
        py.detach(|| self.0.probabilities(&samples)).into_pyarray(py)
    }

    /// First sample of every stretch of speech and the one after its last.
    fn speech(
        &self,
        py: Python<'_>,
        samples: PyReadonlyArray1<'_, f32>,
        options: VadArguments,
    ) -> PyResult<Vec<(usize, usize)>> {
        let samples = samples.as_array().to_vec();
        let spans = py.detach(|| self.0.speech(&samples, &options.into()))?;
        Ok(spans.iter().map(|span| (span.start, span.end)).collect())
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Vad>()
}
