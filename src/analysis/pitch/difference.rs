//! YIN's normalized difference function, in single or double precision.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::num_traits::Float;
use realfft::{ComplexToReal, FftNum, RealFftPlanner, RealToComplex};

use crate::{Error, Result};

/// Most samples in a frame.
pub const MAX_FRAME_LENGTH: usize = 1 << 16;

/// A sample of a precision that pitch can be found in: `f32` or `f64`.
pub trait Sample: FftNum + Float + Into<f64> {}

impl Sample for f32 {}
impl Sample for f64 {}

/// The periods that are looked at, samples.
pub(super) struct Lags {
    pub(super) shortest: usize,
    pub(super) longest: usize,
}

impl Lags {
    /// The periods of frequencies, Hz.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for what [`super::yin()`] refuses.
    pub(super) fn of(fmin_hz: f64, fmax_hz: f64, frame_length: usize, hop: usize, sample_rate: u32) -> Result<Self> {
        let rate = f64::from(sample_rate);
        if !(fmin_hz > 0.0 && fmin_hz < fmax_hz && fmax_hz <= rate / 2.0) {
            return Err(Error::InvalidInput(format!(
                "pitch between {fmin_hz} and {fmax_hz} Hz; expected 0 < fmin < fmax <= {} Hz, half the sample rate",
                rate / 2.0
            )));
        }
        // As a float first: a very low frequency has a period that no integer holds.
        let longest = (rate / fmin_hz).ceil();
        if longest + 2.0 >= frame_length as f64 || frame_length > MAX_FRAME_LENGTH {
            return Err(Error::InvalidInput(format!(
                "frames of {frame_length} samples; pitch from {fmin_hz} Hz needs {} to {MAX_FRAME_LENGTH}",
                longest + 3.0
            )));
        }
        if hop == 0 {
            return Err(Error::InvalidInput("hop_length is 0; expected 1 or more samples".to_owned()));
        }
        Ok(Self { shortest: ((rate / fmax_hz).floor() as usize).max(1), longest: longest as usize })
    }
}

/// The normalized difference function of frames, and the memory that it works in.
pub(super) struct Difference<T: Sample> {
    forward: Arc<dyn RealToComplex<T>>,
    inverse: Arc<dyn ComplexToReal<T>>,
    padded: Vec<T>,
    spectrum: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
    values: Vec<f64>,
}

impl<T: Sample> Difference<T> {
    pub(super) fn new(frame_length: usize, longest: usize) -> Self {
        // Room for the longest lag, so that the circular correlation does not wrap into those that are used.
        let n_fft = quick_length(frame_length + longest);
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
        let n_scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            padded: vec![T::zero(); n_fft],
            spectrum: forward.make_output_vec(),
            scratch: vec![Complex::new(T::zero(), T::zero()); n_scratch],
            values: vec![0.0; longest],
            forward,
            inverse,
        }
    }

    /// d' of lags 1, 2, .. up to the longest.
    pub(super) fn normalized(&mut self, frame: &[T]) -> &[f64] {
        self.padded[..frame.len()].copy_from_slice(frame);
        self.padded[frame.len()..].fill(T::zero());
        let result = self.forward.process_with_scratch(&mut self.padded, &mut self.spectrum, &mut self.scratch);
        debug_assert!(result.is_ok(), "lengths are the transform's own");
        for bin in &mut self.spectrum {
            *bin = Complex::new(bin.re * bin.re + bin.im * bin.im, T::zero());
        }
        let result = self.inverse.process_with_scratch(&mut self.spectrum, &mut self.padded, &mut self.scratch);
        debug_assert!(result.is_ok(), "lengths are the transform's own");
        let scale = 1.0 / self.padded.len() as f64;
        let energy = self.padded[0].into() * scale;
        let (mut head, mut sum) = (0.0, 0.0);
        for ((index, value), (correlation, sample)) in
            self.values.iter_mut().enumerate().zip(self.padded[1..].iter().zip(frame))
        {
            let sample: f64 = (*sample).into();
            head += sample * sample;
            let correlation: f64 = (*correlation).into();
            let difference = 2.0 * (energy - correlation * scale) - head;
            sum += difference;
            *value = difference * (index + 1) as f64 / (sum + f64::MIN_POSITIVE);
        }
        &self.values
    }
}

/// The least even number from `n` on without a prime factor above 3: what fast Fourier transforms are fast for.
fn quick_length(n: usize) -> usize {
    let is_quick = |candidate: &usize| {
        let mut rest = *candidate;
        for prime in [2, 3] {
            while rest.is_multiple_of(prime) {
                rest /= prime;
            }
        }
        rest == 1
    };
    (n.next_multiple_of(16)..).step_by(16).find(is_quick).unwrap_or(n.next_power_of_two())
}

/// How far the lowest point of the parabola through three values is from the middle one, within (-1, 1).
pub(super) fn parabolic_shift(values: &[f64], index: usize) -> f64 {
    let Some([before, value, after]) = index.checked_sub(1).and_then(|first| values.get(first..first + 3)) else {
        return 0.0;
    };
    let (curvature, slope) = (after + before - 2.0 * value, (after - before) / 2.0);
    if slope.abs() >= curvature.abs() { 0.0 } else { -slope / curvature }
}

/// Whether a value is less than the one before it and no greater than the one after.
pub(super) fn is_trough(values: &[f64], index: usize) -> bool {
    let falls = index == 0 || values[index] < values[index - 1];
    let rises = match values.get(index + 1) {
        Some(&next) if index == 0 => values[index] < next,
        Some(&next) => values[index] <= next,
        None => true,
    };
    falls && rises
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_function_is_its_definition() {
        let frame: Vec<f64> = (0..64_i32).map(|n| f64::from(n * n % 17) - 8.0).collect();
        let single: Vec<f32> = frame.iter().map(|&x| x as f32).collect();
        let (mut difference, mut quick) = (Difference::new(64, 40), Difference::new(64, 40));
        let (got, quick) = (difference.normalized(&frame).to_vec(), quick.normalized(&single).to_vec());
        let mut sum = 0.0;
        for lag in 1..=40 {
            let at = |n: usize| frame.get(n).copied().unwrap_or(0.0);
            let want: f64 = (0..64).map(|n| (at(n) - at(n + lag)).powi(2)).sum();
            sum += want;
            assert!((got[lag - 1] - want * lag as f64 / sum).abs() < 1e-12, "lag {lag}");
            assert!((quick[lag - 1] - want * lag as f64 / sum).abs() < 1e-5, "lag {lag}");
        }
    }
}
