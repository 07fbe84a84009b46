//! English words as espeak-ng's `en-us` says them.

mod dictionary;
mod heteronyms;
mod letters;
mod phrase;

use std::borrow::Cow;
use std::io::Read;
use std::sync::OnceLock;

use flate2::read::ZlibDecoder;
use unicode_normalization::UnicodeNormalization;

use self::dictionary::{Dictionary, Entry};
use self::letters::{Letters, has_vowel, is_vowel};
use crate::{Error, Result};

pub(super) use self::phrase::{Neighbours, in_phrase};

/// What the packed files can unpack to, bytes.
const MAX_UNPACKED_BYTES: u64 = 8 << 20;

/// The dictionary and the rules for words that it lacks.
#[derive(Debug)]
pub(super) struct English {
    dictionary: Dictionary,
    letters: Letters,
}

/// A word's neighbours, in small letters; empty at the ends of a phrase.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context<'a> {
    /// The words before, the nearest first.
    pub before: [&'a str; 2],
    /// The word after.
    pub after: &'a str,
}

impl English {
    /// The tables, unpacked once in a process.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when this build's tables are damaged.
    pub(super) fn get() -> Result<&'static Self> {
        static ENGLISH: OnceLock<Result<English>> = OnceLock::new();
        ENGLISH.get_or_init(Self::unpack).as_ref().map_err(|error| Error::InvalidInput(error.to_string()))
    }

    fn unpack() -> Result<Self> {
        Ok(Self {
            dictionary: Dictionary::from_bytes(unpacked(include_bytes!("english/words.bin"))?)?,
            letters: Letters::from_bytes(&unpacked(include_bytes!("english/letters.bin"))?)?,
        })
    }

    /// The phonemes of a word as it is said alone. Letters that English lacks are read as those that they look like.
    ///
    /// Empty for a word without a letter.
    pub(super) fn word(&self, word: &str, context: Context<'_>) -> String {
        let word = plain(word);
        if let Some(phonemes) = heteronyms::phonemes(&word, context) {
            return phonemes;
        }
        self.known(&word).unwrap_or_else(|| self.guess(&word))
    }

    /// The name of a letter, as in "FBI".
    pub(super) fn letter_name(letter: char) -> Option<&'static str> {
        const NAMES: [&str; 26] = [
            "ˈeɪ",
            "bˈiː",
            "sˈiː",
            "dˈiː",
            "ˈiː",
            "ˈɛf",
            "dʒˈiː",
            "ˈeɪtʃ",
            "ˈaɪ",
            "dʒˈeɪ",
            "kˈeɪ",
            "ˈɛl",
            "ˈɛm",
            "ˈɛn",
            "ˈoʊ",
            "pˈiː",
            "kjˈuː",
            "ˈɑːɹ",
            "ˈɛs",
            "tˈiː",
            "jˈuː",
            "vˈiː",
            "dˈʌbəljˌuː",
            "ˈɛks",
            "wˈaɪ",
            "zˈiː",
        ];
        let index = u32::from(letter.to_ascii_lowercase()).checked_sub(u32::from('a'))?;
        NAMES.get(index as usize).copied()
    }

    /// The names of letters, the last with the main stress.
    pub(super) fn letter_names(letters: &str) -> String {
        let names: Vec<&str> = letters.chars().filter_map(Self::letter_name).collect();
        let Some((last, first)) = names.split_last() else { return String::new() };
        let weakened = first.iter().map(|name| name.replace('ˌ', "").replace('ˈ', "ˌ"));
        weakened.chain([(*last).to_owned()]).collect()
    }

    fn known(&self, word: &str) -> Option<String> {
        Some(match phrase::alone(word) {
            Some(phonemes) => phonemes.to_owned(),
            None => match self.dictionary.get(word)? {
                Entry::Phonemes(phonemes) => phonemes,
                Entry::AsSpelled => self.letters.phonemes(word),
            },
        })
    }

    /// A word that is not in the dictionary: from a known one with an ending, from two known ones, or from its letters.
    fn guess(&self, word: &str) -> String {
        self.inflected(word).or_else(|| self.compound(word)).unwrap_or_else(|| {
            let letters: String = word.chars().filter(char::is_ascii_lowercase).collect();
            if letters.contains(['a', 'e', 'i', 'o', 'u', 'y']) {
                return self.letters.phonemes(&letters);
            }
            Self::letter_names(&letters)
        })
    }

    fn inflected(&self, word: &str) -> Option<String> {
        if let Some(stem) = word.strip_suffix("'s").or_else(|| word.strip_suffix("s'")) {
            let stem = self.known(stem).unwrap_or_else(|| self.guess(stem));
            return Some(stem.clone() + plural(&stem));
        }
        for (ending, replacements) in ENDINGS {
            let Some(stem) = word.strip_suffix(ending).filter(|stem| stem.len() > 2) else { continue };
            let doubled = stem
                .strip_suffix(stem.chars().next_back()?)
                .filter(|short| short.ends_with(stem.chars().next_back().unwrap_or(' ')));
            let stems = replacements.iter().map(|replacement| Cow::Owned(format!("{stem}{replacement}")));
            let doubled = doubled.filter(|_| ending.starts_with(['e', 'i'])).map(Cow::Borrowed);
            let with_y = stem.strip_suffix('i').map(|stem| Cow::Owned(format!("{stem}y")));
            for candidate in stems.chain(doubled).chain(with_y) {
                let stem = self.known(&candidate);
                if let Some(phonemes) = stem.and_then(|stem| with_ending(stem, ending, candidate.ends_with("le"))) {
                    return Some(phonemes);
                }
            }
        }
        for (prefix, said) in PREFIXES {
            if let Some(stem) = word.strip_prefix(prefix).filter(|stem| stem.len() > 3)
                && let Some(phonemes) = self.known(stem).or_else(|| self.inflected(stem))
            {
                return Some(prefixed(said, &phonemes));
            }
        }
        None
    }

    /// Two known words of three letters or more, the second with less stress.
    fn compound(&self, word: &str) -> Option<String> {
        let splits = (3..word.len().saturating_sub(2)).rev().filter(|&at| word.is_char_boundary(at));
        for at in splits {
            let (first, second) = word.split_at(at);
            if let (Some(first), Some(second)) =
                (self.known(first), self.known(second).or_else(|| self.inflected(second)).filter(|_| second.len() > 2))
            {
                let touching = first
                    .rfind('ˈ')
                    .is_some_and(|at| first[at..].matches(is_vowel).count() <= 2 && syllables(&first[at..]) == 1);
                let leads = second.find('ˈ').is_some_and(|at| syllables(&second[..at]) == 0);
                let second =
                    if touching && leads { second.replace(['ˈ', 'ˌ'], "") } else { second.replace('ˈ', "ˌ") };
                return Some(first + &second);
            }
        }
        None
    }
}

