//! The alignment that rapidfuzz chooses; what is too large to be stored is split in two.
//!
//! Source: Hirschberg, "A linear space algorithm for computing maximal common subsequences", CACM 18 (1975).

use super::align::{Edit, EditCounts, without_common_ends};
use super::band::Band;
use super::bit_parallel::{Aligner, Bits};
use super::pattern::WORD;
use super::traceback::Sink;

/// A matrix of this many bytes or more is not stored: the pair is split in two after Hirschberg. The value, like the
/// two beside it in [`Aligner::counts`], is rapidfuzz's, so that the same pairs are split.
const MAX_MATRIX_BYTES: usize = 1 << 20;
/// Rows from which on a narrow band saves more than finding its width costs.
const MIN_BANDED: usize = 4 * WORD;

struct Split {
    row: usize,
    column: usize,
    /// Distances of the two halves.
    left: usize,
    right: usize,
}

/// What is left to align.
enum Part<'t> {
    Pair { rows: &'t [u32], columns: &'t [u32], distance: Option<usize> },
    Hits(usize),
}

impl Aligner {
    /// Edit counts, by the alignment that rapidfuzz chooses.
    pub(super) fn counts(&mut self, reference: &[u32], hypothesis: &[u32]) -> EditCounts {
        let mut counts = EditCounts::default();
        self.walk(reference, hypothesis, &mut counts);
        counts
    }

    /// The alignment that rapidfuzz chooses, one step a token from the beginning on.
    pub(super) fn steps(&mut self, reference: &[u32], hypothesis: &[u32]) -> Vec<Edit> {
        let mut steps = Vec::with_capacity(reference.len().max(hypothesis.len()));
        self.walk(reference, hypothesis, &mut steps);
        steps
    }

    /// Gives the steps of the alignment to the sink.
    fn walk(&mut self, reference: &[u32], hypothesis: &[u32], sink: &mut impl Sink) {
        let mut todo = vec![Part::Pair { rows: reference, columns: hypothesis, distance: None }];
        while let Some(part) = todo.pop() {
            let (rows, columns, known) = match part {
                Part::Hits(n) => {
                    sink.take(Edit::Hit, n);
                    continue;
                }
                Part::Pair { rows, columns, distance } => (rows, columns, distance),
            };
            let n_prefix = rows.iter().zip(columns).take_while(|(row, column)| row == column).count();
            let (rows, columns, n_equal) = without_common_ends(rows, columns);
            sink.take(Edit::Hit, n_prefix);
            let n_suffix = n_equal - n_prefix;
            if rows.is_empty() || columns.is_empty() {
                sink.take(Edit::Deletion, rows.len());
                sink.take(Edit::Insertion, columns.len());
                sink.take(Edit::Hit, n_suffix);
                continue;
            }
            let bound = known.unwrap_or(usize::MAX).min(rows.len().max(columns.len()));
            let full_band = rows.len().min(2 * bound + 1);
            let matrix_bytes = full_band.saturating_mul(columns.len()) / 4;
            if matrix_bytes < MAX_MATRIX_BYTES || rows.len() < WORD + 1 || columns.len() < 10 {
                if rows.len() <= WORD {
                    self.align_short(rows, columns, sink);
                } else {
                    // What lies farther from the diagonal than the distance allows is on no shortest alignment.
                    let is_found = known.is_none() && rows.len() >= MIN_BANDED;
                    let bound = if is_found { self.distance(rows, columns) } else { bound };
                    self.align(rows, columns, bound, sink);
                }
                sink.take(Edit::Hit, n_suffix);
                continue;
            }
            let split = self.split(rows, columns, known);
            let (rows_left, rows_right) = rows.split_at(split.row);
            let (columns_left, columns_right) = columns.split_at(split.column);
            todo.push(Part::Hits(n_suffix));
            todo.push(Part::Pair { rows: rows_right, columns: columns_right, distance: Some(split.right) });
            todo.push(Part::Pair { rows: rows_left, columns: columns_left, distance: Some(split.left) });
        }
    }

    /// Where a shortest alignment passes the middle column; the first such row, though not before the first token. The
    /// distance is the bound, if that is known.
    fn split(&mut self, rows: &[u32], columns: &[u32], known: Option<usize>) -> Split {
        let most = rows.len().max(columns.len());
        let mut bound = known.unwrap_or_else(|| self.first_bound(rows, columns));
        let column = columns.len() / 2;
        let reversed = |tokens: &[u32]| tokens.iter().rev().copied().collect::<Vec<_>>();
        let (rows_back, columns_back) = (reversed(rows), reversed(&columns[column..]));
        loop {
            let band = Band::new(rows.len(), columns.len(), bound.min(most));
            let left = self.values_after(&band, rows, &columns[..column]);
            let right = self.values_after(&band, &rows_back, &columns_back);
            let total = |row: usize| left[row].saturating_add(right[rows.len() - row]);
            let distance = (0..=rows.len()).map(total).min().unwrap_or(0);
            if distance <= bound || bound >= most {
                // rapidfuzz never splits before the first row; only where every shortest alignment does, so do we.
                let row = (1..=rows.len()).find(|&row| total(row) == distance).unwrap_or(0);
                return Split { row, column, left: left[row], right: right[rows.len() - row] };
            }
            bound *= 2;
        }
    }

    /// The last column's value at every row, from 0 rows on; `usize::MAX` outside the band.
    fn values_after(&mut self, band: &Band, rows: &[u32], columns: &[u32]) -> Vec<usize> {
        let mut values = vec![usize::MAX; rows.len() + 1];
        self.pattern.set(rows);
        let mut value = self.run(band, columns, |_, _, _| {});
        let first = *band.blocks(columns.len() - 1).start() * WORD;
        let end = rows.len().min(self.column.len() * WORD);
        values[end] = value;
        for row in (first..end).rev() {
            let (Bits { vp, vn }, bit) = (self.column[row / WORD], row % WORD);
            value = value + usize::from(vn >> bit & 1 == 1) - usize::from(vp >> bit & 1 == 1);
            if row > first || first == 0 {
                values[row] = value;
            }
        }
        values
    }
}
