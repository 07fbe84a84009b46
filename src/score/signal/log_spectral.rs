//! Log-spectral distance.

use super::Pair;
use super::power::{FLOOR, PowerSpectra, window_length};
use crate::Result;

/// Log-spectral distance, dB: the mean over frames of `sqrt(mean over bins of (10 log10(P / P̂))²)`.
///
/// `P` and `P̂` are the power spectra of reference and degraded clip in 32 ms periodic Hann windows (four steps of 8 ms,
/// a step rounded to whole samples), normalized so that white noise of variance 1 has power 1, and not below 1e-10
/// (-100 dB). 0 for equal clips, else above; `None` for a silent reference. Not invariant to volume. 8 to 96 kHz; the
/// bins reach the Nyquist frequency, so clips at different rates have different distances.
///
/// Source: Gray and Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24 (1976), the L2 norm.
///
/// # Errors
///
/// [`crate::Error::InvalidInput`] for clips of different lengths or shorter than a window, and for other sample rates.
pub fn log_spectral_distance(pair: &Pair) -> Result<Option<f64>> {
    const SCORE: &str = "the log-spectral distance";
    pair.of_equal_length(SCORE)?;
    pair.at_a_rate(SCORE)?;
    pair.at_least(window_length(pair.sample_rate), SCORE, "one window")?;
    if pair.is_silent() {
        return Ok(None);
    }
    let mut spectra = PowerSpectra::new(pair.sample_rate);
    let n_frames = spectra.n_frames(pair.reference.len());
    let mut reference = Vec::new();
    let mut sum = 0.0;
    for index in 0..n_frames {
        reference.clear();
        reference.extend_from_slice(spectra.of(pair.reference, index));
        let degraded = spectra.of(pair.degraded, index);
        let squared = |(power, other): (&f64, &f64)| {
            let ratio_db = 10.0 * (power.max(FLOOR) / other.max(FLOOR)).log10();
            ratio_db * ratio_db
        };
        sum += (reference.iter().zip(degraded).map(squared).sum::<f64>() / reference.len() as f64).sqrt();
    }
    Ok(Some(sum / n_frames as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip() -> Vec<f64> {
        (0..8_000)
            .map(|n| (f64::from(n) * 0.1).sin() * 0.3 + (f64::from(n * n % 1_013) / 1_013.0 - 0.5) * 0.1)
            .collect()
    }

    #[test]
    fn a_gain_of_6_db_is_a_distance_of_6_db() {
        let reference = clip();
        let louder: Vec<f64> = reference.iter().map(|sample| sample * 2.0).collect();
        let got = log_spectral_distance(&Pair::new(&reference, &louder, 16_000).unwrap()).unwrap().unwrap();
        assert!((got - 20.0 * 2.0_f64.log10()).abs() < 1e-9, "{got}");
    }

    #[test]
    fn equal_clips_have_none_and_a_silent_reference_no_distance() {
        let reference = clip();
        let of = |left: &[f64], right: &[f64]| log_spectral_distance(&Pair::new(left, right, 16_000).unwrap());
        assert_eq!(of(&reference, &reference).unwrap(), Some(0.0));
        assert_eq!(of(&vec![0.0; 8_000], &reference).unwrap(), None);
        assert!(of(&reference, &vec![0.0; 8_000]).unwrap().unwrap() > 20.0);
        let error = of(&[0.1; 511], &[0.1; 511]).unwrap_err().to_string();
        assert!(error.contains("at least 512 (32 ms)"), "{error}");
        let slow = Pair::new(&reference, &reference, 4_000).unwrap();
        assert!(log_spectral_distance(&slow).unwrap_err().to_string().contains("takes 8000 to 96000 Hz"));
    }
}
