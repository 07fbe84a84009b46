//! Weights in 8-bit or 16-bit integers, packed for the products of [`super::tile`].

use rayon::prelude::*;

use super::{
    columns::Columns,
    lines::Lines,
    pointwise::gelu,
    quantize::{Rows, signed_bytes_of, signed_words_of, word_limit},
    tile::{COLUMNS, LINES, Line, MAX_ROWS, Numbers, STEP, Tile, place},
};

/// Products with fewer multiplications than this are not worth waking another thread.
const MIN_PARALLEL_WORK: usize = 1 << 19;

/// What is done with a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer) enum Finish {
    /// It replaces what is there.
    Set,
    /// Its GELU replaces what is there.
    Gelu,
    /// It is added to what is there.
    Add,
}

/// A matrix `[n_outputs, n_inputs]`, each row as integers with a scale, and the bias that goes with it.
///
/// 64 rows of it are the columns of a panel.
#[derive(Debug)]
pub(in crate::infer) struct Packed {
    n_outputs: usize,
    n_inputs: usize,
    numbers: Numbers,
    lines: Lines,
    panels: Vec<Panel>,
}

/// What belongs to the columns of a panel.
#[derive(Debug, Clone)]
struct Panel {
    sums: [i32; COLUMNS],
    scales: [f32; COLUMNS],
    bias: [f32; COLUMNS],
}

/// The part of a [`Packed`] that one panel is, while it is filled.
pub(in crate::infer) struct PanelMut<'a> {
    /// The outputs that it holds.
    pub outputs: std::ops::Range<usize>,
    n_inputs: usize,
    numbers: Numbers,
    lines: &'a mut [Line],
    panel: &'a mut Panel,
}

impl Packed {
    /// A matrix of zeros, to be filled through [`Self::panels_mut`].
    pub(in crate::infer) fn zeros(n_outputs: usize, n_inputs: usize, numbers: Numbers) -> Self {
        assert!(n_inputs < 1 << 16, "{n_inputs} products of bytes may not fit a 32-bit sum");
        let n_panels = n_outputs.div_ceil(COLUMNS);
        let panel = Panel { sums: [0; COLUMNS], scales: [0.0; COLUMNS], bias: [0.0; COLUMNS] };
        Self {
            n_outputs,
            n_inputs,
            numbers,
            lines: Lines::zeros(n_panels * numbers.n_bytes(n_inputs) / STEP * LINES),
            panels: vec![panel; n_panels],
        }
    }

    /// The panels, each to be filled on any thread.
    pub(in crate::infer) fn panels_mut(&mut self) -> impl IndexedParallelIterator<Item = PanelMut<'_>> {
        let (n_outputs, n_inputs, numbers) = (self.n_outputs, self.n_inputs, self.numbers);
        let n_lines = self.n_lines();
        let panels = self.lines.par_chunks_mut(n_lines).zip(&mut self.panels);
        panels.enumerate().map(move |(index, (lines, panel))| {
            let outputs = index * COLUMNS..(index * COLUMNS + COLUMNS).min(n_outputs);
            PanelMut { outputs, n_inputs, numbers, lines, panel }
        })
    }

    /// Number of outputs.
    pub(in crate::infer) fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Number of inputs.
    pub(in crate::infer) fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Numbers that rows must be in.
    pub(in crate::infer) fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Lines of a panel.
    fn n_lines(&self) -> usize {
        self.numbers.n_bytes(self.n_inputs) / STEP * LINES
    }

    /// Computes `out[row][output] = rows[row] . weights[output] + bias[output]`, `out` being dense.
    ///
    /// With `parallel`, the threads of the current rayon pool share the outputs where that pays.
    ///
    /// # Panics
    /// When the shapes do not fit each other.
    pub(in crate::infer) fn product(&self, rows: &Rows, out: &mut [f32], finish: Finish, parallel: bool) {
        let n_rows = rows.len();
        assert_eq!(rows.stride, self.numbers.n_bytes(self.n_inputs), "rows of another length");
        assert_eq!(out.len(), n_rows * self.n_outputs, "the result has another size");
        let n_threads = rayon::current_num_threads();
        if !parallel || n_threads == 1 || n_rows * self.n_outputs * self.n_inputs < MIN_PARALLEL_WORK {
            self.some_panels(0..self.panels.len(), rows, &Columns::new(out, self.n_outputs), finish);
            return;
        }
        let columns = Columns::new(out, self.n_outputs);
        // Enough pieces that a thread that was held up does not hold up the others.
        let piece = self.panels.len().div_ceil(4 * n_threads);
        (0..self.panels.len().div_ceil(piece)).into_par_iter().for_each(|index| {
            let panels = index * piece..(index * piece + piece).min(self.panels.len());
            self.some_panels(panels, rows, &columns, finish);
        });
    }

    fn some_panels(&self, panels: std::ops::Range<usize>, rows: &Rows, out: &Columns<'_>, finish: Finish) {
        let n_lines = self.n_lines();
        let mut buffer = [0.0; MAX_ROWS * COLUMNS];
        for index in panels {
            let panel = &self.panels[index];
            let first = index * COLUMNS;
            let n_columns = (self.n_outputs - first).min(COLUMNS);
            for start in (0..rows.len()).step_by(MAX_ROWS) {
                let n_rows = (rows.len() - start).min(MAX_ROWS);
                let tile = Tile {
                    rows: &rows.bytes[start * rows.stride..],
                    row_stride: rows.stride,
                    row_scales: &rows.scales[start..start + n_rows],
                    panel: &self.lines[index * n_lines..(index + 1) * n_lines],
                    row_zeros: &rows.zeros[start..start + n_rows],
                    column_sums: &panel.sums,
                    column_scales: &panel.scales,
                    bias: &panel.bias,
                    onto: false,
                    is_far: true,
                };
                tile.run(self.numbers, &mut buffer, COLUMNS);
                if finish == Finish::Gelu {
                    gelu(&mut buffer[..n_rows * COLUMNS]);
                }
                for (row, values) in buffer.chunks_exact(COLUMNS).take(n_rows).enumerate() {
                    #[allow(unsafe_code, reason = "threads write to different columns of one matrix")]
                    // SAFETY: every panel, and with it every column, is one thread's.
                    unsafe {
                        out.write(start + row, first, &values[..n_columns], finish == Finish::Add);
                    }
                }
            }
        }
    }
}

