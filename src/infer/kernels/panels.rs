//! Products of f32 with a matrix that is packed once: for the small networks that have no integers.
//!
//! Every sum runs over the inputs in their order, each product fused with its addition: all sets of instructions give
//! the same bits, whatever the neighbours of a row are.

use super::isa::{self, Isa};

/// Columns of a panel.
const COLUMNS: usize = 32;
/// Most rows of a tile: 12 x 32 sums fill 24 of the 32 registers of AVX-512.
const MAX_ROWS: usize = 12;

/// A cache line: one input's weights of 16 columns. Two of them are one input of a panel.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([f32; 16]);

/// A matrix `[n_inputs, n_outputs]` in panels of 32 outputs.
#[derive(Debug, Clone, Default)]
pub(in crate::infer) struct Panels {
    n_inputs: usize,
    n_outputs: usize,
    lines: Vec<Line>,
}

/// The rows that are multiplied: groups of equally many, each row `n_inputs` values in pieces of equal length; rows and
/// pieces may overlap.
#[derive(Debug, Clone, Copy)]
pub(in crate::infer) struct Left<'a> {
    /// The values, from the first row on.
    pub data: &'a [f32],
    /// Rows of a group.
    pub rows: usize,
    /// Distance between rows, in values.
    pub row_stride: usize,
    /// Number of groups.
    pub groups: usize,
    /// Distance between groups, in values.
    pub group_stride: usize,
    /// Pieces of a row.
    pub pieces: usize,
    /// Distance between pieces, in values.
    pub piece_stride: usize,
}

impl<'a> Left<'a> {
    /// `rows` rows, each in one piece, `row_stride` apart.
    pub(in crate::infer) fn new(data: &'a [f32], rows: usize, row_stride: usize) -> Self {
        Self { data, rows, row_stride, groups: 1, group_stride: 0, pieces: 1, piece_stride: 0 }
    }
}

impl Panels {
    /// The matrix of the weights `weight(input, output)`.
    pub(in crate::infer) fn new(n_inputs: usize, n_outputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let mut panels = Self::default();
        panels.fill(n_inputs, n_outputs, weight);
        panels
    }

    /// Becomes another matrix in the same memory.
    pub(in crate::infer) fn fill(&mut self, n_inputs: usize, n_outputs: usize, weight: impl Fn(usize, usize) -> f32) {
        (self.n_inputs, self.n_outputs) = (n_inputs, n_outputs);
        self.lines.resize(n_outputs.div_ceil(COLUMNS) * n_inputs * 2, Line([0.0; 16]));
        for (index, line) in self.lines.iter_mut().enumerate() {
            let (panel, input, half) = (index / 2 / n_inputs, index / 2 % n_inputs, index % 2);
            for (column, value) in line.0.iter_mut().enumerate() {
                let output = panel * COLUMNS + half * 16 + column;
                *value = if output < n_outputs { weight(input, output) } else { 0.0 };
            }
        }
    }

    /// Number of inputs.
    pub(in crate::infer) fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Number of outputs.
    pub(in crate::infer) fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Computes the product into the rows of `out`, `stride` apart; with `onto` it is added to what is there.
    ///
    /// # Panics
    /// When the rows or the result do not fit their slices.
    pub(in crate::infer) fn product(&self, left: Left<'_>, out: &mut [f32], stride: usize, onto: bool) {
        self.product_with(isa::current(), left, out, stride, onto);
    }

    fn product_with(&self, isa: &Isa, left: Left<'_>, out: &mut [f32], stride: usize, onto: bool) {
        let n_rows = left.groups * left.rows;
        if n_rows == 0 || self.n_inputs == 0 {
            return;
        }
        assert!(self.n_inputs.is_multiple_of(left.pieces), "{} inputs in {} pieces", self.n_inputs, left.pieces);
        assert!(
            self.n_outputs <= stride && (n_rows - 1) * stride + self.n_outputs <= out.len(),
            "the result does not fit"
        );
        // Tiles of nearly the same number of rows: a last one of a single row would waste most of its time.
        let n_tiles = left.rows.div_ceil(MAX_ROWS);
        for (panel, lines) in self.lines.chunks_exact(2 * self.n_inputs).enumerate() {
            let columns = COLUMNS.min(self.n_outputs - panel * COLUMNS);
            for group in 0..left.groups {
                for tile in 0..n_tiles {
                    let (first, end) = (tile * left.rows / n_tiles, (tile + 1) * left.rows / n_tiles);
                    let tile = FloatTile {
                        rows: &left.data[group * left.group_stride + first * left.row_stride..],
                        row_stride: left.row_stride,
                        pieces: left.pieces,
                        piece_stride: left.piece_stride,
                        panel: lines,
                        onto,
                    };
                    let out = &mut out[(group * left.rows + first) * stride + panel * COLUMNS..];
                    if columns == COLUMNS {
                        tile.run(isa, end - first, out, stride);
                        continue;
                    }
                    let mut whole = [0.0; MAX_ROWS * COLUMNS];
                    FloatTile { onto: false, ..tile }.run(isa, end - first, &mut whole, COLUMNS);
                    for (row, sums) in whole.chunks_exact(COLUMNS).take(end - first).enumerate() {
                        for (out, sum) in out[row * stride..][..columns].iter_mut().zip(sums) {
                            *out = if onto { *out + sum } else { *sum };
                        }
                    }
                }
            }
        }
    }
}

