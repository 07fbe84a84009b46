//! Bindings of [`crate::infer::device`].

use pyo3::prelude::*;

use crate::infer::device;

/// Why `auto` is not an NVIDIA GPU although this build could use one; None when it is, or could not.
#[pyfunction]
fn no_cuda(py: Python<'_>) -> Option<String> {
    py.detach(device::no_cuda)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(no_cuda, module)?)
}
