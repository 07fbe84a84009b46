//! Products with AVX-512: of integers by its VNNI instructions, 64 multiplications of bytes or 32 of words each; of f32.

#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::arch::asm;
use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi32, _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32,
    _mm512_fmadd_ps, _mm512_load_ps, _mm512_load_si512, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps,
    _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps,
};

use super::{
    panels::FloatTile,
    tile::{LINES, STEP, Tile},
};

/// [`super::tile::scalar`] in vector instructions.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 64 values, `stride` apart.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn tile<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    let mut sums = [[_mm512_setzero_si512(); LINES]; ROWS];
    let mut panel: *const __m512i = tile.panel.as_ptr().cast();
    let mut rows = tile.rows.as_ptr();
    for _ in 0..tile.n_steps() {
        // SAFETY: the panel has LINES aligned lines for each step, and each row four bytes.
        unsafe {
            let columns: [__m512i; LINES] = std::array::from_fn(|j| _mm512_load_si512(panel.add(j)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let step = _mm512_set1_epi32(rows.add(row * tile.row_stride).cast::<i32>().read_unaligned());
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum =
                        if WORDS { add_products(*sum, step, column) } else { _mm512_dpbusd_epi32(*sum, step, column) };
                }
            }
            panel = panel.add(LINES);
            rows = rows.add(STEP);
        }
    }
    // As many as there are sums, known to the compiler: else it keeps these in memory, where every step would store them.
    let scales: [f32; ROWS] = std::array::from_fn(|row| tile.row_scales[row]);
    let zeros: [i32; ROWS] = std::array::from_fn(|row| if WORDS { 0 } else { tile.row_zeros[row] });
    for (row, sums) in sums.iter().enumerate() {
        for (j, &sum) in sums.iter().enumerate() {
            // SAFETY: j < LINES, so that 16 values follow in arrays of 64, and in the row of `out`.
            unsafe {
                let load = |from: *const f32| _mm512_loadu_ps(from.add(16 * j));
                let column_sums = _mm512_loadu_si512(tile.column_sums.as_ptr().add(16 * j).cast());
                let below = _mm512_mullo_epi32(_mm512_set1_epi32(-zeros[row]), column_sums);
                let sum = if WORDS { sum } else { _mm512_add_epi32(sum, below) };
                let scale = _mm512_mul_ps(_mm512_set1_ps(scales[row]), load(tile.column_scales.as_ptr()));
                let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
                let mut result = _mm512_add_ps(product, load(tile.bias.as_ptr()));
                let out = out.add(row * stride + 16 * j);
                if tile.onto {
                    result = _mm512_add_ps(_mm512_loadu_ps(out), result);
                }
                _mm512_storeu_ps(out, result);
            }
        }
    }
}

/// `_mm512_dpwssd_epi32`, which the compiler makes a multiplication and an addition of where the sum is used again soon:
/// it means well for older processors, and halves the rate of those that have the instruction.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_products(mut sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: it changes nothing but `sum`.
    unsafe {
        asm!("vpdpwssd {sum}, {a}, {b}", sum = inout(zmm_reg) sum, a = in(zmm_reg) a, b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// How far ahead weights are fetched, in values: the processor's own fetching stops at the end of each page of 4 KiB.
const AHEAD: usize = 1024;

/// [`super::panels::scalar`] in vector instructions.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 32 values, `stride` apart.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn floats<const ROWS: usize>(tile: &FloatTile<'_>, out: *mut f32, stride: usize) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    let mut panel: *const f32 = tile.panel.as_ptr().cast();
    for piece in 0..tile.pieces {
        let mut rows = tile.rows.as_ptr().wrapping_add(piece * tile.piece_stride);
        for _ in 0..tile.piece_len() {
            // SAFETY: the panel has two aligned lines for each input, and each row one value. The pointers end past the
            // last input, and are then not read.
            unsafe {
                let columns = [_mm512_load_ps(panel), _mm512_load_ps(panel.add(16))];
                _mm_prefetch::<_MM_HINT_T0>(panel.wrapping_add(AHEAD).cast());
                _mm_prefetch::<_MM_HINT_T0>(panel.wrapping_add(AHEAD + 16).cast());
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = _mm512_set1_ps(*rows.add(row * tile.row_stride));
                    sums[0] = _mm512_fmadd_ps(value, columns[0], sums[0]);
                    sums[1] = _mm512_fmadd_ps(value, columns[1], sums[1]);
                }
                panel = panel.add(32);
                rows = rows.wrapping_add(1);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        for (half, &sum) in sums.iter().enumerate() {
            // SAFETY: 16 values follow in the row of `out`.
            unsafe {
                let out = out.add(row * stride + 16 * half);
                _mm512_storeu_ps(out, if tile.onto { _mm512_add_ps(_mm512_loadu_ps(out), sum) } else { sum });
            }
        }
    }
}
