//! The greatest and the least of many values in every lane, by sorting networks.
//!
//! What is computed is written for given vectors: where the compiler finds them, it stores under masks what is only
//! sometimes greater, which takes ten times as long.

#![allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]

use pulp::{Arch, Simd, WithSimd};

use super::spectral::Lanes;
use super::stft::LANES;

/// Most values that a mean is taken of.
pub(super) const MAX_EXTREMES: usize = 32;

/// Means of the `n` greatest and of the `n` least values of every lane; of all, if there are fewer.
pub(super) fn extremes(values: &[Lanes], n: usize) -> (Lanes, Lanes) {
    let arch = Arch::new();
    match n.min(values.len()) {
        n @ 0..=4 => arch.dispatch(Extremes::<4> { values, n }),
        n @ 5..=8 => arch.dispatch(Extremes::<8> { values, n }),
        n @ 9..=16 => arch.dispatch(Extremes::<16> { values, n }),
        n => arch.dispatch(Extremes::<MAX_EXTREMES> { values, n: n.min(MAX_EXTREMES) }),
    }
}

/// Keeps the `K` greatest and the `K` least, sorted, and takes up `K` values at a time.
struct Extremes<'v, const K: usize> {
    values: &'v [Lanes],
    n: usize,
}

impl<const K: usize> WithSimd for Extremes<'_, K> {
    type Output = (Lanes, Lanes);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let (mut greatest, mut least) = ([0.0; LANES], [0.0; LANES]);
        let scale = simd.splat_f32s(1.0 / self.n.max(1) as f32);
        let columns = S::as_mut_simd_f32s(&mut greatest).0.iter_mut().zip(S::as_mut_simd_f32s(&mut least).0);
        for (column, (greatest, least)) in columns.enumerate() {
            let (mut high, mut low) = ([simd.splat_f32s(f32::MIN); K], [simd.splat_f32s(f32::MAX); K]);
            let (runs, rest) = self.values.as_chunks::<K>();
            for run in runs {
                let run = sorted(simd, run, column, f32::MAX);
                keep_greatest(simd, &mut high, &run);
                keep_least(simd, &mut low, &run);
            }
            if !rest.is_empty() {
                keep_greatest(simd, &mut high, &sorted(simd, rest, column, f32::MIN));
                keep_least(simd, &mut low, &sorted(simd, rest, column, f32::MAX));
            }
            let (mut high_sum, mut low_sum) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            for (high, low) in high.iter().rev().zip(&low).take(self.n) {
                (high_sum, low_sum) = (simd.add_f32s(high_sum, *high), simd.add_f32s(low_sum, *low));
            }
            (*greatest, *least) = (simd.mul_f32s(high_sum, scale), simd.mul_f32s(low_sum, scale));
        }
        (greatest, least)
    }
}

/// A column of at most `K` rows and `filler` for the missing ones, in rising order. Source: Batcher, "Sorting networks
/// and their applications", 1968.
#[inline(always)]
fn sorted<S: Simd, const K: usize>(simd: S, rows: &[Lanes], column: usize, filler: f32) -> [S::f32s; K] {
    let mut values = [simd.splat_f32s(filler); K];
    for (value, row) in values.iter_mut().zip(rows) {
        *value = S::as_simd_f32s(row).0[column];
    }
    flip::<S, K, 2>(simd, &mut values);
    if K >= 4 {
        flip::<S, K, 4>(simd, &mut values);
        clean::<S, K, 1>(simd, &mut values);
    }
    if K >= 8 {
        flip::<S, K, 8>(simd, &mut values);
        clean::<S, K, 2>(simd, &mut values);
        clean::<S, K, 1>(simd, &mut values);
    }
    if K >= 16 {
        flip::<S, K, 16>(simd, &mut values);
        clean::<S, K, 4>(simd, &mut values);
        clean::<S, K, 2>(simd, &mut values);
        clean::<S, K, 1>(simd, &mut values);
    }
    if K >= 32 {
        flip::<S, K, 32>(simd, &mut values);
        clean::<S, K, 8>(simd, &mut values);
        clean::<S, K, 4>(simd, &mut values);
        clean::<S, K, 2>(simd, &mut values);
        clean::<S, K, 1>(simd, &mut values);
    }
    values
}

