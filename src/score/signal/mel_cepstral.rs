//! Mel-cepstral distortion, and the frames along which pitch is compared too.

use std::f64::consts::PI;

use super::power::{FLOOR, PowerSpectra, window_length};
use super::{Alignment, Pair, dtw};
use crate::audio::mel_filters;
use crate::{Error, Result};

/// The name of the cepstrum: 40 mel bands, coefficients 1 to 13.
pub const MEL_CEPSTRUM: &str = "mel40-cep13";
const N_MELS: usize = 40;
const N_COEFFICIENTS: usize = 13;
/// Longest clip that is warped, s: its time grows with the square of the length.
const MAX_WARPED_S: f64 = 240.0;

/// Mel-cepstral distortion, dB: the mean over aligned frames of `10 / ln 10 · sqrt(2 Σ_{d=1}^{13} (c_d - ĉ_d)²)`.
///
/// Its value depends on the cepstrum, which is therefore named: [`MEL_CEPSTRUM`]. Frames are those of the log-spectral
/// distance (32 ms Hann windows, steps of 8 ms). `P_n` are the mean powers in 40 triangular bands on Slaney's mel scale
/// from 0 to half the sample rate, not below 1e-10, and `c_d = 1/40 Σ_n ln P_n cos(π d (n + 1/2) / 40)`: the one-sided
/// cepstrum of the log amplitude, for which the distortion is the RMS difference of smoothed log spectra in dB.
/// Coefficient 0, the volume, is left out. [`Alignment::Warped`] aligns by dynamic time warping on the same distance.
/// 0 for equal clips, else above; `None` for a silent reference. 8 to 96 kHz.
///
/// Source: Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", IEEE PACRIM 1993; mel
/// cepstrum after Davis and Mermelstein, IEEE Trans. ASSP 28 (1980). Values of WORLD- or SPTK-based tools differ.
///
/// # Errors
///
/// [`Error::InvalidInput`] for clips shorter than a window, for other sample rates, and with [`Alignment::Fixed`] for
/// different lengths; [`Error::TooLong`] for more than 4 minutes with [`Alignment::Warped`].
pub fn mel_cepstral_distortion(pair: &Pair, alignment: Alignment) -> Result<Option<f64>> {
    check(pair, alignment, "the mel-cepstral distortion")?;
    if pair.is_silent() {
        return Ok(None);
    }
    let (reference, degraded) = cepstra(pair);
    let distance = |(index, other): (usize, usize)| reference.distance(index, &degraded, other);
    let scale = 10.0 / std::f64::consts::LN_10 * 2.0_f64.sqrt();
    let Tally(n, sum) = match alignment {
        Alignment::Fixed => {
            let frames = 0..reference.n_frames.min(degraded.n_frames);
            frames.fold(Tally(0, 0.0), |sum, index| sum + Tally(1, distance((index, index))))
        }
        Alignment::Warped => warped(&reference, &degraded, |index, other| Tally(1, distance((index, other)))),
    };
    Ok(Some(scale * sum / n as f64))
}

/// Refuses what cannot be cut into frames and aligned.
pub(super) fn check(pair: &Pair, alignment: Alignment, score: &str) -> Result<()> {
    pair.at_a_rate(score)?;
    pair.at_least(window_length(pair.sample_rate), score, "one window")?;
    if alignment == Alignment::Fixed {
        return pair.of_equal_length(score);
    }
    let got_s = pair.reference.len().max(pair.degraded.len()) as f64 / f64::from(pair.sample_rate);
    if got_s > MAX_WARPED_S {
        return Err(Error::TooLong { got_s, limit_s: MAX_WARPED_S });
    }
    Ok(())
}

/// A number of frames, and a sum over them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally(pub(super) usize, pub(super) f64);

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

/// The cepstra of reference and degraded clip.
pub(super) fn cepstra(pair: &Pair) -> (Cepstra, Cepstra) {
    let mut analyzer = Analyzer::new(pair.sample_rate);
    (analyzer.cepstra(pair.reference), analyzer.cepstra(pair.degraded))
}

/// Sums `tally` along the warping of two clips.
pub(super) fn warped(reference: &Cepstra, degraded: &Cepstra, tally: impl Fn(usize, usize) -> Tally) -> Tally {
    let costs = |row: usize, costs: &mut [f64]| {
        costs.fill(0.0);
        for (value, others) in reference.frame(row).zip(degraded.coefficients.chunks_exact(degraded.n_frames)) {
            for (cost, other) in costs.iter_mut().zip(others) {
                *cost += (value - other) * (value - other);
            }
        }
        for cost in costs {
            *cost = cost.sqrt();
        }
    };
    dtw::along_cheapest_way(reference.n_frames, degraded.n_frames, costs, tally)
}

/// Cepstral coefficients 1 to 13 of every frame.
pub(super) struct Cepstra {
    /// `[N_COEFFICIENTS, n_frames]`: a row of costs is computed along it.
    coefficients: Vec<f64>,
    pub(super) n_frames: usize,
}

