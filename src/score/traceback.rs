//! The way back through a stored matrix, from the last cell to the first.

use super::align::{Edit, EditCounts};
use super::bit_parallel::Bits;

/// Takes the steps of an alignment in order.
pub(super) trait Sink {
    /// `n` equal steps.
    fn take(&mut self, edit: Edit, n: usize);

    /// The steps of one stored matrix; `bits(column, row)` are those of one cell.
    fn trace_back(&mut self, trace: &mut Vec<Edit>, rows: &[u32], columns: &[u32], bits: impl Fn(usize, usize) -> Bits);
}

impl Sink for EditCounts {
    fn take(&mut self, edit: Edit, n: usize) {
        match edit {
            Edit::Hit => self.hits += n,
            Edit::Substitution => self.substitutions += n,
            Edit::Deletion => self.deletions += n,
            Edit::Insertion => self.insertions += n,
        }
    }

    fn trace_back(&mut self, _: &mut Vec<Edit>, rows: &[u32], columns: &[u32], bits: impl Fn(usize, usize) -> Bits) {
        trace_back(rows, columns, bits, |edit, n| self.take(edit, n));
    }
}

impl Sink for Vec<Edit> {
    fn take(&mut self, edit: Edit, n: usize) {
        self.extend(std::iter::repeat_n(edit, n));
    }

    fn trace_back(
        &mut self,
        trace: &mut Vec<Edit>,
        rows: &[u32],
        columns: &[u32],
        bits: impl Fn(usize, usize) -> Bits,
    ) {
        trace.clear();
        trace_back(rows, columns, bits, |edit, n| trace.take(edit, n));
        self.extend(trace.iter().rev());
    }
}

/// Walks a shortest alignment from its end. `bits(column, row)` are those of one cell.
fn trace_back(rows: &[u32], columns: &[u32], bits: impl Fn(usize, usize) -> Bits, mut take: impl FnMut(Edit, usize)) {
    let (mut row, mut column) = (rows.len(), columns.len());
    while row > 0 && column > 0 {
        if bits(column - 1, row - 1).vp == 1 {
            row -= 1;
            take(Edit::Deletion, 1);
            continue;
        }
        column -= 1;
        if column > 0 && bits(column - 1, row - 1).vn == 1 {
            take(Edit::Insertion, 1);
            continue;
        }
        row -= 1;
        take(if rows[row] == columns[column] { Edit::Hit } else { Edit::Substitution }, 1);
    }
    take(Edit::Deletion, row);
    take(Edit::Insertion, column);
}
