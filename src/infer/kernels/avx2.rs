//! Products with AVX2: of integers, and with FMA of f32.

#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::{
    arch::x86_64::{
        __m128i, __m256i, _mm_load_si128, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps,
        _mm256_fmadd_ps, _mm256_hadd_epi32, _mm256_load_ps, _mm256_load_si256, _mm256_loadu_ps, _mm256_loadu_si256,
        _mm256_madd_epi16, _mm256_mul_ps, _mm256_mullo_epi32, _mm256_permute4x64_epi64, _mm256_set1_epi32,
        _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_storeu_ps,
    },
    cell::RefCell,
};

use super::{
    panels::FloatTile,
    tile::{LINES, STEP, Tile},
};

thread_local! {
    /// The rows of a tile of bytes, as 16-bit numbers.
    static WIDE: RefCell<Vec<i16>> = const { RefCell::new(Vec::new()) };
}

/// [`super::tile::scalar`] in vector instructions.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 64 values, `stride` apart.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn tile<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    if WORDS {
        // SAFETY: what holds for this function holds for that one.
        unsafe { words::<ROWS>(tile, out, stride) }
    } else {
        WIDE.with_borrow_mut(|wide| {
            let n = tile.n_steps() * STEP;
            wide.resize(wide.len().max(ROWS * n), 0);
            for (row, wide) in wide.chunks_exact_mut(n.max(1)).take(ROWS).enumerate() {
                for (wide, byte) in wide.iter_mut().zip(&tile.rows[row * tile.row_stride..]) {
                    *wide = i16::from(*byte);
                }
            }
            // SAFETY: what holds for this function holds for that one, and `wide` has the rows.
            unsafe { bytes::<ROWS>(tile, wide.as_ptr(), out, stride) }
        });
    }
}

/// Products of bytes, 8 columns at a time.
///
/// The instruction that multiplies bytes adds pairs in 16 bits, where they can saturate. Those of 16-bit numbers do not:
/// rows were made wide before, and columns are in passing, once for all rows. Four inputs of a column become two sums.
///
/// # Safety
/// As [`tile`], and `wide` holds the rows, as long as the panel is, one behind the other.
#[target_feature(enable = "avx2")]
unsafe fn bytes<const ROWS: usize>(tile: &Tile<'_>, wide: *const i16, out: *mut f32, stride: usize) {
    let n = tile.n_steps() * STEP;
    for half in 0..2 * LINES {
        let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
        // SAFETY: the panel has LINES lines, of four such vectors, for each step.
        let mut panel: *const __m128i = unsafe { tile.panel.as_ptr().cast::<__m128i>().add(2 * half) };
        let mut rows = wide;
        for _ in 0..tile.n_steps() {
            // SAFETY: half a line is two aligned vectors, and each row has four numbers for each step. The pointers end
            // past the last step, and are then not read.
            unsafe {
                let columns = [_mm_load_si128(panel), _mm_load_si128(panel.add(1))].map(|c| _mm256_cvtepi8_epi16(c));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let step = _mm256_set1_epi64x(rows.add(row * n).cast::<i64>().read_unaligned());
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(step, column));
                    }
                }
                panel = panel.wrapping_add(4 * LINES);
                rows = rows.wrapping_add(STEP);
            }
        }
        for (row, [first, second]) in sums.into_iter().enumerate() {
            // Of columns 0 1 4 5 2 3 6 7.
            let joined = _mm256_hadd_epi32(first, second);
            let sum = _mm256_permute4x64_epi64::<0b11_01_10_00>(joined);
            let below = _mm256_set1_epi32(-tile.row_zeros[row]);
            // SAFETY: 8 sums follow in an array of 64, and 8 values in the row of `out`.
            unsafe {
                let column_sums = _mm256_loadu_si256(tile.column_sums.as_ptr().add(8 * half).cast());
                let sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(below, column_sums));
                finish(tile, row, 8 * half, sum, out.add(row * stride + 8 * half));
            }
        }
    }
}