impl Cepstra {
    fn frame(&self, index: usize) -> impl Iterator<Item = f64> {
        self.coefficients.chunks_exact(self.n_frames).map(move |values| values[index])
    }

    /// The Euclidean distance of a frame and another clip's frame.
    fn distance(&self, index: usize, other: &Self, other_index: usize) -> f64 {
        let pairs = self.frame(index).zip(other.frame(other_index));
        pairs.map(|(value, other)| (value - other) * (value - other)).sum::<f64>().sqrt()
    }
}

struct Analyzer {
    spectra: PowerSpectra,
    /// Each band's first bin, and weights whose sum is 1.
    bands: Vec<(usize, Vec<f64>)>,
    /// `[N_COEFFICIENTS, N_MELS]`.
    cosines: Vec<f64>,
}

impl Analyzer {
    fn new(sample_rate: u32) -> Self {
        let filters = mel_filters(N_MELS, window_length(sample_rate), f64::from(sample_rate));
        let band = |filter: &crate::audio::MelFilter| {
            let weights: Vec<f64> = filter.weights.iter().copied().map(f64::from).collect();
            let sum: f64 = weights.iter().sum();
            (filter.first, weights.iter().map(|weight| weight / sum).collect())
        };
        let angle = |d: usize, n: usize| PI * d as f64 * (n as f64 + 0.5) / N_MELS as f64;
        let cosine = |d: usize| (0..N_MELS).map(move |n| angle(d, n).cos() / N_MELS as f64);
        Self {
            spectra: PowerSpectra::new(sample_rate),
            bands: filters.iter().map(band).collect(),
            cosines: (1..=N_COEFFICIENTS).flat_map(cosine).collect(),
        }
    }

    fn cepstra(&mut self, samples: &[f64]) -> Cepstra {
        let n_frames = self.spectra.n_frames(samples.len());
        let mut coefficients = vec![0.0; N_COEFFICIENTS * n_frames];
        let mut log_mel = [0.0; N_MELS];
        for index in 0..n_frames {
            let power = self.spectra.of(samples, index);
            for (value, (first, weights)) in log_mel.iter_mut().zip(&self.bands) {
                let mean: f64 = weights.iter().zip(&power[*first..]).map(|(weight, power)| weight * power).sum();
                *value = mean.max(FLOOR).ln();
            }
            for (row, cosines) in self.cosines.chunks_exact(N_MELS).enumerate() {
                coefficients[row * n_frames + index] = cosines.iter().zip(&log_mel).map(|(cos, log)| cos * log).sum();
            }
        }
        Cepstra { coefficients, n_frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(n: i32) -> Vec<f64> {
        let sample = |n: i32| {
            let (slow, fast) = (f64::from(n) * 0.000_3, f64::from(n) * 0.07);
            0.4 * slow.sin() * (fast * (1.0 + 0.3 * slow.cos())).sin() + f64::from(n * n % 1_013) * 1e-5
        };
        (0..n).map(sample).collect()
    }

    fn score(reference: &[f64], degraded: &[f64], alignment: Alignment) -> Result<Option<f64>> {
        mel_cepstral_distortion(&Pair::new(reference, degraded, 16_000)?, alignment)
    }

    #[test]
    fn equal_clips_and_a_change_of_volume_have_no_distortion() {
        let reference = clip(20_000);
        let louder: Vec<f64> = reference.iter().map(|sample| sample * 2.0).collect();
        for alignment in [Alignment::Fixed, Alignment::Warped] {
            assert_eq!(score(&reference, &reference, alignment).unwrap(), Some(0.0));
            assert!(score(&reference, &louder, alignment).unwrap().unwrap() < 1e-9);
            assert_eq!(score(&vec![0.0; 20_000], &reference, alignment).unwrap(), None);
        }
    }

    #[test]
    fn warping_takes_a_pause_out_and_never_makes_it_worse() {
        let reference = clip(20_000);
        // 100 ms of the clip's own first frame again.
        let delayed: Vec<f64> = reference[..1_600].iter().chain(&reference).copied().collect();
        let warped = score(&reference, &delayed[..20_000], Alignment::Warped).unwrap().unwrap();
        let fixed = score(&reference, &delayed[..20_000], Alignment::Fixed).unwrap().unwrap();
        assert!(warped < 0.7 * fixed, "{warped} {fixed}");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let error = score(&[0.1; 500], &[0.1; 600], Alignment::Warped).unwrap_err().to_string();
        assert!(error.contains("reference has 500 samples") && error.contains("512"), "{error}");
        let error = score(&[0.1; 700], &[0.1; 600], Alignment::Fixed).unwrap_err().to_string();
        assert!(error.contains("700") && error.contains("600"), "{error}");
        assert!(score(&[0.1; 700], &[0.1; 600], Alignment::Warped).is_ok());
        let long = vec![0.1; 16_000 * 241];
        assert!(matches!(score(&long, &long, Alignment::Warped), Err(Error::TooLong { .. })));
    }
}
