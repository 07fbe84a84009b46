//! Words in, numbers in digits out.

use super::{
    Numeral::{
        self, And, Currency, Multiplier, MultiplierSuffixed, Ones, OnesSuffixed, Per, Percent, Point, Repeat, Sign,
        Tens, TensSuffixed, Zero,
    },
    digits::{product, shifted, sum, whole},
};
use crate::text::normalizer::{
    spelling::{self, Known},
    unicode::{is_digit, is_space},
};

/// The number read so far.
#[derive(Debug, Default)]
pub(super) enum Value {
    #[default]
    None,
    /// A number, as its digits without leading zeros.
    Whole(String),
    /// Digits that were said one by one, or a decimal fraction.
    Spelled(String),
}

impl Value {
    /// What a following digit is written behind. A whole zero counts as nothing, as in the original.
    fn digits(self) -> String {
        match self {
            Self::Whole(digits) if digits == "0" => String::new(),
            Self::Whole(digits) | Self::Spelled(digits) => digits,
            Self::None => String::new(),
        }
    }
}

/// One word, and what it can be in a number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) numeral: Option<Numeral>,
    pub(super) is_numeric: bool,
}

impl<'t> Word<'t> {
    fn new(text: &'t str) -> (Self, Option<&'static str>) {
        let known = spelling::known(text);
        let (numeral, spelling) = match known {
            Some(Known::Numeral(numeral)) => (Some(numeral), None),
            Some(Known::Spelling(spelling)) => (None, Some(spelling)),
            None => (None, None),
        };
        (Self { text, numeral, is_numeric: is_numeric(text) }, spelling)
    }
}

/// Whether the word is digits, or digits, a period and digits.
fn is_numeric(word: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.chars().all(is_digit);
    match word.as_bytes().first() {
        Some(first) if first.is_ascii_digit() || !first.is_ascii() => {}
        _ => return false,
    }
    match word.split_once('.') {
        Some((whole, decimals)) => is_digits(whole) && is_digits(decimals),
        None => is_digits(word),
    }
}

/// Reads words and writes numbers.
#[derive(Debug, Default)]
pub(super) struct Reader {
    written: String,
    prefix: Option<char>,
    pub(super) value: Value,
    /// Whether the rules are those of `violet-en`.
    is_mended: bool,
    /// Whether the number read so far was written in digits.
    pub(super) is_in_digits: bool,
}

impl Reader {
    /// Of the rules of `violet-en`.
    pub(super) fn mended() -> Self {
        Self { is_mended: true, ..Self::default() }
    }

    /// The text with its numbers in digits.
    pub(super) fn read(mut self, text: &str) -> String {
        self.written.reserve(text.len() + 16);
        let mut words = text.split(is_space).filter(|word| !word.is_empty()).map(Word::new);
        let mut previous: Option<Numeral> = None;
        let mut current = words.next();
        while let Some((word, spelling)) = current {
            let next = words.next();
            let following = next.map(|(word, _)| word);
            let is_skipping = match word.numeral {
                None => {
                    self.read_other(word, spelling);
                    false
                }
                Some(numeral) if self.is_mended => self.read_mended(word.text, numeral, previous, following),
                Some(numeral) => self.read_numeral(word.text, numeral, previous, following),
            };
            (previous, current) = (word.numeral, next);
            if is_skipping {
                previous = following.and_then(|word| word.numeral);
                current = words.next();
            }
        }
        self.flush();
        self.written
    }

    /// Writes a word, behind the prefix that waits for it.
    pub(super) fn write(&mut self, parts: &[&str]) {
        if !self.written.is_empty() {
            self.written.push(' ');
        }
        self.written.extend(self.prefix.take());
        self.written.extend(parts.iter().copied());
        self.value = Value::None;
        self.is_in_digits = false;
    }

    /// Writes the number read so far, if any.
    pub(super) fn flush(&mut self) {
        match std::mem::take(&mut self.value) {
            Value::None => {}
            Value::Whole(digits) | Value::Spelled(digits) => self.write(&[&digits]),
        }
    }

    /// A word that is no part of a number in words: it may be one in digits.
    fn read_other(&mut self, word: Word<'_>, spelling: Option<&'static str>) {
        let symbol = word.text.chars().next().filter(|c| matches!(c, '£' | '€' | '$' | '¢'));
        let number = symbol.map_or(word.text, |symbol| &word.text[symbol.len_utf8()..]);
        if !(word.is_numeric || symbol.is_some() && is_numeric(number)) {
            self.flush();
            self.write(&[spelling.unwrap_or(word.text)]);
            return;
        }
        if let Value::Spelled(digits) = &mut self.value
            && digits.ends_with('.')
        {
            digits.push_str(word.text);
            return;
        }
        self.flush();
        self.is_in_digits = true;
        if self.is_mended && number.len() > 1 && number.starts_with('0') && !number.contains('.') {
            self.value = Value::Spelled(number.to_owned());
            return;
        }
        self.prefix = symbol.or(self.prefix);
        self.value = whole(number).map_or_else(|| Value::Spelled(number.to_owned()), Value::Whole);
    }

