//! Products with AVX2: of integers, and with FMA of f32.

#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::{
    arch::x86_64::{
        __m128i, __m256i, _MM_HINT_T0, _mm_load_si128, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256,
        _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_hadd_epi32, _mm256_load_ps,
        _mm256_load_si256, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_mullo_epi32,
        _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi16, _mm256_srai_epi16, _mm256_srli_epi16,
        _mm256_storeu_ps,
    },
    cell::RefCell,
};

use super::{
    panels::FloatTile,
    tile::{LINES, Line, STEP, Tile},
};

thread_local! {
    /// The rows of a tile of bytes, as 16-bit numbers.
    static WIDE: RefCell<Vec<i16>> = const { RefCell::new(Vec::new()) };
}

/// Steps that are fetched ahead of the one that is multiplied: 2 KB of a panel, which covers the way to memory.
const AHEAD: usize = 8;

/// [`super::tile::scalar`] in vector instructions.
///
/// A pass over the panel takes as many columns as have room for their sums: with few rows it is weights that are waited
/// for, and they come fastest one whole cache line after the other.
///
/// # Safety
/// The processor has the instructions; `tile` has ROWS rows, and `out` room for as many of 64 values, `stride` apart.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn tile<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    if WORDS {
        // SAFETY: what holds for this function holds for those.
        unsafe {
            match ROWS {
                1 => words::<ROWS, 8>(tile, out, stride),
                2 | 3 => words::<ROWS, 4>(tile, out, stride),
                _ => words::<ROWS, 2>(tile, out, stride),
            }
        }
    } else {
        if ROWS == 1 {
            // SAFETY: what holds for this function holds for that.
            unsafe { row(tile, out) };
            return;
        }
        WIDE.with_borrow_mut(|wide| {
            let n = tile.n_steps() * STEP;
            wide.resize(wide.len().max(ROWS * n), 0);
            for (row, wide) in wide.chunks_exact_mut(n.max(1)).take(ROWS).enumerate() {
                for (wide, byte) in wide.iter_mut().zip(&tile.rows[row * tile.row_stride..]) {
                    *wide = i16::from(*byte);
                }
            }
            // SAFETY: what holds for this function holds for those, and `wide` has the rows.
            unsafe {
                match ROWS {
                    2 | 3 => bytes::<ROWS, 2>(tile, wide.as_ptr(), out, stride),
                    _ => bytes::<ROWS, 1>(tile, wide.as_ptr(), out, stride),
                }
            }
        });
    }
}

/// Products of the bytes of one row, all columns in one pass: where weights come from memory, nothing else counts.
///
/// As in [`bytes`] what is multiplied has 16 bits. Here the first and third number of each step are multiplied together,
/// and the second and fourth: so a column is one sum, for which there is room, and numbers are made wide by shifts.
///
/// # Safety
/// As [`tile`], with one row.
#[target_feature(enable = "avx2")]
unsafe fn row(tile: &Tile<'_>, out: *mut f32) {
    let mut sums = [_mm256_setzero_si256(); 2 * LINES];
    let mut panel: *const __m256i = tile.panel.as_ptr().cast();
    let mut bytes: *const i32 = tile.rows.as_ptr().cast();
    let low = _mm256_set1_epi16(0xff);
    for _ in 0..tile.n_steps() {
        fetch(panel.cast());
        // SAFETY: the panel has LINES lines, of two such vectors, for each step, and the row four bytes. The pointers
        // end past the last step, and are then not read.
        unsafe {
            let step = _mm256_set1_epi32(bytes.read_unaligned());
            let (even, odd) = (_mm256_and_si256(step, low), _mm256_srli_epi16::<8>(step));
            for (index, sum) in sums.iter_mut().enumerate() {
                let columns = _mm256_load_si256(panel.add(index));
                let odds = _mm256_madd_epi16(odd, _mm256_srai_epi16::<8>(columns));
                let evens = _mm256_madd_epi16(even, _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(columns)));
                *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(evens, odds));
            }
            panel = panel.add(2 * LINES);
            bytes = bytes.wrapping_add(1);
        }
    }
    for (index, &sum) in sums.iter().enumerate() {
        // SAFETY: 8 sums follow in an array of 64, and 8 values in the row of `out`.
        unsafe { finish(tile, 0, 8 * index, less_zeros(tile, 0, 8 * index, sum), out.add(8 * index)) }
    }
}

