//! The user's own pronunciations.

use std::collections::HashMap;

use super::phonemizer::is_phoneme;
use crate::{Error, Result};

/// The largest lexicon that is read, bytes.
const MAX_BYTES: usize = 16 << 20;

/// Words and their phonemes, which go before all others.
///
/// A word with a capital is found only when it is written so; one in small letters in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lexicon {
    words: HashMap<String, String>,
}

impl Lexicon {
    /// The lexicon of a file's text: on each line a word, a tabulator and its phonemes, such as `Bittensor`, tab,
    /// `bˈɪttɛnsɚ`. Empty lines and lines that begin with `#` are comments.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] names the line that is not so, or that gives a word a second time, or a phoneme that
    /// voices do not know; [`Error::TooLarge`] above 16 MiB.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::TooLarge {
                what: "the lexicon",
                got_bytes: text.len() as u64,
                limit_bytes: MAX_BYTES as u64,
            });
        }
        let mut words = HashMap::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let number = number + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fail = |what: String| Err(Error::InvalidInput(format!("lexicon, line {number}: {what}")));
            let Some((word, phonemes)) = line.split_once('\t').map(|(word, phonemes)| (word.trim(), phonemes.trim()))
            else {
                return fail(format!("expected a word, a tabulator and its phonemes, got {:?}", clipped(line)));
            };
            if word.is_empty() || word.contains(char::is_whitespace) {
                return fail(format!("expected one word before the tabulator, got {:?}", clipped(word)));
            }
            if phonemes.is_empty() {
                return fail(format!("{word:?} has no phonemes"));
            }
            if let Some(unknown) = phonemes.chars().find(|&c| c != ' ' && !is_phoneme(c)) {
                return fail(format!(
                    "{unknown:?} in {:?} is no phoneme; they are written in IPA, as in `həlˈoʊ`",
                    clipped(phonemes)
                ));
            }
            if words.insert(word.to_owned(), phonemes.to_owned()).is_some() {
                return fail(format!("{word:?} is there a second time"));
            }
        }
        Ok(Self { words })
    }

    /// How many words it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The phonemes of a word as it is written.
    #[must_use]
    pub fn get(&self, word: &str) -> Option<&str> {
        if self.words.is_empty() {
            return None;
        }
        self.words.get(word).or_else(|| self.words.get(&word.to_lowercase())).map(String::as_str)
    }
}

/// A text for a message: its first characters.
fn clipped(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_as_they_are_written() {
        let lexicon = Lexicon::parse("# mine\n\ntao\ttˈaʊ\nPolish\tpˈoʊlɪʃ\r\n").unwrap();
        assert_eq!(lexicon.len(), 2);
        assert_eq!(
            (lexicon.get("TAO"), lexicon.get("Polish"), lexicon.get("polish")),
            (Some("tˈaʊ"), Some("pˈoʊlɪʃ"), None)
        );
    }

    #[test]
    fn errors_name_the_line() {
        let table = [
            ("tao", "lexicon, line 1: expected a word, a tabulator and its phonemes, got \"tao\""),
            ("a\tˈeɪ\nb\t", "lexicon, line 2: \"b\" has no phonemes"),
            ("\tx", "lexicon, line 1: expected one word before the tabulator, got \"\""),
            ("# c\na\tˈeɪ\na\tæ", "lexicon, line 3: \"a\" is there a second time"),
            ("a\tAH0", "lexicon, line 1: 'A' in \"AH0\" is no phoneme; they are written in IPA, as in `həlˈoʊ`"),
        ];
        for (text, want) in table {
            assert_eq!(Lexicon::parse(text).unwrap_err().to_string(), want);
        }
    }
}
