//! openai-whisper's `BasicTextNormalizer`, for all languages. Source: openai-whisper 20250625,
//! `whisper/normalizers/basic.py`.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::unicode::{is_mark_or_symbol, is_nonspacing_mark, single_spaced};

/// What a basic normalizer does beyond its defaults.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    /// Accents off: `é` to `e`, `ß` to `ss`.
    pub(super) remove_diacritics: bool,
    /// A space between all characters, for languages that do not separate words.
    pub(super) split_letters: bool,
}

/// Lower case; bracketed text, symbols, punctuation and marks out; one space between words.
///
/// Like the original, it leaves a space at an end where punctuation was.
pub(super) fn normalize(text: &str, options: Options) -> String {
    let lower = lowercase(text);
    let text = without_brackets(&lower);
    let clean = if options.remove_diacritics {
        without_symbols_and_diacritics(&text, |_| false)
    } else {
        without_symbols(&text)
    };
    let text = lowercase(&clean);
    if options.split_letters {
        let split = text.graphemes(true).collect::<Vec<_>>().join(" ");
        return single_spaced(&split);
    }
    single_spaced(&text)
}

/// Python's `str.lower`.
pub(super) fn lowercase(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() }
}

/// The text without `<...>`, `[...]` and `(...)`.
pub(super) fn without_brackets(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'<' | b'[' | b'(')) {
        return Cow::Borrowed(text);
    }
    let text = without_groups(text, &['<', '['], &['>', ']'], true);
    Cow::Owned(without_groups(&text, &['('], &[')'], false))
}

/// NFKC, with marks, symbols and punctuation replaced by spaces.
fn without_symbols(text: &str) -> String {
    let replace = |c| if is_mark_or_symbol(c) { ' ' } else { c };
    if text.is_ascii() { text.chars().map(replace).collect() } else { text.nfkc().map(replace).collect() }
}

/// NFKD without accents; other marks, symbols and punctuation are replaced by spaces, unless `is_kept`.
pub(super) fn without_symbols_and_diacritics(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let replace = |c: char| if !is_kept(c) && is_mark_or_symbol(c) { ' ' } else { c };
    if text.is_ascii() {
        return text.chars().map(replace).collect();
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.nfkd() {
        if c.is_ascii() || is_kept(c) {
            clean.push(replace(c));
        } else if let Some(letters) = letters_of(c) {
            clean.push_str(letters);
        } else if !is_nonspacing_mark(c) {
            clean.push(replace(c));
        }
    }
    clean
}

/// The plain letters of those that NFKD leaves whole.
fn letters_of(c: char) -> Option<&'static str> {
    Some(match c {
        'œ' => "oe",
        'Œ' => "OE",
        'ø' => "o",
        'Ø' => "O",
        'æ' => "ae",
        'Æ' => "AE",
        'ß' => "ss",
        'ẞ' => "SS",
        'đ' | 'ð' => "d",
        'Đ' | 'Ð' => "D",
        'þ' | 'Þ' => "th",
        'ł' => "l",
        'Ł' => "L",
        _ => return None,
    })
}

/// The text without groups from an opening character to the next closing one; an opening one inside a group is part of
/// it, one that is never closed stays. `may_be_empty` tells whether `[]` is a group.
fn without_groups(text: &str, open: &[char], close: &[char], may_be_empty: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        // All of these characters are ASCII: one byte each.
        let Some(length) = rest[start + 1..].find(close) else { break };
        if length == 0 && !may_be_empty {
            // `()` is not a group, but the search for one goes on behind its opening parenthesis.
            kept.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
            continue;
        }
        kept.push_str(&rest[..start]);
        rest = &rest[start + 1 + length + 1..];
    }
    kept.push_str(rest);
    kept
}
