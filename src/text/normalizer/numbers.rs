//! English numbers, from words to digits, and American spelling of the words between.
//!
//! Source: openai-whisper 20250625, `EnglishNumberNormalizer` and `EnglishSpellingNormalizer`. Whole numbers of any
//! length are kept as their decimal digits, in which all that the original computes can be done.

use std::borrow::Cow;

use super::english::is_word_end;
use super::spelling::{self, Known, numeral};
use super::unicode::{ascii_digit, is_digit, is_space};

/// What a word can be in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numeral {
    /// `oh`.
    Zero,
    /// `one` to `nineteen`.
    Ones(u8),
    /// `sixes`, `sixth`.
    OnesSuffixed(u8, &'static str),
    /// `twenty`.
    Tens(u8),
    /// `twenties`, `twentieth`.
    TensSuffixed(u8, &'static str),
    /// `hundred`, ten to the power of 2.
    Multiplier(u8),
    /// `hundreds`, `hundredth`.
    MultiplierSuffixed(u8, &'static str),
    /// `minus`.
    Sign(char),
    /// `dollars`.
    Currency(char),
    /// `per` of `per cent`.
    Per,
    /// `percent`.
    Percent,
    /// `and`.
    And,
    /// `double`, `triple`: how often the next digit counts.
    Repeat(u8),
    /// `point`.
    Point,
}

use Numeral::{
    And, Currency, Multiplier, MultiplierSuffixed, Ones, OnesSuffixed, Per, Percent, Point, Repeat, Sign, Tens,
    TensSuffixed, Zero,
};

impl Numeral {
    /// Whether a digit of a decimal fraction can be said so.
    fn is_decimal(self) -> bool {
        matches!(self, Ones(_) | Tens(_) | Zero)
    }
}

/// Words from one to nineteen, with their ordinal and plural.
const ONES: [[&str; 3]; 19] = [
    ["one", "first", "ones"],
    ["two", "second", "twos"],
    ["three", "third", "threes"],
    ["four", "fourth", "fours"],
    ["five", "fifth", "fives"],
    ["six", "sixth", "sixes"],
    ["seven", "seventh", "sevens"],
    ["eight", "eighth", "eights"],
    ["nine", "nineth", "nines"],
    ["ten", "tenth", "tens"],
    ["eleven", "eleventh", "elevens"],
    ["twelve", "twelfth", "twelves"],
    ["thirteen", "thirteenth", "thirteens"],
    ["fourteen", "fourteenth", "fourteens"],
    ["fifteen", "fifteenth", "fifteens"],
    ["sixteen", "sixteenth", "sixteens"],
    ["seventeen", "seventeenth", "seventeens"],
    ["eighteen", "eighteenth", "eighteens"],
    ["nineteen", "nineteenth", "nineteens"],
];

/// Words from twenty to ninety, with their ordinal and plural.
const TENS: [[&str; 3]; 8] = [
    ["twenty", "twentieth", "twenties"],
    ["thirty", "thirtieth", "thirties"],
    ["forty", "fortieth", "forties"],
    ["fifty", "fiftieth", "fifties"],
    ["sixty", "sixtieth", "sixties"],
    ["seventy", "seventieth", "seventies"],
    ["eighty", "eightieth", "eighties"],
    ["ninety", "ninetieth", "nineties"],
];

/// Powers of ten, with their ordinal and plural.
const MULTIPLIERS: [([&str; 3], u8); 12] = [
    (["hundred", "hundredth", "hundreds"], 2),
    (["thousand", "thousandth", "thousands"], 3),
    (["million", "millionth", "millions"], 6),
    (["billion", "billionth", "billions"], 9),
    (["trillion", "trillionth", "trillions"], 12),
    (["quadrillion", "quadrillionth", "quadrillions"], 15),
    (["quintillion", "quintillionth", "quintillions"], 18),
    (["sextillion", "sextillionth", "sextillions"], 21),
    (["septillion", "septillionth", "septillions"], 24),
    (["octillion", "octillionth", "octillions"], 27),
    (["nonillion", "nonillionth", "nonillions"], 30),
    (["decillion", "decillionth", "decillions"], 33),
];

const OTHERS: [(&str, Numeral); 22] = [
    ("o", Zero),
    ("oh", Zero),
    ("zero", Zero),
    ("zeroth", OnesSuffixed(0, "th")),
    ("minus", Sign('-')),
    ("negative", Sign('-')),
    ("plus", Sign('+')),
    ("positive", Sign('+')),
    ("pound", Currency('£')),
    ("pounds", Currency('£')),
    ("euro", Currency('€')),
    ("euros", Currency('€')),
    ("dollar", Currency('$')),
    ("dollars", Currency('$')),
    ("cent", Currency('¢')),
    ("cents", Currency('¢')),
    ("per", Per),
    ("percent", Percent),
    ("and", And),
    ("double", Repeat(2)),
    ("triple", Repeat(3)),
    ("point", Point),
];

/// Every word that can be a part of a number.
pub(super) fn vocabulary() -> impl Iterator<Item = (&'static str, Numeral)> {
    let ones = ONES.iter().zip(1..).flat_map(|([cardinal, ordinal, plural], value)| {
        let suffix = match value {
            1 => "st",
            2 => "nd",
            3 => "rd",
            _ => "th",
        };
        [(*cardinal, Ones(value)), (*ordinal, OnesSuffixed(value, suffix)), (*plural, OnesSuffixed(value, "s"))]
    });
    let tens = TENS.iter().zip(2..).flat_map(|([cardinal, ordinal, plural], value)| {
        let value = value * 10;
        [(*cardinal, Tens(value)), (*ordinal, TensSuffixed(value, "th")), (*plural, TensSuffixed(value, "s"))]
    });
    let multipliers = MULTIPLIERS.iter().flat_map(|&([cardinal, ordinal, plural], power)| {
        [
            (cardinal, Multiplier(power)),
            (ordinal, MultiplierSuffixed(power, "th")),
            (plural, MultiplierSuffixed(power, "s")),
        ]
    });
    ones.chain(tens).chain(multipliers).chain(OTHERS)
}

/// The text with numbers in digits and American spelling; words are separated by one space.
pub(super) fn standardized(text: &str) -> String {
    postprocess(Reader::default().read(&prepared(text)))
}

/// The text with numbers in digits and American spelling, by the rules of `violet-en`.
pub(super) fn standardized_without_mistakes(text: &str) -> String {
    Reader { is_mended: true, ..Reader::default() }.read(&prepared(text))
}

/// The text with digits apart from letters, and "point five" for "and a half".
fn prepared(text: &str) -> Cow<'_, str> {
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
        let is_word_start = !text[..begin].chars().next_back().is_some_and(super::unicode::is_word);
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

/// The number read so far.
#[derive(Debug, Default)]
enum Value {
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
struct Word<'t> {
    text: &'t str,
    numeral: Option<Numeral>,
    is_numeric: bool,
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
struct Reader {
    written: String,
    prefix: Option<char>,
    value: Value,
    /// Whether the rules are those of `violet-en`.
    is_mended: bool,
    /// Whether the number read so far was written in digits.
    is_in_digits: bool,
}

impl Reader {
    fn read(mut self, text: &str) -> String {
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
    fn write(&mut self, parts: &[&str]) {
        if !self.written.is_empty() {
            self.written.push(' ');
        }
        self.written.extend(self.prefix.take());
        self.written.extend(parts.iter().copied());
        self.value = Value::None;
        self.is_in_digits = false;
    }

    /// Writes the number read so far, if any.
    fn flush(&mut self) {
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

    /// As [`Self::read_numeral`], without the original's mistakes: signs, currencies and per cents stay words, a number
    /// in digits is not continued by one in words, and "oh" is a digit only between digits.
    fn read_mended(&mut self, word: &str, numeral: Numeral, previous: Option<Numeral>, next: Option<Word<'_>>) -> bool {
        let next_numeral = next.and_then(|next| next.numeral);
        let is_empty = matches!(self.value, Value::None);
        let is_after_point = matches!(&self.value, Value::Spelled(digits) if digits.ends_with('.'));
        match numeral {
            Zero if word != "zero" => {
                let is_digit = !is_empty && !self.is_in_digits && matches!(next_numeral, Some(Ones(1..=9) | Zero));
                if !is_digit && !is_after_point {
                    self.flush();
                    self.write(&[word]);
                    return false;
                }
            }
            Sign(_) | Currency(_) | Percent => {
                self.flush();
                self.write(&[word]);
                return false;
            }
            Per => {
                self.flush();
                let is_per_cent = next.is_some_and(|next| next.text == "cent");
                self.write(&[if is_per_cent { "percent" } else { word }]);
                return is_per_cent;
            }
            Point => {
                let is_decimal = next.is_some_and(|next| {
                    next.is_numeric && !next.text.contains('.') || next.numeral.is_some_and(Numeral::is_decimal)
                });
                if is_empty || !is_decimal || matches!(&self.value, Value::Spelled(digits) if digits.contains('.')) {
                    self.flush();
                    self.write(&[word]);
                } else if let Value::Whole(digits) | Value::Spelled(digits) = std::mem::take(&mut self.value) {
                    self.value = Value::Spelled(digits + ".");
                    self.is_in_digits = false;
                }
                return false;
            }
            And if self.is_in_digits => {
                self.flush();
                self.write(&[word]);
                return false;
            }
            Repeat(_) | Zero | Ones(_) | OnesSuffixed(..) | Tens(_) | TensSuffixed(..)
                if self.is_in_digits && !is_after_point =>
            {
                self.flush();
            }
            _ => {}
        }
        let is_in_digits = self.is_in_digits;
        let is_skipping = self.read_numeral(word, numeral, previous, next);
        // A power of ten makes words of digits: "5 hundred and 6".
        self.is_in_digits = is_in_digits && !matches!(numeral, Multiplier(_));
        is_skipping
    }

    /// A word that can be a part of a number; true if the next word is used up as well.
    fn read_numeral(
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

/// The whole number of these digits, if it is one: `007` is 7, `2.50` none, `2.0` 2.
fn whole(number: &str) -> Option<String> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_whole = decimals.chars().all(|digit| ascii_digit(digit) == '0');
    is_whole.then(|| without_leading_zeros(&whole.chars().map(ascii_digit).collect::<String>()))
}

fn without_leading_zeros(digits: &str) -> String {
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

/// Digits times a power of ten.
fn shifted(digits: &str, power: u8) -> String {
    without_leading_zeros(&format!("{digits}{}", "0".repeat(usize::from(power))))
}

/// The sum of two whole numbers.
fn sum(left: &str, right: &str) -> String {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let digit = |digits: &[u8], n: usize| digits.iter().rev().nth(n).map_or(0, |digit| digit - b'0');
    let mut digits = Vec::with_capacity(left.len().max(right.len()) + 1);
    let mut carry = 0;
    for n in 0..left.len().max(right.len()) {
        let total = digit(left, n) + digit(right, n) + carry;
        digits.push(char::from(b'0' + total % 10));
        carry = total / 10;
    }
    digits.extend((carry > 0).then_some('1'));
    without_leading_zeros(&digits.iter().rev().collect::<String>())
}

/// A decimal number times a power of ten, if both it is a number and the product a whole one.
fn product(number: &str, power: u8) -> Option<String> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_number = !(whole.is_empty() && decimals.is_empty()) && whole.chars().chain(decimals.chars()).all(is_digit);
    if !is_number {
        return None;
    }
    let mut digits: String = whole.chars().chain(decimals.chars()).map(ascii_digit).collect();
    let point = whole.chars().count() + usize::from(power);
    while digits.len() > point {
        if digits.pop() != Some('0') {
            return None;
        }
    }
    digits.extend(std::iter::repeat_n('0', point - digits.len()));
    Some(without_leading_zeros(&digits))
}

/// Dollars with their cents, and "one" for 1.
fn postprocess(text: String) -> String {
    let has_currency = text.chars().any(|c| matches!(c, '€' | '£' | '$'));
    let text = if has_currency { with_cents(&text) } else { text };
    if !text.contains('1') {
        return text;
    }
    let mut ones = String::with_capacity(text.len() + 8);
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        let is_one = c == '1' && !super::unicode::is_word(last) && {
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
