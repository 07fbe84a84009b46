//! Numbers for the words of two texts, which the bit-parallel code compares in their place.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// Where a word stands in its text, bytes.
type Span = (u32, u32);

/// Longest text, bytes: positions are kept in 32 bits. Longer ones are cut; no transcript comes near.
const MAX_TEXT_BYTES: usize = u32::MAX as usize;
/// Bytes that are looked at together: as many as a mask has bits.
const BLOCK: usize = 64;
/// Longest word that is its own key, bytes.
const MAX_KEY_BYTES: usize = 15;

/// Working memory, reused from pair to pair.
#[derive(Debug, Default)]
pub(super) struct Words {
    spans: (Vec<Span>, Vec<Span>),
    table: Table,
}

impl Words {
    /// Writes the numbers of the words between those that both texts begin and end with, equal ones for equal words;
    /// returns how many are before and after.
    pub(super) fn read(
        &mut self,
        (reference, hypothesis): (&str, &str),
        (left_numbers, right_numbers): (&mut Vec<u32>, &mut Vec<u32>),
    ) -> (usize, usize) {
        let is_ascii = reference.is_ascii() && hypothesis.is_ascii();
        let ((left_text, right_text), n_before, n_after) = if is_ascii {
            without_common_bytes(reference.as_bytes(), hypothesis.as_bytes())
        } else {
            ((reference.as_bytes(), hypothesis.as_bytes()), 0, 0)
        };
        let (left, right) = &mut self.spans;
        if is_ascii {
            split_ascii(left_text, left);
            split_ascii(right_text, right);
        } else {
            split(reference, left);
            split(hypothesis, right);
        }
        let is_equal = |a: &Span, b: &Span| word(left_text, *a) == word(right_text, *b);
        let n_prefix = left.iter().zip(right.iter()).take_while(|(a, b)| is_equal(a, b)).count();
        let (left, right) = (&left[n_prefix..], &right[n_prefix..]);
        let n_suffix = left.iter().rev().zip(right.iter().rev()).take_while(|(a, b)| is_equal(a, b)).count();
        let (left, right) = (&left[..left.len() - n_suffix], &right[..right.len() - n_suffix]);
        // One side empty: nothing to tell apart.
        if left.is_empty() || right.is_empty() {
            left_numbers.resize(left.len(), 0);
            right_numbers.resize(right.len(), 1);
        } else {
            self.table.clear(left.len() + right.len());
            left_numbers.extend(left.iter().map(|&span| self.table.number(left_text, left_text, span)));
            self.table.n_first = self.table.known.len();
            right_numbers.extend(right.iter().map(|&span| self.table.number(right_text, left_text, span)));
        }
        (n_before + n_prefix, n_after + n_suffix)
    }
}

fn word(text: &[u8], span: Span) -> &[u8] {
    &text[span.0 as usize..span.1 as usize]
}

/// Both texts without the bytes that they have in common at the ends, up to white space, and the words in these.
///
/// What is common at the start goes first, as rapidfuzz does it: only if that is all is the end looked at.
fn without_common_bytes<'t>(left: &'t [u8], right: &'t [u8]) -> ((&'t [u8], &'t [u8]), usize, usize) {
    let n_equal = n_equal(left.chunks(8), right.chunks(8), left.iter(), right.iter());
    let n = if n_equal == left.len() && n_equal == right.len() {
        n_equal
    } else {
        left[..n_equal].iter().rposition(|&byte| is_space(byte)).map_or(0, |at| at + 1)
    };
    let n_before = count_words(&left[..n]);
    let (left, right) = (&left[n..], &right[n..]);
    if first_word(left) == first_word(right) {
        return ((left, right), n_before, 0);
    }
    let n_equal = n_equal_at_end(left, right);
    let tail = &left[left.len() - n_equal..];
    let n = tail.iter().position(|&byte| is_space(byte)).map_or(0, |at| n_equal - at);
    let n_after = count_words(&left[left.len() - n..]);
    ((&left[..left.len() - n], &right[..right.len() - n]), n_before, n_after)
}

