//! Numbers as words.

/// Names of the groups of three digits, from the lowest.
const SCALES: [&str; 12] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
];

/// Zero to nineteen, with their ordinals.
const ONES: [[&str; 2]; 20] = [
    ["zero", "zeroth"],
    ["one", "first"],
    ["two", "second"],
    ["three", "third"],
    ["four", "fourth"],
    ["five", "fifth"],
    ["six", "sixth"],
    ["seven", "seventh"],
    ["eight", "eighth"],
    ["nine", "ninth"],
    ["ten", "tenth"],
    ["eleven", "eleventh"],
    ["twelve", "twelfth"],
    ["thirteen", "thirteenth"],
    ["fourteen", "fourteenth"],
    ["fifteen", "fifteenth"],
    ["sixteen", "sixteenth"],
    ["seventeen", "seventeenth"],
    ["eighteen", "eighteenth"],
    ["nineteen", "nineteenth"],
];

/// Twenty to ninety, with their ordinals.
const TENS: [[&str; 2]; 8] = [
    ["twenty", "twentieth"],
    ["thirty", "thirtieth"],
    ["forty", "fortieth"],
    ["fifty", "fiftieth"],
    ["sixty", "sixtieth"],
    ["seventy", "seventieth"],
    ["eighty", "eightieth"],
    ["ninety", "ninetieth"],
];

/// The digits of `text`, one after the other; other characters are left out.
pub(super) fn digits(text: &str) -> Vec<&'static str> {
    text.bytes().filter(u8::is_ascii_digit).map(|digit| ONES[usize::from(digit - b'0')][0]).collect()
}

/// A number below 1000.
fn below_thousand(number: usize, words: &mut Vec<&'static str>) {
    if number >= 100 {
        words.extend([ONES[number / 100 % 10][0], "hundred"]);
    }
    match number % 100 {
        0 => {}
        rest @ 1..20 => words.push(ONES[rest][0]),
        rest => {
            words.push(TENS[rest / 10 - 2][0]);
            if rest % 10 > 0 {
                words.push(ONES[rest % 10][0]);
            }
        }
    }
}

/// A whole number, given as ASCII digits; digit by digit where it is longer than numbers have names.
pub(super) fn cardinal(text: &str) -> Vec<&'static str> {
    let significant = text.trim_start_matches('0');
    if significant.len() > 3 * SCALES.len() {
        return digits(text);
    }
    let mut words = Vec::new();
    let mut rest = significant;
    while !rest.is_empty() {
        let scale = (rest.len() - 1) / 3;
        let (group, tail) = rest.split_at(rest.len() - 3 * scale);
        let group = group.parse().unwrap_or(0);
        if group > 0 {
            below_thousand(group, &mut words);
            if scale > 0 {
                words.push(SCALES[scale]);
            }
        }
        rest = tail;
    }
    if words.is_empty() {
        words.push("zero");
    }
    words
}

/// The ordinal of a whole number: its cardinal with the last word changed.
pub(super) fn ordinal(text: &str) -> Vec<&'static str> {
    let mut words = cardinal(text);
    if let Some(last) = words.last_mut() {
        let pair = ONES.iter().chain(&TENS).find(|pair| pair[0] == *last);
        *last = match (pair, *last) {
            (Some(pair), _) => pair[1],
            (None, "hundred") => "hundredth",
            (None, "thousand") => "thousandth",
            (None, "million") => "millionth",
            (None, "billion") => "billionth",
            (None, "trillion") => "trillionth",
            (None, other) => other,
        };
    }
    words
}

/// A year of four digits: in pairs, but for the first ten years of a millennium.
pub(super) fn year(year: usize) -> Vec<&'static str> {
    let mut words = Vec::new();
    match (year / 100, year % 100) {
        (century, rest) if century % 10 == 0 && rest < 10 => {
            words.extend([ONES[century / 10 % 10][0], "thousand"]);
            below_thousand(rest, &mut words);
        }
        (century, 0) => {
            below_thousand(century, &mut words);
            words.push("hundred");
        }
        (century, rest) => {
            below_thousand(century, &mut words);
            if rest < 10 {
                words.push("oh");
            }
            below_thousand(rest, &mut words);
        }
    }
    words
}

/// A decimal number of digits, one point at most and commas between groups: "1,234.50", ".5".
pub(super) fn decimal(text: &str) -> Vec<&'static str> {
    let plain = text.replace(',', "");
    let Some((whole, fraction)) = plain.split_once('.') else { return whole_number(&plain) };
    let mut words = if whole.is_empty() { vec!["zero"] } else { cardinal(whole) };
    words.push("point");
    words.extend(digits(fraction));
    words
}

/// Digits that begin with a zero are read one by one, as in codes.
fn whole_number(digits_: &str) -> Vec<&'static str> {
    if digits_.len() > 1 && digits_.starts_with('0') { digits(digits_) } else { cardinal(digits_) }
}

