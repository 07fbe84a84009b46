//! Scores of audio against a reference: intelligibility, distortion, spectral and cepstral distance, pitch.
//!
//! Every score takes a [`Pair`] and returns `None` where it has no value, as for a silent reference. A pair is scored
//! by one thread, and [`scores`] shares pairs among threads: the bits are the same for any number of them.

mod distortion_ratio;
mod dtw;
mod likeness;
mod log_f0;
mod log_spectral;
mod mel_cepstral;
mod octave_resample;
mod pair;
#[cfg(feature = "pesq")]
mod pesq;
mod power;
mod stoi;

use rayon::prelude::*;

use super::corpus::in_threads;
use crate::{Error, Result};

pub use distortion_ratio::{si_sdr, snr};
pub use likeness::likeness;
pub use log_f0::log_f0_rmse;
pub use log_spectral::log_spectral_distance;
pub use mel_cepstral::{MEL_CEPSTRUM, mel_cepstral_distortion};
pub use pair::{Alignment, MAX_AMPLITUDE, Pair, RATES_HZ};
#[cfg(feature = "pesq")]
pub use pesq::{PesqMode, pesq};
pub use stoi::stoi;

/// The scores of `n_clips` clips, in their order, by `num_threads` threads (all, if `None`).
///
/// # Errors
///
/// The error of the first clip that has one, with its index if there are several; [`Error::InvalidInput`] for an impossible number of threads.
pub fn scores(
    n_clips: usize,
    num_threads: Option<usize>,
    score: impl Fn(usize) -> Result<Option<f64>> + Sync,
) -> Result<Vec<Option<f64>>> {
    let results: Vec<Result<_>> =
        in_threads(num_threads, || (0..n_clips).into_par_iter().with_max_len(1).map(&score).collect())?;
    let of_clip = |(index, result): (usize, Result<_>)| {
        result.map_err(|error| match error {
            Error::InvalidInput(reason) if n_clips > 1 => Error::InvalidInput(format!("clip {index}: {reason}")),
            other => other,
        })
    };
    results.into_iter().enumerate().map(of_clip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_in_order_and_the_first_error_names_its_clip() {
        for num_threads in [None, Some(1), Some(3)] {
            let got = scores(50, num_threads, |index| Ok((index != 7).then_some(index as f64))).unwrap();
            assert_eq!((got[6], got[7], got[49]), (Some(6.0), None, Some(49.0)));
            let fails = |index| if index % 20 == 11 { Err(Error::InvalidInput("no".into())) } else { Ok(None) };
            assert_eq!(scores(50, num_threads, fails).unwrap_err().to_string(), "clip 11: no");
        }
        assert!(scores(1, Some(0), |_| Ok(None)).unwrap_err().to_string().contains("num_threads 0"));
    }
}