    /// A word that can be a part of a number; true if the next word is used up as well.
    pub(super) fn read_numeral(
        &mut self,
        word: &str,
        numeral: Numeral,
        previous: Option<Numeral>,
        next: Option<Word<'_>>,
    ) -> bool {
        let next_numeral = next.and_then(|next| next.numeral);
        let is_before_number = next_numeral.is_some() || next.is_some_and(|next| next.is_numeric);
        match numeral {
            Zero => self.append("0"),
            Ones(ones) => self.value = self.with_small(ones, previous),
            OnesSuffixed(ones, suffix) => {
                let value = self.with_small(ones, previous);
                self.write_value(value, suffix);
            }
            Tens(tens) => self.value = self.with_tens(tens),
            TensSuffixed(tens, suffix) => {
                let value = self.with_tens(tens);
                self.write_value(value, suffix);
            }
            Multiplier(power) => self.value = self.times(power),
            MultiplierSuffixed(power, suffix) => {
                let value = self.times(power);
                self.write_value(value, suffix);
            }
            Sign(sign) => {
                self.flush();
                if is_before_number {
                    self.prefix = Some(sign);
                } else {
                    self.write(&[word]);
                }
            }
            Currency(symbol) => {
                if matches!(self.value, Value::None) {
                    self.write(&[word]);
                } else {
                    self.prefix = Some(symbol);
                    self.flush();
                }
            }
            Percent if !matches!(self.value, Value::None) => self.write_suffixed("%"),
            Per if !matches!(self.value, Value::None) && next.is_some_and(|next| next.text == "cent") => {
                self.write_suffixed("%");
                return true;
            }
            And if is_before_number && matches!(previous, Some(Multiplier(_))) => {}
            Repeat(n) if is_before_number && matches!(next_numeral, Some(Ones(_) | Zero)) => {
                let digit = if let Some(Ones(ones)) = next_numeral { ones.to_string() } else { "0".to_owned() };
                self.append(&digit.repeat(usize::from(n)));
                return true;
            }
            Point if is_before_number => {
                if next_numeral.is_none_or(Numeral::is_decimal) {
                    self.append(".");
                }
            }
            Percent | Per | And | Repeat(_) | Point => {
                self.flush();
                self.write(&[word]);
            }
        }
        false
    }

    /// Writes the number read so far with a suffix.
    fn write_suffixed(&mut self, suffix: &str) {
        let value = std::mem::take(&mut self.value);
        self.write_value(value, suffix);
    }

    fn write_value(&mut self, value: Value, suffix: &str) {
        match value {
            Value::None => {}
            Value::Whole(digits) | Value::Spelled(digits) => self.write(&[&digits, suffix]),
        }
    }

    /// Writes digits behind those read so far.
    fn append(&mut self, digits: &str) {
        let mut value = std::mem::take(&mut self.value).digits();
        value.push_str(digits);
        self.value = Value::Spelled(value);
    }

    /// The number read so far and then one to nineteen.
    fn with_small(&mut self, ones: u8, previous: Option<Numeral>) -> Value {
        let text = ones.to_string();
        let is_after_tens = matches!(previous, Some(Tens(_))) && ones < 10;
        match std::mem::take(&mut self.value) {
            Value::None => Value::Whole(text),
            Value::Spelled(mut digits) => {
                if is_after_tens {
                    digits.pop();
                }
                Value::Spelled(digits + &text)
            }
            Value::Whole(digits) if matches!(previous, Some(Ones(_))) => Value::Spelled(digits + &text),
            Value::Whole(digits) => filled(digits, if ones < 10 { 1 } else { 2 }, &text),
        }
    }

    /// The number read so far and then twenty to ninety.
    fn with_tens(&mut self, tens: u8) -> Value {
        let text = tens.to_string();
        match std::mem::take(&mut self.value) {
            Value::None => Value::Whole(text),
            Value::Spelled(digits) => Value::Spelled(digits + &text),
            Value::Whole(digits) => filled(digits, 2, &text),
        }
    }

    /// The number read so far times a power of ten.
    fn times(&mut self, power: u8) -> Value {
        match std::mem::take(&mut self.value) {
            Value::None => Value::Whole(shifted("1", power)),
            Value::Whole(digits) if digits == "0" => Value::Whole(digits),
            Value::Whole(digits) => {
                let (before, residual) = digits.split_at(digits.len().saturating_sub(3));
                Value::Whole(sum(&shifted(before, 3), &shifted(residual, power)))
            }
            Value::Spelled(digits) => {
                if let Some(whole) = product(&digits, power) {
                    return Value::Whole(whole);
                }
                self.write(&[&digits]);
                Value::Whole(shifted("1", power))
            }
        }
    }
}

/// A whole number with its last zeros filled, if there are as many, or else with the digits behind it.
fn filled(mut whole: String, n_zeros: usize, digits: &str) -> Value {
    if whole == "0" {
        return Value::Whole(digits.to_owned());
    }
    if whole.len() > n_zeros - 1
        && whole.bytes().rev().take(n_zeros).all(|digit| digit == b'0')
        && whole.len() > n_zeros
    {
        whole.truncate(whole.len() - digits.len());
        return Value::Whole(whole + digits);
    }
    Value::Spelled(whole + digits)
}
