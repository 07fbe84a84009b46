//! Levenshtein distance and alignment, 64 cells of a column in a few machine operations.
//!
//! Columns are hypothesis tokens, rows reference tokens. `vp` and `vn` hold where a column's value grows or falls from
//! one row to the next. Source: Myers, "A fast bit-vector algorithm for approximate string matching based on dynamic
//! programming", J. ACM 46 (1999), in the form of Hyyrö, "Explaining and extending the bit-parallel approximate string
//! matching algorithm of Myers", 2001; bands after Ukkonen, "Algorithms for approximate string matching", 1985.

use std::ops::RangeInclusive;

use super::align::{Edit, EditCounts, without_common_ends};
use super::pattern::{Pattern, WORD};

/// A matrix of this many bytes or more is not stored: the pair is split in two after Hirschberg. The value, like the
/// two beside it in [`Aligner::counts`], is rapidfuzz's, so that the same pairs are split.
const MAX_MATRIX_BYTES: usize = 1 << 20;
/// Tokens at the beginning of long sequences that the first bound is guessed from: an eighth, but in these limits.
const SAMPLE: RangeInclusive<usize> = 128..=1_024;
/// Least first bound that is tried on an unknown distance.
const FIRST_BOUND: usize = 64;

/// Rows from which on a narrow band saves more than finding its width costs.
const MIN_BANDED: usize = 4 * WORD;

/// Working memory, reused from pair to pair.
#[derive(Debug, Default)]
pub(super) struct Aligner {
    pattern: Pattern,
    column: Vec<Block>,
    matrix: Vec<Bits>,
    /// The rows of each token, where all fit into one mask.
    masks: Vec<u64>,
    trace: Vec<Edit>,
}

/// 64 rows of one column: where the value grows (`vp`) and falls (`vn`) from row to row.
#[derive(Debug, Clone, Copy)]
struct Bits {
    vp: u64,
    vn: u64,
}

/// A block of the current column, and the value at its last row.
#[derive(Debug, Clone, Copy)]
struct Block {
    bits: Bits,
    value: usize,
}

const UNKNOWN: Bits = Bits { vp: !0, vn: 0 };

impl Bits {
    /// The next column of the first block, whose token stands in the rows of `matches`. Returns where the value grows
    /// and falls from column to column.
    #[inline]
    fn step(&mut self, matches: u64) -> (u64, u64) {
        let Self { vp, vn } = *self;
        let d0 = ((matches & vp).wrapping_add(vp) ^ vp) | matches | vn;
        let (hp, hn) = (vn | !(d0 | vp), d0 & vp);
        let (grows, falls) = (hp << 1 | 1, hn << 1);
        *self = Self { vp: falls | !(d0 | grows), vn: grows & d0 };
        (hp, hn)
    }
}

impl Aligner {
    /// Levenshtein distance.
    pub(super) fn distance(&mut self, reference: &[u32], hypothesis: &[u32]) -> usize {
        // The distance is symmetric, and the rows are the cheap direction.
        let (rows, columns) =
            if reference.len() <= hypothesis.len() { (reference, hypothesis) } else { (hypothesis, reference) };
        let (rows, columns, _) = without_common_ends(rows, columns);
        if rows.is_empty() {
            return columns.len();
        }
        if rows.len() <= WORD {
            return self.distance_short(rows, columns);
        }
        let most = rows.len().max(columns.len());
        let mut bound = FIRST_BOUND.max(2 * rows.len().abs_diff(columns.len())).max(self.expected(rows, columns));
        self.pattern.set(rows);
        loop {
            let band = Band::new(rows.len(), columns.len(), bound.min(most));
            let distance = self.run(&band, columns, |_, _, _| {});
            if distance <= bound.min(most) || bound >= most {
                return distance;
            }
            bound *= 2;
        }
    }

