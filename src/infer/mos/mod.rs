//! Speech quality without a reference: what listeners would say, on the five-point scale of ITU-T P.800.
//!
//! Networks guess opinions; they do not know what was to be said. DNSMOS alone cannot tell synthetic from natural
//! speech, and gives speech whose pieces are shuffled nearly full marks: use [`DistillMos`] beside it.

mod conv;
mod distillmos;
mod dnsmos;
mod plane;

pub use distillmos::DistillMos;
pub use dnsmos::{DnsMos, DnsMosScores};

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::{Error, Result, infer::weights::Checkpoint};

/// The sample rate of every clip, Hz.
pub const SAMPLE_RATE: u32 = 16_000;

/// Highest magnitude of a sample: 18 dB above full scale. More is no audio in [-1, 1], but perhaps in integers.
const MAX_MAGNITUDE: f32 = 8.0;

/// Most threads that a call may ask for.
const MAX_THREADS: usize = 1024;

/// Refuses what is no audio.
pub(super) fn check(samples: &[f32]) -> Result<()> {
    if samples.is_empty() {
        return Err(Error::InvalidInput("the clip has no samples; expected at least one, at 16 kHz".to_owned()));
    }
    for (index, &sample) in samples.iter().enumerate() {
        if !sample.is_finite() {
            return Err(Error::InvalidInput(format!("sample {index} is {sample}; every sample must be finite")));
        }
        if sample.abs() > MAX_MAGNITUDE {
            return Err(Error::InvalidInput(format!(
                "sample {index} is {sample}; expected floats in [-1, 1] (divide 16-bit integers by 32768)"
            )));
        }
    }
    Ok(())
}

/// Calls `score` for every clip, in their order, with so many threads (`None`: all of the current rayon pool) that share
/// the clips and their windows. Errors name the clip where there are several.
///
/// # Errors
/// That of the first clip that has one; [`Error::InvalidInput`] for an impossible number of threads.
pub fn for_each_clip<T: Send>(
    clips: &[Vec<f32>],
    num_threads: Option<usize>,
    score: impl Fn(&[f32]) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let numbered = |(index, clip): (usize, &Vec<f32>)| match score(clip) {
        Err(Error::InvalidInput(reason)) if clips.len() > 1 => {
            Err(Error::InvalidInput(format!("clip {index}: {reason}")))
        }
        result => result,
    };
    // In order, so that the first error is always the same one.
    let work = || clips.par_iter().enumerate().map(numbered).collect::<Vec<_>>().into_iter().collect();
    let Some(n_threads) = num_threads else { return work() };
    if !(1..=MAX_THREADS).contains(&n_threads) {
        return Err(Error::InvalidInput(format!("num_threads is {n_threads}; expected 1 to {MAX_THREADS}")));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
    pool.map_err(|error| Error::InvalidInput(format!("cannot start {n_threads} threads: {error}")))?.install(work)
}

/// All values of a tensor of exactly this shape.
pub(super) fn values(checkpoint: &Checkpoint, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let mut values = vec![0.0; shape.iter().product()];
    checkpoint.read_into(name, shape, &mut values)?;
    Ok(values)
}

/// Working memory that waits to be used again, at most as much as there are threads.
#[derive(Debug)]
pub(super) struct Spare<T>(Mutex<Vec<T>>);

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Spare<T> {
    /// Calls `work` with memory that waits, or new.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = waiting.unwrap_or_default();
        let result = work(&mut memory);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < rayon::current_num_threads() {
            waiting.push(memory);
        }
        result
    }
}