impl PanelMut<'_> {
    /// Quantises the rows of the panel's outputs, `[outputs.len(), n_inputs]`, and takes their bias (zero when empty).
    pub(in crate::infer) fn fill(&mut self, rows: &[f32], bias: &[f32]) {
        let n_inputs = self.n_inputs;
        let mut bytes = vec![0; self.numbers.n_bytes(n_inputs)];
        for (column, row) in rows.chunks_exact(n_inputs).enumerate() {
            match self.numbers {
                Numbers::Bytes => {
                    self.panel.scales[column] = signed_bytes_of(row, &mut bytes[..n_inputs]);
                    self.panel.sums[column] = bytes.iter().map(|byte| i32::from(byte.cast_signed())).sum::<i32>();
                }
                Numbers::Words => {
                    let words = &mut bytes.as_chunks_mut().0[..n_inputs];
                    self.panel.scales[column] = signed_words_of(row, word_limit(n_inputs), words);
                }
            }
            self.panel.bias[column] = bias.get(column).copied().unwrap_or(0.0);
            for (step, bytes) in bytes.as_chunks::<STEP>().0.iter().enumerate() {
                let (line, at) = place(step, column);
                self.lines[line].0[at..at + STEP].copy_from_slice(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(weights: &[f32], n_inputs: usize, bias: &[f32], numbers: Numbers) -> Packed {
        let mut packed = Packed::zeros(weights.len() / n_inputs, n_inputs, numbers);
        packed.panels_mut().for_each(|mut panel| {
            let outputs = panel.outputs.clone();
            panel.fill(&weights[outputs.start * n_inputs..outputs.end * n_inputs], &bias[outputs]);
        });
        packed
    }

    fn pseudo_random(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0) - 1.0)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn product_is_close_to_that_of_real_numbers(n_rows in 1_usize..20, n_inputs in 1_usize..150, n_outputs in 1_usize..200, are_words: bool, seed: u32) {
            let numbers = if are_words { Numbers::Words } else { Numbers::Bytes };
            let limit = word_limit(n_inputs);
            let (x, w) = (pseudo_random(n_rows * n_inputs, seed), pseudo_random(n_outputs * n_inputs, seed ^ 0x4d));
            let bias = pseudo_random(n_outputs, 5);
            let packed = packed(&w, n_inputs, &bias, numbers);
            let mut rows = Rows::default();
            rows.set(&x, (n_rows, n_inputs), n_inputs, numbers);
            let mut out = vec![0.0; n_rows * n_outputs];
            packed.product(&rows, &mut out, Finish::Set, true);
            for output in 0..n_outputs {
                for row in 0..n_rows {
                    let exact: f32 = x[row * n_inputs..][..n_inputs].iter().zip(&w[output * n_inputs..]).map(|(x, w)| x * w).sum();
                    // Rounding errors of both sides are at most half of 1/limit each; those of 8 bits add up like a random
                    // walk, those of 16, which follow the pattern of the numbers, are only bounded.
                    let tolerance = if are_words {
                        n_inputs as f32 / limit + 1e-4
                    } else {
                        0.03 + 0.01 * (n_inputs as f32).sqrt()
                    };
                    prop_assert!((out[row * n_outputs + output] - exact - bias[output]).abs() < tolerance);
                }
            }
        }

        #[test]
        fn a_row_does_not_depend_on_its_neighbours(n_rows in 2_usize..20, n_outputs in 1_usize..200, are_words: bool, seed: u32) {
            let n_inputs = 36;
            let (x, w) = (pseudo_random(n_rows * n_inputs, seed), pseudo_random(n_outputs * n_inputs, 3));
            let numbers = if are_words { Numbers::Words } else { Numbers::Bytes };
            let packed = packed(&w, n_inputs, &vec![0.5; n_outputs], numbers);
            for finish in [Finish::Set, Finish::Gelu, Finish::Add] {
                let product = |x: &[f32]| {
                    let mut rows = Rows::default();
                    rows.set(x, (x.len() / n_inputs, n_inputs), n_inputs, numbers);
                    let mut out = vec![1.0; rows.len() * n_outputs];
                    packed.product(&rows, &mut out, finish, true);
                    out
                };
                let together = product(&x);
                for (row, x) in x.chunks_exact(n_inputs).enumerate() {
                    prop_assert_eq!(&product(x)[..], &together[row * n_outputs..][..n_outputs]);
                }
            }
        }
    }
}
