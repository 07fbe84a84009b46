//! Perceptual evaluation of speech quality, by the crate `pesq`.

use pesq::PesqError;

use super::Pair;
use crate::{Error, Result};

/// Which of the two recommendations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PesqMode {
    /// ITU-T P.862 with the mapping of P.862.1: telephone speech, 8 kHz.
    Narrowband,
    /// ITU-T P.862.2: 16 kHz.
    #[default]
    Wideband,
}

impl PesqMode {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Narrowband, Self::Wideband];

    /// `nb` or `wb`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Narrowband => "nb",
            Self::Wideband => "wb",
        }
    }

    /// The one sample rate that it takes, Hz.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Narrowband => 8_000,
            Self::Wideband => 16_000,
        }
    }
}

/// Perceptual evaluation of speech quality: MOS-LQO, 1.0 (bad) to 4.55 (narrowband) or 4.64 (wideband).
///
/// Volume and delay are aligned first, so the clips may differ in both and in length. Samples are scaled by the greater
/// of both peaks and rounded to 16 bits, as the recommendation's are. `None` for a silent clip, and where no utterance is found.
///
/// Source: ITU-T P.862 (2001), P.862.1 and P.862.2, by the crate `pesq` 0.2, which was written from a specification and
/// passes P.862's conformance test for narrowband. On degraded speech it was within 0.003 (wideband) and 0.02 (narrowband;
/// 0.05 at another tempo) of P.862's C code. Differs from the Python package `pesq`: narrowband takes 8 kHz only,
/// because the crate would decimate 16 kHz by a filter of its own.
///
/// # Errors
///
/// [`Error::InvalidInput`] for another sample rate, and for clips shorter than 250 ms.
pub fn pesq(pair: &Pair, mode: PesqMode) -> Result<Option<f64>> {
    let (got, rate) = (pair.sample_rate, mode.sample_rate());
    if got != rate {
        return Err(Error::InvalidInput(format!(
            "sample rate is {got} Hz; PESQ {} takes {rate} Hz (wb takes 16000, nb 8000): resample both clips",
            mode.name()
        )));
    }
    pair.at_least((rate / 4) as usize, "PESQ", "a quarter of a second")?;
    let peak = pair.reference.iter().chain(pair.degraded).fold(0.0_f64, |peak, sample| peak.max(sample.abs()));
    let is_zero = |samples: &[f64]| samples.iter().all(|&sample| sample == 0.0);
    if is_zero(pair.reference) || is_zero(pair.degraded) {
        return Ok(None);
    }
    let pcm = |samples: &[f64]| -> Vec<i16> {
        samples.iter().map(|sample| (sample / peak * f64::from(i16::MAX)).round() as i16).collect()
    };
    let (reference, degraded) = (pcm(pair.reference), pcm(pair.degraded));
    let score = match mode {
        PesqMode::Narrowband => {
            ::pesq::pesq_8k(&reference, &degraded).map(|raw| ::pesq::score::mos_lqo(f64::from(raw)))
        }
        PesqMode::Wideband => ::pesq::pesq_wb(&reference, &degraded),
    };
    match score {
        Ok(score) => Ok(Some(f64::from(score)).filter(|score| score.is_finite())),
        Err(PesqError::NoUtterancesFound) => Ok(None),
        Err(error @ PesqError::SignalTooShort { .. }) => Err(Error::InvalidInput(error.to_string())),
    }
}
