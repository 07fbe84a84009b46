//! The cells of long short-term memory.

use std::f32::consts::LOG2_E;

use pulp::{Arch, Simd, WithSimd};

use super::pointwise::{LN_2, ROUND};

/// A gate this far from zero is open or closed: three exponentials of it still have a finite product.
const FAR: f32 = 28.0;

/// One step of `n` cells for every row: from the sums of the gates `[rows, 4 * n]` (input, forget, new, output, as in
/// `PyTorch`), to which each row's `bias(row)` `[4 * n]` is added, to the cells and what they put out, both `[rows, n]`.
///
/// Within 1e-6 for cells of magnitude up to 1, and the same bits with every set of instructions.
///
/// # Panics
/// When the slices have other lengths.
pub(in crate::infer) fn lstm_step<'b>(
    gates: &[f32],
    bias: impl Fn(usize) -> &'b [f32],
    cells: &mut [f32],
    out: &mut [f32],
) {
    assert!(gates.len() == 4 * cells.len() && cells.len() == out.len(), "gates, cells and output differ in length");
    let n = bias(0).len() / 4;
    let parts = |values| -> [&[f32]; 4] {
        let mut parts = <[f32]>::chunks_exact(values, n);
        std::array::from_fn(|_| parts.next().unwrap_or_default())
    };
    let rows = gates.chunks_exact(4 * n).zip(cells.chunks_exact_mut(n)).zip(out.chunks_exact_mut(n));
    for (row, ((gates, cells), out)) in rows.enumerate() {
        Arch::new().dispatch(Step { gates: parts(gates), bias: parts(bias(row)), cells, out });
    }
}

/// A step of one row.
struct Step<'a> {
    gates: [&'a [f32]; 4],
    bias: [&'a [f32]; 4],
    cells: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gates, bias, cells, out } = self;
        let n = cells.len();
        let whole = n - n % S::F32_LANES;
        let gate_vectors = gates.map(|gates| S::as_simd_f32s(&gates[..whole]).0);
        let bias_vectors = bias.map(|bias| S::as_simd_f32s(&bias[..whole]).0);
        let (cell_vectors, out_vectors) =
            (S::as_mut_simd_f32s(&mut cells[..whole]).0, S::as_mut_simd_f32s(&mut out[..whole]).0);
        for (index, (cell, out)) in cell_vectors.iter_mut().zip(out_vectors).enumerate() {
            let sums = std::array::from_fn(|gate| simd.add_f32s(gate_vectors[gate][index], bias_vectors[gate][index]));
            (*cell, *out) = step(simd, sums, *cell);
        }
        if whole < n {
            let load = |values: &[f32]| simd.partial_load_f32s(&values[whole..]);
            let sums = std::array::from_fn(|gate| simd.add_f32s(load(gates[gate]), load(bias[gate])));
            let (cell, output) = step(simd, sums, load(cells));
            simd.partial_store_f32s(&mut cells[whole..], cell);
            simd.partial_store_f32s(&mut out[whole..], output);
        }
    }
}

/// The cells after a step, and what they put out. Two divisions: `sigmoid(x) = 1 / (1 + e^-x)` and
/// `tanh(x) = (1 - e^-2x) / (1 + e^-2x)` over common denominators.
#[inline(always)]
fn step<S: Simd>(simd: S, [input, forget, new, output]: [S::f32s; 4], cell: S::f32s) -> (S::f32s, S::f32s) {
    let one = simd.splat_f32s(1.0);
    let double = |x| simd.add_f32s(x, x);
    let (input, forget, new) = (exp_of_minus(simd, input), exp_of_minus(simd, forget), exp_of_minus(simd, double(new)));
    let (input_part, forget_part) = (simd.add_f32s(one, input), simd.add_f32s(one, forget));
    let taken_part = simd.mul_f32s(input_part, simd.add_f32s(one, new));
    let kept = simd.mul_f32s(cell, taken_part);
    let sum = simd.mul_add_f32s(simd.sub_f32s(one, new), forget_part, kept);
    let cell = simd.div_f32s(sum, simd.mul_f32s(taken_part, forget_part));
    let (output, state) = (exp_of_minus(simd, output), exp_of_minus(simd, double(cell)));
    let denominator = simd.mul_f32s(simd.add_f32s(one, output), simd.add_f32s(one, state));
    (cell, simd.div_f32s(simd.sub_f32s(one, state), denominator))
}

