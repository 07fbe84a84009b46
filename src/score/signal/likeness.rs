//! Whether two recordings are one.

/// Greatest shift at which two recordings are compared, samples.
const MAX_SHIFT: usize = 1_000;

/// How alike two recordings of one sample rate are, 0 to 1, whatever their levels and signs: the greatest absolute
/// normalised cross-correlation over shifts of up to 1,000 samples. 1 for copies, 0 for silence. Two renderings of one
/// text by one voice have other timing and phases, and little of it.
#[must_use]
pub fn likeness(a: &[f32], b: &[f32]) -> f64 {
    let (a, b) = (&a[..a.len().min(b.len())], &b[..b.len().min(a.len())]);
    let most = MAX_SHIFT.min(a.len() / 2);
    let shifted = (0..=most).flat_map(|shift| [correlation(&a[shift..], b), correlation(a, &b[shift..])]);
    shifted.fold(0.0, f64::max)
}

/// Of as many samples as both have.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let (mut ab, mut aa, mut bb) = ([0_f32; LANES], [0_f32; LANES], [0_f32; LANES]);
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            ab[lane] += a[lane] * b[lane];
            aa[lane] += a[lane] * a[lane];
            bb[lane] += b[lane] * b[lane];
        }
    }
    let sum = |lanes: [f32; LANES]| lanes.into_iter().map(f64::from).sum::<f64>();
    let energy = (sum(aa) * sum(bb)).sqrt();
    if energy > 0.0 && energy.is_finite() { (sum(ab) / energy).abs().min(1.0) } else { 0.0 }
}

/// Sums that are kept side by side, so that the compiler uses vectors.
const LANES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise of a linear congruential generator.
    fn noise(seed: u32, n: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn a_copy_is_found_at_another_level_and_place() {
        let original = noise(1, 8_000);
        assert!((likeness(&original, &original) - 1.0).abs() < 1e-6);
        let softer: Vec<f32> = original.iter().map(|sample| -0.1 * sample).collect();
        assert!(likeness(&original, &softer) > 0.999);
        let mut late = vec![0.0; 500];
        late.extend_from_slice(&softer);
        assert!(likeness(&original, &late) > 0.96, "{}", likeness(&original, &late));
        assert!((likeness(&original, &late) - likeness(&late, &original)).abs() < 1e-12);
    }

    #[test]
    fn others_and_silence_are_not_alike() {
        assert!(likeness(&noise(1, 8_000), &noise(2, 8_000)) < 0.1);
        assert_eq!(likeness(&[0.0; 100], &[0.0; 100]).to_bits(), 0);
        assert_eq!(likeness(&[], &[1.0]).to_bits(), 0);
        assert_eq!(likeness(&[f32::MAX; 64], &[f32::MAX; 64]).to_bits(), 0, "no number comes of an overflow");
    }
}
