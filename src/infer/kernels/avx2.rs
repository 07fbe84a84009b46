//! Products with AVX2: of integers, and with FMA of f32.

#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::arch::x86_64::{
    __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_load_ps,
    _mm256_load_si256, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps,
    _mm256_mullo_epi32, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_setzero_si256, _mm256_sign_epi8, _mm256_storeu_ps, _mm256_xor_si256,
};

use super::{
    panels::FloatTile,
    tile::{LINES, OFFSET, STEP, Tile},
};

/// [`super::tile::scalar`] in vector instructions, 16 columns at a time.
///
/// The product of bytes takes one factor unsigned and adds pairs in 16 bits. With the signs moved to the panel's side a
/// pair is at most 2 * 128 * 127 = 32,512: it cannot saturate.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 64 values, `stride` apart.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn tile<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    let (ones, sign_bits) = (_mm256_set1_epi16(1), _mm256_set1_epi8(i8::MIN));
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
                        let product = if WORDS {
                            _mm256_madd_epi16(step, column)
                        } else {
                            let signed = _mm256_xor_si256(step, sign_bits);
                            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(signed), _mm256_sign_epi8(column, signed));
                            _mm256_madd_epi16(pairs, ones)
                        };
                        *sum = _mm256_add_epi32(*sum, product);
                    }
                }
                panel = panel.wrapping_add(2 * LINES);
                rows = rows.add(STEP);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let row_scale = _mm256_set1_ps(tile.row_scales[row]);
            for (half, &sum) in sums.iter().enumerate() {
                let at = 16 * line + 8 * half;
                let sum = if WORDS {
                    sum
                } else {
                    let below = _mm256_set1_epi32(OFFSET - tile.row_zeros[row]);
                    // SAFETY: at <= 56, so that 8 sums follow in an array of 64.
                    let column_sums = unsafe { _mm256_loadu_si256(tile.column_sums.as_ptr().add(at).cast()) };
                    _mm256_add_epi32(sum, _mm256_mullo_epi32(below, column_sums))
                };
                // SAFETY: at <= 56, so that 8 values follow in arrays of 64, and in the row of `out`.
                unsafe {
                    let scale = _mm256_mul_ps(row_scale, _mm256_loadu_ps(tile.column_scales.as_ptr().add(at)));
                    let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
                    let mut result = _mm256_add_ps(scaled, _mm256_loadu_ps(tile.bias.as_ptr().add(at)));
                    let out = out.add(row * stride + at);
                    if tile.onto {
                        result = _mm256_add_ps(_mm256_loadu_ps(out), result);
                    }
                    _mm256_storeu_ps(out, result);
                }
            }
        }
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