/// The parts of a fraction: one half, three quarters, two thirds, five over nineteen hundred.
pub(super) fn fraction(numerator: &str, denominator: &str) -> Vec<&'static str> {
    let (above, below) = (numerator.trim_start_matches('0'), denominator.trim_start_matches('0'));
    let mut words = cardinal(numerator);
    let one = above == "1";
    match below {
        "2" => words.push(if one { "half" } else { "halves" }),
        "4" => words.push(if one { "quarter" } else { "quarters" }),
        _ if below.len() > 2 || below.is_empty() || below == "1" => {
            words.push("over");
            words.extend(cardinal(denominator));
        }
        _ => {
            words.extend(ordinal(denominator));
            if !one && let Some(last) = words.last_mut() {
                *last = plural(last);
            }
        }
    }
    words
}

/// The plural of an ordinal up to ninety-ninth.
fn plural(ordinal: &'static str) -> &'static str {
    const PLURALS: [&str; 26] = [
        "firsts",
        "seconds",
        "thirds",
        "fourths",
        "fifths",
        "sixths",
        "sevenths",
        "eighths",
        "ninths",
        "tenths",
        "elevenths",
        "twelfths",
        "thirteenths",
        "fourteenths",
        "fifteenths",
        "sixteenths",
        "seventeenths",
        "eighteenths",
        "nineteenths",
        "twentieths",
        "thirtieths",
        "fortieths",
        "fiftieths",
        "sixtieths",
        "seventieths",
        "eightieths",
    ];
    PLURALS.iter().find(|plural| plural.strip_suffix('s') == Some(ordinal)).copied().unwrap_or("ninetieths")
}

/// The value of a Roman numeral in capitals, in its usual form only; `None` for anything else.
pub(super) fn roman(text: &str) -> Option<usize> {
    const PARTS: [(&str, usize); 13] = [
        ("M", 1000),
        ("CM", 900),
        ("D", 500),
        ("CD", 400),
        ("C", 100),
        ("XC", 90),
        ("L", 50),
        ("XL", 40),
        ("X", 10),
        ("IX", 9),
        ("V", 5),
        ("IV", 4),
        ("I", 1),
    ];
    let (mut rest, mut value) = (text, 0);
    for (part, worth) in PARTS {
        let most = if part.len() == 2 || matches!(part, "D" | "L" | "V") { 1 } else { 3 };
        for _ in 0..most {
            if let Some(tail) = rest.strip_prefix(part) {
                (rest, value) = (tail, value + worth);
            }
        }
    }
    (rest.is_empty() && value > 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinals_by_hand() {
        let table = [
            ("0", "zero"),
            ("7", "seven"),
            ("13", "thirteen"),
            ("21", "twenty one"),
            ("100", "one hundred"),
            ("342", "three hundred forty two"),
            ("1000001", "one million one"),
            ("12345", "twelve thousand three hundred forty five"),
            ("000", "zero"),
        ];
        for (digits, want) in table {
            assert_eq!(cardinal(digits).join(" "), want, "{digits}");
        }
        assert_eq!(cardinal(&"9".repeat(36)).len(), 12 * 4 + 11);
        assert_eq!(cardinal(&"1".repeat(300)), vec!["one"; 300]);
    }

    #[test]
    fn ordinals_years_and_fractions_by_hand() {
        for (digits, want) in [("1", "first"), ("20", "twentieth"), ("22", "twenty second"), ("100", "one hundredth")] {
            assert_eq!(ordinal(digits).join(" "), want);
        }
        let years = [
            (1999, "nineteen ninety nine"),
            (2000, "two thousand"),
            (2005, "two thousand five"),
            (2026, "twenty twenty six"),
            (1900, "nineteen hundred"),
            (1805, "eighteen oh five"),
        ];
        for (number, want) in years {
            assert_eq!(year(number).join(" "), want);
        }
        for (parts, want) in [
            (("1", "2"), "one half"),
            (("3", "4"), "three quarters"),
            (("2", "3"), "two thirds"),
            (("5", "90"), "five ninetieths"),
            (("1", "0"), "one over zero"),
        ] {
            assert_eq!(fraction(parts.0, parts.1).join(" "), want);
        }
        for (text, want) in [
            ("3.14", "three point one four"),
            ("1,234", "one thousand two hundred thirty four"),
            (".5", "zero point five"),
            ("007", "zero zero seven"),
        ] {
            assert_eq!(decimal(text).join(" "), want);
        }
    }

    #[test]
    fn roman_numerals_are_read_in_their_usual_form_only() {
        for (text, want) in [
            ("IV", Some(4)),
            ("XIX", Some(19)),
            ("MCMXCIX", Some(1999)),
            ("IIII", None),
            ("IM", None),
            ("", None),
            ("VX", None),
        ] {
            assert_eq!(roman(text), want, "{text}");
        }
    }
}
