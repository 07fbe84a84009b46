//! What a response is worth, in [0, 1]: validity times quality squared, and a little for speed.
//!
//! Parts multiply: with a sum, a miner that answers fast and wrong would be paid. Not-a-number counts as the worst.

use crate::text::Normalizer;

use super::align::{distance, rate};

/// The version of these rules; stored with every score that was made by them.
pub const VERSION: &str = "reward/1";

/// Languages that are scored by characters, for they do not separate words: Chinese (and Cantonese), Japanese, Thai,
/// Lao, Khmer, Burmese.
pub const CHARACTER_LANGUAGES: [&str; 7] = ["zh", "yue", "ja", "th", "lo", "km", "my"];

/// Error rate up to which words count in full, and from which on they count nothing.
const FULL_ERROR_RATE: f64 = 0.02;
const ZERO_ERROR_RATE: f64 = 0.35;
const WORD_WEIGHT: f64 = 0.85;
const TIME_WEIGHT: f64 = 0.10;
const LANGUAGE_WEIGHT: f64 = 0.05;
/// Part of the reward that speed cannot take.
const LATENCY_FLOOR: f64 = 0.8;
/// Stretch of silence that invented words are counted by, seconds.
const SILENCE_UNIT_S: f64 = 2.0;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Speech to text.
    Transcription,
    /// Text to speech.
    Synthesis,
    /// Measurements of audio.
    Analysis,
}

impl Kind {
    /// Time within which an answer has its full latency factor, seconds, for `duration_s` seconds of audio.
    #[must_use]
    pub fn target_s(self, duration_s: f64) -> f64 {
        let per_second = match self {
            Self::Transcription => 0.15,
            Self::Synthesis => 0.5,
            Self::Analysis => 0.10,
        };
        1.0 + per_second * duration_s
    }
}

/// The latency factor L, 0 to 1: 1 up to the target time T, falling to 0 at 3 T. Faster than T earns nothing more.
#[must_use]
pub fn latency_factor(kind: Kind, duration_s: f64, elapsed_s: f64) -> f64 {
    let target_s = kind.target_s(duration_s);
    if !(duration_s >= 0.0 && target_s.is_finite()) {
        return 0.0;
    }
    clip((3.0 * target_s - elapsed_s) / (2.0 * target_s))
}

/// The error rate that transcription rewards use; `None` for a reference without words.
///
/// Texts are normalized by [`Normalizer::WhisperBasic`]. Words count, or for [`CHARACTER_LANGUAGES`] characters other
/// than white space; only the Levenshtein distance does, which is the same for every choice of alignment.
#[must_use]
pub fn transcription_error_rate(reference: &str, hypothesis: &str, language: &str) -> Option<f64> {
    let normalize = |text| Normalizer::WhisperBasic.normalize(text);
    let (reference, hypothesis) = (normalize(reference), normalize(hypothesis));
    if is_character_language(language) {
        let chars = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>();
        let (reference, hypothesis) = (chars(&reference), chars(&hypothesis));
        return rate(distance(&reference, &hypothesis), reference.len());
    }
    let (reference, hypothesis): (Vec<_>, Vec<_>) =
        (reference.split_whitespace().collect(), hypothesis.split_whitespace().collect());
    rate(distance(&reference, &hypothesis), reference.len())
}

/// Whether a language (a code such as `ja` or `zh-TW`) is scored by characters.
#[must_use]
pub fn is_character_language(language: &str) -> bool {
    let code = language.split(['-', '_']).next().unwrap_or_default();
    CHARACTER_LANGUAGES.iter().any(|character_language| character_language.eq_ignore_ascii_case(code))
}

/// The word part W, 0 to 1, of an error rate: 1 up to 2 % errors, 0 from 35 % on.
#[must_use]
pub fn word_quality(error_rate: f64) -> f64 {
    clip((ZERO_ERROR_RATE - error_rate) / (ZERO_ERROR_RATE - FULL_ERROR_RATE))
}

/// What a transcription is judged by beside its words. The default asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TranscriptionParts {
    /// Share of words whose start is within 0.2 s of the truth, if times were asked for.
    pub timestamp_share: Option<f64>,
    /// Whether the language was named rightly, if it was asked for.
    pub is_language_right: Option<bool>,
    /// Words written in silence, and that silence's length in seconds, if there was any.
    pub invented: Option<(usize, f64)>,
}

