//! Attention in 16-bit integers: keys and values that many queries look at, packed for the products of [`super::tile`].
//!
//! 16 bits keep 12 to 15 significant ones of every number, as f16 does, at twice the speed of f32. Sums of 32 bits hold
//! 64 products of them by the limits below.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    columns::Columns,
    lines::Lines,
    pointwise::exps,
    quantize::{word_of, words_of},
    tile::{COLUMNS, LINES, Line, MAX_ROWS, Numbers, STEP, Tile},
};
use crate::audio::Once;

/// Largest size of a head: a panel holds all of its values.
pub(in crate::infer) const MAX_HEAD_SIZE: usize = COLUMNS;
/// Largest magnitude of queries and keys: 64 * 5792^2 < 2^31.
const KEY_LIMIT: f32 = 5792.0;
/// Largest weight of a value after the softmax.
const WEIGHT_LIMIT: f32 = 32_767.0;
/// Largest magnitude of values: 64 * 1023 * 32,767 < 2^31, the sum over one panel of positions.
const VALUE_LIMIT: f32 = 1023.0;
/// Steps of a panel of values: two positions each.
const VALUE_STEPS: usize = COLUMNS / 2;

/// Queries that a panel is read for at once: then it comes from the first cache for most of them, and what becomes of
/// them still fits the second one.
const TOGETHER: usize = 3 * MAX_ROWS;

/// Keys and values of some positions, for every head, in panels of 64 positions.
#[derive(Debug)]
pub(in crate::infer) struct Memory {
    n_positions: usize,
    n_heads: usize,
    head_size: usize,
    /// For each panel and head, steps of two numbers of a key, a column for each position.
    keys: Lines,
    /// For each panel and head, steps of two positions, a column for each number of a value.
    values: Lines,
    /// For each panel and head.
    scales: Vec<Scales>,
}

#[derive(Debug, Clone)]
struct Scales {
    /// What a unit of each position's key is worth in a score, `1 / sqrt(head_size)` included.
    keys: [f32; COLUMNS],
    /// What a unit of each position's value is worth; 0 beyond the last position.
    values: [f32; COLUMNS],
    /// The largest of `values`.
    largest: f32,
}

/// One panel of a [`Memory`], while it is filled.
pub(in crate::infer) struct MemoryPanel<'a> {
    head_size: usize,
    n_positions: usize,
    keys: &'a mut [Line],
    values: &'a mut [Line],
    scales: &'a mut [Scales],
}

/// What asks: rows of queries in 16-bit integers, and room for what becomes of them.
#[derive(Debug, Default)]
pub(in crate::infer) struct Queries {
    words: Vec<u8>,
    /// For each head, of each row.
    scales: Vec<f32>,
    n_rows: usize,
}

/// Room for a few queries of some heads.
#[derive(Debug, Default)]
struct Room {
    /// For each head, of each row.
    scores: Vec<f32>,
    weights: Vec<u8>,
    /// What a unit of the weights is worth, likewise.
    row_scales: Vec<f32>,
    /// For each head, rows of a panel.
    mixed: Vec<f32>,
    /// Of each head, what a unit of a value is worth at most.
    largest: Vec<f32>,
}

impl Memory {
    /// Room for `n_positions`, to be filled through [`Self::panels_mut`].
    pub(in crate::infer) fn new(n_positions: usize, n_heads: usize, head_size: usize) -> Self {
        assert!(head_size <= MAX_HEAD_SIZE, "heads of {head_size}; at most {MAX_HEAD_SIZE} are possible");
        let n_panels = n_positions.div_ceil(COLUMNS);
        let scales = Scales { keys: [0.0; COLUMNS], values: [0.0; COLUMNS], largest: 0.0 };
        Self {
            n_positions,
            n_heads,
            head_size,
            keys: Lines::zeros(n_panels * n_heads * head_size.div_ceil(2) * LINES),
            values: Lines::zeros(n_panels * n_heads * VALUE_STEPS * LINES),
            scales: vec![scales; n_panels * n_heads],
        }
    }