    /// A guess at the distance of long sequences, a quarter above what their beginnings have.
    fn expected(&mut self, rows: &[u32], columns: &[u32]) -> usize {
        let n = (rows.len() / 8).clamp(*SAMPLE.start(), *SAMPLE.end());
        if rows.len() < 4 * n || columns.len() < 4 * n {
            return 0;
        }
        self.pattern.set(&rows[..n]);
        let errors = self.run(&Band::new(n, n, n / 4), &columns[..n], |_, _, _| {});
        (errors + errors / 4) * rows.len() / n
    }

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
        let mut todo = vec![Part::Pair { rows: reference, columns: hypothesis, bound: usize::MAX }];
        while let Some(part) = todo.pop() {
            let (rows, columns, bound) = match part {
                Part::Hits(n) => {
                    sink.take(Edit::Hit, n);
                    continue;
                }
                Part::Pair { rows, columns, bound } => (rows, columns, bound),
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
            let bound = bound.min(rows.len().max(columns.len()));
            let full_band = rows.len().min(2 * bound + 1);
            let matrix_bytes = full_band.saturating_mul(columns.len()) / 4;
            if matrix_bytes < MAX_MATRIX_BYTES || rows.len() < WORD + 1 || columns.len() < 10 {
                if rows.len() <= WORD {
                    self.align_short(rows, columns, sink);
                } else {
                    // What lies farther from the diagonal than the distance allows is on no shortest alignment.
                    let bound = if rows.len() >= MIN_BANDED { self.distance(rows, columns) } else { bound };
                    self.align(rows, columns, bound, sink);
                }
                sink.take(Edit::Hit, n_suffix);
                continue;
            }
            let split = self.split(rows, columns);
            let (rows_left, rows_right) = rows.split_at(split.row);
            let (columns_left, columns_right) = columns.split_at(split.column);
            todo.push(Part::Hits(n_suffix));
            todo.push(Part::Pair { rows: rows_right, columns: columns_right, bound: split.right });
            todo.push(Part::Pair { rows: rows_left, columns: columns_left, bound: split.left });
        }
    }

    /// Where each token stands among at most 64 rows.
    fn set_short(&mut self, rows: &[u32], columns: &[u32]) {
        let most = rows.iter().chain(columns).max().map_or(0, |&token| token as usize + 1);
        self.masks.clear();
        self.masks.resize(most, 0);
        for (row, &token) in rows.iter().enumerate() {
            self.masks[token as usize] |= 1 << row;
        }
    }

    /// Levenshtein distance to at most 64 rows: one machine word a column.
    fn distance_short(&mut self, rows: &[u32], columns: &[u32]) -> usize {
        self.set_short(rows, columns);
        let last = 1 << (rows.len() - 1);
        let (mut bits, mut value) = (UNKNOWN, rows.len());
        for &token in columns {
            let (hp, hn) = bits.step(self.masks[token as usize]);
            value = value + usize::from(hp & last != 0) - usize::from(hn & last != 0);
        }
        value
    }

    /// The steps of an alignment with at most 64 rows.
    fn align_short(&mut self, rows: &[u32], columns: &[u32], sink: &mut impl Sink) {
        self.set_short(rows, columns);
        let mut matrix = std::mem::take(&mut self.matrix);
        matrix.clear();
        let mut bits = UNKNOWN;
        matrix.extend(columns.iter().map(|&token| {
            bits.step(self.masks[token as usize]);
            bits
        }));
        let at = |column: usize, row: usize| {
            let Bits { vp, vn }: Bits = matrix[column];
            Bits { vp: vp >> row & 1, vn: vn >> row & 1 }
        };
        sink.trace_back(&mut self.trace, rows, columns, at);
        self.matrix = matrix;
    }

    /// The steps of an alignment, from a stored matrix.
    fn align(&mut self, rows: &[u32], columns: &[u32], bound: usize, sink: &mut impl Sink) {
        let band = Band::new(rows.len(), columns.len(), bound);
        let stride = band.stride();
        let mut matrix = std::mem::take(&mut self.matrix);
        matrix.clear();
        matrix.resize(stride * columns.len(), UNKNOWN);
        self.pattern.set(rows);
        self.run(&band, columns, |column, first, blocks| {
            for (stored, block) in matrix[column * stride..].iter_mut().zip(&blocks[first..]) {
                *stored = block.bits;
            }
        });
        let bits = |column: usize, row: usize| {
            let first = *band.blocks(column).start();
            (row / WORD).checked_sub(first).filter(|block| *block < stride).map_or(UNKNOWN, |block| {
                let Bits { vp, vn } = matrix[column * stride + block];
                Bits { vp: vp >> (row % WORD) & 1, vn: vn >> (row % WORD) & 1 }
            })
        };
        sink.trace_back(&mut self.trace, rows, columns, bits);
        self.matrix = matrix;
    }

    /// Where a shortest alignment passes the middle column; the first such row, though not before the first token.
    fn split(&mut self, rows: &[u32], columns: &[u32]) -> Split {
        let distance = self.distance(rows, columns);
        let band = Band::new(rows.len(), columns.len(), distance);
        let column = columns.len() / 2;
        let left = self.values_after(&band, rows, &columns[..column]);
        let reversed = |tokens: &[u32]| tokens.iter().rev().copied().collect::<Vec<_>>();
        let right = self.values_after(&band, &reversed(rows), &reversed(&columns[column..]));
        let total = |row: usize| left[row].saturating_add(right[rows.len() - row]);
        // rapidfuzz never splits before the first row; only where every shortest alignment does, so do we.
        let row = (1..=rows.len()).find(|&row| total(row) == distance).unwrap_or(0);
        Split { row, column, left: left[row], right: right[rows.len() - row] }
    }

