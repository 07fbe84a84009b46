//! The inner loop of all integer products: a few rows against a panel of 64 columns, four bytes of a row at a time.
//!
//! Everything that is multiplied lies in memory as steps of four bytes: four 8-bit numbers, or two 16-bit ones. A panel
//! holds the same step of its 64 columns side by side, so that a vector instruction multiplies a step of one row,
//! broadcast, with the same step of 4, 8 or 16 columns. One loop so serves the weights (8-bit) and attention (16-bit).

use super::isa;

/// Columns of a panel.
pub(in crate::infer) const COLUMNS: usize = 64;
/// Most rows of a tile: 6 x 64 sums fill 24 of the 32 registers of AVX-512.
pub(in crate::infer) const MAX_ROWS: usize = 6;
/// Bytes of a step.
pub(in crate::infer) const STEP: usize = 4;
/// The middle of unsigned 8-bit numbers, for loops that multiply signed ones.
pub(in crate::infer) const OFFSET: i32 = 128;

/// A cache line: one step of 16 columns. Four of them are one step of a panel.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::infer) struct Line(pub [u8; 64]);

/// Lines of one step of a panel.
pub(in crate::infer) const LINES: usize = COLUMNS / 16;

impl Line {
    pub(in crate::infer) const ZERO: Self = Self([0; 64]);
}

/// Where the bytes of step `step` of column `column` lie inside a panel: the line, and the first byte in it.
pub(in crate::infer) fn place(step: usize, column: usize) -> (usize, usize) {
    (step * LINES + column / 16, column % 16 * STEP)
}

/// What the four bytes of a step are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer) enum Numbers {
    /// Four 8-bit numbers: signed in the panel (-127 to 127), unsigned in the rows, which say what stands for zero.
    Bytes,
    /// Two signed 16-bit numbers, little-endian.
    Words,
}

impl Numbers {
    /// Bytes of `n` of them, in whole steps.
    pub(in crate::infer) fn n_bytes(self, n: usize) -> usize {
        let size = match self {
            Self::Bytes => 1,
            Self::Words => 2,
        };
        (n * size).next_multiple_of(STEP)
    }
}

/// One product of a few rows and a panel: `sum(row, column) * row_scale * column_scale + bias`.
///
/// Additions and multiplications happen in this order and unfused with every set of instructions: all give the same bits.
#[derive(Debug, Clone, Copy)]
pub(in crate::infer) struct Tile<'a> {
    /// The rows' steps, from the first row on.
    pub rows: &'a [u8],
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// Scale of each row, 1 to [`MAX_ROWS`] of them.
    pub row_scales: &'a [f32],
    /// The panel, [`LINES`] a step.
    pub panel: &'a [Line],
    /// Of bytes, the number of each row that stands for zero.
    pub row_zeros: &'a [i32],
    /// Of bytes, the sum of each column.
    pub column_sums: &'a [i32; COLUMNS],
    /// Scale of each column.
    pub column_scales: &'a [f32; COLUMNS],
    /// Added to each column.
    pub bias: &'a [f32; COLUMNS],
    /// Whether the result is added to what is there.
    pub onto: bool,
    /// Whether the panel is read from behind the first cache, so that asking for its lines ahead is worth the instructions.
    pub is_far: bool,
}

