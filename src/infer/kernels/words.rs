//! Products of values between -1 and 1 with a matrix that is packed once in 16-bit integers: twice the speed of f32, and
//! sums that are exact, so that all sets of instructions give the same bits, whatever the neighbours of a row are.

use pulp::Arch;

use super::{
    isa::{self, Isa},
    quantize::word_of,
    tile::{COLUMNS, LINES, Line, MAX_ROWS, Numbers, STEP, Tile, place},
};

/// What stands for 1 in the rows.
const ONE: f32 = 8192.0;
/// Largest magnitude of a weight, and of the sum of a column's: with rows of nothing but ones the sum still fits 32 bits.
const MAX_WEIGHT: f32 = 32_767.0;
const MAX_SUM: f32 = 262_143.0;

/// A matrix `[n_outputs, n_inputs]`, each row as 16-bit integers with a scale.
///
/// 64 rows of it are the columns of a panel.
#[derive(Debug)]
pub(in crate::infer) struct Words {
    n_inputs: usize,
    lines: Vec<Line>,
    scales: Vec<[f32; COLUMNS]>,
}

/// Rows of values between -1 and 1, in units of 1 / 8192.
#[derive(Debug, Default)]
pub(in crate::infer) struct WordRows {
    words: Vec<[u8; 2]>,
    n_inputs: usize,
}

impl WordRows {
    /// Replaces what is there by dense rows of `n_inputs` values between -1 and 1.
    pub(in crate::infer) fn set(&mut self, values: &[f32], n_inputs: usize) {
        self.n_inputs = n_inputs;
        self.words.resize(values.len(), [0; 2]);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (word, value) in self.words.iter_mut().zip(values) {
                    *word = word_of(value.clamp(-1.0, 1.0) * ONE);
                }
            },
        );
    }

    /// Number of rows.
    pub(in crate::infer) fn len(&self) -> usize {
        self.words.len() / self.n_inputs.max(1)
    }
}

impl Words {
    /// Of weights `[n_outputs, n_inputs]`.
    ///
    /// # Panics
    /// When the outputs do not fill panels of 64, or the inputs steps of two.
    pub(in crate::infer) fn new(weights: &[f32], n_inputs: usize) -> Self {
        let n_outputs = weights.len() / n_inputs;
        assert!(n_outputs % COLUMNS == 0 && n_inputs % 2 == 0, "{n_outputs} outputs of {n_inputs} inputs");
        let n_lines = n_inputs / 2 * LINES;
        let mut lines = vec![Line::ZERO; n_outputs / COLUMNS * n_lines];
        let mut scales = vec![[0.0; COLUMNS]; n_outputs / COLUMNS];
        for (output, row) in weights.chunks_exact(n_inputs).enumerate() {
            let (panel, column) = (output / COLUMNS, output % COLUMNS);
            let unit = unit_of(row);
            scales[panel][column] = unit;
            for (step, pair) in row.as_chunks::<2>().0.iter().enumerate() {
                let (line, at) = place(step, column);
                let words = pair.map(|weight| word_of(if unit > 0.0 { weight / unit } else { 0.0 }));
                lines[panel * n_lines + line].0[at..at + STEP].copy_from_slice(words.as_flattened());
            }
        }
        Self { n_inputs, lines, scales }
    }

    /// Number of outputs.
    pub(in crate::infer) fn n_outputs(&self) -> usize {
        self.scales.len() * COLUMNS
    }

    /// Computes the product into the dense rows of `out`; with `onto` it is added to what is there.
    ///
    /// # Panics
    /// When the shapes do not fit each other.
    pub(in crate::infer) fn product(&self, rows: &WordRows, out: &mut [f32], onto: bool) {
        self.product_with(isa::current(), rows, out, onto);
    }

