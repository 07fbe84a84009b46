//! The reward of a transcript whose truth is known.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::breakdown::Reward;
use super::delivery::{Delivery, Kind};
use super::{between, clip};
use crate::score::align::{distance, rate};
use crate::text::Normalizer;
use crate::{Error, Result};

/// Languages that are scored by characters, for they do not separate words: Chinese (and Cantonese), Japanese, Thai,
/// Lao, Khmer, Burmese.
pub const CHARACTER_LANGUAGES: [&str; 7] = ["zh", "yue", "ja", "th", "lo", "km", "my"];

/// Error rate up to which words count in full, and from which on they count nothing.
const FULL_ERROR_RATE: f64 = 0.02;
const ZERO_ERROR_RATE: f64 = 0.35;
const WORD_WEIGHT: f64 = 0.85;
const TIME_WEIGHT: f64 = 0.10;
const LANGUAGE_WEIGHT: f64 = 0.05;
/// How far a word's start may be from the truth, seconds; a little more, for decimals that binary numbers miss.
const START_TOLERANCE_S: f64 = 0.2 + 1e-9;
/// Stretch of silence that invented words are counted by, seconds.
const SILENCE_UNIT_S: f64 = 2.0;

/// A transcript, its truth, and how it came. The default is an empty text of silence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Transcription<'t> {
    /// What was said.
    pub reference: &'t str,
    /// What the miner heard.
    pub hypothesis: &'t str,
    /// The language that was spoken: a code such as `en` or `zh-TW`.
    pub language: &'t str,
    /// The language that the miner named, if it was asked to; empty if it named none.
    pub hypothesis_language: Option<&'t str>,
    /// When the reference's words start, seconds, if times were asked for: one for each unit (see [`n_units`]).
    pub reference_starts: Option<&'t [f64]>,
    /// The same of the hypothesis, as the miner says; of another number than its units they are worth nothing.
    pub word_starts: &'t [f64],
    /// Where nobody speaks, as (start, end) in seconds: words that start in there are invented.
    pub silences: &'t [(f64, f64)],
    /// How the response came.
    pub delivery: Delivery,
}

/// The reward of a transcript: Q is `(0.85 W + 0.10 TS + 0.05 LANG) * exp(-h)`.
///
/// W comes from the error rate ([`transcription_error_rate`], [`word_quality`]), TS is the share of words that are there
/// and start within 0.2 s of the truth, LANG whether the language is right. Parts that were not asked for are left out,
/// and the weights of the others scaled to 1. `h` is the number of invented words per 2 s of silence. Where nothing was
/// said, W is 1 for an empty answer and 0 for any other.
///
/// # Errors
///
/// [`Error::InvalidInput`] if there is not one reference time for each unit of the reference.
pub fn transcription(response: &Transcription<'_>) -> Result<Reward> {
    let Transcription { reference, hypothesis, language, hypothesis_language, silences, delivery, .. } = *response;
    let mut reward = Reward::new(Kind::Transcription.name());
    let (n_errors, n_reference, n_hypothesis) = errors(reference, hypothesis, language);
    let words = if let Some(error_rate) = rate(n_errors, n_reference) {
        reward.measure("error_rate", error_rate);
        reward.part("words", word_quality(error_rate), || {
            format!("{n_errors} errors in {n_reference} words, {:.1} %; 2 % cost nothing", 100.0 * error_rate)
        })
    } else {
        let is_empty = f64::from(u8::from(n_hypothesis == 0));
        reward.part("words", is_empty, || format!("{n_hypothesis} words where nothing was said"))
    };
    let mut weighted = vec![(WORD_WEIGHT, words)];
    if let Some(starts) = response.reference_starts {
        let reference = timed_units(reference, language, starts)?;
        let share = share_in_time(&reference, &units(hypothesis, language), response.word_starts);
        let share = reward.part("times", share, || {
            format!("{:.1} % of the words are there and start within 0.2 s of the truth", 100.0 * share)
        });
        weighted.push((TIME_WEIGHT, share));
    }
    if let Some(named) = hypothesis_language {
        let is_right = primary(named).eq_ignore_ascii_case(primary(language));
        let part = f64::from(u8::from(is_right));
        let part = reward.part("language", part, || format!("the language is {language:?}, not {named:?}"));
        weighted.push((LANGUAGE_WEIGHT, part));
    }
    let total: f64 = weighted.iter().map(|(weight, _)| weight).sum();
    let mean = weighted.iter().map(|(weight, part)| weight * part).sum::<f64>() / total;
    let h = invented(response.word_starts, silences);
    reward.measure("invented_words_per_2_s", h);
    let silence = if silences.is_empty() {
        1.0
    } else {
        reward.part("silence", libm::exp(-h), || format!("{h:.2} words per 2 s where nobody speaks"))
    };
    Ok(reward.delivered(Kind::Transcription, mean * silence, &delivery))
}