/// How many bytes are equal from the start on; eight at a time as long as they are.
fn n_equal<'t>(
    left_eights: impl Iterator<Item = &'t [u8]>,
    right_eights: impl Iterator<Item = &'t [u8]>,
    left: impl Iterator<Item = &'t u8>,
    right: impl Iterator<Item = &'t u8>,
) -> usize {
    let n = 8 * left_eights.zip(right_eights).take_while(|(a, b)| a.len() == 8 && a == b).count();
    n + left.skip(n).zip(right.skip(n)).take_while(|(a, b)| a == b).count()
}

/// The same from the end on.
fn n_equal_at_end(left: &[u8], right: &[u8]) -> usize {
    n_equal(left.rchunks(8), right.rchunks(8), left.iter().rev(), right.iter().rev())
}

fn first_word(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len());
    let n = text[start..].iter().position(|&byte| is_space(byte)).unwrap_or(text.len() - start);
    &text[start..start + n]
}

/// What `char::is_whitespace` says of ASCII.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Which of 64 bytes of ASCII are white space.
fn spaces(block: &[u8; BLOCK]) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (mut mask, mut controls) = (0, 0);
    for (index, eight) in block.as_chunks::<8>().0.iter().enumerate() {
        let bytes = u64::from_le_bytes(*eight) | HIGH;
        // The high bit of a byte stays where nothing is borrowed from it: where the byte is as large.
        let below_33 = !(bytes - 33 * ONES) & HIGH;
        controls |= !(bytes - 32 * ONES) & HIGH;
        // Gathers the bits of the eight bytes in one byte.
        mask |= ((below_33 >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * index);
    }
    if controls == 0 {
        return mask;
    }
    block.iter().enumerate().fold(0, |mask, (index, &byte)| mask | u64::from(is_space(byte)) << index)
}

