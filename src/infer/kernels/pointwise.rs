//! Functions between the matrix products: layer normalisation, softmax, GELU. Loops here are written so that the
//! compiler vectorises them for the instructions that [`pulp`] finds at run time.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::audio::Once;

/// Independent partial sums in a reduction: two AVX2 vectors' worth, four SSE ones.
const LANES: usize = 16;
/// 1.5 * 2^23: adding it to a small number leaves the number, rounded to the nearest integer, in the low bits.
pub(super) const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, the first exact in 9 bits so that n times it is exact too.
pub(super) const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
/// Elements below which one thread is quicker than several.
const MIN_PARALLEL_LEN: usize = 1 << 15;

/// Normalises every row of `n` values to mean 0 and variance 1, then scales by `gamma` and shifts by `beta`.
pub(in crate::infer) fn layer_norm(out: &mut [f32], input: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) {
    let n = gamma.len();
    let rows = rows_per_task(input.len(), n);
    let normalise = |(out, input): (&mut [f32], &[f32])| {
        let once = Once;
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
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
    let apply = |values: &mut [f32]| Arch::new().dispatch(Gelu(values));
    let chunk = rows_per_task(values.len(), 1);
    if chunk >= values.len() { apply(values) } else { values.par_chunks_mut(chunk).for_each(apply) }
}

struct Gelu<'a>(&'a mut [f32]);

impl WithSimd for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, rest) = S::as_mut_simd_f32s(self.0);
        for x in vectors {
            *x = gelus(simd, *x);
        }
        // The same instructions for the rest: a value does not depend on where it stands.
        if !rest.is_empty() {
            let y = gelus(simd, simd.partial_load_f32s(rest));
            simd.partial_store_f32s(rest, y);
        }
    }
}

#[inline(always)]
fn gelus<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let half = simd.mul_f32s(x, simd.splat_f32s(0.5));
    simd.mul_add_e_f32s(half, erfs(simd, simd.mul_f32s(x, simd.splat_f32s(FRAC_1_SQRT_2))), half)
}

/// Replaces every row of `n` values by its softmax.
pub(in crate::infer) fn softmax(values: &mut [f32], n: usize) {
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            for row in values.chunks_exact_mut(n) {
                softmax_row(row);
            }
        },
    );
}

/// The logarithm of the sum of the exponentials; negative infinity for an empty slice or one without finite values.
pub(in crate::infer) fn log_sum_exp(values: &[f32]) -> f32 {
    let max = largest(values);
    if max == f32::NEG_INFINITY {
        return max;
    }
    let once = Once;
    let sum = Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            reduce(values, 0.0, |sum, x| sum + exp(x - max), |a, b| a + b)
        },
    );
    max + sum.ln()
}

/// The largest value; negative infinity for an empty slice.
pub(in crate::infer) fn largest(values: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY];
    largest_of_pieces(values, values.len().max(1), &mut largest);
    largest[0]
}

/// The largest of every `piece` values, for as many pieces as there are.
pub(in crate::infer) fn largest_of_pieces(values: &[f32], piece: usize, out: &mut [f32]) {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            for (out, piece) in out.iter_mut().zip(values.chunks(piece)) {
                *out = reduce(piece, f32::NEG_INFINITY, larger, larger);
            }
        },
    );
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
pub(super) fn reduce(row: &[f32], start: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
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
pub(super) fn exp(x: f32) -> f32 {
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

/// e^x of a vector, for x <= 88, as [`exp`]; below -87 what it is there.
#[inline(always)]
pub(super) fn exps<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let round = simd.splat_f32s(ROUND);
    let x = simd.max_f32s(x, simd.splat_f32s(-87.0));
    let shifted = simd.mul_add_e_f32s(x, simd.splat_f32s(LOG2_E), round);
    let n = simd.sub_f32s(shifted, round);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2.0), x);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2.1), r);
    let mut series = simd.splat_f32s(1.0 / 5040.0);
    for factorial in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        series = simd.mul_add_e_f32s(series, r, simd.splat_f32s(1.0 / factorial));
    }
    let bits = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let power = simd.transmute_f32s_u32s(simd.add_u32s(bits, simd.splat_u32s(127 << 23)));
    simd.mul_f32s(series, power)
}

/// The error function of a vector, absolute error below 2.5e-7: a rational function up to 4, where it is 1.
/// Source: the coefficients are those of Eigen's `erf` for floats.
#[inline(always)]
fn erfs<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const NUMERATOR: [f32; 7] = [
        -2.726_142_4e-10,
        2.770_681_5e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const DENOMINATOR: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let x = simd.min_f32s(simd.max_f32s(x, simd.splat_f32s(-4.0)), simd.splat_f32s(4.0));
    let square = simd.mul_f32s(x, x);
    let (mut numerator, mut denominator) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
    for coefficient in NUMERATOR {
        numerator = simd.mul_add_e_f32s(numerator, square, simd.splat_f32s(coefficient));
    }
    for coefficient in DENOMINATOR {
        denominator = simd.mul_add_e_f32s(denominator, square, simd.splat_f32s(coefficient));
    }
    simd.div_f32s(simd.mul_f32s(x, numerator), denominator)
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

    /// The exponentials of a slice by vectors.
    struct Exps<'a>(&'a mut [f32]);

    impl WithSimd for Exps<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            for vector in S::as_mut_simd_f32s(self.0).0 {
                *vector = exps(simd, *vector);
            }
        }
    }

    #[test]
    fn exp_of_vectors_equals_that_of_numbers() {
        let values: Vec<f32> = (-86_000..20_000_i32).step_by(3).map(|i| i as f32 / 1000.0).take(35_200).collect();
        for dispatch in [|v: Exps<'_>| Arch::new().dispatch(v), |v: Exps<'_>| Arch::Scalar.dispatch(v)] {
            let mut got = values.clone();
            dispatch(Exps(&mut got));
            for (x, got) in values.iter().zip(got) {
                assert!((got - exp(*x)).abs() <= 4e-7 * exp(*x), "{x}: {got} and {}", exp(*x));
            }
        }
        let mut ends = [f32::NEG_INFINITY; 16];
        Arch::new().dispatch(Exps(&mut ends));
        assert!(ends.iter().all(|&end| end < 1e-37));
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
        assert!(ends[0].abs() < 1e-5 && (ends[1] - 30.0).abs() < 1e-5, "{ends:?}");
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
