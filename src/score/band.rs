//! The part of a matrix that is worth computing.

use std::ops::RangeInclusive;

use super::pattern::WORD;

/// The diagonals that an alignment with at most so many errors can touch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Band {
    pub(super) n_rows: usize,
    /// Insertions and deletions possible: the band's reach before and behind the diagonal, rows.
    up: usize,
    down: usize,
}

impl Band {
    /// The band for a distance of at most `bound`, which is at least the difference of the lengths.
    pub(super) fn new(n_rows: usize, n_columns: usize, bound: usize) -> Self {
        let spare = bound.saturating_sub(n_rows.abs_diff(n_columns)) / 2;
        Self { n_rows, up: n_columns.saturating_sub(n_rows) + spare, down: n_rows.saturating_sub(n_columns) + spare }
    }

    /// The blocks of one column, which counts from 0.
    pub(super) fn blocks(&self, column: usize) -> RangeInclusive<usize> {
        let first = column.saturating_sub(self.up).min(self.n_rows - 1);
        let last = (column + self.down).min(self.n_rows - 1);
        first / WORD..=last / WORD
    }

    /// Most blocks of any column.
    pub(super) fn stride(&self) -> usize {
        ((self.up + self.down) / WORD + 2).min(self.n_rows.div_ceil(WORD))
    }
}