/// Calls `each` for the white space of every 64 bytes, the last ones filled up with it.
fn each_block(text: &[u8], mut each: impl FnMut(u64)) {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for block in blocks {
        each(spaces(block));
    }
    let mut last = [b' '; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    each(spaces(&last));
}

fn count_words(text: &[u8]) -> usize {
    let (mut n_words, mut is_after_space) = (0, 1);
    each_block(text, |spaces| {
        n_words += (!spaces & (spaces << 1 | is_after_space)).count_ones() as usize;
        is_after_space = spaces >> (BLOCK - 1);
    });
    n_words
}

/// Where the words of a text of ASCII stand.
fn split_ascii(text: &[u8], spans: &mut Vec<Span>) {
    spans.clear();
    let text = &text[..text.len().min(MAX_TEXT_BYTES - BLOCK)];
    let (mut at, mut is_after_space, mut start) = (0, 1, None);
    each_block(text, |spaces| {
        // Words begin and end where white space does not go on.
        let mut turns = spaces ^ (spaces << 1 | is_after_space);
        while turns != 0 {
            let turn = at + turns.trailing_zeros();
            start = match start {
                None => Some(turn),
                Some(start) => {
                    spans.push((start, turn));
                    None
                }
            };
            turns &= turns - 1;
        }
        is_after_space = spaces >> (BLOCK - 1);
        at += BLOCK as u32;
    });
    // A word that ends with the text at the end of a block.
    spans.extend(start.map(|start| (start, text.len() as u32)));
}

/// Where the words of any text stand.
fn split(text: &str, spans: &mut Vec<Span>) {
    spans.clear();
    let text = if text.len() > MAX_TEXT_BYTES { &text[..text.floor_char_boundary(MAX_TEXT_BYTES)] } else { text };
    let offset = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    spans.extend(text.split_whitespace().map(|word| (offset(word) as u32, (offset(word) + word.len()) as u32)));
}

/// Numbers of words: an open-addressing table that is emptied by counting up its generation.
#[derive(Debug, Default)]
struct Table {
    slots: Vec<Slot>,
    generation: u32,
    /// Of every number its word.
    known: Vec<Known>,
    /// How many words the first text has.
    n_first: usize,
    hasher: RandomState,
    /// Random numbers, against words that were made to collide.
    seeds: (u64, u64),
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The pair of texts that the slot belongs to.
    generation: u32,
    /// The upper half of the key's hash.
    hash: u32,
    number: u32,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    key: u128,
    span: Span,
}

impl Table {
    fn clear(&mut self, n_words: usize) {
        let n_slots = (2 * n_words).next_power_of_two().max(32);
        self.generation = self.generation.wrapping_add(1);
        if self.slots.len() < n_slots || self.generation == 0 {
            self.slots.clear();
            self.slots.resize(n_slots, Slot::default());
            self.generation = 1;
            self.seeds = (self.hasher.hash_one(1), self.hasher.hash_one(2));
        }
        self.known.clear();
        self.n_first = usize::MAX;
    }

    /// The number of a word of `text`, which is `first_text` or the second one.
    #[inline]
    fn number(&mut self, text: &[u8], first_text: &[u8], span: Span) -> u32 {
        let key = self.key(text, span);
        let (low, high) = (key as u64 ^ self.seeds.0, (key >> 64) as u64 ^ self.seeds.1);
        let product = u128::from(low) * u128::from(high);
        let hash = product as u64 ^ (product >> 64) as u64;
        let (tag, mask) = ((hash >> 32) as u32, self.slots.len() - 1);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.generation != self.generation {
                let number = self.known.len() as u32;
                self.slots[at] = Slot { generation: self.generation, hash: tag, number };
                self.known.push(Known { key, span });
                return number;
            }
            if slot.hash == tag {
                let known = self.known[slot.number as usize];
                let is_long = (span.1 - span.0) as usize > MAX_KEY_BYTES;
                let other = if (slot.number as usize) < self.n_first { first_text } else { text };
                if known.key == key && (!is_long || word(other, known.span) == word(text, span)) {
                    return slot.number;
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// The bytes and the length of a short word, which no other word has; the hash of a long one.
    #[inline]
    fn key(&self, text: &[u8], (start, end): Span) -> u128 {
        let (start, n) = (start as usize, (end - start) as usize);
        if n > MAX_KEY_BYTES {
            return 0xff << 120 | u128::from(self.hasher.hash_one(&text[start..start + n]));
        }
        let bytes = if let Some(bytes) = text.get(start..start + 16).and_then(|bytes| bytes.first_chunk()) {
            u128::from_le_bytes(*bytes) & !(u128::MAX << (8 * n))
        } else {
            let mut bytes = [0; 16];
            bytes[..n].copy_from_slice(&text[start..start + n]);
            u128::from_le_bytes(bytes)
        };
        bytes | (n as u128) << 120
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        let word = proptest::sample::select(vec![
            "a",
            "b",
            "ab",
            "\u{0}",
            "a\u{0}",
            "fifteen_bytes__",
            "sixteen_bytes___",
            "sixteen_bytes__!",
            "é",
            "\u{1f}",
        ]);
        let space = proptest::sample::select(vec![" ", "  ", "\t", "\u{b}", "\n", "\u{1c}", "\u{3000}"]);
        proptest::collection::vec((word, space), 0..40)
            .prop_map(|pairs| pairs.into_iter().flat_map(|(word, space)| [word, space]).collect())
    }

    proptest! {
        #[test]
        fn ascii_is_split_as_all_text_is(text in "[ -~\t\n\u{b}\u{0}\u{1f}]{0,200}") {
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            split_ascii(text.as_bytes(), &mut fast);
            split(&text, &mut slow);
            prop_assert_eq!(count_words(text.as_bytes()), slow.len());
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn equal_words_have_equal_numbers_between_common_ends(left in text(), right in text(), both in text()) {
            let mut words = Words::default();
            for (left, right) in [(left.clone(), right.clone()), (both.clone() + &left + &both, both.clone() + &right + &both)] {
                let (mut a, mut b) = (Vec::new(), Vec::new());
                let (before, after) = words.read((&left, &right), (&mut a, &mut b));
                let (left, right): (Vec<&str>, Vec<&str>) = (left.split_whitespace().collect(), right.split_whitespace().collect());
                let (want_left, want_right, _) = super::super::align::without_common_ends(&left, &right);
                let n_before = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
                prop_assert_eq!(before, n_before);
                prop_assert_eq!((a.len(), b.len(), before + after), (want_left.len(), want_right.len(), left.len() - want_left.len()));
                if want_left.is_empty() || want_right.is_empty() {
                    continue;
                }
                let numbered = || want_left.iter().chain(want_right).zip(a.iter().chain(&b));
                for (word, number) in numbered() {
                    prop_assert!(numbered().all(|(other, other_number)| (word == other) == (number == other_number)));
                }
            }
        }
    }
}
