//! From the raw attention of some heads to one table of which token listened where. Source: openai/whisper `timing.py`,
//! `find_alignment` (20250625).

#![allow(
    clippy::inline_always,
    reason = "only what is inlined into a dispatch is compiled for the vector instructions that were found"
)]

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use crate::audio::Once;
use crate::infer::kernels::softmax;

/// Values of which a value becomes the median.
const FILTER_WIDTH: usize = 7;
const PADDING: usize = FILTER_WIDTH / 2;

/// How much each of some tokens listened at each position, `[rows.len(), n_used]`, the mean over the heads.
///
/// `scores` is `[n_heads, n_tokens, n_positions]`, before the softmax, of which the first `n_used` positions hold audio.
/// Every head is normalised over all tokens, so that positions which all tokens listen to do not count.
pub(super) fn table(
    mut scores: Vec<f32>,
    [n_tokens, n_positions]: [usize; 2],
    n_used: usize,
    rows: Range<usize>,
) -> Vec<f32> {
    let n_used = n_used.min(n_positions);
    if n_tokens == 0 || n_used == 0 {
        return Vec::new();
    }
    scores.par_chunks_exact_mut(n_tokens * n_positions).for_each(|head| {
        for row in 1..n_tokens {
            head.copy_within(row * n_positions..row * n_positions + n_used, row * n_used);
        }
        let head = &mut head[..n_tokens * n_used];
        softmax(head, n_used);
        normalise_columns(head, n_used);
    });
    let n_heads = scores.len() / (n_tokens * n_positions);
    let mut table = vec![0.0; rows.len() * n_used];
    table.par_chunks_exact_mut(n_used).zip(rows).for_each(|(sum, row)| {
        let mut padded = vec![0.0; n_used + 2 * PADDING];
        for head in scores.chunks_exact(n_tokens * n_positions) {
            add_filtered(sum, &head[row * n_used..(row + 1) * n_used], &mut padded);
        }
        for value in sum {
            *value /= n_heads as f32;
        }
    });
    table
}

/// The mean over the heads of how much each of some tokens listened at each position, `[rows.len(), n_used]`: shares that
/// add up to 1 for a token. Else as [`table`].
pub(super) fn shares(
    scores: &[f32],
    [n_tokens, n_positions]: [usize; 2],
    n_used: usize,
    rows: Range<usize>,
) -> Vec<f32> {
    let n_used = n_used.min(n_positions);
    let n_heads = scores.len().checked_div(n_tokens * n_positions).unwrap_or(0);
    let mut shares = vec![0.0; rows.len() * n_used];
    if shares.is_empty() {
        return shares;
    }
    shares.par_chunks_exact_mut(n_used).zip(rows).for_each(|(sum, row)| {
        let mut listened = vec![0.0; n_used];
        for head in scores.chunks_exact(n_tokens * n_positions) {
            listened.copy_from_slice(&head[row * n_positions..][..n_used]);
            softmax(&mut listened, n_used);
            sum.iter_mut().zip(&listened).for_each(|(sum, value)| *sum += value / n_heads as f32);
        }
    });
    shares
}

/// Brings every column of rows of `n` to mean 0 and variance 1; columns of equal values become 0.
fn normalise_columns(values: &mut [f32], n: usize) {
    let n_rows = (values.len() / n) as f32;
    let (mut mean, mut deviation) = (vec![0.0_f32; n], vec![0.0_f32; n]);
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            for row in values.chunks_exact(n) {
                for (mean, &value) in mean.iter_mut().zip(row) {
                    *mean += value;
                }
            }
            for mean in &mut mean {
                *mean /= n_rows;
            }
            for row in values.chunks_exact(n) {
                for ((sum, &mean), &value) in deviation.iter_mut().zip(&mean).zip(row) {
                    *sum += (value - mean) * (value - mean);
                }
            }
            for deviation in &mut deviation {
                let value = (*deviation / n_rows).sqrt();
                // Differs from openai/whisper, where a column without variance is not a number and spoils the path.
                *deviation = if value > 0.0 { value } else { f32::INFINITY };
            }
            for row in values.chunks_exact_mut(n) {
                for ((value, &mean), &deviation) in row.iter_mut().zip(&mean).zip(&deviation) {
                    *value = (*value - mean) / deviation;
                }
            }
        },
    );
}

/// Adds the median of every value's neighbourhood, which is reflected at the ends; rows too short for that are added as
/// they are. `padded` is longer by the padding on both sides.
fn add_filtered(sum: &mut [f32], row: &[f32], padded: &mut [f32]) {
    let n = row.len();
    if n <= PADDING {
        sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
        return;
    }
    padded[PADDING..PADDING + n].copy_from_slice(row);
    for distance in 1..=PADDING {
        padded[PADDING - distance] = row[distance];
        padded[PADDING + n - 1 + distance] = row[n - 1 - distance];
    }
    let once = Once;
    Arch::new().dispatch(
        #[inline(always)]
        move || {
            once.spend();
            let shifted: [&[f32]; FILTER_WIDTH] = std::array::from_fn(|shift| &padded[shift..shift + n]);
            for (index, sum) in sum.iter_mut().enumerate().take(n) {
                *sum += median(std::array::from_fn(|shift| shifted[shift][index]));
            }
        },
    );
}

