//! The simulation of the subnet's rules for Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::subnet::simulate::{self as simulation, Settings};

/// The outcome as a table, as JSON, and as a page of HTML.
#[pyfunction]
fn simulate(
    py: Python<'_>,
    seed: u64,
    epochs: u32,
    colluding_stake: f64,
    colluders: u16,
) -> PyResult<(String, String, String)> {
    let settings = Settings { seed, epochs, colluding_stake, colluders };
    let outcome = py.detach(|| simulation::simulate(&settings))?;
    let json = serde_json::to_string(&outcome).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok((outcome.to_table(), json, outcome.to_html()))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(simulate, module)?)
}
