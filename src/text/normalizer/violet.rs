//! Violet's normalizer of English: openai-whisper's without its known mistakes. What differs is listed in
//! [`crate::text`].

use super::basic::{lowercase, without_brackets, without_symbols_and_diacritics};
use super::english::{expanded, without_hesitations};
use super::numbers::{self, Numeral};
use super::spelling::numeral;
use super::unicode::{is_space, is_word};

/// Most rounds until the text no longer changes: one suffices for all but contrived texts.
const MAX_ROUNDS: usize = 16;

/// The normalized text; normalized again, it is the same.
pub(super) fn normalize(text: &str) -> String {
    let mut text = once(text);
    for _ in 0..MAX_ROUNDS {
        let again = once(&text);
        if again == text {
            break;
        }
        text = again;
    }
    text
}

fn once(text: &str) -> String {
    let lower = lowercase(text).replace(['\u{2018}', '\u{2019}', '\u{2bc}', '\u{ff07}'], "'");
    let text = without_brackets(&lower);
    let text = without_hesitations(&text).replace("o'clock", "oclock");
    let text = expanded(&text);
    let text = spoken(&text);
    let text = without_symbols_and_diacritics(&text, |c| c == '.');
    let text = numbers::standardized_without_mistakes(&lowercase(&text));
    mended(&text)
}

/// The name of a currency.
fn currency(symbol: char) -> Option<&'static str> {
    Some(match symbol {
        '$' => "dollars",
        '£' => "pounds",
        '€' => "euros",
        '¢' => "cents",
        _ => return None,
    })
}

/// With symbols beside digits as the words that are said for them, and periods only inside numbers.
fn spoken(text: &str) -> String {
    let mut said = String::with_capacity(text.len() + 16);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at + c.len_utf8()..];
        let is_before_digit = rest.starts_with(|c: char| c.is_ascii_digit());
        let last = text[..at].chars().next_back();
        let is_after_digit = last.is_some_and(|c| c.is_ascii_digit());
        at += c.len_utf8();
        match c {
            ',' if is_after_digit && is_before_digit && is_thousands(text, at - 1) => {}
            ':' if is_after_digit && is_before_digit => {
                // A full hour is said without its minutes.
                let minutes = rest.bytes().take_while(u8::is_ascii_digit).count();
                said.push(' ');
                if minutes == 2 && rest.starts_with("00") && !rest[2..].starts_with(':') {
                    at += 2;
                }
            }
            '.' if is_after_digit && is_before_digit => said.push('.'),
            '.' if is_before_digit && !last.is_some_and(is_word) => said.push_str("0."),
            '.' if is_abbreviation(text, at - 1) => {}
            '-' | '\u{2212}' if is_before_digit && last.is_none_or(|c| is_space(c) || currency(c).is_some()) => {
                said.push_str(" minus ");
            }
            '%' if is_after_digit => said.push_str(" percent "),
            _ => match currency(c) {
                Some(name) if is_before_digit => {
                    let n = amount_len(rest);
                    at += n;
                    said.push(' ');
                    said.push_str(&rest[..n].replace(',', ""));
                    said.push(' ');
                    said.push_str(name);
                    said.push(' ');
                }
                Some(name) if is_after_digit => {
                    said.push(' ');
                    said.push_str(name);
                    said.push(' ');
                }
                _ if c == '.' => said.push(' '),
                _ => said.push(c),
            },
        }
    }
    said
}

