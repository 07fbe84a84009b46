//! Levenshtein distance and alignment, 64 cells of a column in a few machine operations.
//!
//! Columns are hypothesis tokens, rows reference tokens. `vp` and `vn` hold where a column's value grows or falls from
//! one row to the next. Source: Myers, "A fast bit-vector algorithm for approximate string matching based on dynamic
//! programming", J. ACM 46 (1999), in the form of Hyyrö, "Explaining and extending the bit-parallel approximate string
//! matching algorithm of Myers", 2001; bands after Ukkonen, "Algorithms for approximate string matching", 1985.

use std::ops::RangeInclusive;

use super::align::{Edit, without_common_ends};
use super::band::Band;
use super::pattern::{Pattern, WORD};
use super::traceback::Sink;

/// Tokens at the beginning of long sequences that the first bound is guessed from: an eighth, but in these limits.
const SAMPLE: RangeInclusive<usize> = 128..=1_024;
/// Least first bound that is tried on an unknown distance.
const FIRST_BOUND: usize = 64;

/// Working memory, reused from pair to pair.
#[derive(Debug, Default)]
pub(super) struct Aligner {
    pub(super) pattern: Pattern,
    /// The blocks of the current column.
    pub(super) column: Vec<Bits>,
    matrix: Vec<Bits>,
    /// The rows of each token, where all fit into one mask.
    masks: Vec<u64>,
    trace: Vec<Edit>,
}

/// 64 rows of one column: where the value grows (`vp`) and falls (`vn`) from row to row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits {
    pub(super) vp: u64,
    pub(super) vn: u64,
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
    pub(super) fn first_bound(&mut self, rows: &[u32], columns: &[u32]) -> usize {
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
    pub(super) fn align_short(&mut self, rows: &[u32], columns: &[u32], sink: &mut impl Sink) {
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
    pub(super) fn align(&mut self, rows: &[u32], columns: &[u32], bound: usize, sink: &mut impl Sink) {
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

    /// Computes the band's blocks, some columns at a time; calls `store(column, block, bits)` for each. Returns the value
    /// of the last cell: exact if within the band's bound, else at least as large as that.
    pub(super) fn run(&mut self, band: &Band, columns: &[u32], mut store: impl FnMut(usize, usize, Bits)) -> usize {
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
