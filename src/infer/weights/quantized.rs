//! ggml's quantised blocks: 32 numbers with a scale, and in some kinds a smallest value, in f16.
//! Source: ggml `ggml-common.h` (layouts) and `ggml-quants.c` (`dequantize_row_*`).

use half::f16;

/// Numbers in a block.
const BLOCK_LEN: usize = 32;

/// A kind of block, by the name that ggml gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
}

impl Block {
    /// Numbers and bytes of a block.
    pub(super) fn layout(self) -> (usize, usize) {
        let n_bytes = match self {
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 4 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 4 + 4 + 16,
            Self::Q8_0 => 2 + 32,
        };
        (BLOCK_LEN, n_bytes)
    }

    /// Whole blocks to numbers.
    pub(super) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::Q4_0 => each::<18>(bytes, out, |b, out| nibbles(&b[2..], 0, half(b, 0), -8.0 * half(b, 0), out)),
            Self::Q4_1 => each::<20>(bytes, out, |b, out| nibbles(&b[4..], 0, half(b, 0), half(b, 2), out)),
            Self::Q5_0 => {
                each::<22>(bytes, out, |b, out| nibbles(&b[6..], word(b, 2), half(b, 0), -16.0 * half(b, 0), out));
            }
            Self::Q5_1 => each::<24>(bytes, out, |b, out| nibbles(&b[8..], word(b, 4), half(b, 0), half(b, 2), out)),
            Self::Q8_0 => each::<34>(bytes, out, |b, out| {
                let scale = half(b, 0);
                out.iter_mut().zip(&b[2..]).for_each(|(out, q)| *out = scale * f32::from(q.cast_signed()));
            }),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn(&[u8; N], &mut [f32; BLOCK_LEN])) {
    out.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0).for_each(|(out, block)| decode(block, out));
}

/// Sixteen bytes: the low halves are the first sixteen numbers, the high halves the others; `fifth` has their fifth bits.
fn nibbles(bytes: &[u8], fifth: u32, scale: f32, least: f32, out: &mut [f32; BLOCK_LEN]) {
    let (low, high) = out.split_at_mut(BLOCK_LEN / 2);
    for (index, ((low, high), byte)) in low.iter_mut().zip(high).zip(bytes).enumerate() {
        let bit = |at: usize| (fifth >> at & 1) << 4;
        *low = scale * (u32::from(byte & 15) | bit(index)) as f32 + least;
        *high = scale * (u32::from(byte >> 4) | bit(index + BLOCK_LEN / 2)) as f32 + least;
    }
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}
