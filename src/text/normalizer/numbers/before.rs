//! What is done to a text before its numbers are read.

use std::borrow::Cow;

use super::Numeral::{Multiplier, Ones, Tens, Zero};
use crate::text::normalizer::{
    english::is_word_end,
    spelling::numeral,
    unicode::{is_space, is_word},
};

/// The text with digits apart from letters, and "point five" for "and a half".
pub(super) fn prepared(text: &str) -> Cow<'_, str> {
    let is_plain = !text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains("half");
    if is_plain { Cow::Borrowed(text) } else { Cow::Owned(preprocess(text)) }
}

/// Splits digits from letters, and says "point five" for "and a half".
fn preprocess(text: &str) -> String {
    let text = if text.contains("half") { with_halves(text) } else { text.to_owned() };
    let mut split = String::with_capacity(text.len() + 16);
    let mut last = ' ';
    for c in text.chars() {
        if (last.is_ascii_lowercase() && c.is_ascii_digit()) || (last.is_ascii_digit() && c.is_ascii_lowercase()) {
            split.push(' ');
        }
        split.push(c);
        last = c;
    }
    let mut joined = String::with_capacity(split.len());
    let mut at = 0;
    while let Some(c) = split[at..].chars().next() {
        joined.push(c);
        at += c.len_utf8();
        if c.is_ascii_digit() {
            let rest = split[at..].trim_start_matches(is_space);
            let suffix = ["st", "nd", "rd", "th", "s"]
                .iter()
                .find(|suffix| rest.starts_with(**suffix) && is_word_end(rest, suffix.len()));
            if let Some(suffix) = suffix.filter(|_| rest.len() < split.len() - at) {
                joined.push_str(suffix);
                at = split.len() - rest.len() + suffix.len();
            }
        }
    }
    joined
}

/// "two and a half" as "two point five".
fn with_halves(text: &str) -> String {
    let mut segments = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(found) = text[from..].find("and") {
        let begin = from + found;
        from = begin + 3;
        let is_word_start = !text[..begin].chars().next_back().is_some_and(is_word);
        if let Some(end) = is_word_start.then(|| end_of_and_a_half(text, begin)).flatten() {
            segments.push(&text[start..begin]);
            (start, from) = (end, end);
        }
    }
    segments.push(&text[start..]);
    let n_segments = segments.len();
    let mut parts = Vec::with_capacity(2 * n_segments);
    for (index, segment) in segments.into_iter().enumerate() {
        if segment.trim_matches(is_space).is_empty() {
            continue;
        }
        parts.push(segment);
        if index + 1 < n_segments {
            let last = segment.trim_end_matches(is_space).rsplit(is_space).next().unwrap_or_default();
            let is_number = matches!(numeral(last), Some(Ones(_) | Tens(_) | Zero | Multiplier(_)));
            parts.push(if is_number { "point five" } else { "and a half" });
        }
    }
    parts.join(" ")
}

/// Where "and a half" ends that begins at `begin`.
fn end_of_and_a_half(text: &str, begin: usize) -> Option<usize> {
    let after_spaces = |rest: &'_ str| {
        let trimmed = rest.trim_start_matches(is_space);
        (trimmed.len() < rest.len()).then_some(text.len() - trimmed.len())
    };
    let a = after_spaces(&text[begin + 3..])?;
    let half = after_spaces(text[a..].strip_prefix('a')?)?;
    let end = half + 4;
    (text[half..].starts_with("half") && is_word_end(text, end)).then_some(end)
}
