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
        if (self.starts.len() - 1) * self.n_blocks <= MAX_DENSE {
            self.dense.resize((self.starts.len() - 1) * self.n_blocks, 0);
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

    /// The token's rows from block `first` on.
    pub(super) fn matches(&self, token: u32, first: usize) -> Matches<'_> {
        if !self.dense.is_empty() {
            let dense = match self.seen.get(token as usize) {
                Some(&(generation, index)) if generation == self.generation => {
                    &self.dense[index as usize * self.n_blocks..][..self.n_blocks]
                }
                _ => &[],
            };
            return Matches { masks: &[], dense };
        }
        let masks = match self.seen.get(token as usize) {
            Some(&(generation, index)) if generation == self.generation => {
                &self.masks[self.starts[index as usize]..self.starts[index as usize + 1]]
            }
            _ => &[],
        };
        // Unused entries at the end of a token's part have the block usize::MAX, so the order holds.
        let skip = if first == 0 { 0 } else { masks.partition_point(|&(block, _)| block < first) };
        Matches { masks: &masks[skip..], dense: &[] }
    }
}

/// The rows of one token, read block by block.
pub(super) struct Matches<'p> {
    masks: &'p [(usize, u64)],
    dense: &'p [u64],
}

impl Matches<'_> {
    /// The rows in this block; blocks are asked for in rising order, none left out.
    #[inline]
    pub(super) fn at(&mut self, block: usize) -> u64 {
        if let Some(mask) = self.dense.get(block) {
            return *mask;
        }
        match self.masks {
            [(first, mask), rest @ ..] if *first == block => {
                self.masks = rest;
                *mask
            }
            _ => 0,
        }
    }
}
