//! Classes of characters as Python's `str` and `re` see them.

use unicode_general_category::{GeneralCategory as G, get_general_category};

/// Whether Python's `\s` matches: Unicode white space and the four ASCII separators.
#[inline]
pub(super) fn is_space(c: char) -> bool {
    if c.is_ascii() { matches!(c, '\t'..='\r' | '\u{1c}'..='\u{1f}' | ' ') } else { c.is_whitespace() }
}

/// Whether Python's `\w` matches: letters, numbers and the underscore; no marks.
#[inline]
pub(super) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    matches!(
        get_general_category(c),
        G::UppercaseLetter
            | G::LowercaseLetter
            | G::TitlecaseLetter
            | G::ModifierLetter
            | G::OtherLetter
            | G::DecimalNumber
            | G::LetterNumber
            | G::OtherNumber
    )
}

/// Whether Python's `\d` matches: decimal digits of all scripts.
#[inline]
pub(super) fn is_digit(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_digit() } else { get_general_category(c) == G::DecimalNumber }
}

/// The ASCII digit of the same value, for a character that [`is_digit`].
pub(super) fn ascii_digit(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    // Unicode encodes decimal digits in rows of ten from zero on; some rows follow each other at once.
    let code = c as u32;
    let before = (1..=64).take_while(|n| char::from_u32(code - n).is_some_and(is_digit)).count();
    char::from_digit(u32::try_from(before % 10).unwrap_or(0), 10).unwrap_or('0')
}

/// Whether the general category is a mark, a symbol or punctuation.
pub(super) fn is_mark_or_symbol(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation();
    }
    matches!(
        get_general_category(c),
        G::NonspacingMark
            | G::SpacingMark
            | G::EnclosingMark
            | G::MathSymbol
            | G::CurrencySymbol
            | G::ModifierSymbol
            | G::OtherSymbol
            | G::ConnectorPunctuation
            | G::DashPunctuation
            | G::OpenPunctuation
            | G::ClosePunctuation
            | G::InitialPunctuation
            | G::FinalPunctuation
            | G::OtherPunctuation
    )
}

/// Whether the general category is `Mn`, what accents become in NFKD.
pub(super) fn is_nonspacing_mark(c: char) -> bool {
    !c.is_ascii() && get_general_category(c) == G::NonspacingMark
}

/// Where the run of [`is_word`] characters from `start` on ends.
#[inline]
pub(super) fn word_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut end = start;
    while let Some(&byte) = bytes.get(end) {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            end += 1;
        } else if byte.is_ascii() {
            break;
        } else {
            match text[end..].chars().next() {
                Some(c) if is_word(c) => end += c.len_utf8(),
                _ => break,
            }
        }
    }
    end
}

/// Every run of Python white space as one space.
pub(super) fn single_spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut is_after_space = false;
    for c in text.chars() {
        let is_space = is_space(c);
        if !is_space {
            spaced.push(c);
        } else if !is_after_space {
            spaced.push(' ');
        }
        is_after_space = is_space;
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_other_scripts_have_their_value() {
        for (c, want) in [('7', '7'), ('\u{663}', '3'), ('\u{96f}', '9'), ('\u{1a90}', '0'), ('\u{11f59}', '9')] {
            assert_eq!(ascii_digit(c), want, "{c}");
        }
    }
}