/// Of two sorted runs, the greater half, sorted.
#[inline(always)]
fn keep_greatest<S: Simd, const K: usize>(simd: S, kept: &mut [S::f32s; K], run: &[S::f32s; K]) {
    for (kept, value) in kept.iter_mut().zip(run.iter().rev()) {
        *kept = simd.max_f32s(*kept, *value);
    }
    merge(simd, kept);
}

/// Of two sorted runs, the lesser half, sorted.
#[inline(always)]
fn keep_least<S: Simd, const K: usize>(simd: S, kept: &mut [S::f32s; K], run: &[S::f32s; K]) {
    for (kept, value) in kept.iter_mut().zip(run.iter().rev()) {
        *kept = simd.min_f32s(*kept, *value);
    }
    merge(simd, kept);
}

/// Sorts what rises and then falls, or falls and then rises.
#[inline(always)]
fn merge<S: Simd, const K: usize>(simd: S, values: &mut [S::f32s; K]) {
    if K >= 32 {
        clean::<S, K, 16>(simd, values);
    }
    if K >= 16 {
        clean::<S, K, 8>(simd, values);
    }
    if K >= 8 {
        clean::<S, K, 4>(simd, values);
    }
    clean::<S, K, 2>(simd, values);
    clean::<S, K, 1>(simd, values);
}

/// Exchanges the first with the last, the second with the last but one, .. of every `SIZE` values that are out of order.
#[inline(always)]
fn flip<S: Simd, const K: usize, const SIZE: usize>(simd: S, values: &mut [S::f32s; K]) {
    let half = SIZE / 2;
    for index in 0..K / 2 {
        let (block, offset) = (index / half * SIZE, index % half);
        exchange(simd, values, block + offset, block + SIZE - 1 - offset);
    }
}

/// Exchanges values that are `APART` apart and out of order, in blocks of twice as many.
#[inline(always)]
fn clean<S: Simd, const K: usize, const APART: usize>(simd: S, values: &mut [S::f32s; K]) {
    for index in 0..K / 2 {
        let first = index / APART * 2 * APART + index % APART;
        exchange(simd, values, first, first + APART);
    }
}

#[inline(always)]
fn exchange<S: Simd, const K: usize>(simd: S, values: &mut [S::f32s; K], first: usize, second: usize) {
    let (a, b) = (values[first], values[second]);
    (values[first], values[second]) = (simd.min_f32s(a, b), simd.max_f32s(a, b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_extremes_are_those_of_the_sorted_values() {
        let mut random = 1_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Few different values, so that many are equal.
            (random >> 24) as f32 / 16.0
        };
        for n_values in [1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 100, 727] {
            let values: Vec<Lanes> = (0..n_values).map(|_| std::array::from_fn(|_| next())).collect();
            for n in [1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 20, 32] {
                let (high, low) = extremes(&values, n);
                let n = n.min(n_values);
                let scalar = Arch::Scalar.dispatch(Extremes::<32> { values: &values, n });
                for lane in 0..LANES {
                    let mut sorted: Vec<f32> = values.iter().map(|row| row[lane]).collect();
                    sorted.sort_by(f32::total_cmp);
                    let mean = |part: &[f32]| part.iter().sum::<f32>() / n as f32;
                    let want = (mean(&sorted[n_values - n..]), mean(&sorted[..n]));
                    for got in [(high[lane], low[lane]), (scalar.0[lane], scalar.1[lane])] {
                        let off = (got.0 - want.0).abs().max((got.1 - want.1).abs());
                        assert!(off < 1e-5, "{n} of {n_values}: {got:?}, not {want:?}");
                    }
                }
            }
        }
        assert_eq!(extremes(&[], 3), ([0.0; LANES], [0.0; LANES]));
    }
}