/// The quality Q of a transcription, 0 to 1: `(0.85 W + 0.10 TS + 0.05 LANG) * exp(-h)`.
///
/// Parts that were not asked for are left out, and the weights of the others scaled to 1. `h` is the number of invented
/// words per 2 s of silence.
#[must_use]
pub fn transcription_quality(error_rate: f64, parts: &TranscriptionParts) -> f64 {
    let language = parts.is_language_right.map(|is_right| f64::from(u8::from(is_right)));
    let weighted = [
        (WORD_WEIGHT, Some(word_quality(error_rate))),
        (TIME_WEIGHT, parts.timestamp_share.map(clip)),
        (LANGUAGE_WEIGHT, language),
    ];
    let asked = || weighted.iter().filter_map(|&(weight, part)| part.map(|part| (weight, part)));
    let total: f64 = asked().map(|(weight, _)| weight).sum();
    let mean = asked().map(|(weight, part)| weight * part).sum::<f64>() / total;
    let h = match parts.invented {
        None | Some((0, _)) => 0.0,
        Some((n_words, silence_s)) if silence_s > 0.0 => n_words as f64 * SILENCE_UNIT_S / silence_s,
        Some(_) => f64::INFINITY,
    };
    clip(mean * (-h).exp())
}

/// The reward r of a response, 0 to 1: `V * Q^2 * (0.8 + 0.2 L)`.
#[must_use]
pub fn response_reward(is_valid: bool, quality: f64, latency: f64) -> f64 {
    if !is_valid {
        return 0.0;
    }
    clip(quality).powi(2) * (LATENCY_FLOOR + (1.0 - LATENCY_FLOOR) * clip(latency))
}

/// Into [0, 1]; not-a-number to 0.
fn clip(x: f64) -> f64 {
    if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got}, not {want}");
    }

    #[test]
    fn latency_worked_by_hand() {
        // 10 s of speech: T = 1 + 0.15 * 10 = 2.5 s.
        near(latency_factor(Kind::Transcription, 10.0, 2.5), 1.0);
        near(latency_factor(Kind::Transcription, 10.0, 0.1), 1.0);
        near(latency_factor(Kind::Transcription, 10.0, 5.0), 0.5);
        near(latency_factor(Kind::Transcription, 10.0, 7.5), 0.0);
        near(latency_factor(Kind::Synthesis, 10.0, 12.0), 0.5);
        near(latency_factor(Kind::Analysis, 10.0, 4.0), 0.5);
    }

    #[test]
    fn quality_worked_by_hand() {
        let none = TranscriptionParts::default();
        near(transcription_quality(0.0, &none), 1.0);
        near(transcription_quality(0.02, &none), 1.0);
        near(transcription_quality(0.185, &none), 0.5);
        near(transcription_quality(0.35, &none), 0.0);
        let all =
            TranscriptionParts { timestamp_share: Some(0.5), is_language_right: Some(false), invented: Some((3, 6.0)) };
        near(transcription_quality(0.0, &all), 0.9 * (-1.0_f64).exp());
        let wrong_language = TranscriptionParts { is_language_right: Some(false), ..none };
        near(transcription_quality(0.0, &wrong_language), 0.85 / 0.90);
        let silence = TranscriptionParts { invented: Some((0, 30.0)), ..none };
        near(transcription_quality(0.0, &silence), 1.0);
    }

    #[test]
    fn reward_worked_by_hand() {
        near(response_reward(true, 1.0, 1.0), 1.0);
        near(response_reward(true, 0.5, 0.0), 0.2);
        near(response_reward(false, 1.0, 1.0), 0.0);
    }

    #[test]
    fn what_is_not_a_number_earns_nothing() {
        near(response_reward(true, f64::NAN, 1.0), 0.0);
        near(response_reward(true, 1.0, f64::NAN), 0.8);
        near(word_quality(f64::NAN), 0.0);
        near(latency_factor(Kind::Transcription, f64::NAN, 1.0), 0.0);
        near(latency_factor(Kind::Transcription, f64::INFINITY, 1.0), 0.0);
        near(latency_factor(Kind::Transcription, -1.0, 0.0), 0.0);
        near(latency_factor(Kind::Transcription, 1.0, f64::NAN), 0.0);
        let parts = TranscriptionParts { invented: Some((1, f64::NAN)), ..TranscriptionParts::default() };
        near(transcription_quality(0.0, &parts), 0.0);
    }

    #[test]
    fn some_languages_count_characters() {
        assert!(is_character_language("ja") && is_character_language("zh-TW") && !is_character_language("en"));
        let got = transcription_error_rate("\u{4eca}\u{65e5}\u{306f}", "\u{4eca} \u{65e5}\u{3001}\u{304c}", "ja");
        near(got.unwrap(), 1.0 / 3.0);
        near(transcription_error_rate("Ask not, what", "ask not WHAT!", "en").unwrap(), 0.0);
        assert_eq!(transcription_error_rate("...", "a", "en"), None);
    }
}
