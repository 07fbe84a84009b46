//! Bindings of [`crate::hub`].

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;

use crate::hub::{Hub, HubConfig, OnProgress};

/// A file of a repository: name, size in bytes and SHA-256, where the hub says them.
type File = (String, Option<u64>, Option<String>);

/// The commit that a revision of a repository means now, and its files: `(name, size, sha256)`.
#[pyfunction]
#[pyo3(signature = (id, revision="main", *, endpoint=None, token=None, timeout_s=5.0))]
fn hub_snapshot(
    py: Python<'_>,
    id: &str,
    revision: &str,
    endpoint: Option<String>,
    token: Option<String>,
    timeout_s: f64,
) -> PyResult<(String, Vec<File>)> {
    let hub = Hub::new(config(endpoint, token, timeout_s)?)?;
    let snapshot = interruptible(py, None, |on_progress| hub.snapshot(id, revision, on_progress))?;
    Ok((snapshot.commit, snapshot.files.into_iter().map(|file| (file.name, file.bytes, file.sha256)).collect()))
}

/// Write one file of a repository to `destination`; its size in bytes and SHA-256.
///
/// `progress(done, total)` is called as bytes arrive; what it raises ends the download and leaves no file.
#[pyfunction]
#[pyo3(signature = (id, revision, file, destination, *, endpoint=None, token=None, timeout_s=5.0, progress=None))]
#[allow(clippy::too_many_arguments, reason = "they are keyword arguments of the Python function")]
fn hub_download(
    py: Python<'_>,
    id: &str,
    revision: &str,
    file: &str,
    destination: PathBuf,
    endpoint: Option<String>,
    token: Option<String>,
    timeout_s: f64,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<(u64, String)> {
    let hub = Hub::new(config(endpoint, token, timeout_s)?)?;
    let progress = progress.map(Bound::unbind);
    let downloaded = interruptible(py, progress.as_ref(), move |on_progress| {
        hub.download(id, revision, file, &destination, on_progress)
    })?;
    Ok((downloaded.bytes, downloaded.sha256))
}

fn config(endpoint: Option<String>, token: Option<String>, timeout_s: f64) -> PyResult<HubConfig> {
    let answer_timeout = Duration::try_from_secs_f64(timeout_s)
        .map_err(|error| crate::Error::InvalidInput(format!("timeout_s is {timeout_s}: {error}")))?;
    Ok(HubConfig { endpoint, token, answer_timeout, ..HubConfig::default() })
}

/// Run `work` without the GIL; a signal, or an exception that `progress` raises, ends it and is raised.
fn interruptible<T: Send>(
    py: Python<'_>,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce(OnProgress<'_>) -> crate::Result<T> + Send,
) -> PyResult<T> {
    let mut interrupted = None;
    let result = py.detach(|| {
        work(&mut |done, total| {
            let answer = Python::attach(|py| {
                py.check_signals()?;
                match progress {
                    Some(progress) => progress.call1(py, (done, total)).map(|_| ()),
                    None => Ok(()),
                }
            });
            match answer {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    interrupted = Some(error);
                    ControlFlow::Break(())
                }
            }
        })
    });
    match interrupted {
        Some(error) => Err(error),
        None => Ok(result?),
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(hub_snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(hub_download, module)?)
}
