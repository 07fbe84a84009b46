//! Products of integers with AVX-VNNI: what [`super::avx512`] multiplies by, in vectors of half the length, for processors
//! that have the one and not the other.

#![allow(unsafe_code, reason = "loops go through pointers, and one instruction is given by name")]

use std::arch::{
    asm,
    x86_64::{__m256i, _mm256_dpbusd_avx_epi32},
};

use super::{avx2::steps, tile::Tile};

/// [`super::tile::scalar`] in vector instructions.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 64 values, `stride` apart.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) unsafe fn tile<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    let add = |sum, step, column| {
        if WORDS { add_products(sum, step, column) } else { _mm256_dpbusd_avx_epi32(sum, step, column) }
    };
    // As many columns at a time as have room for their sums.
    // SAFETY: what holds for this function holds for that.
    unsafe {
        match ROWS {
            1 => steps::<ROWS, 8, WORDS>(tile, out, stride, add),
            2 | 3 => steps::<ROWS, 4, WORDS>(tile, out, stride, add),
            _ => steps::<ROWS, 2, WORDS>(tile, out, stride, add),
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
