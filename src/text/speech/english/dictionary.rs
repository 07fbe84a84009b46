//! The packed pronouncing dictionary: `CMUdict` in espeak-ng's notation, made by `make_english.py`.

use crate::{Error, Result};

/// Words between two entries of the index.
const BLOCK: usize = 16;
/// What a packed word, or a pronunciation, can have at most, bytes.
const MAX_LENGTH: usize = 255;

/// Sorted words, each with its pronunciation, or with none where the letter-to-sound rules give it.
#[derive(Debug)]
pub(super) struct Dictionary {
    symbols: Vec<char>,
    bytes: Vec<u8>,
    /// Every [`BLOCK`]th word, and where it begins.
    index: Vec<(Box<str>, usize)>,
}

/// What the dictionary says about a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Its phonemes.
    Phonemes(String),
    /// The letter-to-sound rules say it rightly.
    AsSpelled,
}

/// One entry as it is packed.
struct Packed<'a> {
    /// How many bytes it shares with the word before.
    shared: usize,
    suffix: &'a [u8],
    phonemes: &'a [u8],
    end: usize,
}

impl Dictionary {
    /// The dictionary from its packed form.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let damaged =
            || Error::InvalidInput("the pronouncing dictionary in this build is damaged: build it anew".to_owned());
        let n_symbols = usize::from(*bytes.first().ok_or_else(damaged)?);
        let symbols = bytes.get(1..=n_symbols).ok_or_else(damaged)?;
        let symbols: Vec<char> = std::str::from_utf8(symbols).map_err(|_| damaged())?.chars().collect();
        let mut index = Vec::new();
        let (mut at, mut number, mut word) = (1 + n_symbols, 0, Vec::with_capacity(MAX_LENGTH));
        while at < bytes.len() {
            let entry = packed(&bytes, at).filter(|entry| entry.shared <= word.len()).ok_or_else(damaged)?;
            if entry.phonemes.iter().any(|&symbol| usize::from(symbol) >= symbols.len()) {
                return Err(damaged());
            }
            word.truncate(entry.shared);
            word.extend_from_slice(entry.suffix);
            if number % BLOCK == 0 {
                index.push((std::str::from_utf8(&word).map_err(|_| damaged())?.into(), at));
            }
            (at, number) = (entry.end, number + 1);
        }
        Ok(Self { symbols, bytes, index })
    }

    /// The entry of a word in small letters.
    pub(super) fn get(&self, word: &str) -> Option<Entry> {
        let block = self.index.partition_point(|(first, _)| &**first <= word).checked_sub(1)?;
        let (first, mut at) = (&self.index[block].0, self.index[block].1);
        let mut current = first.as_bytes().to_vec();
        for number in 0..BLOCK {
            let entry = packed(&self.bytes, at)?;
            if number > 0 {
                current.truncate(entry.shared);
                current.extend_from_slice(entry.suffix);
            }
            if current == word.as_bytes() {
                let phonemes = entry.phonemes.iter().filter_map(|&symbol| self.symbols.get(usize::from(symbol)));
                let phonemes: String = phonemes.collect();
                return Some(if phonemes.is_empty() { Entry::AsSpelled } else { Entry::Phonemes(phonemes) });
            }
            at = entry.end;
        }
        None
    }
}

fn packed(bytes: &[u8], at: usize) -> Option<Packed<'_>> {
    let (&shared, &suffix) = (bytes.get(at)?, bytes.get(at + 1)?);
    let middle = at + 2 + usize::from(suffix);
    let end = middle + 1 + usize::from(*bytes.get(middle)?);
    Some(Packed {
        shared: usize::from(shared),
        suffix: bytes.get(at + 2..middle)?,
        phonemes: bytes.get(middle + 1..end)?,
        end,
    })
}
