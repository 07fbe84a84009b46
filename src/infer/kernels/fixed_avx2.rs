//! The products of [`super::fixed`] with AVX2, six rows and a line of 16 columns at a time: their sums, and what they are
//! made of, fill the 16 registers. A row's number is read just before it is used; were all read first, there would be no
//! room for them, and sums would wait in memory.

#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::arch::x86_64::{
    _MM_HINT_T0, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi32_ps, _mm256_load_si256, _mm256_loadu_ps,
    _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_ps,
};

use super::tile::{LINES, Line, MAX_ROWS, STEP};

/// Columns of a strip.
pub(super) const COLUMNS: usize = 16;

/// Some rows, and one line of every step of a panel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strip<'a> {
    /// The rows' steps, from the first row on.
    pub rows: &'a [u8],
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// The panel from the strip's line in the first step to that in the last one.
    pub panel: &'a [Line],
    /// Where the strip begins that is read next: it is fetched meanwhile. It may be past the end.
    pub next: *const Line,
    /// What one unit of each column's sums is worth.
    pub scales: &'a [f32; COLUMNS],
    /// Whether the result is added to what is there.
    pub onto: bool,
}

impl Strip<'_> {
    /// Computes `n_rows` rows of 16 into `out`, `stride` apart.
    ///
    /// # Panics
    /// When the rows or the result do not fit their slices, and without AVX2.
    pub(super) fn run(&self, n_rows: usize, out: &mut [f32], stride: usize) {
        assert!(is_x86_feature_detected!("avx2"), "the processor has no AVX2");
        assert!((1..=MAX_ROWS).contains(&n_rows), "{n_rows} rows in a tile of {MAX_ROWS}");
        let n_steps = self.panel.len().div_ceil(LINES);
        let read = (n_rows - 1) * self.row_stride + n_steps * STEP;
        assert!(read <= self.rows.len(), "the rows end at byte {} of {read}", self.rows.len());
        let written = (n_rows - 1) * stride + COLUMNS;
        assert!(written <= out.len(), "the result ends at {written} of {}", out.len());
        let few = [few::<1>, few::<2>, few::<3>, few::<4>, few::<5>, few::<6>][n_rows - 1];
        // SAFETY: the assertions above keep what is read and written inside of the slices, and AVX2 was found.
        unsafe { few(self, n_steps, out.as_mut_ptr(), stride) }
    }
}

/// [`super::tile::scalar`] of 16-bit numbers, of the columns of a line and without bias.
///
/// # Safety
/// The processor has the instructions; the strip has ROWS rows of `n_steps` steps, and `out` room for as many of 16
/// values, `stride` apart.
#[target_feature(enable = "avx2")]
unsafe fn few<const ROWS: usize>(strip: &Strip<'_>, n_steps: usize, out: *mut f32, stride: usize) {
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    let (rows, panel) = (strip.rows.as_ptr(), strip.panel.as_ptr());
    for step in 0..n_steps {
        // A hint, which reads nothing.
        _mm_prefetch::<_MM_HINT_T0>(strip.next.wrapping_add(step * LINES).cast());
        // SAFETY: the panel has LINES lines, of two aligned vectors, for each step, and each row has four bytes.
        unsafe {
            let line = panel.add(step * LINES).cast();
            let (low, high) = (_mm256_load_si256(line), _mm256_load_si256(line.add(1)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let number: *const i32 = rows.add(row * strip.row_stride + step * STEP).cast();
                let number = _mm256_set1_epi32(number.read_unaligned());
                sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(number, low));
                sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(number, high));
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        for (half, sum) in sums.into_iter().enumerate() {
            // SAFETY: 8 values follow in an array of 16, and in the row of `out`.
            unsafe {
                let scale = _mm256_loadu_ps(strip.scales.as_ptr().add(8 * half));
                let mut result = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
                let out = out.add(row * stride + 8 * half);
                if strip.onto {
                    result = _mm256_add_ps(_mm256_loadu_ps(out), result);
                }
                _mm256_storeu_ps(out, result);
            }
        }
    }
}