impl Tile<'_> {
    /// Number of steps.
    pub(super) fn n_steps(&self) -> usize {
        self.panel.len() / LINES
    }

    /// Computes into `out`, whose rows of 64 are `stride` apart.
    ///
    /// # Panics
    /// When the rows or the result do not fit their slices.
    pub(in crate::infer) fn run(&self, numbers: Numbers, out: &mut [f32], stride: usize) {
        self.run_with(isa::current(), numbers, out, stride);
    }

    pub(super) fn run_with(&self, isa: &isa::Isa, numbers: Numbers, out: &mut [f32], stride: usize) {
        let n_rows = self.row_scales.len();
        assert!((1..=MAX_ROWS).contains(&n_rows), "{n_rows} rows in a tile of {MAX_ROWS}");
        let read = (n_rows - 1) * self.row_stride + self.n_steps() * STEP;
        assert!(read <= self.rows.len(), "the rows end at byte {} of {read}", self.rows.len());
        let written = (n_rows - 1) * stride + COLUMNS;
        assert!(written <= out.len(), "the result ends at {written} of {}", out.len());
        let n_zeros = if numbers == Numbers::Bytes { n_rows } else { 0 };
        assert!(n_zeros <= self.row_zeros.len(), "{} zeros for {n_rows} rows", self.row_zeros.len());
        let loops = match numbers {
            Numbers::Bytes => &isa.bytes,
            Numbers::Words => &isa.words,
        };
        #[allow(unsafe_code, reason = "the loops read and write through pointers")]
        // SAFETY: the assertions above keep what the loop of `n_rows` rows reads and writes inside its slices, and
        // `isa` holds only loops whose instructions were found on this processor.
        unsafe {
            loops[n_rows - 1](self, out.as_mut_ptr(), stride);
        }
    }
}

/// A loop for one number of rows; see [`Tile::run_with`] for what must hold.
#[allow(unsafe_code, reason = "the loops read and write through pointers")]
pub(super) type Loop = unsafe fn(&Tile<'_>, *mut f32, usize);

/// One loop for each number of rows.
pub(super) type Loops = [Loop; MAX_ROWS];

/// The definition, in plain Rust; the twin of every vectorised loop.
#[allow(unsafe_code, reason = "has the signature of the vectorised loops")]
pub(super) unsafe fn scalar<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    // SAFETY: the caller guarantees room for ROWS rows of 64, `stride` apart.
    let out = unsafe { std::slice::from_raw_parts_mut(out, (ROWS - 1) * stride + COLUMNS) };
    for row in 0..ROWS {
        let steps = &tile.rows[row * tile.row_stride..];
        for column in 0..COLUMNS {
            let mut sum = if WORDS { 0 } else { (OFFSET - tile.row_zeros[row]) * tile.column_sums[column] };
            for (step, bytes) in steps.as_chunks::<STEP>().0[..tile.n_steps()].iter().enumerate() {
                let (line, at) = place(step, column);
                let other = &tile.panel[line].0[at..at + STEP];
                sum = sum.wrapping_add(if WORDS { words(*bytes, other) } else { signed_bytes(*bytes, other) });
            }
            let scaled = sum as f32 * (tile.row_scales[row] * tile.column_scales[column]) + tile.bias[column];
            let out = &mut out[row * stride + column];
            *out = if tile.onto { *out + scaled } else { scaled };
        }
    }
}

fn words(row: [u8; STEP], panel: &[u8]) -> i32 {
    let word = |low: u8, high: u8| i32::from(i16::from_le_bytes([low, high]));
    word(row[0], row[1]) * word(panel[0], panel[1]) + word(row[2], row[3]) * word(panel[2], panel[3])
}

