//! Bindings of [`crate::infer::device`].

use pyo3::prelude::*;

use crate::infer::device;

/// Why no NVIDIA GPU can be used; None when one can.
#[pyfunction]
fn cuda_problem(py: Python<'_>) -> Option<String> {
    py.detach(device::cuda_problem)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("HAS_CUDA", device::HAS_CUDA)?;
    module.add_function(wrap_pyfunction!(cuda_problem, module)?)
}
