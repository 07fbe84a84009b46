//! Bindings of [`crate::score::signal`]: lists of clips in, lists of scores out.

use std::borrow::Cow;

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::score::signal::{self, Alignment, MEL_CEPSTRUM, Pair, PesqMode};

/// A clip, read where Python holds it.
#[derive(FromPyObject)]
enum Clip<'py> {
    Double(PyReadonlyArray1<'py, f64>),
    Single(PyReadonlyArray1<'py, f32>),
}

/// The samples of a clip.
enum Samples<'c> {
    Double(&'c [f64]),
    Single(&'c [f32]),
}

impl<'c> Samples<'c> {
    fn of(clip: &'c Clip<'_>) -> PyResult<Self> {
        Ok(match clip {
            Clip::Double(array) => Self::Double(array.as_slice()?),
            Clip::Single(array) => Self::Single(array.as_slice()?),
        })
    }

    fn doubles(&self) -> Cow<'c, [f64]> {
        match *self {
            Self::Double(samples) => Cow::Borrowed(samples),
            Self::Single(samples) => Cow::Owned(samples.iter().copied().map(f64::from).collect()),
        }
    }
}

/// References, degraded clips and their sample rate, Hz.
type Clips<'py> = (Vec<Clip<'py>>, Vec<Clip<'py>>, u32);

/// Short-time objective intelligibility, 0 to 1.
#[pyfunction]
#[pyo3(signature = (clips, extended, num_threads=None))]
fn stoi(py: Python<'_>, clips: Clips<'_>, extended: bool, num_threads: Option<usize>) -> PyResult<Vec<Option<f64>>> {
    scores(py, &clips, num_threads, |pair| signal::stoi(pair, extended))
}

/// Scale-invariant signal-to-distortion ratio, dB.
#[pyfunction]
#[pyo3(signature = (clips, num_threads=None))]
fn si_sdr(py: Python<'_>, clips: Clips<'_>, num_threads: Option<usize>) -> PyResult<Vec<Option<f64>>> {
    scores(py, &clips, num_threads, signal::si_sdr)
}

/// Signal-to-noise ratio, dB.
#[pyfunction]
#[pyo3(signature = (clips, num_threads=None))]
fn snr(py: Python<'_>, clips: Clips<'_>, num_threads: Option<usize>) -> PyResult<Vec<Option<f64>>> {
    scores(py, &clips, num_threads, signal::snr)
}

/// Log-spectral distance, dB.
#[pyfunction]
#[pyo3(signature = (clips, num_threads=None))]
fn log_spectral_distance(py: Python<'_>, clips: Clips<'_>, num_threads: Option<usize>) -> PyResult<Vec<Option<f64>>> {
    scores(py, &clips, num_threads, signal::log_spectral_distance)
}

/// Mel-cepstral distortion, dB.
#[pyfunction]
#[pyo3(signature = (clips, align, parametrisation, num_threads=None))]
fn mel_cepstral_distortion(
    py: Python<'_>,
    clips: Clips<'_>,
    align: bool,
    parametrisation: &str,
    num_threads: Option<usize>,
) -> PyResult<Vec<Option<f64>>> {
    if parametrisation != MEL_CEPSTRUM {
        return Err(PyValueError::new_err(format!(
            "got parametrisation {parametrisation:?}; expected {MEL_CEPSTRUM:?}"
        )));
    }
    scores(py, &clips, num_threads, |pair| signal::mel_cepstral_distortion(pair, alignment(align)))
}

/// Root mean square error of the natural logarithm of the pitch.
#[pyfunction]
#[pyo3(signature = (clips, align, num_threads=None))]
fn log_f0_rmse(
    py: Python<'_>,
    clips: Clips<'_>,
    align: bool,
    num_threads: Option<usize>,
) -> PyResult<Vec<Option<f64>>> {
    scores(py, &clips, num_threads, |pair| signal::log_f0_rmse(pair, alignment(align)))
}

/// Perceptual evaluation of speech quality, MOS-LQO.
#[pyfunction]
#[pyo3(signature = (clips, mode, num_threads=None))]
fn pesq(py: Python<'_>, clips: Clips<'_>, mode: &str, num_threads: Option<usize>) -> PyResult<Vec<Option<f64>>> {
    let mode = PesqMode::ALL.into_iter().find(|known| known.name() == mode).ok_or_else(|| {
        let known = PesqMode::ALL.map(PesqMode::name).join(", ");
        PyValueError::new_err(format!("got mode {mode:?}; expected one of {known}"))
    })?;
    scores(py, &clips, num_threads, |pair| signal::pesq(pair, mode))
}

const fn alignment(is_warped: bool) -> Alignment {
    if is_warped { Alignment::Warped } else { Alignment::Fixed }
}

/// The scores of all pairs of clips.
fn scores(
    py: Python<'_>,
    (references, degraded, sample_rate): &Clips<'_>,
    num_threads: Option<usize>,
    score: impl Fn(&Pair) -> crate::Result<Option<f64>> + Sync,
) -> PyResult<Vec<Option<f64>>> {
    let pairs = references.iter().zip(degraded);
    let pairs =
        pairs.map(|(left, right)| Ok((Samples::of(left)?, Samples::of(right)?))).collect::<PyResult<Vec<_>>>()?;
    let of_clip = |index: usize| {
        let (reference, degraded) = (pairs[index].0.doubles(), pairs[index].1.doubles());
        score(&Pair::new(&reference, &degraded, *sample_rate)?)
    };
    Ok(py.detach(|| signal::scores(pairs.len(), num_threads, of_clip))?)
}

/// How alike two recordings of one sample rate are, 0 to 1, whatever their levels.
#[pyfunction]
fn likeness(py: Python<'_>, a: PyReadonlyArray1<'_, f32>, b: PyReadonlyArray1<'_, f32>) -> PyResult<f64> {
    let (a, b) = (a.as_slice()?, b.as_slice()?);
    Ok(py.detach(|| signal::likeness(a, b)))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(likeness, module)?)?;
    module.add_function(wrap_pyfunction!(stoi, module)?)?;
    module.add_function(wrap_pyfunction!(si_sdr, module)?)?;
    module.add_function(wrap_pyfunction!(snr, module)?)?;
    module.add_function(wrap_pyfunction!(log_spectral_distance, module)?)?;
    module.add_function(wrap_pyfunction!(mel_cepstral_distortion, module)?)?;
    module.add_function(wrap_pyfunction!(log_f0_rmse, module)?)?;
    module.add_function(wrap_pyfunction!(self::pesq, module)?)
}