/// Products of 16-bit numbers, 16 columns at a time.
///
/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx2")]
unsafe fn words<const ROWS: usize>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    for line in 0..LINES {
        let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
        // SAFETY: the panel has LINES lines for each step.
        let mut panel: *const __m256i = unsafe { tile.panel.as_ptr().add(line) }.cast();
        let mut rows = tile.rows.as_ptr();
        for _ in 0..tile.n_steps() {
            // SAFETY: a line is two aligned vectors, and each row has four bytes for each step. The pointers end past
            // the last step, and are then not read.
            unsafe {
                let columns = [_mm256_load_si256(panel), _mm256_load_si256(panel.add(1))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let step = _mm256_set1_epi32(rows.add(row * tile.row_stride).cast::<i32>().read_unaligned());
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(step, column));
                    }
                }
                panel = panel.wrapping_add(2 * LINES);
                rows = rows.add(STEP);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (half, &sum) in sums.iter().enumerate() {
                let at = 16 * line + 8 * half;
                // SAFETY: 8 values follow in arrays of 64, and in the row of `out`.
                unsafe { finish(tile, row, at, sum, out.add(row * stride + at)) }
            }
        }
    }
}

/// Scales the sums of the 8 columns from `at` on, and writes them.
///
/// # Safety
/// The processor has the instructions; `at` is at most 56, and `out` has room for 8 values.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn finish(tile: &Tile<'_>, row: usize, at: usize, sum: __m256i, out: *mut f32) {
    let row_scale = _mm256_set1_ps(tile.row_scales[row]);
    // SAFETY: 8 values follow in arrays of 64, and in `out`.
    unsafe {
        let scale = _mm256_mul_ps(row_scale, _mm256_loadu_ps(tile.column_scales.as_ptr().add(at)));
        let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
        let mut result = _mm256_add_ps(scaled, _mm256_loadu_ps(tile.bias.as_ptr().add(at)));
        if tile.onto {
            result = _mm256_add_ps(_mm256_loadu_ps(out), result);
        }
        _mm256_storeu_ps(out, result);
    }
}

/// [`super::panels::scalar`] in vector instructions, three rows at a time: 12 sums, and what they are made of, fill the
/// 16 registers.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 32 values, `stride` apart.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn floats<const ROWS: usize>(tile: &FloatTile<'_>, out: *mut f32, stride: usize) {
    for first in (0..ROWS).step_by(3) {
        // SAFETY: the rows from `first` on are rows of the tile and of `out`.
        unsafe {
            let out = out.add(first * stride);
            match ROWS - first {
                1 => few_floats::<1>(tile, first, out, stride),
                2 => few_floats::<2>(tile, first, out, stride),
                _ => few_floats::<3>(tile, first, out, stride),
            }
        }
    }
}

/// The rows of a tile from `first` on.
///
/// # Safety
/// As [`floats`], with ROWS rows from `first` on.
#[target_feature(enable = "avx2,fma")]
unsafe fn few_floats<const ROWS: usize>(tile: &FloatTile<'_>, first: usize, out: *mut f32, stride: usize) {
    let mut sums = [[_mm256_setzero_ps(); 4]; ROWS];
    let mut panel: *const f32 = tile.panel.as_ptr().cast();
    for piece in 0..tile.pieces {
        let mut rows = tile.rows.as_ptr().wrapping_add(first * tile.row_stride + piece * tile.piece_stride);
        for _ in 0..tile.piece_len() {
            // SAFETY: the panel has four aligned vectors for each input, and each row one value. The pointers end past
            // the last input, and are then not read.
            unsafe {
                let values: [_; ROWS] = std::array::from_fn(|row| _mm256_set1_ps(*rows.add(row * tile.row_stride)));
                for vector in 0..4 {
                    let column = _mm256_load_ps(panel.add(8 * vector));
                    for (sums, value) in sums.iter_mut().zip(values) {
                        sums[vector] = _mm256_fmadd_ps(value, column, sums[vector]);
                    }
                }
                panel = panel.add(32);
                rows = rows.wrapping_add(1);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        for (vector, &sum) in sums.iter().enumerate() {
            // SAFETY: 8 values follow in the row of `out`.
            unsafe {
                let out = out.add(row * stride + 8 * vector);
                _mm256_storeu_ps(out, if tile.onto { _mm256_add_ps(_mm256_loadu_ps(out), sum) } else { sum });
            }
        }
    }
}
