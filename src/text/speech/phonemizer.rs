//! Sentences into words and their phonemes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::english::{Context, English, Neighbours, in_phrase};
use super::lexicon::Lexicon;
use super::sentences::{End, Sentences};
use super::spoken::{Piece, pieces};
use crate::Result;

/// Every character that phonemes are written with: those of the `phoneme_id_map` of Piper's `en_US` voices, without its
/// punctuation, digits and marks of padding.
pub const PHONEMES: &str = "abcdefhijklmnopqrstuvwxyzæçðøħŋœǀǁǂǃɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢʲˈˌːˑ˞βθχᵻⱱʰˤε↓\u{327}\u{32a}\u{32f}\u{329}\u{303}";

/// Whether a character is one of [`PHONEMES`].
pub(super) fn is_phoneme(c: char) -> bool {
    PHONEMES.contains(c)
}

/// A word as it is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word: "five" and "dollars" for "$5".
    pub text: String,
    /// The bytes of the whole text that it comes from. Words of one expression have the same.
    pub range: Range<usize>,
    /// Its phonemes in its sentence, with stress marks; never empty, and only of [`PHONEMES`] and spaces.
    pub phonemes: String,
    /// The punctuation mark behind it that makes a pause: one of `, . ; : ! ?`.
    pub pause: Option<char>,
}

/// A sentence of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Its bytes in the whole text, with the white space behind it: the ranges of all sentences are the text.
    pub range: Range<usize>,
    /// What follows it.
    pub end: End,
    /// Its words; empty where nothing can be said.
    pub words: Vec<Word>,
    /// Characters that cannot be said.
    pub skipped: Skipped,
}

impl Sentence {
    /// What a voice reads: the phonemes of the words with spaces and punctuation marks between them.
    #[must_use]
    pub fn phonemes(&self) -> String {
        let mut phonemes = String::new();
        for word in &self.words {
            if !phonemes.is_empty() {
                phonemes.push(' ');
            }
            phonemes.push_str(&word.phonemes);
            phonemes.extend(word.pause);
        }
        phonemes
    }

    /// Whether there is nothing to say: white space, punctuation, or only characters that are skipped.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.words.is_empty()
    }
}

/// Characters that were not said, and how often each occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    counts: BTreeMap<char, usize>,
}

impl Skipped {
    /// How many characters were skipped.
    #[must_use]
    pub fn count(&self) -> usize {
        self.counts.values().sum()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Every skipped character with its count, in Unicode's order.
    pub fn iter(&self) -> impl Iterator<Item = (char, usize)> {
        self.counts.iter().map(|(&c, &count)| (c, count))
    }

    /// Adds those of another sentence.
    pub fn merge(&mut self, other: &Self) {
        for (c, count) in other.iter() {
            *self.counts.entry(c).or_default() += count;
        }
    }

    /// Adds a character.
    pub fn push(&mut self, c: char) {
        *self.counts.entry(c).or_default() += 1;
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 8;
        let count = self.count();
        write!(f, "{count} {} skipped", if count == 1 { "symbol" } else { "symbols" })?;
        for (number, (c, count)) in self.iter().take(MOST).enumerate() {
            write!(f, "{} {c:?} (U+{:04X})", if number == 0 { ":" } else { "," }, u32::from(c))?;
            if count > 1 {
                write!(f, " {count} times")?;
            }
        }
        if self.counts.len() > MOST {
            write!(f, " and {} others", self.counts.len() - MOST)?;
        }
        Ok(())
    }
}

/// English text to phonemes.
///
/// ```
/// let phonemizer = violet::text::speech::Phonemizer::new()?;
/// let sentence = phonemizer.sentences("Hello, world!").next().unwrap();
/// assert!(sentence.phonemes().ends_with(", wˈɜːld!"));
/// # Ok::<(), violet::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Phonemizer {
    english: &'static English,
    lexicon: Lexicon,
}

impl Phonemizer {
    /// A phonemizer without a lexicon of the user's. The tables are unpacked once in a process.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when this build's tables are damaged.
    pub fn new() -> Result<Self> {
        Ok(Self { english: English::get()?, lexicon: Lexicon::default() })
    }

    /// The same with a lexicon, whose words go before all others.
    #[must_use]
    pub fn with_lexicon(self, lexicon: Lexicon) -> Self {
        Self { lexicon, ..self }
    }

