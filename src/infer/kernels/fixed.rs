//! Products with numbers of 16 bits in fixed point, for inputs within [-1, 1]: twice as many at a time as in f32.
//!
//! Some inputs are summed exactly, in integers of 32 bits, and these sums in f32. Every set of instructions gives the
//! same bits, whatever the neighbours of a row are.

use pulp::Arch;

use super::{
    isa::{self, Isa},
    quantize::word_of,
    tile::{COLUMNS, LINES, Line, MAX_ROWS, Numbers, STEP, Tile, place},
};
use crate::audio::Once;

/// What stands for 1 among the inputs.
const ONE: f32 = 8_192.0;
/// Inputs that are summed in integers. Fewer of them leave more bits to the weights.
const BLOCK: usize = 128;
/// Inputs of a step.
const PAIR: usize = 2;
/// Bytes of an input.
pub(in crate::infer) const INPUT_BYTES: usize = STEP / PAIR;

/// A matrix `[n_inputs, n_outputs]`, each output's weights with a scale of their own. 64 outputs are a panel.
#[derive(Debug)]
pub(in crate::infer) struct Fixed {
    n_inputs: usize,
    n_outputs: usize,
    lines: Vec<Line>,
    /// What one unit of each panel's products is worth.
    scales: Vec<[f32; COLUMNS]>,
}

impl Fixed {
    /// The matrix of the weights `weight(input, output)`.
    ///
    /// # Panics
    /// When the outputs do not fill their panels, or the inputs their steps.
    pub(in crate::infer) fn new(n_inputs: usize, n_outputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        assert!(n_inputs.is_multiple_of(PAIR) && n_outputs.is_multiple_of(COLUMNS), "{n_inputs} to {n_outputs}");
        let n_lines = n_inputs / PAIR * LINES;
        let mut lines = vec![Line::ZERO; n_outputs / COLUMNS * n_lines];
        let mut scales = vec![[0.0; COLUMNS]; n_outputs / COLUMNS];
        for output in 0..n_outputs {
            let (panel, column) = (output / COLUMNS, output % COLUMNS);
            let weights: Vec<f32> = (0..n_inputs).map(|input| weight(input, output)).collect();
            let unit = unit_of(&weights);
            scales[panel][column] = unit / ONE;
            for (input, weight) in weights.iter().enumerate() {
                let (line, at) = place(input / PAIR, column);
                let at = at + input % PAIR * INPUT_BYTES;
                lines[panel * n_lines + line].0[at..at + INPUT_BYTES].copy_from_slice(&word_of(weight / unit));
            }
        }
        Self { n_inputs, n_outputs, lines, scales }
    }

    /// Computes the product of rows that [`to_fixed`] made into the dense rows of `out`; with `onto` it is added to what
    /// is there.
    ///
    /// # Panics
    /// When the rows or the result are not of the matrix's size.
    pub(in crate::infer) fn product(&self, rows: &[u8], out: &mut [f32], onto: bool) {
        self.product_with(isa::current(), rows, out, onto);
    }

    fn product_with(&self, isa: &Isa, rows: &[u8], out: &mut [f32], onto: bool) {
        let row_stride = self.n_inputs * INPUT_BYTES;
        let n_rows = rows.len() / row_stride;
        assert!(
            n_rows * row_stride == rows.len() && n_rows * self.n_outputs == out.len(),
            "the rows or the result do not fit"
        );
        let panels = self.lines.chunks_exact(self.n_inputs / PAIR * LINES).zip(&self.scales);
        for (panel, (lines, column_scales)) in panels.enumerate() {
            // A block's weights stay in the first cache for all rows.
            for (block, panel_lines) in lines.chunks(BLOCK / PAIR * LINES).enumerate() {
                let tiles = rows.chunks(MAX_ROWS * row_stride).zip(out.chunks_mut(MAX_ROWS * self.n_outputs));
                for (rows, out) in tiles {
                    let tile = Tile {
                        rows: &rows[block * BLOCK * INPUT_BYTES..],
                        row_stride,
                        row_scales: &[1.0; MAX_ROWS][..rows.len() / row_stride],
                        panel: panel_lines,
                        row_zeros: &[],
                        column_sums: &[0; COLUMNS],
                        column_scales,
                        bias: &[0.0; COLUMNS],
                        onto: onto || block > 0,
                        is_far: false,
                    };
                    tile.run_with(isa, Numbers::Words, &mut out[panel * COLUMNS..], self.n_outputs);
                }
            }
        }
    }
}

