//! Binding of [`crate::proxy`].

use pyo3::prelude::*;

/// Run the proxy with these command-line arguments until a signal ends it; its exit code.
#[pyfunction]
fn run_proxy(py: Python<'_>, arguments: Vec<String>) -> i32 {
    py.detach(|| crate::proxy::run(arguments))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(run_proxy, module)?)
}