/// The error rate that transcription rewards use; `None` for a reference without words.
///
/// Texts are normalized by [`Normalizer::WhisperBasic`]. Words count, or for [`CHARACTER_LANGUAGES`] characters other
/// than white space; only the Levenshtein distance does, which is the same for every choice of alignment.
#[must_use]
pub fn transcription_error_rate(reference: &str, hypothesis: &str, language: &str) -> Option<f64> {
    let (errors, n_reference, _) = errors(reference, hypothesis, language);
    rate(errors, n_reference)
}

/// Levenshtein distance and the number of units of both texts.
pub(super) fn errors(reference: &str, hypothesis: &str, language: &str) -> (usize, usize, usize) {
    let normalize = |text| Normalizer::WhisperBasic.normalize(text);
    let (reference, hypothesis) = (normalize(reference), normalize(hypothesis));
    if is_character_language(language) {
        let chars = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>();
        let (reference, hypothesis) = (chars(&reference), chars(&hypothesis));
        return (distance(&reference, &hypothesis), reference.len(), hypothesis.len());
    }
    let (reference, hypothesis): (Vec<_>, Vec<_>) =
        (reference.split_whitespace().collect(), hypothesis.split_whitespace().collect());
    (distance(&reference, &hypothesis), reference.len(), hypothesis.len())
}

/// Whether a language (a code such as `ja` or `zh-TW`) is scored by characters.
#[must_use]
pub fn is_character_language(language: &str) -> bool {
    let code = primary(language);
    CHARACTER_LANGUAGES.iter().any(|character_language| character_language.eq_ignore_ascii_case(code))
}

/// The code of a language without its region: `zh` of `zh-TW`.
fn primary(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or_default()
}

/// The word part W, 0 to 1, of an error rate: 1 up to 2 % errors, 0 from 35 % on.
#[must_use]
pub fn word_quality(error_rate: f64) -> f64 {
    between(ZERO_ERROR_RATE, FULL_ERROR_RATE, error_rate)
}

/// How many times a text has: one for each word between white space that is more than punctuation, or in
/// [`CHARACTER_LANGUAGES`] for each such character.
#[must_use]
pub fn n_units(text: &str, language: &str) -> usize {
    units(text, language).len()
}

/// The units of a text, as they are compared.
fn units(text: &str, language: &str) -> Vec<String> {
    let normalize = |unit: &str| Normalizer::WhisperBasic.normalize(unit).split_whitespace().collect::<String>();
    let words = text.split_whitespace().map(normalize).filter(|unit| !unit.is_empty());
    if is_character_language(language) {
        return words.flat_map(|word| word.chars().map(String::from).collect::<Vec<_>>()).collect();
    }
    words.collect()
}

/// The units of the reference with their starts, seconds.
fn timed_units(reference: &str, language: &str, starts: &[f64]) -> Result<Vec<(String, f64)>> {
    let units = units(reference, language);
    if units.len() == starts.len() {
        return Ok(units.into_iter().zip(starts.iter().copied()).collect());
    }
    Err(Error::InvalidInput(format!(
        "got {} reference times for {} words; expected one for each word between white space (each character in Chinese, \
         Japanese, Thai, Lao, Khmer and Burmese), none for punctuation alone",
        starts.len(),
        units.len()
    )))
}

