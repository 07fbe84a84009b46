//! Dynamic time warping: the cheapest monotone way through two sequences, and what is counted along it.

use std::ops::Add;

/// Sums `tally` along the cheapest way from the first pair of frames to the last.
///
/// The way goes one row on, one column on, or both; its cost is the sum of its cells, which `costs` writes for a row at
/// a time. Of equal ways the diagonal one is taken, then the one along the row. Source: Sakoe and Chiba, IEEE Trans.
/// ASSP 26 (1978), the unweighted steps and ties of librosa 1.0 `sequence.dtw`. Two rows are held, never the table.
pub(super) fn along_cheapest_way<T: Copy + Default + Add<Output = T>>(
    n_rows: usize,
    n_columns: usize,
    mut costs: impl FnMut(usize, &mut [f64]),
    tally: impl Fn(usize, usize) -> T,
) -> T {
    let border = (f64::INFINITY, T::default());
    // Column 0 is the border.
    let mut above = vec![border; n_columns + 1];
    let mut below = above.clone();
    above[0].0 = 0.0;
    let mut cost = vec![0.0; n_columns];
    for row in 0..n_rows {
        costs(row, &mut cost);
        let mut left = border;
        for (column, &cost) in cost.iter().enumerate() {
            let mut best = above[column];
            if left.0 < best.0 {
                best = left;
            }
            if above[column + 1].0 < best.0 {
                best = above[column + 1];
            }
            left = (best.0 + cost, best.1 + tally(row, column));
            below[column + 1] = left;
        }
        std::mem::swap(&mut above, &mut below);
        above[0] = border;
    }
    above[n_columns].1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All ways, one by one: cost and length of the cheapest.
    fn cheapest(costs: &[Vec<f64>], row: usize, column: usize) -> f64 {
        let cost = costs[row][column];
        if (row, column) == (0, 0) {
            return cost;
        }
        let mut best = f64::INFINITY;
        if row > 0 && column > 0 {
            best = best.min(cheapest(costs, row - 1, column - 1));
        }
        if row > 0 {
            best = best.min(cheapest(costs, row - 1, column));
        }
        if column > 0 {
            best = best.min(cheapest(costs, row, column - 1));
        }
        cost + best
    }

    #[derive(Debug, Clone, Copy, Default, PartialEq)]
    struct Sum(f64);

    impl Add for Sum {
        type Output = Self;
        fn add(self, other: Self) -> Self {
            Self(self.0 + other.0)
        }
    }

    proptest! {
        #[test]
        fn the_way_is_the_cheapest_of_all(values in prop::collection::vec(0.0..1.0_f64, 25), n in 1..6_usize, m in 1..6_usize) {
            let costs: Vec<Vec<f64>> = values.chunks(5).map(<[f64]>::to_vec).collect();
            let fill = |row: usize, cost: &mut [f64]| cost.copy_from_slice(&costs[row][..m]);
            let got = along_cheapest_way(n, m, fill, |row, column| Sum(costs[row][column]));
            prop_assert!((got.0 - cheapest(&costs, n - 1, m - 1)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_stretched_sequence_costs_nothing() {
        let (left, right) = ([1.0, 2.0, 3.0], [1.0, 1.0, 2.0, 3.0, 3.0, 3.0]);
        let fill = |row: usize, cost: &mut [f64]| {
            for (cost, right) in cost.iter_mut().zip(right) {
                *cost = f64::abs(left[row] - right);
            }
        };
        assert_eq!(along_cheapest_way(3, 6, fill, |row, column| Sum(f64::abs(left[row] - right[column]))), Sum(0.0));
        assert_eq!(along_cheapest_way(3, 6, fill, |_, _| Sum(1.0)), Sum(6.0));
    }
}
