//! Integer products with AVX-512 and its VNNI instructions: 64 multiplications of bytes, or 32 of words, each.

#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_load_si512,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_si512, _mm512_storeu_ps,
};

use super::tile::{LINES, STEP, Tile};

/// [`super::tile::scalar`] in vector instructions.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 64 values, `stride` apart.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn tile<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    let mut sums = [[_mm512_setzero_si512(); LINES]; ROWS];
    if !WORDS {
        for (j, column_sums) in tile.column_sums.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: the chunk has 64 bytes.
            let column_sums = unsafe { _mm512_loadu_si512(column_sums.as_ptr().cast()) };
            for (row, zero) in sums.iter_mut().zip(tile.row_zeros) {
                row[j] = _mm512_mullo_epi32(_mm512_set1_epi32(-zero), column_sums);
            }
        }
    }
    let mut panel: *const __m512i = tile.panel.as_ptr().cast();
    let mut rows = tile.rows.as_ptr();
    for _ in 0..tile.n_steps() {
        // SAFETY: the panel has LINES aligned lines for each step, and each row four bytes.
        unsafe {
            let columns: [__m512i; LINES] = std::array::from_fn(|j| _mm512_load_si512(panel.add(j)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let step = _mm512_set1_epi32(rows.add(row * tile.row_stride).cast::<i32>().read_unaligned());
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = if WORDS {
                        _mm512_dpwssd_epi32(*sum, step, column)
                    } else {
                        _mm512_dpbusd_epi32(*sum, step, column)
                    };
                }
            }
            panel = panel.add(LINES);
            rows = rows.add(STEP);
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let row_scale = _mm512_set1_ps(tile.row_scales[row]);
        for (j, &sum) in sums.iter().enumerate() {
            // SAFETY: j < LINES, so that 16 values follow in arrays of 64, and in the row of `out`.
            unsafe {
                let load = |from: *const f32| -> __m512 { _mm512_loadu_ps(from.add(16 * j)) };
                let scale = _mm512_mul_ps(row_scale, load(tile.column_scales.as_ptr()));
                let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
                let mut result = _mm512_add_ps(scaled, load(tile.bias.as_ptr()));
                let out = out.add(row * stride + 16 * j);
                if tile.onto {
                    result = _mm512_add_ps(_mm512_loadu_ps(out), result);
                }
                _mm512_storeu_ps(out, result);
            }
        }
    }
}
