//! What is done to a text after its numbers were read.

use crate::text::normalizer::{english::is_word_end, unicode::is_word};

/// Dollars with their cents, and "one" for 1.
pub(super) fn postprocess(text: String) -> String {
    let has_currency = text.chars().any(|c| matches!(c, '€' | '£' | '$'));
    let text = if has_currency { with_cents(&text) } else { text };
    if !text.contains('1') {
        return text;
    }
    let mut ones = String::with_capacity(text.len() + 8);
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        let is_one = c == '1' && !is_word(last) && {
            let rest = &text[at + 1..];
            is_word_end(rest, 0) || rest.starts_with('s') && is_word_end(rest, 1)
        };
        if is_one {
            ones.push_str("one");
        } else {
            ones.push(c);
        }
        last = c;
    }
    ones
}

/// One or two digits at the start that end a word.
fn cents(text: &str) -> Option<&str> {
    let is_cents =
        |n: &usize| text.len() >= *n && text.as_bytes()[..*n].iter().all(u8::is_ascii_digit) && is_word_end(text, *n);
    (1..=2).rev().find(is_cents).map(|n| &text[..n])
}

/// `$2 and ¢7` as `$2.07`, `$0.07` as `¢7`.
fn with_cents(text: &str) -> String {
    let is_currency = |c: char| matches!(c, '€' | '£' | '$');
    let n_digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut combined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        combined.push(c);
        rest = &rest[c.len_utf8()..];
        if !is_currency(c) {
            continue;
        }
        let n = n_digits(rest);
        let after = rest[n..].strip_prefix(' ').map(|after| after.strip_prefix("and ").unwrap_or(after));
        let found = after.filter(|_| n > 0).and_then(|after| after.strip_prefix('¢')).and_then(cents);
        if let (Some(found), Some(after)) = (found, after) {
            combined.push_str(&rest[..n]);
            combined.push('.');
            combined.extend((found.len() == 1).then_some('0'));
            combined.push_str(found);
            rest = &after['¢'.len_utf8() + found.len()..];
        }
    }
    let mut extracted = String::with_capacity(combined.len());
    let mut rest = combined.as_str();
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let mut chars = rest.chars();
        // After the zero any character may stand, as in the original.
        let found = (is_currency(c) && chars.next() == Some('0') && chars.next().is_some())
            .then(|| cents(chars.as_str()))
            .flatten();
        if let Some(found) = found {
            extracted.push('¢');
            extracted.push_str(found.strip_prefix('0').filter(|cents| !cents.is_empty()).unwrap_or(found));
            rest = &chars.as_str()[found.len()..];
        } else {
            extracted.push(c);
        }
    }
    extracted
}