    /// Number of positions.
    pub(in crate::infer) fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// The panels in order, each to be filled on any thread.
    pub(in crate::infer) fn panels_mut(&mut self) -> impl Iterator<Item = MemoryPanel<'_>> {
        let (n_heads, head_size, n_positions) = (self.n_heads, self.head_size, self.n_positions);
        let keys = self.keys.chunks_exact_mut(n_heads * head_size.div_ceil(2) * LINES);
        let values = self.values.chunks_exact_mut(n_heads * VALUE_STEPS * LINES);
        let panels = keys.zip(values).zip(self.scales.chunks_exact_mut(n_heads)).enumerate();
        panels.map(move |(index, ((keys, values), scales))| {
            let n_positions = (n_positions - index * COLUMNS).min(COLUMNS);
            MemoryPanel { head_size, n_positions, keys, values, scales }
        })
    }

    fn n_panels(&self) -> usize {
        self.n_positions.div_ceil(COLUMNS)
    }

    fn keys(&self, panel: usize, head: usize) -> &[Line] {
        let n = self.head_size.div_ceil(2) * LINES;
        &self.keys[(panel * self.n_heads + head) * n..][..n]
    }

    fn values(&self, panel: usize, head: usize) -> &[Line] {
        let n = VALUE_STEPS * LINES;
        &self.values[(panel * self.n_heads + head) * n..][..n]
    }

    fn scales(&self, panel: usize, head: usize) -> &Scales {
        &self.scales[panel * self.n_heads + head]
    }

    /// Attention of all queries over all positions into `out`, dense `[n_rows, n_heads * head_size]`.
    ///
    /// With `parallel`, the threads of the current rayon pool share the heads.
    ///
    /// # Panics
    /// When `out` has another size, or the queries other heads.
    pub(in crate::infer) fn attend(&self, queries: &Queries, out: &mut [f32], parallel: bool) {
        assert_eq!(out.len(), queries.n_rows * self.n_heads * self.head_size, "the result has another size");
        assert_eq!(queries.scales.len(), queries.n_rows * self.n_heads, "queries of other heads");
        let out = Columns::new(out, self.n_heads * self.head_size);
        let n_threads = if parallel { rayon::current_num_threads() } else { 1 };
        // Few queries wait for keys and values: a thread reads those of several heads as they lie. Many have one head's
        // stay in the cache.
        let together = (TOGETHER / queries.n_rows.max(1)).clamp(1, self.n_heads.div_ceil(n_threads));
        let heads = |start: usize| start..(start + together).min(self.n_heads);
        if n_threads > 1 {
            (0..self.n_heads)
                .into_par_iter()
                .step_by(together)
                .for_each_init(Room::default, |room, start| self.attend_heads(heads(start), queries, &out, room));
        } else {
            let mut room = Room::default();
            (0..self.n_heads)
                .step_by(together)
                .for_each(|start| self.attend_heads(heads(start), queries, &out, &mut room));
        }
    }

    fn attend_heads(&self, heads: Range<usize>, queries: &Queries, out: &Columns<'_>, room: &mut Room) {
        let stride = self.n_panels() * COLUMNS;
        let largest = |head| (0..self.n_panels()).map(|panel| self.scales(panel, head).largest).fold(0.0, f32::max);
        room.largest.clear();
        room.largest.extend(heads.clone().map(largest));
        room.mixed.resize(heads.len() * TOGETHER * COLUMNS, 0.0);
        for start in (0..queries.n_rows).step_by(TOGETHER) {
            let n_rows = (queries.n_rows - start).min(TOGETHER);
            room.scores.resize(heads.len() * n_rows * stride, 0.0);
            room.weights.resize(heads.len() * n_rows * stride * 2, 0);
            room.row_scales.resize(heads.len() * n_rows, 0.0);
            self.scores_of(heads.clone(), queries, start..start + n_rows, &mut room.scores);
            let rows = room.scores.chunks_exact_mut(stride).zip(room.weights.chunks_exact_mut(stride * 2));
            for (index, ((scores, weights), scale)) in rows.zip(&mut room.row_scales).enumerate() {
                let (head, largest) = (heads.start + index / n_rows, room.largest[index / n_rows]);
                *scale = Arch::new().dispatch(SoftMax { memory: self, head, scores, weights, largest });
            }
            for panel in 0..self.n_panels() {
                for (index, mixed) in room.mixed.chunks_exact_mut(TOGETHER * COLUMNS).enumerate() {
                    for (first, mixed) in (0..n_rows).step_by(MAX_ROWS).zip(mixed.chunks_exact_mut(MAX_ROWS * COLUMNS))
                    {
                        let row = index * n_rows + first;
                        let tile = Tile {
                            rows: &room.weights[(row * stride + panel * COLUMNS) * 2..],
                            row_stride: stride * 2,
                            row_scales: &room.row_scales[row..][..(n_rows - first).min(MAX_ROWS)],
                            panel: self.values(panel, heads.start + index),
                            row_zeros: &[],
                            column_sums: &[0; COLUMNS],
                            column_scales: &[1.0; COLUMNS],
                            bias: &[0.0; COLUMNS],
                            onto: panel > 0,
                            is_far: true,
                        };
                        tile.run(Numbers::Words, mixed, COLUMNS);
                    }
                }
            }
            for (head, mixed) in heads.clone().zip(room.mixed.chunks_exact(TOGETHER * COLUMNS)) {
                for (row, mixed) in mixed.chunks_exact(COLUMNS).take(n_rows).enumerate() {
                    #[allow(unsafe_code, reason = "threads write to different columns of one matrix")]
                    // SAFETY: every head, and with it every column, is one thread's.
                    unsafe {
                        out.write(start + row, head * self.head_size, &mixed[..self.head_size], false);
                    }
                }
            }
        }
    }

    /// Scaled products of some queries with all keys of some heads, `[heads.len(), rows.len()]` rows of whole panels,
    /// whose end means nothing.
    fn scores_of(&self, heads: Range<usize>, queries: &Queries, rows: Range<usize>, out: &mut [f32]) {
        let (stride, n_bytes) = (self.n_panels() * COLUMNS, self.head_size.div_ceil(2) * STEP);
        for panel in 0..self.n_panels() {
            for (head, out) in heads.clone().zip(out.chunks_exact_mut(rows.len() * stride)) {
                for (start, out) in rows.clone().step_by(MAX_ROWS).zip(out.chunks_mut(MAX_ROWS * stride)) {
                    let tile = Tile {
                        rows: &queries.words[(start * self.n_heads + head) * n_bytes..],
                        row_stride: self.n_heads * n_bytes,
                        row_scales: &queries.scales[head * queries.n_rows..][start..(start + MAX_ROWS).min(rows.end)],
                        panel: self.keys(panel, head),
                        row_zeros: &[],
                        column_sums: &[0; COLUMNS],
                        column_scales: &self.scales(panel, head).keys,
                        bias: &[0.0; COLUMNS],
                        onto: false,
                        is_far: true,
                    };
                    tile.run(Numbers::Words, &mut out[panel * COLUMNS..], stride);
                }
            }
        }
    }

    /// Scaled products of all queries with all keys of one head, dense `[n_rows, n_positions]`.
    pub(in crate::infer) fn scores(&self, head: usize, queries: &Queries) -> Vec<f32> {
        let stride = self.n_panels() * COLUMNS;
        let mut padded = vec![0.0; queries.n_rows.min(MAX_ROWS) * stride];
        let mut scores = Vec::with_capacity(queries.n_rows * self.n_positions);
        for start in (0..queries.n_rows).step_by(MAX_ROWS) {
            let end = (start + MAX_ROWS).min(queries.n_rows);
            self.scores_of(head..head + 1, queries, start..end, &mut padded[..(end - start) * stride]);
            padded.chunks_exact(stride).take(end - start).for_each(|row| scores.extend(&row[..self.n_positions]));
        }
        scores
    }
}

