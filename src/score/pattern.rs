//! Where the tokens of a reference stand in it, as bit masks.

/// Rows in one mask.
pub(super) const WORD: usize = 64;

/// In which rows each token of the pattern stands: for every token its blocks, each with a mask of rows.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    /// Of each token: the pattern that it was last seen in, and its index there.
    seen: Vec<(u32, u32)>,
    generation: u32,
    starts: Vec<usize>,
    next: Vec<usize>,
    masks: Vec<(usize, u64)>,
    /// All masks of every token in a row, where that is small: then no list is searched.
    dense: Vec<u64>,
    n_blocks: usize,
    /// The masks of some tokens, laid out from the list.
    spread: Vec<u64>,
}

/// Largest table of all masks, masks: what a processor's second cache holds.
const MAX_DENSE: usize = 1 << 16;

impl Pattern {
    /// Takes these rows as the pattern.
    pub(super) fn set(&mut self, rows: &[u32]) {
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
        self.n_blocks = rows.len().div_ceil(WORD);
        self.dense.clear();
        if self.starts.len() * self.n_blocks <= MAX_DENSE {
            self.dense.resize(self.starts.len() * self.n_blocks, 0);
            for (row, &token) in rows.iter().enumerate() {
                let index = self.seen[token as usize].1 as usize;
                self.dense[index * self.n_blocks + row / WORD] |= 1 << (row % WORD);
            }
            return;
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
            if let Some(last) = last.filter(|&last| self.masks[last].0 == block) {
                self.masks[last].1 |= mask;
            } else {
                self.masks[next[index]] = (block, mask);
                next[index] += 1;
            }
        }
    }

    /// The rows of each of these tokens, in blocks `first` to `last`.
    #[inline]
    pub(super) fn matches<const N: usize>(&mut self, tokens: &[u32; N], first: usize, last: usize) -> [&[u64]; N] {
        let n = last + 1 - first;
        let Self { seen, generation, starts, masks, dense, spread, .. } = self;
        let index = |token: u32| {
            let seen = seen.get(token as usize).filter(|seen| seen.0 == *generation);
            seen.map(|&(_, index)| index as usize)
        };
        if !dense.is_empty() {
            // After the last token's masks are those of a token that the pattern has not.
            let index = |token| index(token).unwrap_or(starts.len() - 1);
            return std::array::from_fn(|at| &dense[index(tokens[at]) * self.n_blocks + first..][..n]);
        }
        spread.clear();
        spread.resize(N * n, 0);
        for (spread, &token) in spread.chunks_exact_mut(n).zip(tokens) {
            let Some(index) = index(token) else { continue };
            let masks = &masks[starts[index]..starts[index + 1]];
            // Unused entries at the end of a token's part have the block usize::MAX, so the order holds.
            let masks = &masks[masks.partition_point(|&(block, _)| block < first)..];
            for &(block, mask) in masks.iter().take_while(|(block, _)| *block <= last) {
                spread[block - first] = mask;
            }
        }
        std::array::from_fn(|at| &spread[at * n..][..n])
    }
}
