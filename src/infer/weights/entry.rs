//! Where a tensor lies, how its numbers are stored, and how they become f32.

use std::ops::Range;

use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::quantized::Block;

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    F32,
    F16,
    BF16,
    I8,
    I16,
    I32,
    /// Blocks of numbers with a scale of their own.
    Quantized(Block),
}

/// Where a tensor lies and how to read it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) file: usize,
    pub(super) offset: u64,
    pub(super) encoding: Encoding,
    pub(super) shape: Vec<usize>,
    /// For integers: the factors that they were multiplied with, one for all or one a row.
    pub(super) scale: Option<Vec<f32>>,
}

impl Entry {
    pub(super) fn n_elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n))
    }

    /// Bytes in the file; `None` when there are too many to count, or rows do not consist of whole blocks.
    pub(super) fn n_bytes(&self) -> Option<usize> {
        let n = self.n_elements()?;
        let (block_len, block_bytes) = self.encoding.block();
        let is_whole = self.row_len().is_multiple_of(block_len);
        (n / block_len).checked_mul(block_bytes).filter(|_| is_whole)
    }

    /// Elements of a row: of all dimensions but the first.
    pub(super) fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Rows `from..to` of the first dimension, as a tensor of its own.
    pub(super) fn rows(&self, from: usize, to: usize) -> Option<Self> {
        let n_rows = *self.shape.first()?;
        let row_bytes = self.n_bytes()?.checked_div(n_rows)?;
        let mut part = self.clone();
        part.shape[0] = to.checked_sub(from).filter(|_| to <= n_rows)?;
        part.offset += (from * row_bytes) as u64;
        part.scale = match &self.scale {
            Some(scale) if scale.len() > 1 => Some(scale.get(from..to)?.to_vec()),
            other => other.clone(),
        };
        Some(part)
    }

    /// Where elements `elements` (whole blocks) lie in the file.
    pub(super) fn byte_range(&self, elements: &Range<usize>) -> (u64, usize) {
        let (block_len, block_bytes) = self.encoding.block();
        let start = (elements.start / block_len * block_bytes) as u64;
        (self.offset + start, elements.len() / block_len * block_bytes)
    }

    /// Decodes the bytes of the elements from `start` on.
    pub(super) fn decode(&self, bytes: &[u8], start: usize, out: &mut [f32]) {
        self.encoding.decode(bytes, out);
        let Some(scale) = &self.scale else { return };
        if let [scale] = scale[..] {
            for value in out {
                *value /= scale;
            }
            return;
        }
        let row_len = self.row_len().max(1);
        for (index, value) in out.iter_mut().enumerate() {
            *value /= scale[(start + index) / row_len];
        }
    }
}

impl Encoding {
    /// Numbers in the smallest piece that can be decoded alone, and its bytes.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::F32 | Self::I32 => (1, 4),
            Self::F16 | Self::BF16 | Self::I16 => (1, 2),
            Self::I8 => (1, 1),
            Self::Quantized(block) => block.layout(),
        }
    }

    /// Little-endian bytes to f32.
    fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let (pairs, _) = bytes.as_chunks::<2>();
        let (quads, _) = bytes.as_chunks::<4>();
        match self {
            Self::F32 => fill(out, quads, f32::from_le_bytes),
            Self::F16 => decode_f16(pairs, out),
            Self::BF16 => fill(out, pairs, |b| bf16::from_le_bytes(b).to_f32()),
            Self::I8 => out.iter_mut().zip(bytes).for_each(|(out, b)| *out = f32::from(b.cast_signed())),
            Self::I16 => fill(out, pairs, |b| f32::from(i16::from_le_bytes(b))),
            Self::I32 => fill(out, quads, |b| i32::from_le_bytes(b) as f32),
            Self::Quantized(block) => block.decode(bytes, out),
        }
    }
}

fn fill<const N: usize>(out: &mut [f32], from: &[[u8; N]], convert: impl Fn([u8; N]) -> f32) {
    out.iter_mut().zip(from).for_each(|(out, &bytes)| *out = convert(bytes));
}

/// Through a buffer that stays in the cache: the processor converts eight at once, but not from unaligned bytes.
fn decode_f16(pairs: &[[u8; 2]], out: &mut [f32]) {
    const N: usize = 1024;
    let mut halves = [f16::ZERO; N];
    for (pairs, out) in pairs.chunks(N).zip(out.chunks_mut(N)) {
        let halves = &mut halves[..out.len()];
        halves.iter_mut().zip(pairs).for_each(|(half, &bytes)| *half = f16::from_le_bytes(bytes));
        halves.convert_to_f32_slice(out);
    }
}
