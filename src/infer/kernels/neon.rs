//! Products with NEON, which every 64-bit ARM processor has: of integers and of f32.

#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::arch::aarch64::{
    int32x4_t, vaddq_f32, vcvtq_f32_s32, vdup_n_s8, vdup_n_s32, vdupq_n_f32, vdupq_n_s32, veor_s8, vfmaq_f32,
    vget_high_s8, vget_high_s16, vget_low_s8, vget_low_s16, vld1q_f32, vld1q_s8, vld1q_s32, vmlal_s16, vmlaq_n_s32,
    vmull_s8, vmulq_f32, vpadalq_s16, vpaddq_s32, vreinterpret_s8_s32, vreinterpret_s16_s32, vreinterpretq_s16_s8,
    vst1q_f32,
};

use super::{
    panels::FloatTile,
    tile::{LINES, OFFSET, STEP, Tile},
};

/// Vectors of four columns in a line.
const VECTORS: usize = 4;

/// [`super::tile::scalar`] in vector instructions, 8 columns at a time.
///
/// Every column has two sums, of the first and the last half of each step, which are added at the end. A product of two
/// bytes fits 16 bits, and is added to its neighbour in 32: nothing saturates.
///
/// # Safety
/// The processor has NEON; `tile` has ROWS rows, and `out` room for as many of 64 values, `stride` apart.
#[target_feature(enable = "neon")]
pub(super) unsafe fn tile<const ROWS: usize, const WORDS: bool>(tile: &Tile<'_>, out: *mut f32, stride: usize) {
    let sign_bits = vdup_n_s8(i8::MIN);
    for part in 0..LINES * VECTORS / 2 {
        let mut sums = [[[vdupq_n_s32(0); 2]; 2]; ROWS];
        for step in 0..tile.n_steps() {
            // SAFETY: the panel has LINES * VECTORS vectors for each step, of which 2 * part + 1 is one, and each row
            // has four bytes.
            unsafe {
                let panel: *const i8 = tile.panel.as_ptr().add(step * LINES).cast();
                let columns = [vld1q_s8(panel.add(32 * part)), vld1q_s8(panel.add(32 * part + 16))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let step: *const i32 = tile.rows.as_ptr().add(row * tile.row_stride + step * STEP).cast();
                    let step = vdup_n_s32(step.read_unaligned());
                    for ([low, high], column) in sums.iter_mut().zip(columns) {
                        if WORDS {
                            let (step, column) = (vreinterpret_s16_s32(step), vreinterpretq_s16_s8(column));
                            *low = vmlal_s16(*low, step, vget_low_s16(column));
                            *high = vmlal_s16(*high, step, vget_high_s16(column));
                        } else {
                            let step = veor_s8(vreinterpret_s8_s32(step), sign_bits);
                            *low = vpadalq_s16(*low, vmull_s8(step, vget_low_s8(column)));
                            *high = vpadalq_s16(*high, vmull_s8(step, vget_high_s8(column)));
                        }
                    }
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let row_scale = vdupq_n_f32(tile.row_scales[row]);
            for (vector, &[low, high]) in sums.iter().enumerate() {
                let mut sum: int32x4_t = vpaddq_s32(low, high);
                let at = 8 * part + 4 * vector;
                if !WORDS {
                    // SAFETY: at <= 60, so that 4 sums follow in an array of 64.
                    let column_sums = unsafe { vld1q_s32(tile.column_sums.as_ptr().add(at)) };
                    sum = vmlaq_n_s32(sum, column_sums, OFFSET - tile.row_zeros[row]);
                }
                // SAFETY: at <= 60, so that 4 values follow in arrays of 64, and in the row of `out`.
                unsafe {
                    let scale = vmulq_f32(row_scale, vld1q_f32(tile.column_scales.as_ptr().add(at)));
                    let scaled = vmulq_f32(vcvtq_f32_s32(sum), scale);
                    let mut result = vaddq_f32(scaled, vld1q_f32(tile.bias.as_ptr().add(at)));
                    let out = out.add(row * stride + at);
                    if tile.onto {
                        result = vaddq_f32(vld1q_f32(out), result);
                    }
                    vst1q_f32(out, result);
                }
            }
        }
    }
}

/// [`super::panels::scalar`] in vector instructions, row by row: eight sums hide the latency of an addition.
///
/// # Safety
/// The processor has NEON; `tile` has ROWS rows, and `out` room for as many of 32 values, `stride` apart.
#[target_feature(enable = "neon")]
pub(super) unsafe fn floats<const ROWS: usize>(tile: &FloatTile<'_>, out: *mut f32, stride: usize) {
    for row in 0..ROWS {
        let mut sums = [vdupq_n_f32(0.0); 8];
        for input in 0..tile.n_inputs() {
            let place = input / tile.piece_len() * tile.piece_stride + input % tile.piece_len();
            // SAFETY: the panel has eight vectors for each input, and each row one value.
            unsafe {
                let panel = tile.panel.as_ptr().cast::<f32>().add(32 * input);
                let value = vdupq_n_f32(*tile.rows.as_ptr().add(row * tile.row_stride + place));
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = vfmaq_f32(*sum, value, vld1q_f32(panel.add(4 * vector)));
                }
            }
        }
        for (vector, &sum) in sums.iter().enumerate() {
            // SAFETY: 4 values follow in the row of `out`.
            unsafe {
                let out = out.add(row * stride + 4 * vector);
                vst1q_f32(out, if tile.onto { vaddq_f32(vld1q_f32(out), sum) } else { sum });
            }
        }
    }
}
