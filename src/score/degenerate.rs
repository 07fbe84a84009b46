//! A cheap check of a transcript's text for what no speaker says.

use crate::text::Normalizer;

/// Fastest speech, words a second: auctioneers reach 7.
const MAX_WORDS_PER_S: f64 = 10.0;
/// Fastest speech, characters a second, for languages that do not separate words: fast readers reach 30.
const MAX_CHARS_PER_S: f64 = 60.0;
/// Text that any length of audio may have, in seconds of the fastest speech.
const SLACK_S: f64 = 2.0;
/// Longest phrase that is looked for in repetition, words and characters.
const MAX_PERIOD: usize = 64;
/// Repetitions without a break, from which on a phrase may be a loop of the decoder.
const MIN_REPETITIONS: usize = 8;
/// Least length of such a loop: words, and characters of text without spaces.
const MIN_LOOP_WORDS: usize = 32;
const MIN_LOOP_CHARS: usize = 128;
/// Least part of the text that a loop takes: one loop in an hour of speech is a flaw, not a worthless answer.
const MIN_LOOP_SHARE: f64 = 0.3;

/// Why `text` cannot be what was said in `duration_s` seconds; `None` if it can.
///
/// An empty text can always be. Refused are a phrase repeated without a break over much of the text, and more text
/// than can be spoken in that time.
#[must_use]
pub fn degenerate(text: &str, duration_s: f64) -> Option<&'static str> {
    let text = Normalizer::WhisperBasic.normalize(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let chars: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let spoken_s = duration_s.max(0.0) + SLACK_S;
    if words.len() as f64 > MAX_WORDS_PER_S * spoken_s || chars.len() as f64 > MAX_CHARS_PER_S * spoken_s {
        return Some("more text than can be spoken in the time");
    }
    if has_loop(&words, MIN_LOOP_WORDS) || has_loop(&chars, MIN_LOOP_CHARS) {
        return Some("one phrase repeated over and over");
    }
    None
}

/// Whether a phrase of at most `MAX_PERIOD` tokens is repeated without a break for long enough.
fn has_loop<T: PartialEq>(tokens: &[T], min_len: usize) -> bool {
    let min_len = min_len.max((tokens.len() as f64 * MIN_LOOP_SHARE).ceil() as usize);
    (1..=MAX_PERIOD).any(|period| {
        let min_len = min_len.max(period * MIN_REPETITIONS);
        let mut n_equal = 0;
        tokens.iter().zip(tokens.iter().skip(period)).any(|(token, later)| {
            n_equal = if token == later { n_equal + 1 } else { 0 };
            n_equal + period >= min_len && n_equal > 0
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn different_words(n: usize) -> String {
        (0..n).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn speech_is_not_degenerate() {
        let speech = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do.";
        assert_eq!(degenerate(speech, 11.0), None);
        assert_eq!(degenerate("", 30.0), None);
        assert_eq!(degenerate("", 0.0), None);
        assert_eq!(degenerate("No, no, no, no, no, no!", 3.0), None);
        assert_eq!(degenerate("\u{4eca}\u{65e5}\u{306f}\u{826f}\u{3044}\u{5929}\u{6c17}\u{3067}\u{3059}", 2.0), None);
    }

    #[test]
    fn loops_are_found_in_words_and_without_spaces() {
        assert!(degenerate(&"thank you ".repeat(40), 60.0).is_some());
        assert!(degenerate(&format!("5-{}", "0-".repeat(200)), 60.0).is_some());
        assert!(degenerate(&"\u{8c22}\u{8c22}".repeat(100), 60.0).is_some());
        assert!(degenerate(&"we will see what the day brings to all of us ".repeat(9), 60.0).is_some());
    }

    #[test]
    fn one_loop_in_a_long_text_is_tolerated() {
        let speech = different_words(600);
        assert_eq!(degenerate(&format!("{speech} {}", "you ".repeat(40)), 600.0), None);
    }

    #[test]
    fn too_much_text_for_the_time_is_refused() {
        let speech = different_words(200);
        assert!(degenerate(&speech, 5.0).is_some());
        assert!(degenerate(&speech, f64::NAN).is_some());
        assert_eq!(degenerate(&speech, 60.0), None);
        assert!(degenerate(&"x".repeat(1000), 5.0).is_some());
    }
}
