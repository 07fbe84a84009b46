//! Floats to integers, with dither where bits are lost.

use crate::audio::random::uniform;

/// Rounds samples to integers of `n_bits`, adding triangular noise of two steps to those that do not fit.
///
/// Source: Lipshitz, Wannamaker and Vanderkooy, "Quantization and dither: a theoretical survey", JAES 40(5), 1992: noise
/// with a triangular density makes the error's mean and variance independent of the signal.
pub(super) struct Quantizer {
    scale: f32,
    state: Option<u64>,
}

impl Quantizer {
    pub(super) fn new(n_bits: u32, seed: Option<u64>) -> Self {
        Self { scale: (1_u32 << (n_bits - 1)) as f32, state: seed.map(|seed| seed ^ 0x9e37_79b9_7f4a_7c15) }
    }

    pub(super) fn integer(&mut self, sample: f32) -> i32 {
        let exact = sample * self.scale;
        let wanted = match &mut self.state {
            Some(state) if exact.fract() != 0.0 => exact + uniform(state) + uniform(state),
            _ => exact,
        };
        wanted.round_ties_even().clamp(-self.scale, self.scale - 1.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_and_the_rest_is_clipped() {
        let mut quantizer = Quantizer::new(16, Some(1));
        for value in [-32_768, -1, 0, 1, 12_345, 32_767] {
            assert_eq!(quantizer.integer(value as f32 / 32_768.0), value);
        }
        assert_eq!((quantizer.integer(1.5), quantizer.integer(-1.5)), (32_767, -32_768));
        assert_eq!(Quantizer::new(24, None).integer(0.5), 1 << 22);
    }

    #[test]
    fn dither_keeps_what_is_below_a_step_on_average() {
        // A constant of 0.3 steps vanishes without dither; with it, the mean is 0.3, the variance a quarter of a step.
        let sample = 0.3 / 32_768.0;
        assert_eq!(Quantizer::new(16, None).integer(sample), 0);
        let (mut quantizer, n) = (Quantizer::new(16, Some(7)), 200_000);
        let values: Vec<f64> = (0..n).map(|_| f64::from(quantizer.integer(sample))).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!((mean - 0.3).abs() < 0.005 && (variance - 0.25).abs() < 0.005, "mean {mean}, variance {variance}");
    }
}