fn signed_bytes(row: [u8; STEP], panel: &[u8]) -> i32 {
    row.into_iter().zip(panel).map(|(row, &panel)| (i32::from(row) - OFFSET) * i32::from(panel.cast_signed())).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers of one panel and six rows, reaching the largest magnitudes that are allowed.
    fn numbers(n_steps: usize, seed: u64, numbers: Numbers) -> (Vec<u8>, Vec<Line>) {
        let mut state = seed | 1;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let mut byte = |lowest: i32, spread: u32| {
            let drawn = random();
            // A fifth of all numbers are at the ends of the range, where sums saturate if they can.
            let spread_or_end = match drawn % 10 {
                0 => 0,
                1 => spread,
                _ => (drawn >> 8) % (spread + 1),
            };
            lowest + spread_or_end.cast_signed()
        };
        match numbers {
            Numbers::Bytes => {
                let rows = (0..MAX_ROWS * n_steps * STEP).map(|_| byte(0, 255) as u8).collect();
                let line = |_| Line(std::array::from_fn(|_| (byte(-127, 254) as i8).cast_unsigned()));
                (rows, (0..n_steps * LINES).map(line).collect())
            }
            Numbers::Words => {
                let rows: Vec<u8> =
                    (0..MAX_ROWS * n_steps * 2).flat_map(|_| (byte(-5792, 11_584) as i16).to_le_bytes()).collect();
                let line = |_| {
                    let words: Vec<u8> = (0..32).flat_map(|_| (byte(-5792, 11_584) as i16).to_le_bytes()).collect();
                    Line(std::array::from_fn(|index| words[index]))
                };
                (rows, (0..n_steps * LINES).map(line).collect())
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_set_of_instructions_gives_the_same_bits(
            n_steps in 1_usize..40, n_rows in 1..=MAX_ROWS, seed: u64, onto: bool, are_words: bool, is_far: bool,
        ) {
            let kind = if are_words { Numbers::Words } else { Numbers::Bytes };
            let (rows, panel) = numbers(n_steps, seed, kind);
            let mut column_sums = [0; COLUMNS];
            for (column, sum) in column_sums.iter_mut().enumerate() {
                let bytes = (0..n_steps * STEP).map(|k| {
                    let (line, at) = place(k / STEP, column);
                    i32::from(panel[line].0[at + k % STEP].cast_signed())
                });
                *sum = bytes.sum::<i32>();
            }
            let row_zeros: Vec<i32> = (0..n_rows as i32).map(|row| 51 * row).collect();
            let row_scales: Vec<f32> = (0..n_rows).map(|row| 1e-3 + row as f32).collect();
            let column_scales = std::array::from_fn(|column| 1e-4 * (1 + column) as f32);
            let bias = std::array::from_fn(|column| column as f32 - 30.0);
            let tile = Tile {
                rows: &rows, row_stride: n_steps * STEP, row_scales: &row_scales, row_zeros: &row_zeros, panel: &panel,
                column_sums: &column_sums,
                column_scales: &column_scales, bias: &bias, onto, is_far,
            };
            let stride = COLUMNS + 3;
            let run = |isa: &isa::Isa| {
                let mut out: Vec<f32> = (0..MAX_ROWS * stride).map(|index| index as f32).collect();
                tile.run_with(isa, kind, &mut out, stride);
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let expected = run(&isa::SCALAR);
            for isa in isa::available() {
                prop_assert_eq!(run(isa), expected.clone(), "{}", isa.name);
            }
        }
    }

    #[test]
    fn a_product_by_hand() {
        // One step: (130, 128, 128, 127) stands for (2, 0, 0, -1); columns hold (column, 0, 0, 1).
        let mut panel = [Line::ZERO; LINES];
        for column in 0..COLUMNS {
            let (line, at) = place(0, column);
            panel[line].0[at] = column as u8;
            panel[line].0[at + 3] = 1;
        }
        let tile = Tile {
            rows: &[130, 128, 128, 127],
            row_stride: STEP,
            row_scales: &[0.5],
            panel: &panel,
            row_zeros: &[OFFSET],
            column_sums: &std::array::from_fn(|column| column as i32 + 1),
            column_scales: &[2.0; COLUMNS],
            bias: &[10.0; COLUMNS],
            onto: false,
            is_far: true,
        };
        for isa in isa::available() {
            let mut out = [0.0; COLUMNS];
            tile.run_with(isa, Numbers::Bytes, &mut out, COLUMNS);
            let expected: [f32; COLUMNS] = std::array::from_fn(|column| 2.0 * column as f32 - 1.0 + 10.0);
            assert!(out.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6), "{}", isa.name);
        }
    }

    #[test]
    #[should_panic(expected = "the rows end at byte 3")]
    fn rows_that_are_too_short_panic_before_they_are_read() {
        let panel = [Line::ZERO; LINES];
        let tile = Tile {
            rows: &[1, 1, 1],
            row_stride: STEP,
            row_scales: &[1.0],
            panel: &panel,
            row_zeros: &[OFFSET],
            column_sums: &[0; COLUMNS],
            column_scales: &[1.0; COLUMNS],
            bias: &[0.0; COLUMNS],
            onto: false,
            is_far: true,
        };
        tile.run(Numbers::Bytes, &mut [0.0; COLUMNS], COLUMNS);
    }
}
