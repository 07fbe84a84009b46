//! What is taken out of a text before its words are compared.

use std::borrow::Cow;

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization;

/// A normalizer; its [`id`](Self::id) is stored with every score that was made with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Normalizer {
    /// The text as it is.
    #[default]
    None,
    /// openai-whisper's `BasicTextNormalizer` (version 20250625, its defaults): for all languages.
    WhisperBasic,
}

impl Normalizer {
    /// Every normalizer.
    pub const ALL: [Self; 2] = [Self::None, Self::WhisperBasic];

    /// The stable name: `none`, `whisper-basic`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WhisperBasic => "whisper-basic",
        }
    }

    /// The normalizer with this [`id`](Self::id).
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|normalizer| normalizer.id() == id)
    }

    /// The normalized text.
    #[must_use]
    pub fn normalize(self, text: &str) -> String {
        self.apply(text).into_owned()
    }

    /// The normalized text, without a copy where nothing is to do.
    pub(crate) fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::WhisperBasic => Cow::Owned(whisper_basic(text)),
        }
    }
}

/// Lower case; bracketed text, symbols, punctuation and marks out; one space between words.
///
/// Like the original, it leaves a space at an end where punctuation was.
fn whisper_basic(text: &str) -> String {
    let text = without_groups(&text.to_lowercase(), &['<', '['], &['>', ']'], true);
    let text = without_groups(&text, &['('], &[')'], false);
    let is_removed = |c: char| {
        use GeneralCategory as G;
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
    };
    let text: String = text.nfkc().map(|c| if is_removed(c) { ' ' } else { c }).collect();
    let mut normalized = String::with_capacity(text.len());
    let mut is_after_space = false;
    for c in text.to_lowercase().chars() {
        let is_space = is_python_space(c);
        if !is_space {
            normalized.push(c);
        } else if !is_after_space {
            normalized.push(' ');
        }
        is_after_space = is_space;
    }
    normalized
}

/// The text without groups from an opening character to the next closing one; an opening one inside a group is part of
/// it, one that is never closed stays. `may_be_empty` tells whether `[]` is a group.
fn without_groups(text: &str, open: &[char], close: &[char], may_be_empty: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let body = start + rest[start..].chars().next().map_or(0, char::len_utf8);
        let Some(length) = rest[body..].find(close) else { break };
        let end = body + length;
        if length == 0 && !may_be_empty {
            // `()` is not a group, but the search for one goes on behind its opening parenthesis.
            kept.push_str(&rest[..body]);
            rest = &rest[body..];
            continue;
        }
        kept.push_str(&rest[..start]);
        rest = &rest[end + rest[end..].chars().next().map_or(0, char::len_utf8)..];
    }
    kept.push_str(rest);
    kept
}

/// Whether Python's `\s` matches: Unicode white space and the four ASCII separators.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_found_again() {
        for normalizer in [Normalizer::None, Normalizer::WhisperBasic] {
            assert_eq!(Normalizer::from_id(normalizer.id()), Some(normalizer));
        }
        assert_eq!(Normalizer::from_id("WhisperBasic"), None);
    }

    #[test]
    fn basic_examples_by_hand() {
        let table = [
            ("Hello, World!", "hello world "),
            ("[laughter] So (she said) <b>yes</b>", " so yes"),
            ("() (a) (", " "),
            ("[a[b]c]", "c "),
            ("it's 5 \u{b0}C", "it s 5 c"),
            ("\u{ff26}\u{ff55}ll\u{3000}width", "full width"),
        ];
        for (text, want) in table {
            assert_eq!(Normalizer::WhisperBasic.normalize(text), want, "{text}");
        }
    }
}
