//! Ratios of signal to distortion, in dB.

use super::Pair;
use crate::Result;

/// Signal-to-noise ratio, dB: `10 log10(Σ s² / Σ (ŝ - s)²)`, with `s` the reference and `ŝ` the degraded clip.
///
/// Any real number; infinite for equal clips, 0 for a silent degraded clip, `None` for a silent reference. Any sample
/// rate. It is the ratio over the whole clip, not the segmental one.
///
/// # Errors
///
/// [`crate::Error::InvalidInput`] for clips of different lengths.
pub fn snr(pair: &Pair) -> Result<Option<f64>> {
    pair.of_equal_length("SNR")?;
    let signal = dot(pair.reference, pair.reference);
    let noise = sum(pair, |reference, degraded| (degraded - reference) * (degraded - reference));
    Ok((signal > 0.0).then(|| 10.0 * (signal / noise).log10()))
}

/// Scale-invariant signal-to-distortion ratio, dB: `10 log10(‖αs‖² / ‖αs - ŝ‖²)` with `α = ⟨ŝ, s⟩ / ‖s‖²`.
///
/// Any real number; the same for `ŝ` at any volume. Infinite for a copy (about 300 dB where the volume's rounding
/// remains), minus infinite where nothing of the reference is left, `None` if either clip is silent. Means are not
/// removed. Any sample rate.
///
/// Source: Le Roux, Wisdom, Erdogan and Hershey, "SDR - half-baked or well done?", ICASSP 2019, equation 3.
///
/// # Errors
///
/// [`crate::Error::InvalidInput`] for clips of different lengths.
pub fn si_sdr(pair: &Pair) -> Result<Option<f64>> {
    pair.of_equal_length("SI-SDR")?;
    let (energy, degraded) = (dot(pair.reference, pair.reference), dot(pair.degraded, pair.degraded));
    if energy == 0.0 || degraded == 0.0 {
        return Ok(None);
    }
    let scale = dot(pair.reference, pair.degraded) / energy;
    let distortion = sum(pair, |reference, degraded| {
        let difference = scale * reference - degraded;
        difference * difference
    });
    Ok(Some(10.0 * (scale * scale * energy / distortion).log10()))
}

/// Partial sums, added in a fixed order: fast, and more precise than one sum.
const N_LANES: usize = 8;

/// The sum of `term` over both clips.
fn sum(pair: &Pair, term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; N_LANES];
    for (reference, degraded) in pair.reference.chunks(N_LANES).zip(pair.degraded.chunks(N_LANES)) {
        for (lane, (&reference, &degraded)) in lanes.iter_mut().zip(reference.iter().zip(degraded)) {
            *lane += term(reference, degraded);
        }
    }
    lanes.iter().sum()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    sum(&Pair { reference: left, degraded: right, sample_rate: 0 }, |left, right| left * right)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair<'s>(reference: &'s [f64], degraded: &'s [f64]) -> Pair<'s> {
        Pair::new(reference, degraded, 16_000).unwrap()
    }

    #[test]
    fn worked_by_hand() {
        // Energy 25; the difference is (0, 0.5): 25 / 0.25 is 20 dB.
        assert!((snr(&pair(&[3.0, 4.0], &[3.0, 4.5])).unwrap().unwrap() - 20.0).abs() < 1e-12);
        // The projection of (1, 1) on (1, 0) is (1, 0), what remains is (0, 1): 0 dB.
        assert!(si_sdr(&pair(&[1.0, 0.0], &[1.0, 1.0])).unwrap().unwrap().abs() < 1e-12);
    }

    #[test]
    fn ends_of_the_range_are_what_the_documentation_says() {
        let (clip, silence) = ([0.5, -0.25, 0.125], [0.0; 3]);
        assert_eq!(snr(&pair(&clip, &clip)).unwrap(), Some(f64::INFINITY));
        assert_eq!(snr(&pair(&clip, &silence)).unwrap(), Some(0.0));
        assert_eq!(snr(&pair(&silence, &clip)).unwrap(), None);
        assert_eq!(si_sdr(&pair(&clip, &clip)).unwrap(), Some(f64::INFINITY));
        assert_eq!(si_sdr(&pair(&[1.0, 0.0], &[0.0, 1.0])).unwrap(), Some(f64::NEG_INFINITY));
        assert_eq!(si_sdr(&pair(&silence, &clip)).unwrap(), None);
        assert_eq!(si_sdr(&pair(&clip, &silence)).unwrap(), None);
    }

    #[test]
    fn different_lengths_are_refused_with_both() {
        for score in [snr, si_sdr] {
            let error = score(&pair(&[1.0; 3], &[1.0; 5])).unwrap_err().to_string();
            assert!(error.contains("3 samples") && error.contains("clip 5"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_known_mix_has_its_known_ratio(
            clip in prop::collection::vec(-1.0..1.0_f64, 8..200), db in -40.0..60.0_f64,
        ) {
            let noise: Vec<f64> = (0..clip.len()).map(|n| ((n * n) as f64).sin()).collect();
            let (signal, power) = (dot(&clip, &clip), dot(&noise, &noise));
            prop_assume!(signal > 1e-3);
            let gain = (signal / power / 10_f64.powf(db / 10.0)).sqrt();
            let mix: Vec<f64> = clip.iter().zip(&noise).map(|(clip, noise)| clip + gain * noise).collect();
            let got = snr(&pair(&clip, &mix)).unwrap().unwrap();
            prop_assert!((got - db).abs() < 1e-6, "{} dB instead of {}", got, db);
        }

        #[test]
        fn si_sdr_is_the_same_at_any_volume(
            clip in prop::collection::vec(-1.0..1.0_f64, 8..200), gain in 1e-3..1e3_f64,
        ) {
            prop_assume!(dot(&clip, &clip) > 1e-3);
            let worse: Vec<f64> = clip.iter().enumerate().map(|(n, clip)| clip + 0.1 * (n as f64).cos()).collect();
            let louder: Vec<f64> = worse.iter().map(|sample| sample * gain).collect();
            let (want, got) = (si_sdr(&pair(&clip, &worse)).unwrap(), si_sdr(&pair(&clip, &louder)).unwrap());
            prop_assert!((want.unwrap() - got.unwrap()).abs() < 1e-8);
        }
    }
}