/// Products of bytes, EIGHTS times 8 columns at a time.
///
/// The instruction that multiplies bytes adds pairs in 16 bits, where they can saturate. Those of 16-bit numbers do not:
/// rows were made wide before, and columns are in passing, once for all rows. Four inputs of a column become two sums.
///
/// # Safety
/// As [`tile`], and `wide` holds the rows, as long as the panel is, one behind the other. EIGHTS divides 8.
#[target_feature(enable = "avx2")]
unsafe fn bytes<const ROWS: usize, const EIGHTS: usize>(
    tile: &Tile<'_>,
    wide: *const i16,
    out: *mut f32,
    stride: usize,
) {
    let n = tile.n_steps() * STEP;
    for first in (0..2 * LINES).step_by(EIGHTS) {
        let mut sums = [[[_mm256_setzero_si256(); 2]; EIGHTS]; ROWS];
        // SAFETY: the panel has LINES lines, of four such vectors, for each step.
        let mut panel: *const __m128i = unsafe { tile.panel.as_ptr().cast::<__m128i>().add(2 * first) };
        let mut rows = wide;
        for _ in 0..tile.n_steps() {
            if first == 0 {
                fetch(panel.cast());
            }
            for eight in 0..EIGHTS {
                // SAFETY: half a line is two aligned vectors, and each row has four numbers for each step. The pointers
                // end past the last step, and are then not read.
                unsafe {
                    let columns = [
                        _mm256_cvtepi8_epi16(_mm_load_si128(panel.add(2 * eight))),
                        _mm256_cvtepi8_epi16(_mm_load_si128(panel.add(2 * eight + 1))),
                    ];
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let step = _mm256_set1_epi64x(rows.add(row * n).cast::<i64>().read_unaligned());
                        for (sum, column) in sums[eight].iter_mut().zip(columns) {
                            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(step, column));
                        }
                    }
                }
            }
            panel = panel.wrapping_add(4 * LINES);
            rows = rows.wrapping_add(STEP);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (eight, [low, high]) in sums.iter().enumerate() {
                // Of columns 0 1 4 5 2 3 6 7.
                let joined = _mm256_hadd_epi32(*low, *high);
                let sum = _mm256_permute4x64_epi64::<0b11_01_10_00>(joined);
                let at = 8 * (first + eight);
                // SAFETY: 8 sums follow in an array of 64, and 8 values in the row of `out`.
                unsafe { finish(tile, row, at, less_zeros(tile, row, at, sum), out.add(row * stride + at)) }
            }
        }
    }
}

/// Products of 16-bit numbers, EIGHTS times 8 columns at a time.
///
/// # Safety
/// As [`tile`]. EIGHTS divides 8.
#[target_feature(enable = "avx2")]
unsafe fn words<const ROWS: usize, const EIGHTS: usize>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    let add_products = |sum, step, column| _mm256_add_epi32(sum, _mm256_madd_epi16(step, column));
    // SAFETY: what holds for this function holds for that.
    unsafe { steps::<ROWS, EIGHTS, true>(tile, out, stride, add_products) }
}

/// The products of whole steps, EIGHTS times 8 columns at a time; `add_products` adds those of the four bytes of a row's
/// step and of 8 columns to their sums.
///
/// # Safety
/// As [`tile`], and it is inlined into a function that may use the instructions. EIGHTS divides 8.
#[inline(always)]
pub(super) unsafe fn steps<const ROWS: usize, const EIGHTS: usize, const WORDS: bool>(
    tile: &Tile<'_>,
    out: *mut f32,
    stride: usize,
    add_products: impl Fn(__m256i, __m256i, __m256i) -> __m256i,
) {
    for first in (0..2 * LINES).step_by(EIGHTS) {
        // SAFETY: the processor has the instructions. The panel has LINES lines, of two aligned vectors, for each step, and
        // each row four bytes; the pointers end past the last step, and are then not read. 8 sums follow in an array of
        // 64, and 8 values in the row of `out`.
        unsafe {
            let mut sums = [[_mm256_setzero_si256(); EIGHTS]; ROWS];
            let mut panel: *const __m256i = tile.panel.as_ptr().cast::<__m256i>().add(first);
            let mut rows = tile.rows.as_ptr();
            for _ in 0..tile.n_steps() {
                if first == 0 && tile.is_far {
                    fetch(panel.cast());
                }
                // Columns stay in registers, and a row's step goes: the other way round, sums have no room.
                let columns: [_; EIGHTS] = std::array::from_fn(|eight| _mm256_load_si256(panel.add(eight)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let step = _mm256_set1_epi32(rows.add(row * tile.row_stride).cast::<i32>().read_unaligned());
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = add_products(*sum, step, column);
                    }
                }
                panel = panel.wrapping_add(2 * LINES);
                rows = rows.wrapping_add(STEP);
            }
            for (row, sums) in sums.iter().enumerate() {
                for (eight, &sum) in sums.iter().enumerate() {
                    let at = 8 * (first + eight);
                    let sum = if WORDS { sum } else { less_zeros(tile, row, at, sum) };
                    finish(tile, row, at, sum, out.add(row * stride + at));
                }
            }
        }
    }
}

/// The sums of 8 columns of bytes from `at` on, less what stands for zero in the row.
///
/// # Safety
/// As [`finish`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn less_zeros(tile: &Tile<'_>, row: usize, at: usize, sum: __m256i) -> __m256i {
    // SAFETY: 8 sums follow in an array of 64.
    let column_sums = unsafe { _mm256_loadu_si256(tile.column_sums.as_ptr().add(at).cast()) };
    _mm256_add_epi32(sum, _mm256_mullo_epi32(_mm256_set1_epi32(-tile.row_zeros[row]), column_sums))
}

/// Asks for the lines of the step [`AHEAD`] of `panel`, which may be past the end: of the next panel, or of nothing, for it is a
/// hint, and reads nothing.
#[target_feature(enable = "avx2")]
#[inline]
fn fetch(panel: *const i8) {
    for line in 0..LINES {
        let wanted = panel.wrapping_add((AHEAD * LINES + line) * size_of::<Line>());
        _mm_prefetch::<_MM_HINT_T0>(wanted);
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
