//! Levenshtein distance and alignment, 64 cells of a column in a few machine operations.
//!
//! Columns are hypothesis tokens, rows reference tokens. `vp` and `vn` hold where a column's value grows or falls from
//! one row to the next. Source: Myers, "A fast bit-vector algorithm for approximate string matching based on dynamic
//! programming", J. ACM 46 (1999), in the form of Hyyrö, "Explaining and extending the bit-parallel approximate string
//! matching algorithm of Myers", 2001; bands after Ukkonen, "Algorithms for approximate string matching", 1985.

use std::ops::RangeInclusive;

use super::align::{EditCounts, without_common_ends};

const WORD: usize = 64;
/// A matrix of this many bytes or more is not stored: the pair is split in two after Hirschberg. The value, like the
/// two beside it in [`Aligner::counts`], is rapidfuzz's, so that the same pairs are split.
const MAX_MATRIX_BYTES: usize = 1 << 20;
/// First bound that is tried on an unknown distance.
const FIRST_BOUND: usize = 64;

/// Working memory, reused from pair to pair.
#[derive(Debug, Default)]
pub(super) struct Aligner {
    pattern: Pattern,
    column: Vec<Block>,
    matrix: Vec<Bits>,
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
        let most = rows.len().max(columns.len());
        let mut bound = if rows.len() <= WORD { most } else { FIRST_BOUND.max(2 * rows.len().abs_diff(columns.len())) };
        self.pattern.set(rows);
        loop {
            let band = Band::new(rows.len(), columns.len(), bound.min(most));
            let distance = self.run(&band, columns, |_, _, _| {});
            if distance <= bound.min(most) || bound >= most {
                return distance;
            }
            bound *= 4;
        }
    }

    /// Edit counts, by the alignment that rapidfuzz chooses.
    pub(super) fn counts(&mut self, reference: &[u32], hypothesis: &[u32]) -> EditCounts {
        let mut counts = EditCounts::default();
        let mut todo = vec![(reference, hypothesis, usize::MAX)];
        while let Some((rows, columns, bound)) = todo.pop() {
            let (rows, columns, n_equal) = without_common_ends(rows, columns);
            counts.hits += n_equal;
            if rows.is_empty() || columns.is_empty() {
                counts.deletions += rows.len();
                counts.insertions += columns.len();
                continue;
            }
            let bound = bound.min(rows.len().max(columns.len()));
            let full_band = rows.len().min(2 * bound + 1);
            let matrix_bytes = full_band.saturating_mul(columns.len()) / 4;
            if matrix_bytes < MAX_MATRIX_BYTES || rows.len() < WORD + 1 || columns.len() < 10 {
                counts += self.align(rows, columns, bound);
                continue;
            }
            let split = self.split(rows, columns);
            let (rows_left, rows_right) = rows.split_at(split.row);
            let (columns_left, columns_right) = columns.split_at(split.column);
            todo.push((rows_right, columns_right, split.right));
            todo.push((rows_left, columns_left, split.left));
        }
        counts
    }

    /// Edit counts from a stored matrix.
    fn align(&mut self, rows: &[u32], columns: &[u32], bound: usize) -> EditCounts {
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
        let counts = trace_back(rows, columns, bits);
        self.matrix = matrix;
        counts
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
            let (mut hp_carry, mut hn_carry) = (1, 0);
            for (index, block) in blocks.iter_mut().enumerate().skip(first) {
                let x = matches.at(index) | hn_carry;
                let Bits { vp, vn } = block.bits;
                let d0 = ((x & vp).wrapping_add(vp) ^ vp) | x | vn;
                let (hp, hn) = (vn | !(d0 | vp), d0 & vp);
                let out = if index + 1 == n_blocks { last_row } else { WORD - 1 };
                let (hp_shifted, hn_shifted) = (hp << 1 | hp_carry, hn << 1 | hn_carry);
                (hp_carry, hn_carry) = (hp >> out & 1, hn >> out & 1);
                block.bits = Bits { vp: hn_shifted | !(d0 | hp_shifted), vn: hp_shifted & d0 };
                block.value = block.value + usize::from(hp_carry == 1) - usize::from(hn_carry == 1);
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

/// Walks a shortest alignment from its end and counts. `bits(column, row)` are those of one cell.
fn trace_back(rows: &[u32], columns: &[u32], bits: impl Fn(usize, usize) -> Bits) -> EditCounts {
    let mut counts = EditCounts::default();
    let (mut row, mut column) = (rows.len(), columns.len());
    while row > 0 && column > 0 {
        if bits(column - 1, row - 1).vp == 1 {
            row -= 1;
            counts.deletions += 1;
            continue;
        }
        column -= 1;
        if column > 0 && bits(column - 1, row - 1).vn == 1 {
            counts.insertions += 1;
            continue;
        }
        row -= 1;
        if rows[row] == columns[column] {
            counts.hits += 1;
        } else {
            counts.substitutions += 1;
        }
    }
    counts.deletions += row;
    counts.insertions += column;
    counts
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

/// In which rows each token of the pattern stands: for every token its blocks, each with a mask of rows.
#[derive(Debug, Default)]
struct Pattern {
    /// Of each token: the pattern that it was last seen in, and its index there.
    seen: Vec<(u32, u32)>,
    generation: u32,
    starts: Vec<usize>,
    next: Vec<usize>,
    masks: Vec<(usize, u64)>,
}

impl Pattern {
    fn set(&mut self, rows: &[u32]) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.seen.clear();
            self.generation = 1;
        }
        let most = rows.iter().max().map_or(0, |&token| token as usize + 1);
        if self.seen.len() < most {
            self.seen.resize(most, (0, 0));
        }
        // Counting sort by token: first how many rows each has, then the rows themselves, block by block.
        self.starts.clear();
        self.starts.push(0);
        for &token in rows {
            let entry = &mut self.seen[token as usize];
            if entry.0 != self.generation {
                *entry = (self.generation, u32::try_from(self.starts.len() - 1).unwrap_or(u32::MAX));
                self.starts.push(0);
            }
            self.starts[entry.1 as usize + 1] += 1;
        }
        for index in 1..self.starts.len() {
            self.starts[index] += self.starts[index - 1];
        }
        let Self { next, .. } = self;
        next.clone_from(&self.starts);
        self.masks.clear();
        self.masks.resize(rows.len(), (usize::MAX, 0));
        for (row, &token) in rows.iter().enumerate() {
            let index = self.seen[token as usize].1 as usize;
            let (block, mask) = (row / WORD, 1 << (row % WORD));
            let last = next[index].checked_sub(1).filter(|&last| last >= self.starts[index]);
            match last.filter(|&last| self.masks[last].0 == block) {
                Some(last) => self.masks[last].1 |= mask,
                None => {
                    self.masks[next[index]] = (block, mask);
                    next[index] += 1;
                }
            }
        }
    }

    /// The token's rows from block `first` on.
    fn matches(&self, token: u32, first: usize) -> Matches<'_> {
        let masks = match self.seen.get(token as usize) {
            Some(&(generation, index)) if generation == self.generation => {
                &self.masks[self.starts[index as usize]..self.starts[index as usize + 1]]
            }
            _ => &[],
        };
        // Unused entries at the end of a token's part have the block usize::MAX, so the order holds.
        let skip = if first == 0 { 0 } else { masks.partition_point(|&(block, _)| block < first) };
        Matches { masks: &masks[skip..] }
    }
}

/// The rows of one token, read block by block.
struct Matches<'p> {
    masks: &'p [(usize, u64)],
}

impl Matches<'_> {
    /// The rows in this block; blocks are asked for in rising order, none left out.
    #[inline]
    fn at(&mut self, block: usize) -> u64 {
        match self.masks {
            [(first, mask), rest @ ..] if *first == block => {
                self.masks = rest;
                *mask
            }
            _ => 0,
        }
    }
}