/// Whether the comma at `at` parts thousands: one to three digits before the first, three behind each.
fn is_thousands(text: &str, at: usize) -> bool {
    let n_behind = text[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
    let before =
        text.as_bytes()[..at].rsplit(|byte| !(byte.is_ascii_digit() || *byte == b',')).next().unwrap_or_default();
    let mut groups = before.split(|byte| *byte == b',');
    let first = groups.next().map_or(0, <[u8]>::len);
    n_behind == 3 && (1..=3).contains(&first) && groups.all(|group| group.len() == 3)
}

/// Whether the period at `at` stands between two single letters.
fn is_abbreviation(text: &str, at: usize) -> bool {
    let mut before = text[..at].chars().rev();
    let mut after = text[at + 1..].chars();
    let is_letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    is_letter(before.next())
        && !before.next().is_some_and(is_word)
        && is_letter(after.next())
        && !after.next().is_some_and(is_word)
}

/// Length of the number, and of a power of ten behind it, at the start of the text.
fn amount_len(text: &str) -> usize {
    let is_part = |(at, c): (usize, char)| {
        c.is_ascii_digit() || matches!(c, ',' | '.') && text[at + 1..].starts_with(|c: char| c.is_ascii_digit())
    };
    let n = text.char_indices().take_while(|&found| is_part(found)).count();
    let rest = text[n..].trim_start_matches(is_space);
    let word = &rest[..super::unicode::word_end(rest, 0)];
    if rest.len() < text.len() - n && matches!(numeral(word), Some(Numeral::Multiplier(_))) {
        text.len() - rest.len() + word.len()
    } else {
        n
    }
}

/// Dollars with their cents, and what the tables of words get wrong.
fn mended(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut amounts: Vec<String> = Vec::new();
    let is_whole = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    // An amount's place is marked by an empty word.
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = match word {
            "ninth" => "9th",
            "archeology</span>" => "archeology",
            "dollar" => "dollars",
            "euro" => "euros",
            "cent" => "cents",
            "pound" => "pounds",
            _ => word,
        };
        words.push(word);
        let n = words.len();
        let with_and = usize::from(n >= 5 && words[n - 3] == "and");
        if word == "cents" && n >= 4 + with_and {
            let (unit, cents) = (words[n - 3 - with_and], words[n - 2]);
            let amount = words[n - 4 - with_and];
            let is_amount = !amount.is_empty() && is_whole(amount) && !cents.is_empty() && is_whole(cents);
            if is_amount && cents.len() <= 2 && matches!(unit, "dollars" | "euros") {
                amounts.push(format!("{amount}.{cents:0>2}"));
                words.truncate(n - 4 - with_and);
                words.extend(["", unit]);
            }
        }
    }
    let mut amounts = amounts.iter();
    let filled =
        words.iter().map(|word| if word.is_empty() { amounts.next().map_or("", String::as_str) } else { word });
    filled.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mistakes_are_mended() {
        let table = [
            ("three and a half pounds of sugar", "3.5 pounds of sugar"),
            ("It's 10:00 AM.", "it is 10 am"),
            ("10:05 a.m.", "10 05 am"),
            ("+1 800 555 0199", "1 800 555 0199"),
            ("one oh one", "101"),
            ("oh my god", "oh my god"),
            ("five o'clock", "5 oclock"),
            ("$20 million, twenty million dollars", "20000000 dollars 20000000 dollars"),
            ("$2.07 or two dollars and seven cents", "2.07 dollars or 2.07 dollars"),
            ("-5 degrees, minus five degrees", "minus 5 degrees minus 5 degrees"),
            ("50% and fifty per cent", "50 percent and 50 percent"),
            ("1,234,567 but 1,2,3", "1234567 but 1 2 3"),
            ("the ninth U.S.A. archaeology colour", "the 9th usa archeology color"),
            ("don\u{2019}t you, Mr. Smith?", "do not you mister smith"),
            ("3.1 is .5 more", "3.1 is 0.5 more"),
            ("one hundred and five", "105"),
            ("twenty twenty one", "2021"),
            ("the 1990s, 21st and 1 more", "the 1990s 21st and 1 more"),
            ("Version 1.2.3", "version 1.2.3"),
            ("", ""),
        ];
        for (text, want) in table {
            assert_eq!(normalize(text), want, "{text:?}");
            assert_eq!(normalize(want), want, "{want:?} again");
        }
    }
}
