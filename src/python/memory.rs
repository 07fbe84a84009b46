//! Bindings of the published models' sizes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::infer::ComputeType;
use crate::infer::whisper::{PUBLISHED, Published};

/// Names of the published Whisper models.
#[pyfunction]
fn whisper_names() -> Vec<&'static str> {
    PUBLISHED.iter().map(|published| published.name).collect()
}

/// Bytes of a published model: `(weights, caches of a window, caches of a sequence, workspace of a window)`.
#[pyfunction]
fn whisper_memory(name: &str, compute_type: &str) -> PyResult<(u64, u64, u64, u64)> {
    let Some(published) = Published::find(name) else {
        let message = format!("unknown model `{name}`; expected one of {}", whisper_names().join(", "));
        return Err(PyValueError::new_err(message));
    };
    let memory = published.dimensions().memory(compute_type.parse::<ComputeType>()?);
    Ok((memory.weights_bytes, memory.window_bytes, memory.row_bytes, memory.workspace_bytes))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(whisper_names, module)?)?;
    module.add_function(wrap_pyfunction!(whisper_memory, module)?)
}