    /// The sentences of a text of any length, each when it is asked for: memory does not grow with the text.
    pub fn sentences<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Sentence> + 'a {
        Sentences::new(text).map(move |(range, end)| self.sentence(text, range, end))
    }

    /// The whole text as one sentence, wherever it may end.
    #[must_use]
    pub fn phonemize(&self, text: &str) -> Sentence {
        self.sentence(text, 0..text.len(), End::Text)
    }

    fn sentence(&self, text: &str, range: Range<usize>, end: End) -> Sentence {
        let mut skipped = Skipped::default();
        let mut words: Vec<(Word, Kind)> = Vec::new();
        for spoken in pieces(&text[range.clone()]) {
            let at = range.start + spoken.range.start..range.start + spoken.range.end;
            let (text, phonemes, kind) = match spoken.piece {
                Piece::Word(word) => match self.lexicon.get(&word) {
                    Some(phonemes) => (word.clone(), phonemes.to_owned(), Kind::Given),
                    None => (word, String::new(), Kind::Word),
                },
                Piece::Letters(letters) => match self.lexicon.get(&letters) {
                    Some(phonemes) => (letters.clone(), phonemes.to_owned(), Kind::Given),
                    None => (letters.clone(), spelled(&letters), Kind::Given),
                },
                Piece::Phonemes(given) => {
                    let known = given.chars().filter(|&c| {
                        let known = c.is_whitespace() || is_phoneme(c);
                        if !known {
                            skipped.push(c);
                        }
                        known
                    });
                    let known: String = known.collect();
                    (given.clone(), known.split_whitespace().collect::<Vec<_>>().join(" "), Kind::Given)
                }
                Piece::Pause(mark) => {
                    if let Some((last, _)) = words.last_mut() {
                        last.pause = last.pause.filter(|pause| *pause != ',').or(Some(mark));
                    }
                    continue;
                }
                Piece::Unknown(c) => {
                    skipped.push(c);
                    continue;
                }
            };
            if kind == Kind::Word || !phonemes.is_empty() {
                words.push((Word { text, range: at, phonemes, pause: None }, kind));
            }
        }
        self.pronounce(&mut words);
        let words = words.into_iter().map(|(word, _)| word).filter(|word| !word.phonemes.is_empty()).collect();
        Sentence { range, end, words, skipped }
    }

    /// Fills in the phonemes of the words that have none yet, first alone, then in their phrase.
    fn pronounce(&self, words: &mut [(Word, Kind)]) {
        let small: Vec<String> = words.iter().map(|(word, _)| word.text.to_lowercase().replace('’', "'")).collect();
        for at in 0..words.len() {
            if words[at].1 == Kind::Word {
                // A pause ends what a word's neighbours say about it.
                let before = |distance: usize| {
                    let first = at.checked_sub(distance)?;
                    words[first..at].iter().all(|(word, _)| word.pause.is_none()).then_some(small[first].as_str())
                };
                let after = small.get(at + 1).filter(|_| words[at].0.pause.is_none()).map_or("", String::as_str);
                let context = Context { before: [before(1).unwrap_or_default(), before(2).unwrap_or_default()], after };
                words[at].0.phonemes = self.english.word(&small[at], context);
            }
        }
        if words.len() < 2 {
            return;
        }
        for at in (0..words.len()).rev() {
            if words[at].1 == Kind::Word {
                let after = words.get(at + 1).filter(|_| words[at].0.pause.is_none());
                let after = after.map_or("", |(word, _)| word.phonemes.as_str()).to_owned();
                let alone = std::mem::take(&mut words[at].0.phonemes);
                let before =
                    at.checked_sub(1).filter(|&at| words[at].0.pause.is_none()).map_or("", |at| small[at].as_str());
                let next = if after.is_empty() { "" } else { small.get(at + 1).map_or("", String::as_str) };
                words[at].0.phonemes = in_phrase(&small[at], alone, &Neighbours { before, next, after: &after });
            }
        }
    }
}

/// Where a word's phonemes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// From the text, the user's lexicon or the names of letters: they stay as they are.
    Given,
    /// From this module.
    Word,
}

/// The names of letters, the last with the main stress: "FBI". Small letters behind capitals are an ending: "PCs".
fn spelled(letters: &str) -> String {
    let (letters, ending) =
        match letters.strip_suffix("'s").or_else(|| letters.strip_suffix("’s")).or_else(|| letters.strip_suffix('s'))
        {
            Some(stem) if !stem.is_empty() && stem.chars().all(char::is_uppercase) => (stem, "z"),
            _ => (letters, ""),
        };
    match English::letter_names(letters) {
        names if names.is_empty() => names,
        names => names + ending,
    }
}

/// Every letter by its name and every digit as a word, with spaces between; other characters stay.
pub(super) fn spelled_apart(text: &str) -> String {
    let said = text.chars().filter(|c| !c.is_whitespace()).map(|c| match (c.to_digit(10), English::letter_name(c)) {
        (Some(digit), _) => DIGITS[digit as usize].to_owned(),
        (None, Some(name)) => format!("[[{name}]]"),
        (None, None) => c.to_string(),
    });
    said.collect::<Vec<_>>().join(" ")
}

const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

#[cfg(test)]
mod tests;
