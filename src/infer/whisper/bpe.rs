//! Byte-pair encoding by ranks: of all neighbours that make a token, those that make the one of the lowest id are joined
//! first. Source: openai/tiktoken `src/lib.rs` (`byte_pair_merge`), and openai/gpt-2 `encoder.py` for the words.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use foldhash::fast::RandomState;
use unicode_general_category::{GeneralCategory, get_general_category};

/// Tokens by their bytes. A token's id is its rank, as in every vocabulary of Whisper.
#[derive(Debug)]
pub(super) struct Ranks {
    ids: HashMap<Box<[u8]>, u32, RandomState>,
}

impl Ranks {
    /// Of pieces in the order of their ids; an empty piece has no rank.
    pub(super) fn new<'a>(pieces: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        let mut ids = HashMap::with_capacity_and_hasher(pieces.len(), RandomState::default());
        for (id, piece) in pieces.enumerate().filter(|(_, piece)| !piece.is_empty()) {
            ids.entry(piece.into()).or_insert(id as u32);
        }
        Self { ids }
    }

    /// The tokens of a text; the first byte that no token spells, if there is one.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, u8> {
        let mut tokens = Vec::new();
        for word in words(text) {
            match self.ids.get(word.as_bytes()) {
                Some(&id) => tokens.push(id),
                None => self.encode_word(word.as_bytes(), &mut tokens)?,
            }
        }
        Ok(tokens)
    }

    fn encode_word(&self, word: &[u8], tokens: &mut Vec<u32>) -> Result<(), u8> {
        // A part begins at an index and ends at `ends` of it; an end of 0 marks what is no longer a part.
        let mut ends: Vec<usize> = (1..=word.len()).collect();
        let mut before: Vec<usize> = (0..word.len()).map(|start| start.saturating_sub(1)).collect();
        let mut joins = BinaryHeap::new();
        let join = |start: usize, middle: usize, end: usize| {
            self.ids.get(&word[start..end]).map(|&rank| Reverse((rank, start, middle, end)))
        };
        joins.extend((0..word.len().saturating_sub(1)).filter_map(|start| join(start, start + 1, start + 2)));
        while let Some(Reverse((_, start, middle, end))) = joins.pop() {
            if ends[start] != middle || ends.get(middle) != Some(&end) {
                continue;
            }
            (ends[start], ends[middle]) = (end, 0);
            if let Some(&next_end) = ends.get(end) {
                before[end] = start;
                joins.extend(join(start, end, next_end));
            }
            if start > 0 {
                joins.extend(join(before[start], start, end));
            }
        }
        let mut start = 0;
        while start < word.len() {
            let part = &word[start..ends[start]];
            tokens.push(*self.ids.get(part).ok_or(part[0])?);
            start = ends[start];
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Space,
    Letter,
    Number,
    Other,
}

fn class(c: char) -> Class {
    use GeneralCategory as Category;
    if c.is_ascii_alphabetic() {
        return Class::Letter;
    }
    if c.is_whitespace() {
        return Class::Space;
    }
    match get_general_category(c) {
        Category::UppercaseLetter
        | Category::LowercaseLetter
        | Category::TitlecaseLetter
        | Category::ModifierLetter
        | Category::OtherLetter => Class::Letter,
        Category::DecimalNumber | Category::LetterNumber | Category::OtherNumber => Class::Number,
        _ => Class::Other,
    }
}

/// A text cut where tokens never reach across:
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (word, after) = rest.split_at_checked(first_word_len(rest)).filter(|(word, _)| !word.is_empty())?;
        rest = after;
        Some(word)
    })
}

fn first_word_len(text: &str) -> usize {
    const ENDINGS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(ending) = ENDINGS.iter().find(|ending| text.starts_with(**ending)) {
        return ending.len();
    }
    let space = usize::from(text.starts_with(' '));
    let run = |text: &str, wanted: Class| text.find(|c| class(c) != wanted).unwrap_or(text.len());
    match text[space..].chars().next().map(class) {
        Some(kind) if kind != Class::Space => space + run(&text[space..], kind),
        _ => {
            let n = run(text, Class::Space);
            let last = text[..n].chars().next_back().map_or(0, char::len_utf8);
            // The last space before a word belongs to the word, or stands alone.
            if n < text.len() && n > last { n - last } else { n }
        }
    }
}
