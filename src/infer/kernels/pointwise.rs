//! Functions between the matrix products: layer normalisation, softmax, GELU. Loops here are written so that the
//! compiler vectorises them for the instructions that [`pulp`] finds at run time.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use pulp::Arch;
use rayon::prelude::*;

/// Independent partial sums in a reduction: two AVX2 vectors' worth, four SSE ones.
const LANES: usize = 16;
/// Elements below which one thread is quicker than several.
const MIN_PARALLEL_LEN: usize = 1 << 15;

/// Normalises every row of `n` values to mean 0 and variance 1, then scales by `gamma` and shifts by `beta`.
pub(in crate::infer) fn layer_norm(out: &mut [f32], input: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) {
    let n = gamma.len();
    let rows = rows_per_task(input.len(), n);
    let normalise = |(out, input): (&mut [f32], &[f32])| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (out, row) in out.chunks_exact_mut(n).zip(input.chunks_exact(n)) {
                    layer_norm_row(out, row, gamma, beta, epsilon);
                }
            },
        );
    };
    if rows * n >= input.len() {
        normalise((out, input));
    } else {
        out.par_chunks_mut(rows * n).zip(input.par_chunks(rows * n)).for_each(normalise);
    }
}

/// Replaces every value by `x / 2 * (1 + erf(x / sqrt 2))`, the exact (not tanh) form of GELU.
pub(in crate::infer) fn gelu(values: &mut [f32]) {
    let apply = |values: &mut [f32]| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for value in values {
                    let x = *value;
                    *value = 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2));
                }
            },
        );
    };
    let chunk = rows_per_task(values.len(), 1);
    if chunk >= values.len() { apply(values) } else { values.par_chunks_mut(chunk).for_each(apply) }
}

/// Replaces every row of `n` values by its softmax.
pub(in crate::infer) fn softmax(values: &mut [f32], n: usize) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in values.chunks_exact_mut(n) {
                softmax_row(row);
            }
        },
    );
}

/// The logarithm of the sum of the exponentials; negative infinity for an empty slice or one without finite values.
pub(in crate::infer) fn log_sum_exp(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let max = reduce(values, f32::NEG_INFINITY, larger, larger);
    if max == f32::NEG_INFINITY {
        return max;
    }
    let sum = Arch::new().dispatch(
        #[inline(always)]
        || reduce(values, 0.0, |sum, x| sum + exp(x - max), |a, b| a + b),
    );
    max + sum.ln()
}

fn rows_per_task(len: usize, n: usize) -> usize {
    let threads = rayon::current_num_threads();
    if len < MIN_PARALLEL_LEN || threads == 1 { len / n } else { (len / n).div_ceil(4 * threads) }
}

#[inline(always)]
fn layer_norm_row(out: &mut [f32], row: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mean = reduce(row, 0.0, |sum, x| sum + x, |a, b| a + b) / count;
    let variance = reduce(row, 0.0, |sum, x| sum + (x - mean) * (x - mean), |a, b| a + b) / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for (((out, x), gamma), beta) in out.iter_mut().zip(row).zip(gamma).zip(beta) {
        *out = (x - mean) * scale * gamma + beta;
    }
}

#[inline(always)]
pub(super) fn softmax_row(row: &mut [f32]) {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let max = reduce(row, f32::NEG_INFINITY, larger, larger);
    for value in row.iter_mut() {
        *value = exp(*value - max);
    }
    let scale = 1.0 / reduce(row, 0.0, |sum, x| sum + x, |a, b| a + b);
    for value in row {
        *value *= scale;
    }
}

#[inline(always)]
fn reduce(row: &[f32], start: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, x);
    }
    lanes.into_iter().reduce(join).unwrap_or(start)
}

/// e^x for x <= 88, relative error about 1e-7; 0 below -87.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series (the eighth term is below 6e-9), 2^n by the exponent bits.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it leaves the rounded integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first exact in 9 bits so that n times it is exact too.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let clamped = if x > -87.0 { x } else { -87.0 };
    let shifted = clamped * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * LN_2.0 - n * LN_2.1;
    let series = 1.0 / 720.0 + r * (1.0 / 5040.0);
    let series = 1.0 / 24.0 + r * (1.0 / 120.0 + r * series);
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * series)));
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x > -87.0 { series * power } else { 0.0 }
}

/// The error function, absolute error below 2.5e-7. Source: Abramowitz and Stegun, formula 7.1.26.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const A: [f32; 5] = [0.254_829_6, -0.284_496_74, 1.421_413_7, -1.453_152, 1.061_405_4];
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = t * (A[0] + t * (A[1] + t * (A[2] + t * (A[3] + t * A[4]))));
    (1.0 - series * exp(-x * x)).copysign(x)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    /// erf by its Maclaurin series in f64: independent of the approximation above, exact to 1e-12 for |x| <= 4.
    fn erf_by_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        2.0 / std::f64::consts::PI.sqrt() * sum
    }

    #[test]
    fn exp_is_close_to_the_exact_one_over_its_range() {
        for i in -86_000..=20_000_i32 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 3e-7 * exact, "{x}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn gelu_is_the_erf_form() {
        for i in -3500..=3500_i32 {
            let x = i as f32 / 1000.0;
            let mut values = [x];
            gelu(&mut values);
            let exact = 0.5 * f64::from(x) * (1.0 + erf_by_series(f64::from(x) / std::f64::consts::SQRT_2));
            assert!((f64::from(values[0]) - exact).abs() < 6e-7, "{x}: {} and {exact}", values[0]);
        }
        let mut ends = [-30.0, 30.0];
        gelu(&mut ends);
        assert_eq!(ends, [0.0, 30.0]);
    }

    #[test]
    fn softmax_by_hand() {
        let mut values = [0.0, 3.0_f32.ln(), f32::NEG_INFINITY, 1.0, 1.0, 1.0];
        softmax(&mut values, 3);
        for (got, expected) in values.iter().zip([0.25, 0.75, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]) {
            assert!((got - expected).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn layer_norm_by_hand() {
        let mut out = [0.0; 4];
        layer_norm(&mut out, &[1.0, 3.0, -2.0, 2.0], &[1.0, 2.0], &[0.0, 10.0], 0.0);
        assert_eq!(out, [-1.0, 12.0, -1.0, 12.0]);
    }
}