    fn product_with(&self, isa: &Isa, rows: &WordRows, out: &mut [f32], onto: bool) {
        let (n_rows, n_outputs) = (rows.len(), self.n_outputs());
        assert_eq!(rows.n_inputs, self.n_inputs, "rows of another length");
        assert_eq!(out.len(), n_rows * n_outputs, "the result has another size");
        let row_stride = self.n_inputs * 2;
        let bytes = rows.words.as_flattened();
        // Tiles of nearly the same number of rows.
        let n_tiles = n_rows.div_ceil(MAX_ROWS);
        for (index, (panel, scales)) in self.lines.chunks_exact(self.n_inputs / 2 * LINES).zip(&self.scales).enumerate()
        {
            for tile in 0..n_tiles {
                let (first, end) = (tile * n_rows / n_tiles, (tile + 1) * n_rows / n_tiles);
                let tile = Tile {
                    rows: &bytes[first * row_stride..end * row_stride],
                    row_stride,
                    row_scales: &[1.0 / ONE; MAX_ROWS][..end - first],
                    panel,
                    row_zeros: &[],
                    column_sums: &[0; COLUMNS],
                    column_scales: scales,
                    bias: &[0.0; COLUMNS],
                    onto,
                };
                tile.run_with(isa, Numbers::Words, &mut out[first * n_outputs + index * COLUMNS..], n_outputs);
            }
        }
    }
}

/// What one unit of a row of weights is worth: as little as the words and the sums allow. Zero for zeros.
fn unit_of(row: &[f32]) -> f32 {
    let most = row.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    let sum = row.iter().map(|weight| weight.abs()).sum::<f32>();
    // Rounding may add half a unit to each.
    let unit = (most / MAX_WEIGHT).max(sum / (MAX_SUM - row.len() as f32));
    if unit > f32::MIN_POSITIVE { unit } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pseudo_random(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0) - 1.0)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_product_is_close_to_that_of_real_numbers_and_has_one_set_of_bits(
            n_rows in 1_usize..20, pairs in 1_usize..130, panels in 1_usize..3, seed: u32, onto: bool,
        ) {
            let (n_inputs, n_outputs) = (2 * pairs, COLUMNS * panels);
            let (x, w) = (pseudo_random(n_rows * n_inputs, seed), pseudo_random(n_outputs * n_inputs, seed ^ 0x4d));
            let before = pseudo_random(n_rows * n_outputs, seed ^ 3);
            let words = Words::new(&w, n_inputs);
            let mut rows = WordRows::default();
            rows.set(&x, n_inputs);
            let mut out = before.clone();
            words.product(&rows, &mut out, onto);
            for (at, got) in out.iter().enumerate() {
                let (row, output) = (at / n_outputs, at % n_outputs);
                let terms = x[row * n_inputs..][..n_inputs].iter().zip(&w[output * n_inputs..]);
                let exact = terms.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>();
                let exact = exact + if onto { f64::from(before[at]) } else { 0.0 };
                // Half a unit of each weight and of each value.
                let unit = f64::from(words.scales[output / COLUMNS][output % COLUMNS]);
                let tolerance = n_inputs as f64 * (0.51 * unit + 0.51 / f64::from(ONE)) + 1e-5;
                prop_assert!((f64::from(*got) - exact).abs() < tolerance.min(0.05), "{got}, not {exact}");
            }
            for isa in isa::available() {
                let mut again = before.clone();
                words.product_with(isa, &rows, &mut again, onto);
                prop_assert!(out.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", isa.name);
            }
            // A row alone.
            let mut alone = WordRows::default();
            alone.set(&x[..n_inputs], n_inputs);
            let mut one = before[..n_outputs].to_vec();
            words.product(&alone, &mut one, onto);
            prop_assert_eq!(&one[..], &out[..n_outputs]);
        }
    }

    #[test]
    fn sums_at_their_limit_fit() {
        for weight in [1e-3_f32, 1.0, 1e6] {
            let words = Words::new(&[weight; 256 * COLUMNS], 256);
            let mut rows = WordRows::default();
            rows.set(&[[1.0; 256], [-1.5; 256], [f32::NAN; 256]].concat(), 256);
            let mut out = [0.0; 3 * COLUMNS];
            words.product(&rows, &mut out, false);
            assert!((out[0] / weight - 256.0).abs() < 0.1 && (out[COLUMNS] / weight + 256.0).abs() < 0.1, "{out:?}");
        }
        let words = Words::new(&[0.0; 2 * COLUMNS], 2);
        let mut rows = WordRows::default();
        rows.set(&[1.0, 1.0], 2);
        let mut out = [1.0; COLUMNS];
        words.product(&rows, &mut out, false);
        assert!(out.iter().all(|&value| value == 0.0));
    }
}