    /// The last column's value at every row, from 0 rows on; `usize::MAX` outside the band.
    fn values_after(&mut self, band: &Band, rows: &[u32], columns: &[u32]) -> Vec<usize> {
        let mut values = vec![usize::MAX; rows.len() + 1];
        self.pattern.set(rows);
        let last_column = columns.len() - 1;
        self.run(band, columns, |column, first, blocks| {
            if column != last_column {
                return;
            }
            for (index, block) in blocks.iter().enumerate().skip(first) {
                let end = rows.len().min((index + 1) * WORD);
                let mut value = block.value;
                for row in (index * WORD..end).rev() {
                    values[row + 1] = value;
                    let bit = row % WORD;
                    value =
                        value + usize::from(block.bits.vn >> bit & 1 == 1) - usize::from(block.bits.vp >> bit & 1 == 1);
                }
                if index == 0 {
                    values[0] = value;
                }
            }
        });
        values
    }

    /// Computes the band's blocks column by column; calls `each(column, first_block, blocks)` after every column, with
    /// the blocks up to the band's last one. Returns the value of the last cell: exact if within the band's bound,
    /// else at least as large as that.
    fn run(&mut self, band: &Band, columns: &[u32], mut each: impl FnMut(usize, usize, &[Block])) -> usize {
        let n_rows = band.n_rows;
        let n_blocks = n_rows.div_ceil(WORD);
        let last_row = (n_rows - 1) % WORD;
        let blocks = &mut self.column;
        blocks.clear();
        for (column, &token) in columns.iter().enumerate() {
            let range = band.blocks(column);
            let (first, last) = (*range.start(), *range.end());
            // A block below the band begins as if it only grew: never less than the truth.
            while blocks.len() <= last {
                let above = blocks.last().map_or(column, |block| block.value);
                let n_new = WORD.min(n_rows - blocks.len() * WORD);
                blocks.push(Block { bits: UNKNOWN, value: above + n_new });
            }
            let mut matches = self.pattern.matches(token, first);
            let (mut grow_carry, mut fall_carry) = (1, 0);
            for (index, block) in blocks.iter_mut().enumerate().skip(first) {
                let x = matches.at(index) | fall_carry;
                let Bits { vp, vn } = block.bits;
                let d0 = ((x & vp).wrapping_add(vp) ^ vp) | x | vn;
                let (hp, hn) = (vn | !(d0 | vp), d0 & vp);
                let out = if index + 1 == n_blocks { last_row } else { WORD - 1 };
                let (grows, falls) = (hp << 1 | grow_carry, hn << 1 | fall_carry);
                (grow_carry, fall_carry) = (hp >> out & 1, hn >> out & 1);
                block.bits = Bits { vp: falls | !(d0 | grows), vn: grows & d0 };
                block.value = block.value + usize::from(grow_carry == 1) - usize::from(fall_carry == 1);
            }
            each(column, first, blocks);
        }
        blocks.last().map_or(columns.len(), |block| block.value)
    }
}

struct Split {
    row: usize,
    column: usize,
    /// Distances of the two halves.
    left: usize,
    right: usize,
}

/// What is left to align.
enum Part<'t> {
    Pair { rows: &'t [u32], columns: &'t [u32], bound: usize },
    Hits(usize),
}

/// Takes the steps of an alignment in order.
trait Sink {
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

/// The diagonals that an alignment with at most so many errors can touch.
#[derive(Debug, Clone, Copy)]
struct Band {
    n_rows: usize,
    /// Insertions and deletions possible: the band's reach before and behind the diagonal, rows.
    up: usize,
    down: usize,
}

impl Band {
    /// The band for a distance of at most `bound`, which is at least the difference of the lengths.
    fn new(n_rows: usize, n_columns: usize, bound: usize) -> Self {
        let spare = bound.saturating_sub(n_rows.abs_diff(n_columns)) / 2;
        Self { n_rows, up: n_columns.saturating_sub(n_rows) + spare, down: n_rows.saturating_sub(n_columns) + spare }
    }

    /// The blocks of one column, which counts from 0.
    fn blocks(&self, column: usize) -> RangeInclusive<usize> {
        let first = column.saturating_sub(self.up).min(self.n_rows - 1);
        let last = (column + self.down).min(self.n_rows - 1);
        first / WORD..=last / WORD
    }

    /// Most blocks of any column.
    fn stride(&self) -> usize {
        ((self.up + self.down) / WORD + 2).min(self.n_rows.div_ceil(WORD))
    }
}