/// One product of a few rows and a panel.
#[derive(Debug, Clone, Copy)]
pub(super) struct FloatTile<'a> {
    /// The values, from the first row on.
    pub rows: &'a [f32],
    /// Distance between rows, in values.
    pub row_stride: usize,
    /// Pieces of a row.
    pub pieces: usize,
    /// Distance between pieces, in values.
    pub piece_stride: usize,
    /// Two lines for each input.
    pub panel: &'a [Line],
    /// Whether the result is added to what is there.
    pub onto: bool,
}

impl FloatTile<'_> {
    /// Number of inputs.
    pub(super) fn n_inputs(&self) -> usize {
        self.panel.len() / 2
    }

    /// Inputs of a piece.
    pub(super) fn piece_len(&self) -> usize {
        self.n_inputs() / self.pieces
    }

    fn run(&self, isa: &Isa, n_rows: usize, out: &mut [f32], stride: usize) {
        assert!((1..=MAX_ROWS).contains(&n_rows), "{n_rows} rows in a tile of {MAX_ROWS}");
        let read = (n_rows - 1) * self.row_stride + (self.pieces - 1) * self.piece_stride + self.piece_len();
        assert!(read <= self.rows.len(), "the rows end at {} of {read}", self.rows.len());
        let written = (n_rows - 1) * stride + COLUMNS;
        assert!(written <= out.len(), "the result ends at {written} of {}", out.len());
        #[allow(unsafe_code, reason = "the loops read and write through pointers")]
        // SAFETY: the assertions above keep what the loop of `n_rows` rows reads and writes inside its slices, and
        // `isa` holds only loops whose instructions were found on this processor.
        unsafe {
            isa.floats[n_rows - 1](self, out.as_mut_ptr(), stride);
        }
    }
}

/// A loop for one number of rows; see [`FloatTile::run`] for what must hold.
#[allow(unsafe_code, reason = "the loops read and write through pointers")]
pub(super) type FloatLoop = unsafe fn(&FloatTile<'_>, *mut f32, usize);

/// One loop for each number of rows.
pub(super) type FloatLoops = [FloatLoop; MAX_ROWS];

/// The definition, in plain Rust; the twin of every vectorised loop.
#[allow(unsafe_code, reason = "has the signature of the vectorised loops")]
pub(super) unsafe fn scalar<const ROWS: usize>(tile: &FloatTile<'_>, out: *mut f32, stride: usize) {
    // SAFETY: the caller guarantees room for ROWS rows of 32, `stride` apart.
    let out = unsafe { std::slice::from_raw_parts_mut(out, (ROWS - 1) * stride + COLUMNS) };
    for row in 0..ROWS {
        let mut sums = [0.0_f32; COLUMNS];
        for (piece, lines) in tile.panel.chunks_exact(2 * tile.piece_len()).enumerate() {
            let values = &tile.rows[row * tile.row_stride + piece * tile.piece_stride..];
            for (&value, [low, high]) in values.iter().zip(lines.as_chunks().0) {
                for (sum, weight) in sums.iter_mut().zip(low.0.iter().chain(&high.0)) {
                    *sum = value.mul_add(*weight, *sum);
                }
            }
        }
        for (out, sum) in out[row * stride..].iter_mut().zip(sums) {
            *out = if tile.onto { *out + sum } else { sum };
        }
    }
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
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_set_of_instructions_gives_the_bits_of_the_definition(
            rows in 1_usize..30, groups in 1_usize..3, pieces in 1_usize..4, piece_len in 1_usize..50, n_outputs in 1_usize..100,
            seed: u32, onto: bool,
        ) {
            // Rows and pieces overlap where they are longer than the distance to the next.
            let n_inputs = pieces * piece_len;
            let (row_stride, piece_stride, stride) = (n_inputs.div_ceil(2), piece_len.div_ceil(2) + 7, n_outputs + 3);
            let group_stride = rows * row_stride + 5;
            let data = pseudo_random(groups * group_stride + n_inputs + pieces * piece_stride, seed);
            let weights = pseudo_random(n_inputs * n_outputs, seed ^ 0x5a);
            let panels = Panels::new(n_inputs, n_outputs, |input, output| weights[input * n_outputs + output]);
            let before = pseudo_random(groups * rows * stride, seed ^ 3);
            let left = Left { data: &data, rows, row_stride, groups, group_stride, pieces, piece_stride };
            let mut expected = before.clone();
            for group in 0..groups {
                for row in 0..rows {
                    for output in 0..n_outputs {
                        let mut sum = 0.0_f32;
                        for input in 0..n_inputs {
                            let place = input / piece_len * piece_stride + input % piece_len;
                            let value = data[group * group_stride + row * row_stride + place];
                            sum = value.mul_add(weights[input * n_outputs + output], sum);
                        }
                        let out = &mut expected[(group * rows + row) * stride + output];
                        *out = if onto { *out + sum } else { sum };
                    }
                }
            }
            for isa in isa::available() {
                let mut out = before.clone();
                panels.product_with(isa, left, &mut out, stride, onto);
                let same = out.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                prop_assert!(same, "{}", isa.name);
            }
        }
    }

    #[test]
    #[should_panic(expected = "the rows end at 3")]
    fn rows_that_are_too_short_panic_before_they_are_read() {
        let panels = Panels::new(4, 1, |_, _| 1.0);
        panels.product(Left::new(&[1.0; 3], 1, 4), &mut [0.0], 1, false);
    }
}
