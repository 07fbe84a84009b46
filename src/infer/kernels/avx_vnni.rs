//! Products of integers with AVX-VNNI: what [`super::avx512`] multiplies by, in vectors of half the length, for processors
//! that have the one and not the other.

#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_dpbusd_avx_epi32, _mm256_load_si256, _mm256_loadu_si256, _mm256_mullo_epi32,
    _mm256_set1_epi32, _mm256_setzero_si256,
};

use super::{
    avx2::{fetch, finish},
    tile::{LINES, STEP, Tile},
};

/// [`super::tile::scalar`] in vector instructions.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 64 values, `stride` apart.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) unsafe fn tile<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    // As many columns at a time as have room for their sums.
    // SAFETY: what holds for this function holds for those.
    unsafe {
        match ROWS {
            1 => columns::<ROWS, 8, WORDS>(tile, out, stride),
            2 | 3 => columns::<ROWS, 4, WORDS>(tile, out, stride),
            _ => columns::<ROWS, 2, WORDS>(tile, out, stride),
        }
    }
}

/// EIGHTS times 8 columns at a time.
///
/// # Safety
/// As [`tile`]. EIGHTS divides 8.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn columns<const ROWS: usize, const EIGHTS: usize, const WORDS: bool>(
    tile: &Tile<'_>,
    out: *mut f32,
    stride: usize,
) {
    for first in (0..2 * LINES).step_by(EIGHTS) {
        let mut sums = [[_mm256_setzero_si256(); EIGHTS]; ROWS];
        // SAFETY: the panel has LINES lines, of two such vectors, for each step.
        let mut panel: *const __m256i = unsafe { tile.panel.as_ptr().cast::<__m256i>().add(first) };
        let mut rows = tile.rows.as_ptr();
        for _ in 0..tile.n_steps() {
            if first == 0 && tile.is_far {
                fetch(panel.cast());
            }
            // SAFETY: a line is two aligned vectors, and each row has four bytes for each step. The pointers end past the
            // last step, and are then not read.
            unsafe {
                let columns: [_; EIGHTS] = std::array::from_fn(|eight| _mm256_load_si256(panel.add(eight)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let step = _mm256_set1_epi32(rows.add(row * tile.row_stride).cast::<i32>().read_unaligned());
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = if WORDS {
                            add_products(*sum, step, column)
                        } else {
                            _mm256_dpbusd_avx_epi32(*sum, step, column)
                        };
                    }
                }
            }
            panel = panel.wrapping_add(2 * LINES);
            rows = rows.wrapping_add(STEP);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (eight, &sum) in sums.iter().enumerate() {
                let (at, mut sum) = (8 * (first + eight), sum);
                // SAFETY: 8 sums follow in an array of 64, and 8 values in the row of `out`.
                unsafe {
                    if !WORDS {
                        let column_sums = _mm256_loadu_si256(tile.column_sums.as_ptr().add(at).cast());
                        let below = _mm256_set1_epi32(-tile.row_zeros[row]);
                        sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(below, column_sums));
                    }
                    finish(tile, row, at, sum, out.add(row * stride + at));
                }
            }
        }
    }
}

/// `_mm256_dpwssd_avx_epi32` as one instruction: see `add_products` of [`super::avx512`].
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn add_products(mut sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: it changes nothing but `sum`.
    unsafe {
        asm!("{{vex}} vpdpwssd {sum}, {a}, {b}", sum = inout(ymm_reg) sum, a = in(ymm_reg) a, b = in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}
