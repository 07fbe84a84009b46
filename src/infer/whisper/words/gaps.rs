//! Words with gaps between them: where the decoder listens to none of its words, none is said.
//!
//! Differs from openai/whisper, where each moment belongs to a word, so that a pause, a breath or an "uh" that is not
//! written moves the words around it, and where the attention is brought to the same variance at every moment, so that
//! where nothing is listened to counts as much as where a word is. With the heads of `heads.rs` that follow closest,
//! the 52 s of `benches/compare/words.py` have 88 to 93 % of the starts within 0.15 s (tiny.en) and 95 to 97 % (base), instead of
//! 73 to 79 % and 72 to 80 %.

use super::dtw;

/// A word is listened to with at least this share of what its tokens usually reach; the gaps between words get the rest.
const GAP_SHARE: f32 = 0.15;
/// A shorter gap between two words is the end of the first one, positions: 0.3 s. Where it is a pause, `pauses.rs` ends
/// the word before it.
const MIN_GAP: usize = 15;
/// Positions at the start of a window that no word is heard at, 0.04 s: what a token listens to nowhere else it listens to
/// there, so that the first word of a window began seconds early.
const SINK: usize = 2;

/// The first position of each word and the one behind its last, in order and not overlapping.
///
/// `table` is `[n_tokens + 1, n_positions]`, how much each token listened where, and behind them the end of the text;
/// `words` are the numbers of tokens of each word, `n_tokens` together.
pub(super) fn words(table: &[f32], n_positions: usize, words: &[usize]) -> Vec<(usize, usize)> {
    let n_tokens: usize = words.iter().sum();
    if n_positions == 0 || n_tokens == 0 || table.len() != (n_tokens + 1) * n_positions {
        return vec![(0, 0); words.len()];
    }
    let gap = vec![-GAP_SHARE * usual_peak(&table[..n_tokens * n_positions], n_positions); n_positions];
    let mut costs = Vec::with_capacity(table.len() + (words.len() + 1) * n_positions);
    let mut rows = table.chunks_exact(n_positions);
    // The row of the gap before each word; its tokens follow, and behind all words a gap and the end of the text.
    let mut gap_rows = Vec::with_capacity(words.len() + 1);
    for n in words.iter().copied().chain([1]) {
        gap_rows.push(costs.len() / n_positions);
        costs.extend_from_slice(&gap);
        let heard = |(at, listened): (usize, &f32)| if at < SINK { 0.0 } else { -listened };
        costs.extend(rows.by_ref().take(n).flat_map(|row| row.iter().enumerate().map(heard)));
    }
    let first = dtw::first_columns(&costs, n_positions);
    // The path enters a gap in the last position of the word, as each cell that it passes is worth something.
    let place = |pair: &[usize]| (first[pair[0] + 1], (first[pair[1]] + 1).min(first[pair[1] + 1]));
    let mut found: Vec<(usize, usize)> = gap_rows.windows(2).map(place).collect();
    for index in 1..found.len() {
        let next = found[index].0;
        let end = &mut found[index - 1].1;
        if next - *end < MIN_GAP {
            *end = next;
        }
    }
    found
}

/// The median over rows of `n` of the largest value of each.
fn usual_peak(table: &[f32], n: usize) -> f32 {
    let peak = |row: &[f32]| row.iter().copied().skip(SINK).fold(0.0, f32::max);
    let mut peaks: Vec<f32> = table.chunks_exact(n).map(peak).collect();
    peaks.sort_by(f32::total_cmp);
    peaks.get(peaks.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How tokens listen that each hear these positions and no others.
    fn table(n_positions: usize, heard: &[std::ops::Range<usize>]) -> Vec<f32> {
        let row = |range: &std::ops::Range<usize>| {
            let share = 1.0 / range.len() as f32;
            (0..n_positions).map(move |at| if range.contains(&at) { share } else { 0.0 }).collect::<Vec<f32>>()
        };
        heard.iter().flat_map(row).collect()
    }

    #[test]
    fn a_word_is_where_it_was_heard() {
        // Two words, the first of two tokens, far apart; the last row is the end of the text.
        let table = table(100, &[10..15, 15..20, 60..70, 90..100]);
        assert_eq!(words(&table, 100, &[2, 1]), [(10, 20), (60, 70)]);
    }

    #[test]
    fn what_listens_to_the_start_of_the_window_is_not_said_there() {
        let mut table = table(100, &[50..60, 60..70, 90..100]);
        table[0] = 1.5;
        assert_eq!(words(&table, 100, &[1, 1]), [(50, 60), (60, 70)]);
        // A word that is there begins two positions later, less than it is listened to late.
        assert_eq!(words(&self::table(100, &[0..10, 90..100]), 100, &[1]), [(2, 10)]);
    }

    #[test]
    fn a_short_gap_is_the_end_of_the_word_before() {
        let table = table(100, &[10..20, 25..35, 55..65, 90..100]);
        assert_eq!(words(&table, 100, &[1, 1, 1]), [(10, 25), (25, 35), (55, 65)]);
    }

    #[test]
    fn noise_below_the_share_is_no_word() {
        let mut table = table(100, &[10..20, 60..70, 90..100]);
        for value in &mut table {
            *value += 0.9 * GAP_SHARE * 0.1 / 2.0;
        }
        assert_eq!(words(&table, 100, &[1, 1]), [(10, 20), (60, 70)]);
    }

    #[test]
    fn without_text_or_sound_there_is_no_time() {
        assert!(words(&[], 0, &[]).is_empty());
        assert_eq!(words(&[], 0, &[1, 2]), [(0, 0), (0, 0)]);
        assert!(words(&[0.5; 8], 8, &[]).is_empty());
        assert_eq!(words(&[0.0; 16], 8, &[1]).len(), 1);
    }

    proptest! {
        #[test]
        fn words_are_in_order_and_within_the_sound(
            n_positions in 1..40_usize, lengths in prop::collection::vec(1..4_usize, 1..6),
            values in prop::collection::vec(prop_oneof![8 => 0.0..1.0_f32, 1 => Just(f32::NAN)], 40 * 16),
        ) {
            let n_rows = lengths.iter().sum::<usize>() + 1;
            let found = words(&values[..n_rows * n_positions], n_positions, &lengths);
            prop_assert_eq!(found.len(), lengths.len());
            prop_assert!(found.iter().all(|&(start, end)| start <= end && end < n_positions));
            prop_assert!(found.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        }
    }
}
