//! openai-whisper's `EnglishTextNormalizer`, by scanners in place of its 70 regular expressions.
//!
//! Source: openai-whisper 20250625, `whisper/normalizers/english.py`. The original applies its expressions one after
//! the other; every function here does what one or several of them do, in their order, with the same result.

use super::basic::{lowercase, without_brackets, without_symbols_and_diacritics};
use super::numbers;
use super::unicode::{is_digit, is_space, is_word, single_spaced, word_end};

/// The normalized text. Like the original, it may begin or end with a space.
pub(super) fn normalize(text: &str) -> String {
    let lower = lowercase(text);
    let text = without_brackets(&lower);
    let text = without_hesitations(&text);
    let text = expanded(&text);
    let text = without_commas_and_periods(&text);
    let text = without_symbols_and_diacritics(&text, is_number_symbol);
    let text = numbers::standardized(&text);
    without_lone_symbols(text)
}

/// Symbols that can be a part of a number.
pub(super) fn is_number_symbol(c: char) -> bool {
    matches!(c, '.' | '%' | '$' | '¢' | '€' | '£')
}

/// Without words of hesitation, and without the spaces before an apostrophe.
pub(super) fn without_hesitations(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let end = word_end(text, at);
        if end > at {
            let word = &text[at..end];
            if !matches!(word, "hmm" | "mm" | "mhm" | "mmm" | "uh" | "um") {
                kept.push_str(word);
            }
            at = end;
            continue;
        }
        let Some(c) = text[at..].chars().next() else { break };
        if c == '\'' {
            kept.truncate(kept.trim_end_matches(is_space).len());
        }
        kept.push(c);
        at += c.len_utf8();
    }
    kept
}

/// With contractions and titles written out.
pub(super) fn expanded(text: &str) -> String {
    let mut long = String::with_capacity(text.len() + text.len() / 8);
    let mut at = 0;
    while at < text.len() {
        let end = word_end(text, at);
        if end > at {
            let word = &text[at..end];
            let suffix = suffix_at(text, end);
            if let Some(whole) = whole_contraction(word, suffix) {
                long.push_str(whole);
                at = end + 1 + suffix.len();
            } else {
                long.push_str(abbreviation(word).unwrap_or(word));
                at = end;
            }
            continue;
        }
        let Some(c) = text[at..].chars().next() else { break };
        let mut suffix = suffix_at(text, at);
        // In "we'ren't" the original takes "n't" off first.
        let is_before_not = suffix.ends_with('n') && suffix_at(text, at + 1 + suffix.len()) == "t";
        if is_before_not {
            suffix = &suffix[..suffix.len() - 1];
        }
        let after = at + 1 + suffix.len();
        let full = match suffix {
            "d" if is_followed_by(text, after, &["been", "gone", "done"]) => " had",
            // "gotta" has become "got to" by the time that the original looks.
            "s" if is_followed_by(text, after, &["been", "gone", "got", "gotta"]) => " has",
            "t" => {
                if long.ends_with('n') && !is_before_not {
                    long.pop();
                }
                " not"
            }
            "re" => " are",
            "s" => " is",
            "d" => " would",
            "ll" => " will",
            "ve" => " have",
            "m" => " am",
            _ => "",
        };
        if full.is_empty() {
            long.push(c);
            at += c.len_utf8();
        } else {
            long.push_str(full);
            at = after;
        }
    }
    long
}

/// The word after an apostrophe at `at`; empty without one.
fn suffix_at(text: &str, at: usize) -> &str {
    if text.as_bytes().get(at) == Some(&b'\'') { &text[at + 1..word_end(text, at + 1)] } else { "" }
}

/// Whether one space and one of these words follow.
fn is_followed_by(text: &str, at: usize, words: &[&str]) -> bool {
    text.as_bytes().get(at) == Some(&b' ') && words.contains(&&text[at + 1..word_end(text, at + 1)])
}

/// Contractions that are replaced as a whole.
fn whole_contraction(word: &str, suffix: &str) -> Option<&'static str> {
    if suffix.is_empty() {
        return None;
    }
    Some(match (word, suffix) {
        ("won", "t") => "will not",
        ("can", "t") => "can not",
        ("let", "s") => "let us",
        ("ain", "t") => "aint",
        ("y", "all") => "you all",
        ("i", "ma") => "i am going to",
        ("ma", "am") => "madam",
        _ => return None,
    })
}

/// Words without an apostrophe that are written out.
fn abbreviation(word: &str) -> Option<&'static str> {
    if !(2..=7).contains(&word.len()) {
        return None;
    }
    Some(match word {
        "wanna" => "want to",
        "gotta" => "got to",
        "gonna" => "going to",
        "imma" => "i am going to",
        "woulda" => "would have",
        "coulda" => "could have",
        "shoulda" => "should have",
        "mr" => "mister ",
        "mrs" => "missus ",
        "st" => "saint ",
        "dr" => "doctor ",
        "prof" => "professor ",
        "capt" => "captain ",
        "gov" => "governor ",
        "ald" => "alderman ",
        "gen" => "general ",
        "sen" => "senator ",
        "rep" => "representative ",
        "pres" => "president ",
        "rev" => "reverend ",
        "hon" => "honorable ",
        "asst" => "assistant ",
        "assoc" => "associate ",
        "lt" => "lieutenant ",
        "col" => "colonel ",
        "jr" => "junior ",
        "sr" => "senior ",
        "esq" => "esquire ",
        _ => return None,
    })
}

/// Without commas between digits, and with a space for every period that no digit follows.
///
/// A regular expression's match uses its characters up: the digit after a comma is not seen again before the next
/// comma, nor the character after a period as a period.
fn without_commas_and_periods(text: &str) -> String {
    if !text.bytes().any(|byte| matches!(byte, b',' | b'.')) {
        return text.to_owned();
    }
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let (mut is_after_digit, mut is_used) = (false, false);
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match c {
            ',' if is_after_digit && next.is_some_and(is_digit) => {
                if let Some(digit) = chars.next() {
                    kept.push(digit);
                }
                (is_after_digit, is_used) = (false, false);
                continue;
            }
            '.' if !is_used && !next.is_some_and(|next| next.is_ascii_digit()) => {
                kept.push(' ');
                (is_after_digit, is_used) = (false, true);
                continue;
            }
            _ => kept.push(c),
        }
        (is_after_digit, is_used) = (is_digit(c), false);
    }
    kept
}

/// Without currency symbols and periods before what is no digit, and per cents after; single spaces.
fn without_lone_symbols(text: String) -> String {
    if !text.chars().any(|c| is_number_symbol(c) || is_space(c) && c != ' ') {
        return text;
    }
    let is_digit = |c: &char| c.is_ascii_digit();
    let mut spaced = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_lone = is_number_symbol(c) && c != '%';
        match chars.next_if(|next| is_lone && !is_digit(next)) {
            Some(next) => spaced.extend([' ', next]),
            None => spaced.push(c),
        }
    }
    let mut kept = String::with_capacity(spaced.len() + 8);
    let mut chars = spaced.chars().peekable();
    while let Some(c) = chars.next() {
        kept.push(c);
        if !is_digit(&c) && chars.next_if_eq(&'%').is_some() {
            kept.push(' ');
        }
    }
    single_spaced(&kept)
}

/// Whether a word ends at `at`: Python's `\b` behind a word.
pub(super) fn is_word_end(text: &str, at: usize) -> bool {
    !text[at..].chars().next().is_some_and(is_word)
}