/// One row of scores to weights in 16 bits; returns what a unit of the weights is worth.
struct SoftMax<'a> {
    memory: &'a Memory,
    head: usize,
    scores: &'a mut [f32],
    weights: &'a mut [u8],
    largest: f32,
}

impl WithSimd for SoftMax<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let Self { memory, head, scores, weights, largest } = self;
        // Beyond the last position is nothing; its exponential is about 0.
        scores[memory.n_positions..].fill(f32::NEG_INFINITY);
        // Whole panels are whole vectors, and as many of them that four can be looked at at once.
        let (fours, _) = S::as_mut_simd_f32s(scores).0.as_chunks_mut::<4>();
        let mut largests = [simd.splat_f32s(f32::NEG_INFINITY); 4];
        for four in fours.iter() {
            for (largest, vector) in largests.iter_mut().zip(four) {
                *largest = simd.max_f32s(*vector, *largest);
            }
        }
        let [a, b, c, d] = largests;
        let max = simd.reduce_max_f32s(simd.max_f32s(simd.max_f32s(a, b), simd.max_f32s(c, d)));
        let max = simd.splat_f32s(max);
        let mut sums = [simd.splat_f32s(0.0); 4];
        for four in fours {
            for (sum, vector) in sums.iter_mut().zip(four) {
                *vector = exps(simd, simd.sub_f32s(*vector, max));
                *sum = simd.add_f32s(*sum, *vector);
            }
        }
        let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
        let unit = if largest > 0.0 { WEIGHT_LIMIT / largest } else { 0.0 };
        let panels =
            scores.as_chunks::<COLUMNS>().0.iter().zip(weights.as_chunks_mut::<2>().0.as_chunks_mut::<COLUMNS>().0);
        for (panel, (scores, weights)) in panels.enumerate() {
            let scales = &memory.scales(panel, head).values;
            for ((weight, score), scale) in weights.iter_mut().zip(scores).zip(scales) {
                *weight = word_of(score * scale * unit);
            }
        }
        largest / (WEIGHT_LIMIT * simd.reduce_sum_f32s(sum))
    }
}

