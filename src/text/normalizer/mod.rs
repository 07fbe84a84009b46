//! What is taken out of a text before its words are compared.

mod basic;
mod english;
mod numbers;
mod spelling;
mod unicode;
mod violet;

use std::borrow::Cow;

/// A normalizer; its [`id`](Self::id) is stored with every score that was made with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Normalizer {
    /// The text as it is.
    #[default]
    None,
    /// openai-whisper's `BasicTextNormalizer` (version 20250625, its defaults): for all languages.
    WhisperBasic,
    /// The same with `remove_diacritics=True`.
    WhisperBasicNoDiacritics,
    /// The same with `split_letters=True`: for languages that do not separate words.
    WhisperBasicSplit,
    /// The same with `remove_diacritics=True, split_letters=True`.
    WhisperBasicNoDiacriticsSplit,
    /// openai-whisper's `EnglishTextNormalizer` (version 20250625), byte for byte, its mistakes included.
    WhisperEn,
    /// [`Self::WhisperEn`] without its known mistakes, and idempotent. The differences are listed in
    /// [`crate::text`].
    VioletEn,
}

impl Normalizer {
    /// Every normalizer.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::WhisperBasic,
        Self::WhisperBasicNoDiacritics,
        Self::WhisperBasicSplit,
        Self::WhisperBasicNoDiacriticsSplit,
        Self::WhisperEn,
        Self::VioletEn,
    ];

    /// The stable name, such as `whisper-en`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WhisperBasic => "whisper-basic",
            Self::WhisperBasicNoDiacritics => "whisper-basic-no-diacritics",
            Self::WhisperBasicSplit => "whisper-basic-split",
            Self::WhisperBasicNoDiacriticsSplit => "whisper-basic-no-diacritics-split",
            Self::WhisperEn => "whisper-en",
            Self::VioletEn => "violet-en",
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
        let basic = |remove_diacritics, split_letters| {
            Cow::Owned(basic::normalize(text, basic::Options { remove_diacritics, split_letters }))
        };
        match self {
            Self::None => Cow::Borrowed(text),
            Self::WhisperBasic => basic(false, false),
            Self::WhisperBasicNoDiacritics => basic(true, false),
            Self::WhisperBasicSplit => basic(false, true),
            Self::WhisperBasicNoDiacriticsSplit => basic(true, true),
            Self::WhisperEn => Cow::Owned(english::normalize(text)),
            Self::VioletEn => Cow::Owned(violet::normalize(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_found_again() {
        let ids = Normalizer::ALL.map(Normalizer::id);
        assert_eq!(
            ids.join(" "),
            "none whisper-basic whisper-basic-no-diacritics whisper-basic-split whisper-basic-no-diacritics-split whisper-en violet-en"
        );
        for normalizer in Normalizer::ALL {
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
        assert_eq!(Normalizer::WhisperBasicNoDiacritics.normalize("Éß øre!"), "ess ore ");
        assert_eq!(Normalizer::WhisperBasicSplit.normalize("你好 ab"), "你 好 a b");
    }
}
