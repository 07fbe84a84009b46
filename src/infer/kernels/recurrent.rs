//! The cells of long short-term memory.

use pulp::Arch;

use super::pointwise::exp;

/// One step of `n` cells for every row: from the sums of the gates `[rows, 4 * n]` (input, forget, new, output, as in
/// `PyTorch`), to which `bias` `[4 * n]` is added, to the cells and what they put out, both `[rows, n]`.
///
/// # Panics
/// When the slices have other lengths.
pub(in crate::infer) fn lstm_step(gates: &[f32], bias: &[f32], cells: &mut [f32], out: &mut [f32]) {
    let n = bias.len() / 4;
    assert!(gates.len() == 4 * cells.len() && cells.len() == out.len(), "gates, cells and output differ in length");
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let (input_bias, rest) = bias.split_at(n);
            let (forget_bias, rest) = rest.split_at(n);
            let (new_bias, output_bias) = rest.split_at(n);
            for ((gates, cells), out) in
                gates.chunks_exact(4 * n).zip(cells.chunks_exact_mut(n)).zip(out.chunks_exact_mut(n))
            {
                let (input, rest) = gates.split_at(n);
                let (forget, rest) = rest.split_at(n);
                let (new, output) = (&rest[..n], &rest[n..2 * n]);
                let (cells, out) = (&mut cells[..n], &mut out[..n]);
                for index in 0..n {
                    let kept = sigmoid(forget[index] + forget_bias[index]) * cells[index];
                    let taken = sigmoid(input[index] + input_bias[index]) * tanh(new[index] + new_bias[index]);
                    cells[index] = kept + taken;
                    out[index] = sigmoid(output[index] + output_bias[index]) * tanh(cells[index]);
                }
            }
        },
    );
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp((-x).min(87.0)))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 / (1.0 + exp((-2.0 * x).min(87.0))) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_by_its_definition() {
        let gates: Vec<f32> = (0..2 * 4 * 5).map(|i| (i as f32 * 0.7).sin() * 4.0).collect();
        let before: Vec<f32> = (0..10).map(|i| (i as f32).cos()).collect();
        let (mut cells, mut out) = (before.clone(), vec![0.0; 10]);
        let bias: Vec<f32> = (0..20).map(|i| (i as f32 * 1.3).cos()).collect();
        lstm_step(&gates, &bias, &mut cells, &mut out);
        for index in 0..10 {
            let gate = |gate: usize| {
                let at = gate * 5 + index % 5;
                f64::from(gates[index / 5 * 20 + at]) + f64::from(bias[at])
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
        lstm_step(&[1e30, -1e30, 1e30, 1e30], &[0.0; 4], &mut cells, &mut out);
        assert!((cells[0] - 1.0).abs() < 1e-6 && (out[0] - 1.0_f32.tanh()).abs() < 1e-6);
    }
}
