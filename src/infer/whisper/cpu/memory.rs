//! Keys and values that many queries look at: the other positions of a window in the encoder, the audio in the decoder.

use crate::infer::kernels::{self, Attention, COLUMNS, Heads, MemoryPanel, Queries};

/// Positions of one block, which one thread works on at a time.
pub(super) const BLOCK: usize = COLUMNS;

/// Keys and values of some positions, for every head.
#[derive(Debug)]
pub(super) enum Memory {
    /// In 32-bit floats, `[n_positions, width]` both.
    Float { keys: Vec<f32>, values: Vec<f32>, n_heads: usize, width: usize },
    /// In 16-bit integers.
    Words { words: kernels::Memory, n_heads: usize, width: usize },
}

/// One block of a [`Memory`], while it is filled.
pub(super) enum Part<'a> {
    Float { keys: &'a mut [f32], values: &'a mut [f32], width: usize },
    Words(MemoryPanel<'a>),
}

impl Memory {
    /// Room for `n_positions`; in integers where the products are.
    pub(super) fn new(n_positions: usize, n_heads: usize, width: usize, in_integers: bool) -> Self {
        if in_integers {
            let words = kernels::Memory::new(n_positions, n_heads, width / n_heads);
            return Self::Words { words, n_heads, width };
        }
        let [keys, values] = [(); 2].map(|()| vec![0.0; n_positions * width]);
        Self::Float { keys, values, n_heads, width }
    }

    /// Number of positions.
    pub(super) fn n_positions(&self) -> usize {
        match self {
            Self::Float { keys, width, .. } => keys.len() / width,
            Self::Words { words, .. } => words.n_positions(),
        }
    }

    /// The blocks in order, to be filled.
    pub(super) fn parts_mut(&mut self) -> Vec<Part<'_>> {
        match self {
            Self::Float { keys, values, width, .. } => keys
                .chunks_mut(BLOCK * *width)
                .zip(values.chunks_mut(BLOCK * *width))
                .map(|(keys, values)| Part::Float { keys, values, width: *width })
                .collect(),
            Self::Words { words, .. } => words.panels_mut().map(Part::Words).collect(),
        }
    }

    /// Attention of `n_rows` queries, `stride` apart, over all positions into `out`, dense. `room` is for the queries.
    pub(super) fn attend(
        &self,
        asked: &[f32],
        (n_rows, stride): (usize, usize),
        out: &mut [f32],
        room: &mut Queries,
        parallel: bool,
    ) {
        match self {
            Self::Float { keys, values, n_heads, width } => {
                let heads =
                    |data, n_positions, position_stride| Heads { data, n_positions, row_stride: 0, position_stride };
                let n_positions = self.n_positions();
                let attention = Attention {
                    queries: heads(asked, n_rows, stride),
                    keys: heads(keys, n_positions, *width),
                    values: heads(values, n_positions, *width),
                    n_heads: *n_heads,
                    width: *width,
                    causal: None,
                };
                kernels::attention(out, &attention);
            }
            Self::Words { words, n_heads, width } => {
                room.set(asked, n_rows, stride, *n_heads, width / n_heads);
                words.attend(room, out, parallel);
            }
        }
    }

    /// Scaled products of queries (dense rows) with all keys of one head, `[n_rows, n_positions]`.
    pub(super) fn scores(&self, asked: &[f32], head: usize) -> Vec<f32> {
        match self {
            Self::Float { keys, n_heads, width, .. } => {
                let head_size = width / n_heads;
                let columns = head * head_size..(head + 1) * head_size;
                let scale = 1.0 / (head_size as f32).sqrt();
                let of_query = |query: &[f32]| {
                    let products = keys.chunks_exact(*width).map(|key| {
                        let pairs = query[columns.clone()].iter().zip(&key[columns.clone()]);
                        scale * pairs.map(|(query, key)| query * key).sum::<f32>()
                    });
                    products.collect::<Vec<_>>()
                };
                asked.chunks_exact(*width).flat_map(of_query).collect()
            }
            Self::Words { words, n_heads, width } => {
                let mut queries = Queries::default();
                queries.set(asked, asked.len() / width, *width, *n_heads, width / n_heads);
                words.scores(head, &queries)
            }
        }
    }
}

impl Part<'_> {
    /// Takes the keys and values of the block's positions: rows of all heads, `stride` apart.
    pub(super) fn fill(&mut self, keys: &[f32], values: &[f32], stride: usize) {
        match self {
            Self::Float { keys: to_keys, values: to_values, width } => {
                for (to, from) in [(to_keys, keys), (to_values, values)] {
                    for (to, from) in to.chunks_exact_mut(*width).zip(from.chunks(stride)) {
                        to.copy_from_slice(&from[..*width]);
                    }
                }
            }
            Self::Words(panel) => panel.fill(keys, values, stride),
        }
    }
}