/// What one unit of an output's weights is worth: the least with which they fit 16 bits, and the products with the
/// inputs of a block, whatever these are, 32 bits.
fn unit_of(weights: &[f32]) -> f32 {
    let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let sums = weights.chunks(BLOCK).map(|block| block.iter().map(|weight| weight.abs()).sum::<f32>());
    // Rounding adds half a unit to each.
    let most = i32::MAX as f32 / ONE - BLOCK as f32;
    let unit = (largest / f32::from(i16::MAX - 1)).max(sums.fold(0.0, f32::max) / most);
    // All weights are zero, or as good as that.
    if unit > 1e-30 { unit } else { 1.0 }
}

/// Values within [-1, 1] as the inputs of [`Fixed::product`].
pub(in crate::infer) fn to_fixed(values: &[f32], inputs: &mut [u8]) {
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            for (input, value) in inputs.as_chunks_mut::<INPUT_BYTES>().0.iter_mut().zip(values) {
                *input = word_of(value * ONE);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn products_are_exact_but_for_what_rounding_costs(
            n_rows in 1_usize..15, pairs in 1_usize..160, panels in 1_usize..3, seed: u32, onto: bool, are_extreme: bool,
        ) {
            let (n_inputs, n_outputs) = (PAIR * pairs, COLUMNS * panels);
            let value = |index: usize, salt: u32| {
                let bits = (index as u32).wrapping_add(salt ^ seed).wrapping_mul(2_654_435_761);
                let value = (bits >> 8) as f32 / 8_388_608.0 - 1.0;
                if !are_extreme {
                    return value;
                }
                // At the end of the range, but for every seventh: what overflows if anything does.
                let size = if index.is_multiple_of(7) { (value.abs() * 1.1).floor() } else { 1.0 };
                value.signum() * size
            };
            let weight = |input: usize, output: usize| 3.0 * value(input * n_outputs + output, 7);
            let rows: Vec<f32> = (0..n_rows * n_inputs).map(|index| value(index, 1)).collect();
            let before: Vec<f32> = (0..n_rows * n_outputs).map(|index| value(index, 2)).collect();
            let mut inputs = vec![0; rows.len() * INPUT_BYTES];
            to_fixed(&rows, &mut inputs);
            let fixed = Fixed::new(n_inputs, n_outputs, weight);
            let product = |isa: &Isa| {
                let mut out = before.clone();
                fixed.product_with(isa, &inputs, &mut out, onto);
                out
            };
            let out = product(&isa::SCALAR);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            for isa in isa::available() {
                prop_assert_eq!(bits(&product(isa)), bits(&out), "{}", isa.name);
            }
            for (index, got) in out.iter().enumerate() {
                let (row, output) = (index / n_outputs, index % n_outputs);
                let sum: f64 = (0..n_inputs)
                    .map(|input| f64::from(rows[row * n_inputs + input]) * f64::from(weight(input, output)))
                    .sum();
                let want = sum + if onto { f64::from(before[index]) } else { 0.0 };
                // Half a unit of each factor.
                let tolerance = 1e-6 + n_inputs as f64 * 3.0 * (0.5 / f64::from(ONE) + 0.5 * BLOCK as f64 / 262_000.0);
                prop_assert!((f64::from(*got) - want).abs() < tolerance, "{got}, not {want}");
            }
        }
    }
}