/// The middle one of seven values, without branches: thirteen exchanges leave it in the middle.
#[inline(always)]
fn median(mut values: [f32; FILTER_WIDTH]) -> f32 {
    /// A sorting network without the exchanges that do not touch the middle.
    /// Source: N. Devillard, "Fast median search: an ANSI C implementation", 1998.
    const EXCHANGES: [(usize, usize); 13] =
        [(0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4)];
    for (low, high) in EXCHANGES {
        let (a, b) = (values[low], values[high]);
        (values[low], values[high]) = if a < b { (a, b) } else { (b, a) };
    }
    values[PADDING]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, in f64 and one value at a time.
    fn naive(scores: &[f32], [n_tokens, n_positions]: [usize; 2], n_used: usize, rows: Range<usize>) -> Vec<f64> {
        let heads: Vec<Vec<Vec<f64>>> = scores
            .chunks(n_tokens * n_positions)
            .map(|head| {
                let mut rows: Vec<Vec<f64>> = head
                    .chunks(n_positions)
                    .map(|row| {
                        let powers: Vec<f64> = row[..n_used].iter().map(|&x| f64::from(x).exp()).collect();
                        let sum: f64 = powers.iter().sum();
                        powers.iter().map(|power| power / sum).collect()
                    })
                    .collect();
                for column in 0..n_used {
                    let values: Vec<f64> = rows.iter().map(|row| row[column]).collect();
                    let mean = values.iter().sum::<f64>() / n_tokens as f64;
                    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n_tokens as f64;
                    for row in &mut rows {
                        row[column] = (row[column] - mean) / variance.sqrt();
                    }
                }
                rows
            })
            .collect();
        let filtered = |row: &[f64], column: usize| {
            if n_used <= 3 {
                return row[column];
            }
            let at = |place: usize| {
                // Before the first value comes the second, as in a mirror; likewise behind the last.
                let index = (column + place).abs_diff(3);
                row[if index < n_used { index } else { 2 * (n_used - 1) - index }]
            };
            let mut near: Vec<f64> = (0..7).map(at).collect();
            near.sort_by(f64::total_cmp);
            near[3]
        };
        rows.flat_map(|row| (0..n_used).map(move |column| (row, column)))
            .map(|(row, column)| {
                heads.iter().map(|head| filtered(&head[row], column)).sum::<f64>() / heads.len() as f64
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_median_is_the_middle_one(values in prop::array::uniform7(-4..=4_i8)) {
            let mut sorted = values;
            sorted.sort_unstable();
            let got = median(values.map(f32::from));
            prop_assert!((got - f32::from(sorted[3])).abs() < f32::EPSILON);
        }

        #[test]
        fn the_table_is_that_of_the_definition(
            n_heads in 1..4_usize, n_tokens in 3..7_usize, n_positions in 4..40_usize, unused in 0..3_usize,
            values in prop::collection::vec(-4.0..4.0_f32, 3 * 6 * 39),
        ) {
            let scores = &values[..n_heads * n_tokens * n_positions];
            let (shape, n_used) = ([n_tokens, n_positions], n_positions - unused);
            let expected = naive(scores, shape, n_used, 1..n_tokens - 1);
            let got = table(scores.to_vec(), shape, n_used, 1..n_tokens - 1);
            prop_assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(expected) {
                prop_assert!((f64::from(*got) - expected).abs() < 1e-3, "{} and {}", got, expected);
            }
        }
    }

    #[test]
    fn shares_are_the_mean_over_the_heads() {
        // Two heads, two tokens, three positions of which two are used.
        let scores = [0.0, 0.0, 9.0, 0.0, 3.0_f32.ln(), 9.0, 5.0, 5.0, 9.0, 1.0, 1.0, 9.0];
        let got = shares(&scores, [2, 3], 2, 0..2);
        for (got, expected) in got.iter().zip([0.5, 0.5, 0.375, 0.625]) {
            assert!((got - expected).abs() < 1e-6, "{got} and {expected}");
        }
        assert!(shares(&scores, [2, 3], 0, 0..2).is_empty());
    }

    #[test]
    fn equal_tokens_and_no_audio_give_numbers() {
        assert_eq!(table(vec![1.0; 24], [3, 8], 8, 1..3), [0.0; 16]);
        assert!(table(vec![1.0; 24], [3, 8], 0, 1..3).is_empty());
    }
}