impl MemoryPanel<'_> {
    /// Takes the keys and values of the panel's positions: rows of all heads, `stride` apart.
    pub(in crate::infer) fn fill(&mut self, keys: &[f32], values: &[f32], stride: usize) {
        let once = Once;
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
                let n_heads = self.scales.len();
                for head in 0..n_heads {
                    self.fill_keys(head, &keys[head * self.head_size..], stride);
                    self.fill_values(head, &values[head * self.head_size..], stride);
                }
            },
        );
    }

    #[inline(always)]
    fn fill_keys(&mut self, head: usize, rows: &[f32], stride: usize) {
        let (head_size, n_steps) = (self.head_size, self.head_size.div_ceil(2));
        let lines = &mut self.keys[head * n_steps * LINES..][..n_steps * LINES];
        let mut words = [[0; 2]; MAX_HEAD_SIZE];
        let to_score = 1.0 / (head_size as f32).sqrt();
        for position in 0..self.n_positions {
            let scale = words_of(&rows[position * stride..][..head_size], KEY_LIMIT, &mut words[..head_size]);
            self.scales[head].keys[position] = scale * to_score;
            let (first, at) = (position / 16, position % 16 * STEP);
            for (pair, line) in words.as_chunks::<2>().0.iter().zip(lines[first..].iter_mut().step_by(LINES)) {
                line.0[at..at + STEP].copy_from_slice(pair.as_flattened());
            }
        }
    }

    #[inline(always)]
    fn fill_values(&mut self, head: usize, rows: &[f32], stride: usize) {
        let head_size = self.head_size;
        let lines = &mut self.values[head * VALUE_STEPS * LINES..][..VALUE_STEPS * LINES];
        let scales = &mut self.scales[head];
        scales.values.fill(0.0);
        for (pair, lines) in lines.chunks_exact_mut(LINES).enumerate() {
            let mut words = [[[0; 2]; MAX_HEAD_SIZE]; 2];
            for (half, words) in words.iter_mut().enumerate() {
                let position = 2 * pair + half;
                if position < self.n_positions {
                    let row = &rows[position * stride..][..head_size];
                    scales.values[position] = words_of(row, VALUE_LIMIT, &mut words[..head_size]);
                }
            }
            let [even, odd] = &words;
            for (column, (even, odd)) in even.iter().zip(odd).enumerate() {
                let bytes = [even[0], even[1], odd[0], odd[1]];
                lines[column / 16].0[column % 16 * STEP..][..STEP].copy_from_slice(&bytes);
            }
        }
        scales.largest = scales.values.iter().copied().fold(0.0, f32::max);
    }
}

