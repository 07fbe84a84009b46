//! Functions with bounded values: tanh, and a tanh that a sigmoid lets through.

use pulp::{Arch, Simd, WithSimd};

use super::recurrent::exp_of_minus;

/// Replaces every value by its hyperbolic tangent; within 3e-7.
pub(in crate::infer) fn tanh(values: &mut [f32]) {
    Arch::new().dispatch(Tanh(values));
}

struct Tanh<'a>(&'a mut [f32]);

impl WithSimd for Tanh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, rest) = S::as_mut_simd_f32s(self.0);
        for x in vectors {
            *x = tanhs(simd, *x);
        }
        if !rest.is_empty() {
            let y = tanhs(simd, simd.partial_load_f32s(rest));
            simd.partial_store_f32s(rest, y);
        }
    }
}

// Functions, not closures: those are not always compiled for the instructions that were found.
#[inline(always)]
fn tanhs<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let e = exp_of_minus(simd, simd.add_f32s(x, x));
    simd.div_f32s(simd.sub_f32s(one, e), simd.add_f32s(one, e))
}

/// Both over one denominator: one division.
#[inline(always)]
fn gates<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let (a, b) = (exp_of_minus(simd, simd.add_f32s(a, a)), exp_of_minus(simd, b));
    simd.div_f32s(simd.sub_f32s(one, a), simd.mul_f32s(simd.add_f32s(one, a), simd.add_f32s(one, b)))
}

/// `tanh(a) * sigmoid(b)` of every row `[a, b]` of `input`, whose halves are as long as a row of `out`, `n` values.
///
/// # Panics
/// When `input` is not twice as long as `out`.
pub(in crate::infer) fn gate(out: &mut [f32], input: &[f32], n: usize) {
    assert!(input.len() == 2 * out.len(), "{} values for {} gates", input.len(), out.len());
    Arch::new().dispatch(Gate { out, input, n });
}

struct Gate<'a> {
    out: &'a mut [f32],
    input: &'a [f32],
    n: usize,
}

impl WithSimd for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (out, row) in self.out.chunks_exact_mut(self.n).zip(self.input.chunks_exact(2 * self.n)) {
            let (a, b) = row.split_at(self.n);
            let (out, out_rest) = S::as_mut_simd_f32s(out);
            let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
            for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                *out = gates(simd, *a, *b);
            }
            if !out_rest.is_empty() {
                let value = gates(simd, simd.partial_load_f32s(a_rest), simd.partial_load_f32s(b_rest));
                simd.partial_store_f32s(out_rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_their_definitions() {
        let values: Vec<f32> = (-400..400_i32).map(|i| i as f32 * 0.05).collect();
        let mut got = values.clone();
        tanh(&mut got);
        for (x, y) in values.iter().zip(&got) {
            assert!((f64::from(*y) - f64::from(*x).tanh()).abs() < 3e-7, "tanh({x}) is {y}");
        }
        let rows: Vec<f32> = values.chunks_exact(10).flat_map(|part| [part, part].concat()).collect();
        let mut gated = vec![0.0; values.len()];
        gate(&mut gated, &rows, 10);
        for (x, y) in values.iter().zip(&gated) {
            let x = f64::from(*x);
            assert!((f64::from(*y) - x.tanh() / (1.0 + (-x).exp())).abs() < 4e-7, "gate({x}) is {y}");
        }
    }
}
