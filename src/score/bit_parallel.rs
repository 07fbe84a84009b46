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
    /// The blocks of the current column.
    column: Vec<Bits>,
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

/// Columns that are computed at a time.
const GROUP: usize = 4;
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

    /// The same of a block below another. Takes and returns whether the value grows and whether it falls (1 or 0) from
    /// the column before to this one, at the end of the block above and at row `out` of this one.
    #[inline]
    fn step_below(&mut self, matches: u64, (grow_carry, fall_carry): (u64, u64), out: usize) -> (u64, u64) {
        let Self { vp, vn } = *self;
        let x = matches | fall_carry;
        let d0 = ((x & vp).wrapping_add(vp) ^ vp) | x | vn;
        let (hp, hn) = (vn | !(d0 | vp), d0 & vp);
        let (grows, falls) = (hp << 1 | grow_carry, hn << 1 | fall_carry);
        *self = Self { vp: falls | !(d0 | grows), vn: grows & d0 };
        (hp >> out & 1, hn >> out & 1)
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
        let mut bound = self.first_bound(rows, columns);
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

    /// The first bound that is tried on an unknown distance.
    fn first_bound(&mut self, rows: &[u32], columns: &[u32]) -> usize {
        FIRST_BOUND.max(2 * rows.len().abs_diff(columns.len())).max(self.expected(rows, columns))
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
        self.run(&band, columns, |column, block, bits| {
            let range = band.blocks(column);
            if range.contains(&block) {
                matrix[column * stride + block - range.start()] = bits;
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

    /// Computes the band's blocks, some columns at a time; calls `store(column, block, bits)` for each. Returns the value
    /// of the last cell: exact if within the band's bound, else at least as large as that.
    fn run(&mut self, band: &Band, columns: &[u32], mut store: impl FnMut(usize, usize, Bits)) -> usize {
        self.column.clear();
        let mut value = 0;
        let (groups, rest) = columns.as_chunks::<GROUP>();
        for (index, tokens) in groups.iter().enumerate() {
            value = self.run_columns(band, index * GROUP, tokens, value, &mut store);
        }
        for (index, token) in rest.iter().enumerate() {
            let column = groups.len() * GROUP + index;
            value = self.run_columns(band, column, std::array::from_ref(token), value, &mut store);
        }
        value
    }

    /// Computes some columns, block by block: a block of one column needs only the block above it and the one before
    /// it, so that the processor works at all columns at once. Takes and returns the value at the last block's end.
    #[inline]
    fn run_columns<const N: usize>(
        &mut self,
        band: &Band,
        column: usize,
        tokens: &[u32; N],
        mut value: usize,
        store: &mut impl FnMut(usize, usize, Bits),
    ) -> usize {
        // What is in the band of any of these columns is computed in all of them.
        let (first, last) = (*band.blocks(column).start(), *band.blocks(column + N - 1).end());
        let n_blocks = band.n_rows.div_ceil(WORD);
        // A block below the band begins as if it only grew: never less than the truth.
        if self.column.is_empty() {
            value = column;
        }
        while self.column.len() <= last {
            value += WORD.min(band.n_rows - self.column.len() * WORD);
            self.column.push(UNKNOWN);
        }
        let matches = self.pattern.matches(tokens, first, last);
        let mut carries = [(1, 0); N];
        let blocks = &mut self.column[first..=last];
        let last_row = if last + 1 == n_blocks { (band.n_rows - 1) % WORD } else { WORD - 1 };
        let (top, bottom) = blocks.split_at_mut(last - first);
        for (index, block) in top.iter_mut().enumerate() {
            for (at, carry) in carries.iter_mut().enumerate() {
                *carry = block.step_below(matches[at][index], *carry, WORD - 1);
                store(column + at, first + index, *block);
            }
        }
        for block in bottom {
            for (at, carry) in carries.iter_mut().enumerate() {
                *carry = block.step_below(matches[at][last - first], *carry, last_row);
                store(column + at, last, *block);
                value = value + usize::from(carry.0 == 1) - usize::from(carry.1 == 1);
            }
        }
        value
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
    Pair { rows: &'t [u32], columns: &'t [u32], distance: Option<usize> },
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