impl Queries {
    /// Takes rows of queries of all heads, `stride` apart, from the start of `rows` on.
    pub(in crate::infer) fn set(
        &mut self,
        rows: &[f32],
        n_rows: usize,
        stride: usize,
        n_heads: usize,
        head_size: usize,
    ) {
        let n_words = head_size.next_multiple_of(2);
        self.n_rows = n_rows;
        self.words.resize(n_rows * n_heads * n_words * 2, 0);
        self.scales.resize(n_rows * n_heads, 0.0);
        let Self { words, scales, .. } = self;
        let once = Once;
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
                let heads = words.as_chunks_mut::<2>().0.chunks_exact_mut(n_words).enumerate();
                for (index, words) in heads {
                    let (row, head) = (index / n_heads, index % n_heads);
                    let values = &rows[row * stride + head * head_size..][..head_size];
                    scales[head * n_rows + row] = words_of(values, KEY_LIMIT, &mut words[..head_size]);
                    words[head_size..].fill([0; 2]);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::infer::kernels::{Attention, Heads, attention};

    fn pseudo_random(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0) - 1.0)
            .collect()
    }

    fn memory(keys: &[f32], values: &[f32], n_heads: usize, head_size: usize) -> Memory {
        let width = n_heads * head_size;
        let mut memory = Memory::new(keys.len() / width, n_heads, head_size);
        memory.panels_mut().enumerate().for_each(|(index, mut panel)| {
            let start = index * COLUMNS * width;
            panel.fill(&keys[start..], &values[start..], width);
        });
        memory
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn attention_is_close_to_that_of_real_numbers(
            n_rows in 1_usize..45, n_positions in 1_usize..200, n_heads in 1_usize..4, head_size in 1_usize..=64,
            sharpness in 0.1_f32..30.0, seed: u32,
        ) {
            let width = n_heads * head_size;
            let q: Vec<f32> = pseudo_random(n_rows * width, seed).iter().map(|x| x * sharpness).collect();
            let (k, v) = (pseudo_random(n_positions * width, seed ^ 1), pseudo_random(n_positions * width, seed ^ 2));
            let heads = |data, n_positions| Heads { data, n_positions, row_stride: 0, position_stride: width };
            let mut expected = vec![0.0; n_rows * width];
            attention(&mut expected, &Attention {
                queries: heads(&q, n_rows), keys: heads(&k, n_positions), values: heads(&v, n_positions),
                n_heads, width, causal: None,
            });
            let memory = memory(&k, &v, n_heads, head_size);
            let mut queries = Queries::default();
            queries.set(&q, n_rows, width, n_heads, head_size);
            let mut out = vec![9.0; n_rows * width];
            memory.attend(&queries, &mut out, true);
            for (got, expected) in out.iter().zip(&expected) {
                prop_assert!((got - expected).abs() < 5e-3, "{got} and {expected}");
            }
            // Alone, a query gets the same bits.
            let mut alone = vec![0.0; width];
            queries.set(&q[(n_rows - 1) * width..], 1, width, n_heads, head_size);
            memory.attend(&queries, &mut alone, false);
            prop_assert_eq!(&alone[..], &out[(n_rows - 1) * width..]);
            for head in 0..n_heads {
                let scores = memory.scores(head, &queries);
                prop_assert_eq!(scores.len(), n_positions);
                let columns = head * head_size..(head + 1) * head_size;
                for (position, score) in scores.iter().enumerate() {
                    let key = &k[position * width..][columns.clone()];
                    let exact: f32 = q[(n_rows - 1) * width..][columns.clone()].iter().zip(key).map(|(q, k)| q * k).sum();
                    prop_assert!((score - exact / (head_size as f32).sqrt()).abs() < 1e-3 * (1.0 + sharpness));
                }
            }
        }
    }

    #[test]
    fn a_flat_tail_keeps_its_weight() {
        // One key stands out by a factor e^8 over 1499 equal ones, which together outweigh half of it.
        let n = 1500;
        let mut keys = vec![0.0; n * 64];
        keys[7 * 64] = 8.0;
        let values: Vec<f32> = (0..n * 64).map(|i| if i / 64 == 7 { 0.0 } else { 1.0 }).collect();
        let memory = memory(&keys, &values, 1, 64);
        let mut query = vec![0.0; 64];
        query[0] = 8.0;
        let mut queries = Queries::default();
        queries.set(&query, 1, 64, 1, 64);
        let mut out = vec![0.0; 64];
        memory.attend(&queries, &mut out, false);
        let expected = 1499.0 / (1499.0 + 8.0_f32.exp());
        assert!((out[0] - expected).abs() < 0.01 * expected, "{} and {expected}", out[0]);
    }
}
