//! Real numbers to integers: a row at a time, so that a row's result never depends on its neighbours.

use pulp::Arch;

use super::{
    pointwise::{ROUND, reduce},
    tile::Numbers,
};
use crate::audio::Once;

/// Rows of integers, each with a scale of its own and, of 8-bit ones, with the number that stands for zero.
#[derive(Debug, Default)]
pub(in crate::infer) struct Rows {
    pub(super) bytes: Vec<u8>,
    pub(super) scales: Vec<f32>,
    pub(super) zeros: Vec<i32>,
    pub(super) stride: usize,
}

impl Rows {
    /// Replaces what is there by rows of `n` values, `stride` apart, which may overlap. What lies between a row's least
    /// and greatest value spans all 8 bits, whether it lies around zero or, as after a GELU, nearly all above; 16-bit
    /// numbers lie around zero, as far as [`word_limit`].
    pub(in crate::infer) fn set(
        &mut self,
        values: &[f32],
        (n_rows, n): (usize, usize),
        stride: usize,
        numbers: Numbers,
    ) {
        self.stride = numbers.n_bytes(n);
        self.bytes.resize(n_rows * self.stride, 0);
        self.scales.resize(n_rows, 0.0);
        self.zeros.resize(n_rows, 0);
        let Self { bytes, scales, zeros, stride: n_bytes } = self;
        let once = Once;
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
                let worth = scales.iter_mut().zip(zeros);
                for (row, (bytes, (scale, zero))) in bytes.chunks_exact_mut(*n_bytes).zip(worth).enumerate() {
                    let row = &values[row * stride..][..n];
                    match numbers {
                        Numbers::Bytes => {
                            (*scale, *zero) = bytes_of(row, &mut bytes[..n]);
                            bytes[n..].fill(0);
                        }
                        Numbers::Words => {
                            *scale = words_of(row, word_limit(n), &mut bytes.as_chunks_mut().0[..n]);
                            bytes[2 * n..].fill(0);
                        }
                    }
                }
            },
        );
    }

    /// Number of rows.
    pub(in crate::infer) fn len(&self) -> usize {
        self.scales.len()
    }
}

/// Largest magnitude of 16-bit numbers of which a 32-bit sum holds `n` products.
pub(super) fn word_limit(n: usize) -> f32 {
    (i32::MAX as usize / n.max(1)).isqrt().min(32_767) as f32
}

/// Quantises to 0 to 255; returns what one unit is worth, and the number that stands for zero.
#[inline(always)]
fn bytes_of(row: &[f32], bytes: &mut [u8]) -> (f32, i32) {
    let smaller = |a: f32, b: f32| if a < b { a } else { b };
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let (least, most) = (reduce(row, 0.0, smaller, smaller), reduce(row, 0.0, larger, larger));
    let range = most - least;
    // Below this the inverse overflows; such a row is as good as zero. 255 units, less the halves that both ends may
    // be rounded up by.
    let (scale, inverse) = if range > 1e-30 { (range / 254.0, 254.0 / range) } else { (0.0, 0.0) };
    let zero = (ROUND - least * inverse) - ROUND;
    for (byte, x) in bytes.iter_mut().zip(row) {
        *byte = (x * inverse + (ROUND + zero)).to_bits() as u8;
    }
    (scale, zero as i32)
}

/// Quantises to signed 8-bit numbers of magnitude up to 127; returns what one unit is worth.
pub(in crate::infer) fn signed_bytes_of(row: &[f32], bytes: &mut [u8]) -> f32 {
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            let (scale, inverse) = scales(row, 127.0);
            for (byte, x) in bytes.iter_mut().zip(row) {
                *byte = (x * inverse + ROUND).to_bits() as u8;
            }
            scale
        },
    )
}

/// [`words_of`], with the vector instructions that were found.
pub(super) fn signed_words_of(row: &[f32], limit: f32, words: &mut [[u8; 2]]) -> f32 {
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            words_of(row, limit, words)
        },
    )
}

/// Quantises to signed 16-bit numbers of magnitude up to `limit`, little-endian; returns what one unit is worth.
#[inline(always)]
pub(super) fn words_of(row: &[f32], limit: f32, words: &mut [[u8; 2]]) -> f32 {
    let (scale, inverse) = scales(row, limit);
    for (word, x) in words.iter_mut().zip(row) {
        *word = word_of(x * inverse);
    }
    scale
}

/// A number of magnitude below 32,768, rounded, as two bytes.
#[inline(always)]
pub(super) fn word_of(x: f32) -> [u8; 2] {
    ((x + ROUND).to_bits() as u16).to_le_bytes()
}

/// What one unit is worth, and its inverse, when the largest magnitude of a row becomes `limit`; zeros for a row of zeros.
#[inline(always)]
fn scales(row: &[f32], limit: f32) -> (f32, f32) {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let max = reduce(row, 0.0, |max, x| larger(max, x.abs()), larger);
    // Below this the inverse overflows; such a row is as good as zero.
    if max > 1e-30 { (max / limit, limit / max) } else { (0.0, 0.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_comes_back_within_half_a_unit(values in prop::collection::vec(-1e3_f32..1e3, 1..70)) {
            let n = values.len();
            let mut rows = Rows::default();
            rows.set(&[values.clone(), vec![0.5; n]].concat(), (2, n), n, Numbers::Bytes);
            let (scale, zero) = (rows.scales[0], rows.zeros[0] as f32);
            for (x, byte) in values.iter().zip(&rows.bytes) {
                let back = (f32::from(*byte) - zero) * scale;
                prop_assert!((x - back).abs() <= 0.501 * scale, "{x} became {back} in units of {scale}");
            }
            // A row's neighbours and the padding do not matter.
            let mut alone = Rows::default();
            alone.set(&values, (1, n), n, Numbers::Bytes);
            prop_assert_eq!(&alone.bytes[..], &rows.bytes[..rows.stride]);
            let mut words = vec![[0; 2]; n];
            let scale = words_of(&values, 5792.0, &mut words);
            for (x, word) in values.iter().zip(words) {
                prop_assert!((x - f32::from(i16::from_le_bytes(word)) * scale).abs() <= 0.501 * scale);
            }
            let mut bytes = vec![0; n];
            let scale = signed_bytes_of(&values, &mut bytes);
            for (x, byte) in values.iter().zip(bytes) {
                prop_assert!((x - f32::from(u8::cast_signed(byte)) * scale).abs() <= 0.5001 * scale);
            }
        }
    }

    #[test]
    fn by_hand() {
        let mut rows = Rows::default();
        rows.set(&[0.0, 2.0, -1.0, 0.01, -0.54, 0.0, 0.0, 0.0, 0.0, 0.0], (2, 5), 5, Numbers::Bytes);
        // A unit is 3/254, and -1 is 84.7 of them.
        assert_eq!(rows.bytes, [85, 254, 0, 86, 39, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!((rows.scales[0] - 3.0 / 254.0).abs() < 1e-9 && rows.scales[1] == 0.0);
        assert_eq!(rows.zeros, [85, 0]);
        // Of one sign, all of the range is theirs.
        rows.set(&[1.27, 2.54], (1, 2), 2, Numbers::Bytes);
        assert_eq!((&rows.bytes[..2], rows.zeros[0]), (&[127, 254][..], 0));
    }
}