/// Endings that leave the stem's sound alone, and what may have been dropped before them.
const ENDINGS: [(&str, &[&str]); 13] = [
    ("ies", &["y"]),
    ("es", &["", "e"]),
    ("s", &[""]),
    ("ied", &["y"]),
    ("ed", &["", "e"]),
    ("ing", &["", "e"]),
    ("ers", &["er", "", "e"]),
    ("er", &["", "e"]),
    ("ness", &[""]),
    ("less", &[""]),
    ("ment", &[""]),
    ("like", &[""]),
    ("ly", &["", "le"]),
];

/// Beginnings that leave the stem's sound alone.
const PREFIXES: [(&str, &str); 9] = [
    ("un", "ʌn"),
    ("non", "nˌɑːn"),
    ("re", "ɹiː"),
    ("over", "ˌoʊvɚ"),
    ("under", "ˌʌndɚ"),
    ("mis", "mɪs"),
    ("pre", "pɹiː"),
    ("sub", "sʌb"),
    ("inter", "ˌɪntɚ"),
];

/// A stem with an ending of [`ENDINGS`].
fn with_ending(stem: String, ending: &str, is_syllabic: bool) -> Option<String> {
    let said = match ending {
        "ies" | "es" | "s" => plural(&stem),
        "ied" | "ed" => {
            if stem.ends_with(['t', 'd', 'ɾ']) {
                "ᵻd"
            } else if stem.ends_with(VOICELESS) {
                "t"
            } else {
                "d"
            }
        }
        "ing" => "ɪŋ",
        "ers" => "ɚz",
        "er" => "ɚ",
        "ness" => "nəs",
        "less" => "ləs",
        "ment" => "mənt",
        "like" => "laɪk",
        "ly" => "li",
        _ => return None,
    };
    let flapped =
        stem.strip_suffix('t').filter(|rest| said.starts_with(is_vowel) && rest.ends_with(|c| is_vowel(c) || c == 'ː'));
    Some(match (flapped, said) {
        (Some(rest), _) => format!("{rest}ɾ{said}"),
        // "simply", "logically"; but "signally".
        (None, "li") if stem.ends_with("əl") && (is_syllabic || stem.ends_with("ɪkəl")) => {
            format!("{}li", stem.trim_end_matches("əl"))
        }
        (None, "li") if stem.ends_with('l') => stem + "i",
        (None, "ɚ" | "ɚz") if stem.ends_with('ɚ') => return None,
        (None, "ɪŋ" | "ᵻd") if stem.ends_with(['ɚ', 'ɜ']) || stem.ends_with("ɜː") => format!("{stem}ɹ{said}"),
        _ => stem + said,
    })
}

