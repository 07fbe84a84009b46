//! Dynamic time warping: the cheapest monotone way through a table of costs.

/// Where the cheapest path came from.
const DIAGONAL: u8 = 0;
const ABOVE: u8 = 1;
const LEFT: u8 = 2;

/// The first column that the cheapest path touches in each row of `costs`, `[n_rows, n_columns]`.
///
/// The path goes from the first cell to the last, each step one row down, one column right, or both. Its cost is the
/// sum of its cells. Source: openai/whisper `timing.py`, `dtw_cpu`, with its preference for the left on a tie.
///
/// Differs from openai/whisper: where the diagonal and the cell above tie, the left is not taken if it costs more.
pub(super) fn first_columns(costs: &[f32], n_columns: usize) -> Vec<usize> {
    let n_rows = costs.len().checked_div(n_columns).unwrap_or(0);
    if n_rows == 0 {
        return Vec::new();
    }
    let mut steps = vec![LEFT; n_rows * n_columns];
    // Sums of the row above and of this row; column 0 is the border.
    let mut above = vec![f32::INFINITY; n_columns + 1];
    let mut sums = above.clone();
    let mut best = vec![0.0; n_columns];
    above[0] = 0.0;
    for (costs, steps) in costs.chunks_exact(n_columns).zip(steps.chunks_exact_mut(n_columns)) {
        // Three loops: only the middle one, which runs along the row, cannot be vectorised.
        for (best, pair) in best.iter_mut().zip(above.windows(2)) {
            *best = if pair[0] < pair[1] { pair[0] } else { pair[1] };
        }
        let mut left = f32::INFINITY;
        for ((sum, &best), &cost) in sums[1..].iter_mut().zip(&best).zip(costs) {
            left = cost + if best < left { best } else { left };
            *sum = left;
        }
        for (((step, pair), &left), &best) in steps.iter_mut().zip(above.windows(2)).zip(&sums).zip(&best) {
            let down = if pair[0] < pair[1] { DIAGONAL } else { ABOVE };
            *step = if best < left { down } else { LEFT };
        }
        std::mem::swap(&mut above, &mut sums);
        above[0] = f32::INFINITY;
        sums[0] = f32::INFINITY;
    }
    trace(&steps, n_rows, n_columns)
}

/// Follows the steps back from the last cell.
fn trace(steps: &[u8], n_rows: usize, n_columns: usize) -> Vec<usize> {
    let mut first = vec![0; n_rows];
    let (mut row, mut column) = (n_rows - 1, n_columns - 1);
    loop {
        first[row] = column;
        let step = match (row, column) {
            (0, 0) => return first,
            (0, _) => LEFT,
            (_, 0) => ABOVE,
            _ => steps[row * n_columns + column],
        };
        row -= usize::from(step != LEFT);
        column -= usize::from(step != ABOVE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The least cost of all paths from the first cell to this one, by the definition.
    fn least(costs: &[f32], n_columns: usize, row: usize, column: usize) -> f32 {
        let before =
            match (row, column) {
                (0, 0) => 0.0,
                (0, _) => least(costs, n_columns, 0, column - 1),
                (_, 0) => least(costs, n_columns, row - 1, 0),
                _ => least(costs, n_columns, row - 1, column - 1)
                    .min(least(costs, n_columns, row - 1, column))
                    .min(least(costs, n_columns, row, column - 1)),
            };
        before + costs[row * n_columns + column]
    }

    /// The least cost of a path that enters each row at these columns: it leaves a row in the column where it enters
    /// the next one, or one before.
    fn cost_through(costs: &[f32], n_columns: usize, first: &[usize]) -> f32 {
        let row_sum =
            |row: usize, to: usize| -> f32 { costs[row * n_columns + first[row]..=row * n_columns + to].iter().sum() };
        let last = first.len() - 1;
        let down = (0..last).map(|row| {
            let next = first[row + 1];
            let straight = row_sum(row, next);
            if next > first[row] { straight.min(row_sum(row, next - 1)) } else { straight }
        });
        down.sum::<f32>() + row_sum(last, n_columns - 1)
    }

    proptest! {
        #[test]
        fn the_path_costs_as_little_as_any(
            n_rows in 1..6_usize, n_columns in 1..7_usize, values in prop::collection::vec(-8..=8_i8, 42),
        ) {
            let costs: Vec<f32> = values[..n_rows * n_columns].iter().map(|&v| f32::from(v) / 4.0).collect();
            let first = first_columns(&costs, n_columns);
            prop_assert_eq!(first.len(), n_rows);
            prop_assert_eq!(first[0], 0);
            prop_assert!(first.is_sorted() && first[n_rows - 1] < n_columns);
            // Quarters add up exactly.
            let expected = least(&costs, n_columns, n_rows - 1, n_columns - 1);
            prop_assert!((cost_through(&costs, n_columns, &first) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn worked_by_hand() {
        #[rustfmt::skip]
        let costs = [
            -1.0, -1.0,  1.0,  1.0,
             1.0,  1.0, -1.0,  1.0,
             1.0,  1.0,  1.0, -1.0,
        ];
        assert_eq!(first_columns(&costs, 4), [0, 2, 3]);
        assert_eq!(first_columns(&[1.0, 1.0, 1.0], 1), [0, 0, 0]);
        assert_eq!(first_columns(&[1.0, 1.0, 1.0], 3), [0]);
        assert!(first_columns(&[], 3).is_empty() && first_columns(&[], 0).is_empty());
    }

    #[test]
    fn values_that_are_not_numbers_still_make_a_path() {
        let mut costs = vec![f32::NAN; 20];
        costs[7] = f32::INFINITY;
        let first = first_columns(&costs, 5);
        assert!(first.len() == 4 && first.is_sorted() && first[0] == 0);
    }
}