/// The share of the reference's units that the hypothesis has in their order, each within 0.2 s: the longest such common
/// subsequence, so no choice of alignment matters. 1 for an empty reference.
///
/// Source: Hunt and Szymanski, "A fast algorithm for computing longest common subsequences", Comm. ACM 20 (1977).
fn share_in_time(reference: &[(String, f64)], hypothesis: &[String], word_starts: &[f64]) -> f64 {
    if reference.is_empty() {
        return 1.0;
    }
    if hypothesis.len() != word_starts.len() {
        return 0.0;
    }
    // Where each unit stands, by time.
    let mut places: HashMap<&str, Vec<(f64, usize)>, RandomState> = HashMap::default();
    for (index, (unit, start)) in reference.iter().enumerate() {
        if start.is_finite() {
            places.entry(unit).or_default().push((*start, index));
        }
    }
    for places in places.values_mut() {
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    // `ends[n]` is the least place in the reference at which a common subsequence of n + 1 units can end.
    let (mut ends, mut candidates) = (Vec::<usize>::new(), Vec::new());
    for (unit, &start) in hypothesis.iter().zip(word_starts) {
        let Some(places) = places.get(unit.as_str()).filter(|_| start.is_finite()) else { continue };
        let first = places.partition_point(|(at, _)| *at < start - START_TOLERANCE_S);
        let near = places[first..].iter().take_while(|(at, _)| *at <= start + START_TOLERANCE_S);
        candidates.clear();
        candidates.extend(near.map(|(_, index)| *index));
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        for &index in &candidates {
            let n = ends.partition_point(|&end| end < index);
            if n == ends.len() {
                ends.push(index);
            } else {
                ends[n] = index;
            }
        }
    }
    clip(ends.len() as f64 / reference.len() as f64)
}

/// Words that start more than 0.2 s inside a silence, for every 2 s of silence; infinite if silences have no length.
fn invented(starts: &[f64], silences: &[(f64, f64)]) -> f64 {
    let is_within =
        |start: f64, (from, to): (f64, f64)| start > from + START_TOLERANCE_S && start < to - START_TOLERANCE_S;
    let makes_up = |start: &&f64| silences.iter().any(|&silence| is_within(**start, silence));
    let n_invented = starts.iter().filter(makes_up).count();
    let total_s: f64 = silences.iter().map(|(from, to)| (to - from).max(0.0)).sum();
    if n_invented == 0 { 0.0 } else { n_invented as f64 * SILENCE_UNIT_S / total_s }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got}, not {want}");
    }

    #[test]
    fn words_worked_by_hand() {
        for (error_rate, want) in [(0.0, 1.0), (0.02, 1.0), (0.185, 0.5), (0.35, 0.0), (9.0, 0.0), (f64::NAN, 0.0)] {
            near(word_quality(error_rate), want);
        }
    }

    #[test]
    fn all_parts_worked_by_hand() {
        let response = Transcription {
            reference: "a b c d",
            hypothesis: "a b c d",
            language: "en",
            hypothesis_language: Some("de"),
            reference_starts: Some(&[0.0, 1.0, 2.0, 9.0]),
            word_starts: &[0.1, 1.2, 2.3, 6.0],
            silences: &[(4.0, 8.0)],
            delivery: Delivery { duration_s: 10.0, elapsed_s: 5.0, ..Delivery::default() },
        };
        let reward = transcription(&response).unwrap();
        near(reward.parts["times"], 0.5);
        // One word in 4 s of silence: h = 0.5.
        let quality = 0.9 * (-0.5_f64).exp();
        near(reward.parts["quality"], quality);
        near(reward.value, quality * quality * 0.9);
        assert_eq!(reward.reasons.len(), 4, "{:?}", reward.reasons);
    }

    #[test]
    fn where_nothing_is_said_nothing_may_be_written() {
        let of = |hypothesis| transcription(&Transcription { hypothesis, ..Transcription::default() }).unwrap().value;
        near(of("..."), 1.0);
        near(of("Thank you."), 0.0);
    }

    #[test]
    fn some_languages_count_characters() {
        assert!(is_character_language("ja") && is_character_language("zh-TW") && !is_character_language("en"));
        let got = transcription_error_rate("\u{4eca}\u{65e5}\u{306f}", "\u{4eca} \u{65e5}\u{3001}\u{304c}", "ja");
        near(got.unwrap(), 1.0 / 3.0);
        near(transcription_error_rate("Ask not, what", "ask not WHAT!", "en").unwrap(), 0.0);
        assert_eq!(transcription_error_rate("...", "a", "en"), None);
        assert_eq!((n_units("\u{4eca}\u{65e5}\u{3001} a", "ja"), n_units("don't - stop", "en")), (3, 2));
    }

    #[test]
    fn times_of_another_number_than_words_are_refused_or_worth_nothing() {
        let response = Transcription {
            reference: "a b",
            hypothesis: "a b",
            reference_starts: Some(&[0.0, 1.0]),
            word_starts: &[0.0],
            ..Transcription::default()
        };
        near(transcription(&response).unwrap().parts["times"], 0.0);
        let error = transcription(&Transcription { reference_starts: Some(&[0.0]), ..response }).unwrap_err();
        assert!(error.to_string().starts_with("got 1 reference times for 2 words"), "{error}");
    }
}