/// e^-x for x between -28 and 28, beyond which it stays what it is there; relative error about 2e-7.
///
/// As [`super::pointwise::exp`], one term of the series shorter; every product is fused with its addition.
#[inline(always)]
pub(super) fn exp_of_minus<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let round = simd.splat_f32s(ROUND);
    let x = simd.max_f32s(simd.min_f32s(x, simd.splat_f32s(FAR)), simd.splat_f32s(-FAR));
    let shifted = simd.mul_add_f32s(x, simd.splat_f32s(-LOG2_E), round);
    let n = simd.sub_f32s(shifted, round);
    let r = simd.mul_add_f32s(n, simd.splat_f32s(LN_2.0), x);
    let minus_r = simd.mul_add_f32s(n, simd.splat_f32s(LN_2.1), r);
    let mut series = simd.splat_f32s(1.0 / 720.0);
    for factorial in [-120.0, 24.0, -6.0, 2.0, -1.0, 1.0] {
        series = simd.mul_add_f32s(series, minus_r, simd.splat_f32s(1.0 / factorial));
    }
    let bits = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let power = simd.transmute_f32s_u32s(simd.add_u32s(bits, simd.splat_u32s(127 << 23)));
    simd.mul_f32s(series, power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_by_its_definition() {
        let gates: Vec<f32> = (0..2 * 4 * 5).map(|i| (i as f32 * 0.7).sin() * 4.0).collect();
        let before: Vec<f32> = (0..10).map(|i| (i as f32).cos()).collect();
        let (mut cells, mut out) = (before.clone(), vec![0.0; 10]);
        let bias: Vec<f32> = (0..40).map(|i| (i as f32 * 1.3).cos()).collect();
        lstm_step(&gates, |row| &bias[row * 20..][..20], &mut cells, &mut out);
        for index in 0..10 {
            let gate = |gate: usize| {
                let at = index / 5 * 20 + gate * 5 + index % 5;
                f64::from(gates[at]) + f64::from(bias[at])
            };
            let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
            let cell = logistic(gate(1)) * f64::from(before[index]) + logistic(gate(0)) * gate(2).tanh();
            assert!((f64::from(cells[index]) - cell).abs() < 1e-6);
            assert!((f64::from(out[index]) - logistic(gate(3)) * cell.tanh()).abs() < 1e-6);
        }
    }

    #[test]
    fn gates_far_from_zero_are_open_or_closed() {
        let (mut cells, mut out) = ([0.5], [0.0]);
        lstm_step(&[1e30, -1e30, 1e30, 1e30], |_| &[0.0; 4], &mut cells, &mut out);
        assert!((cells[0] - 1.0).abs() < 1e-6 && (out[0] - 1.0_f32.tanh()).abs() < 1e-6);
        lstm_step(&[-1e30, 1e30, -1e30, -1e30], |_| &[0.0; 4], &mut cells, &mut out);
        assert!((cells[0] - 1.0).abs() < 1e-6 && out[0].abs() < 1e-6);
    }

    #[test]
    fn every_set_of_instructions_gives_the_same_bits() {
        let n = 37;
        let gates: Vec<f32> = (0..4 * n).map(|i| (i as f32 * 0.7).sin() * 9.0).collect();
        let bias: Vec<f32> = (0..4 * n).map(|i| (i as f32 * 1.3).cos()).collect();
        let with = |arch: Arch| {
            let (mut cells, mut out) = (vec![0.3; n], vec![0.0; n]);
            let parts = |values: &'static [f32]| std::array::from_fn(|part| &values[part * n..(part + 1) * n]);
            let (gates, bias) = (parts(gates.clone().leak()), parts(bias.clone().leak()));
            arch.dispatch(Step { gates, bias, cells: &mut cells, out: &mut out });
            [cells, out].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(with(Arch::new()), with(Arch::Scalar));
    }
}