/// A stem behind a beginning of [`PREFIXES`].
fn prefixed(prefix: &str, stem: &str) -> String {
    let prefix = match prefix.strip_suffix('n') {
        Some(start) if stem.trim_start_matches(['ˈ', 'ˌ']).starts_with(['k', 'ɡ']) => format!("{start}ŋ"),
        _ => prefix.to_owned(),
    };
    let leads = stem.find(['ˈ', 'ˌ']).is_none_or(|at| syllables(&stem[..at]) == 0);
    let mark = if prefix.starts_with('ʌ') && !leads { "ˌ" } else { "" };
    format!("{mark}{prefix}{stem}")
}

/// Consonants after which "-ed" is said with a "t".
const VOICELESS: [char; 6] = ['p', 'k', 'f', 's', 'ʃ', 'θ'];

/// How "-s" is said after a stem.
fn plural(stem: &str) -> &'static str {
    if stem.ends_with(['s', 'z', 'ʃ', 'ʒ']) {
        "ᵻz"
    } else if stem.ends_with(['p', 't', 'k', 'f', 'θ']) {
        "s"
    } else {
        "z"
    }
}

/// How many syllables phonemes have: runs of vowels.
fn syllables(phonemes: &str) -> usize {
    phonemes.split(|c| !is_vowel(c)).filter(|run| has_vowel(run)).count()
}

/// The word in small letters of a to z, with straight apostrophes.
fn plain(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    for c in word.nfd().flat_map(char::to_lowercase) {
        match c {
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'þ' => plain.push_str("th"),
            'ı' => plain.push('i'),
            '\u{2019}' | '\u{2018}' | '\u{2bc}' | '\u{ff07}' => plain.push('\''),
            'a'..='z' | '\'' => plain.push(c),
            _ => {}
        }
    }
    plain
}

/// Whether a character is a letter, an apostrophe or an accent that [`plain`] can read.
pub(super) fn is_readable(c: char) -> bool {
    !plain(c.encode_utf8(&mut [0; 4])).is_empty()
}

fn unpacked(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    ZlibDecoder::new(bytes).take(MAX_UNPACKED_BYTES).read_to_end(&mut unpacked).map_err(|error| {
        Error::InvalidInput(format!("the pronouncing dictionary in this build is damaged ({error}): build it anew"))
    })?;
    Ok(unpacked)
}
