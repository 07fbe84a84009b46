//! Expressions with digits: money, dates, times, telephone numbers, fractions, units, years.

use std::ops::Range;

use super::numbers::{cardinal, decimal, digits, fraction, ordinal, year};
use super::{Chunk, Output};

/// Currency signs: one, several, a hundredth, hundredths.
const CURRENCIES: [(&str, [&str; 4]); 9] = [
    ("US$", ["dollar", "dollars", "cent", "cents"]),
    ("$", ["dollar", "dollars", "cent", "cents"]),
    ("€", ["euro", "euros", "cent", "cents"]),
    ("£", ["pound", "pounds", "penny", "pence"]),
    ("¥", ["yen", "yen", "sen", "sen"]),
    ("₹", ["rupee", "rupees", "paisa", "paise"]),
    ("₩", ["won", "won", "jeon", "jeon"]),
    ("₽", ["ruble", "rubles", "kopeck", "kopecks"]),
    ("₿", ["bitcoin", "bitcoins", "satoshi", "satoshis"]),
];

/// Words and letters that multiply an amount.
const SCALES: [(&str, &str); 12] = [
    ("thousand", "thousand"),
    ("million", "million"),
    ("billion", "billion"),
    ("trillion", "trillion"),
    ("k", "thousand"),
    ("K", "thousand"),
    ("m", "million"),
    ("M", "million"),
    ("b", "billion"),
    ("B", "billion"),
    ("bn", "billion"),
    ("T", "trillion"),
];

const MONTHS: [(&str, &str); 12] = [
    ("jan", "January"),
    ("feb", "February"),
    ("mar", "March"),
    ("apr", "April"),
    ("may", "May"),
    ("jun", "June"),
    ("jul", "July"),
    ("aug", "August"),
    ("sep", "September"),
    ("oct", "October"),
    ("nov", "November"),
    ("dec", "December"),
];

type Unit = (&'static str, &'static str, &'static str);

/// Units: as written, one of them, several.
const UNITS: [Unit; 82] = [
    ("%", "percent", "percent"),
    ("‰", "per mille", "per mille"),
    ("°", "degree", "degrees"),
    ("°C", "degree Celsius", "degrees Celsius"),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
    ("¢", "cent", "cents"),
    ("km", "kilometer", "kilometers"),
    ("m", "meter", "meters"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("nm", "nanometer", "nanometers"),
    ("µm", "micrometer", "micrometers"),
    ("mi", "mile", "miles"),
    ("ft", "foot", "feet"),
    ("in", "inch", "inches"),
    ("yd", "yard", "yards"),
    ("\"", "inch", "inches"),
    ("kg", "kilogram", "kilograms"),
    ("g", "gram", "grams"),
    ("mg", "milligram", "milligrams"),
    ("lb", "pound", "pounds"),
    ("lbs", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("l", "liter", "liters"),
    ("L", "liter", "liters"),
    ("ml", "milliliter", "milliliters"),
    ("mL", "milliliter", "milliliters"),
    ("h", "hour", "hours"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("min", "minute", "minutes"),
    ("s", "second", "seconds"),
    ("sec", "second", "seconds"),
    ("ms", "millisecond", "milliseconds"),
    ("Hz", "hertz", "hertz"),
    ("kHz", "kilohertz", "kilohertz"),
    ("MHz", "megahertz", "megahertz"),
    ("GHz", "gigahertz", "gigahertz"),
    ("KB", "kilobyte", "kilobytes"),
    ("kB", "kilobyte", "kilobytes"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("W", "watt", "watts"),
    ("kW", "kilowatt", "kilowatts"),
    ("V", "volt", "volts"),
    ("dB", "decibel", "decibels"),
    ("mph", "mile per hour", "miles per hour"),
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("m²", "square meter", "square meters"),
    ("km²", "square kilometer", "square kilometers"),
    ("cm²", "square centimeter", "square centimeters"),
    ("ft²", "square foot", "square feet"),
    ("m³", "cubic meter", "cubic meters"),
    ("cm³", "cubic centimeter", "cubic centimeters"),
    ("µg", "microgram", "micrograms"),
    ("µs", "microsecond", "microseconds"),
    ("μm", "micrometer", "micrometers"),
    ("μg", "microgram", "micrograms"),
    ("μs", "microsecond", "microseconds"),
    ("MW", "megawatt", "megawatts"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("mA", "milliamp", "milliamps"),
    ("mAh", "milliamp hour", "milliamp hours"),
    ("Ω", "ohm", "ohms"),
    ("kcal", "kilocalorie", "kilocalories"),
    ("hPa", "hectopascal", "hectopascals"),
    ("psi", "pound per square inch", "pounds per square inch"),
    ("kbps", "kilobit per second", "kilobits per second"),
    ("Mbps", "megabit per second", "megabits per second"),
    ("Gbps", "gigabit per second", "gigabits per second"),
    ("fps", "frame per second", "frames per second"),
    ("rpm", "revolution per minute", "revolutions per minute"),
    ("bpm", "beat per minute", "beats per minute"),
    ("USD", "dollar", "dollars"),
    ("EUR", "euro", "euros"),
    ("GBP", "pound", "pounds"),
    ("JPY", "yen", "yen"),
    ("CHF", "Swiss franc", "Swiss francs"),
    ("CNY", "yuan", "yuan"),
    ("INR", "rupee", "rupees"),
];

/// Fractions that are one character.
const FRACTIONS: [(char, &str, &str); 13] = [
    ('½', "1", "2"),
    ('⅓', "1", "3"),
    ('⅔', "2", "3"),
    ('¼', "1", "4"),
    ('¾', "3", "4"),
    ('⅕', "1", "5"),
    ('⅖', "2", "5"),
    ('⅗', "3", "5"),
    ('⅘', "4", "5"),
    ('⅙', "1", "6"),
    ('⅛', "1", "8"),
    ('⅜', "3", "8"),
    ('⅞', "7", "8"),
];

/// Reads the expression that the chunks begin with, and says how many they are; `None` where there is none.
pub(super) fn read(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let first = chunks.first()?;
    if !first.core.contains(|c: char| c.is_ascii_digit() || FRACTIONS.iter().any(|row| row.0 == c)) {
        return month_day(chunks, output);
    }
    let readers = [money, time, telephone, date, ordinal_or_decade, with_fraction, range_of, power, quantity];
    readers.into_iter().find_map(|reader| reader(chunks, output))
}

/// The next chunk's core, where it can belong to the expression of the one before.
fn following<'a>(chunks: &[Chunk<'a>], at: usize) -> Option<&'a str> {
    let before = chunks.get(at.checked_sub(1)?)?;
    chunks.get(at).filter(|next| before.goes_on() && next.lead.is_empty()).map(|next| next.core)
}

/// The bytes of the first `used` chunks, without the punctuation around them.
fn range(chunks: &[Chunk<'_>], used: usize) -> Range<usize> {
    chunks[0].core_range().start..chunks[used - 1].core_range().end
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is a number such as "12", "1,234.5" or ".5".
fn is_number(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let grouped = whole.contains(',');
    (is_digits(first) && (!grouped || first.len() <= 3) && groups.all(|group| group.len() == 3 && is_digits(group))
        || whole.is_empty() && fraction.is_some())
        && fraction.is_none_or(is_digits)
}

/// A sign before a number.
fn signed(text: &str) -> (Option<&'static str>, &str) {
    for (sign, word) in
        [("-", "minus"), ("−", "minus"), ("+", "plus"), ("±", "plus or minus"), ("~", "about"), ("≈", "about")]
    {
        if let Some(rest) = text.strip_prefix(sign) {
            return (Some(word), rest);
        }
    }
    (None, text)
}

/// A number and what is written right behind it.
fn number_prefix(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(text.len());
    text.split_at(end)
}

fn money(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let (sign, text) = signed(chunks[0].core);
    let (text, names) = CURRENCIES.iter().find_map(|(mark, names)| {
        text.strip_prefix(mark).or_else(|| text.strip_suffix(mark)).map(|rest| (rest, names))
    })?;
    let (sign, text) = if sign.is_none() { signed(text) } else { (sign, text) };
    let (amount, scale) = number_prefix(text);
    if !is_number(amount) {
        return None;
    }
    let scale_of = |word: &str| SCALES.iter().find(|row| row.0 == word).map(|row| row.1);
    let (scale, used) = match scale {
        "" => match following(chunks, 1).and_then(scale_of).filter(|word| word.len() > 2) {
            Some(word) => (Some(word), 2),
            None => (None, 1),
        },
        scale => (Some(scale_of(scale)?), 1),
    };
    let range = range(chunks, used);
    output.words(sign, &range);
    let (whole, cents) = amount.split_once('.').unwrap_or((amount, ""));
    let is_zero = |text: &str| text.bytes().all(|byte| matches!(byte, b'0' | b','));
    if let Some(scale) = scale {
        output.words(decimal(amount).into_iter().chain([scale, names[1]]), &range);
    } else if cents.len() == 2 {
        if !is_zero(whole) || is_zero(cents) {
            output.words(decimal(whole).into_iter().chain([names[usize::from(whole != "1")]]), &range);
        }
        if !is_zero(cents) {
            output.words((!is_zero(whole)).then_some("and"), &range);
            output.words(cardinal(cents).into_iter().chain([names[2 + usize::from(cents != "01")]]), &range);
        }
    } else {
        output.words(decimal(amount).into_iter().chain([names[usize::from(amount != "1")]]), &range);
    }
    Some(used)
}

fn half_of_day(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "am" | "a.m" => Some("am"),
        "pm" | "p.m" => Some("pm"),
        _ => None,
    }
}

fn time(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let end = chunks[0].core.find(|c: char| !(c.is_ascii_digit() || c == ':')).unwrap_or(chunks[0].core.len());
    let (clock, glued) = chunks[0].core.split_at(end);
    let half = half_of_day(glued);
    if half.is_none() && !glued.is_empty() {
        return None;
    }
    let parts: Vec<&str> = clock.split(':').collect();
    let (half, used) = match half {
        Some(half) => (Some(half), 1),
        None => following(chunks, 1).and_then(half_of_day).map_or((None, 1), |half| (Some(half), 2)),
    };
    let fits = |text: &str, below: usize| text.len() == 2 && text.parse().is_ok_and(|value: usize| value < below);
    let is_hour = |text: &str| is_digits(text) && text.len() <= 2 && text.parse().is_ok_and(|hour: usize| hour <= 24);
    let is_time = match parts[..] {
        [hour] => half.is_some() && is_hour(hour),
        [hour, minute] => is_hour(hour) && fits(minute, 60),
        [hour, minute, second] => is_hour(hour) && fits(minute, 60) && fits(second, 60),
        _ => false,
    };
    if !is_time {
        return None;
    }
    let range = range(chunks, used);
    output.words(cardinal(parts[0]), &range);
    // Full minutes need no "and zero seconds".
    let behind_hour = parts[1..].strip_suffix(&["00"]).filter(|rest| !rest.is_empty()).unwrap_or(&parts[1..]);
    match *behind_hour {
        [] => {}
        ["00"] => output.words(
            half.is_none().then_some(if parts[0].parse().is_ok_and(|hour: usize| (1..=12).contains(&hour)) {
                "o'clock"
            } else {
                "hundred"
            }),
            &range,
        ),
        [minute, ref rest @ ..] => {
            output.words(minute.starts_with('0').then_some("oh"), &range);
            output.words(cardinal(minute), &range);
            for second in rest {
                output.words(["and"].into_iter().chain(cardinal(second)).chain(["seconds"]), &range);
            }
        }
    }
    if let Some(half) = half {
        output.letters(half, &range);
        output.is_abbreviated = chunks[used - 1].core.contains('.');
    }
    Some(used)
}

/// Telephone numbers of North America: "555-0199", "(800) 555-0199", "+1 800 555 0199", "800.555.0199".
fn telephone(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let mut groups = Vec::new();
    for (at, chunk) in chunks.iter().enumerate().take(5) {
        let core = chunk.core.strip_prefix('+').filter(|_| at == 0).unwrap_or(chunk.core);
        let parts: Vec<&str> = core.split(['-', '.', '(', ')']).filter(|part| !part.is_empty()).collect();
        if !parts.iter().all(|part| is_digits(part)) {
            break;
        }
        groups.extend(parts);
        let used = at + 1;
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        let international = chunks[0].core.starts_with('+');
        let is_complete = match lengths[..] {
            [3, 4] => used == 1 && core.contains('-'),
            [3, 3, 4] => true,
            [1, 3, 3, 4] => international || groups[0] == "1",
            [1..=3, .., 3 | 4] => {
                international
                    && (8..=15).contains(&lengths.iter().sum::<usize>())
                    && chunks.get(used).is_none_or(|next| !is_digits(next.core))
            }
            _ => false,
        };
        if is_complete {
            let range = range(chunks, used);
            output.words(international.then_some("plus"), &range);
            for (number, group) in groups.iter().enumerate() {
                if number > 0 {
                    output.pieces.push(super::Spoken { piece: super::Piece::Pause(','), range: range.clone() });
                }
                let hundreds = *group == "800" || *group == "900";
                output.words(if hundreds { cardinal(group) } else { digits(group) }, &range);
            }
            return Some(used);
        }
        if !(chunk.trail.is_empty() || chunk.trail == ")") {
            break;
        }
    }
    None
}

fn month(number: &str) -> Option<&'static str> {
    MONTHS.get(number.parse::<usize>().ok()?.checked_sub(1)?).map(|month| month.1)
}

fn month_named(name: &str) -> Option<&'static str> {
    let small = name.to_ascii_lowercase();
    MONTHS
        .iter()
        .find(|(short, long)| {
            small == *short || long.eq_ignore_ascii_case(name) || (*short == "sep" && small == "sept")
        })
        .map(|month| month.1)
}

fn day(text: &str) -> Option<&str> {
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|ending| text.strip_suffix(ending)).unwrap_or(text);
    digits.parse().is_ok_and(|day: usize| is_digits(digits) && (1..=31).contains(&day)).then_some(digits)
}

fn year_of(text: &str) -> Option<usize> {
    text.parse().ok().filter(|year| text.len() == 4 && is_digits(text) && (1000..2100).contains(year))
}

/// "2024-01-05", "1/5/2024", "5 January 2024", and the date and time of ISO 8601: "2024-01-05T14:30:00Z".
fn date(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let core = chunks[0].core;
    if let Some((day, clock)) = core.split_once('T').filter(|(day, _)| day.len() == "2024-01-05".len()) {
        let (clock, zone) = clock.strip_suffix('Z').map_or((clock, None), |clock| (clock, Some("UTC")));
        let part = |core, start| Chunk { lead: "", core, trail: "", start };
        let (start, n_pieces) = (chunks[0].core_start(), output.pieces.len());
        let mut is_read = clock.contains(':') && date(&[part(day, start)], output).is_some();
        let range = chunks[0].core_range();
        output.pieces.push(super::Spoken { piece: super::Piece::Pause(','), range: range.clone() });
        is_read = is_read && time(&[part(clock, start + day.len() + 1)], output).is_some();
        if !is_read {
            output.pieces.truncate(n_pieces);
            return None;
        }
        if let Some(zone) = zone {
            output.letters(zone, &range);
        }
        return Some(1);
    }
    let parts: Vec<&str> = core.split(['-', '/', '.']).collect();
    let one_mark = ['-', '/', '.'].iter().filter(|mark| core.contains(**mark)).count() == 1;
    if let ([a, b, c], true) = (&parts[..], one_mark) {
        let (month, day, year) = if a.len() == 4 { (month(b)?, day(c)?, a) } else { (month(a)?, day(b)?, c) };
        let range = chunks[0].core_range();
        let spoken_year = match year_of(year) {
            Some(year) => self::year(year),
            None if year.len() == 2 && is_digits(year) && core.contains('/') => cardinal(year),
            None => return None,
        };
        output.words([month].into_iter().chain(ordinal(day)).chain(spoken_year), &range);
        return Some(1);
    }
    let day = day(core)?;
    let month = month_named(following(chunks, 1)?).filter(|month| *month != "May" || chunks[1].core == "May")?;
    let year = following(chunks, 2).and_then(year_of);
    let used = 2 + usize::from(year.is_some());
    let range = range(chunks, used);
    output.words(
        ["the"].into_iter().chain(ordinal(day)).chain(["of", month]).chain(year.map(self::year).into_iter().flatten()),
        &range,
    );
    Some(used)
}

/// "January 5", "Jan. 5, 2024", "May 5th".
fn month_day(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let name = chunks[0].core;
    let month =
        month_named(name).filter(|_| name.starts_with(char::is_uppercase) && matches!(chunks[0].trail, "" | "."))?;
    let next = chunks.get(1).filter(|next| next.lead.is_empty())?;
    if let Some(year) = year_of(next.core) {
        let range = range(chunks, 2);
        output.words([month].into_iter().chain(self::year(year)), &range);
        return Some(2);
    }
    let day = day(next.core)?;
    let year = chunks
        .get(2)
        .filter(|third| matches!(next.trail, "" | ",") && third.lead.is_empty())
        .and_then(|third| year_of(third.core));
    let used = 2 + usize::from(year.is_some());
    let range = range(chunks, used);
    output.words([month].into_iter().chain(ordinal(day)).chain(year.map(self::year).into_iter().flatten()), &range);
    Some(used)
}

/// "1st", "22nd", "1990s", "'90s".
fn ordinal_or_decade(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let (core, range) = (chunks[0].core, chunks[0].core_range());
    let small = core.to_ascii_lowercase();
    if let Some(number) = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|ending| small.strip_suffix(ending))
        .filter(|number| is_number(number) && !number.contains('.'))
    {
        output.words(ordinal(&number.replace(',', "")), &range);
        return Some(1);
    }
    let decade = core
        .trim_start_matches(['\'', '’'])
        .strip_suffix("'s")
        .or_else(|| core.trim_start_matches(['\'', '’']).strip_suffix('s'));
    if let Some(decade) =
        decade.filter(|decade| is_digits(decade) && decade.ends_with('0') && matches!(decade.len(), 2 | 4))
    {
        let words = if decade.len() == 2 {
            cardinal(decade)
        } else {
            year_of(decade).map_or_else(|| cardinal(decade), self::year)
        };
        let (last, rest) = words.split_last()?;
        output.words(rest.iter().copied(), &range);
        let plural = last.strip_suffix('y').map_or_else(|| format!("{last}s"), |stem| format!("{stem}ies"));
        output.word(&plural, &range);
        return Some(1);
    }
    let clipped = core.strip_prefix(['\'', '’'])?;
    is_digits(clipped).then(|| output.words(cardinal(clipped), &range))?;
    Some(1)
}

/// "1/2", "3 1/2", "½", "3½".
fn with_fraction(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let parts = |text: &str| -> Option<Vec<&'static str>> {
        if let Some((above, below)) = text.split_once(['/', '⁄']) {
            return (is_digits(above) && is_digits(below) && above.len() < 4 && below.len() < 4)
                .then(|| fraction(above, below));
        }
        let row = FRACTIONS.iter().find(|row| text.strip_prefix(row.0) == Some(""))?;
        Some(fraction(row.1, row.2))
    };
    let (sign, core) = signed(chunks[0].core);
    let (words, used) = if let Some(words) = parts(core) {
        (words, 1)
    } else if let Some(words) = following(chunks, 1).filter(|_| is_digits(core)).and_then(parts) {
        (cardinal(core).into_iter().chain(["and"]).chain(article(words)).collect(), 2)
    } else {
        let (whole, rest) = number_prefix(core);
        let words = parts(rest).filter(|_| is_digits(whole) && !rest.starts_with('/'))?;
        (cardinal(whole).into_iter().chain(["and"]).chain(article(words)).collect(), 1)
    };
    let range = range(chunks, used);
    output.words(sign.into_iter().chain(words), &range);
    Some(used)
}

/// "a half" for "one half" after a whole number.
fn article(mut words: Vec<&'static str>) -> Vec<&'static str> {
    if words.last() == Some(&"half") && words.len() == 2 {
        words[0] = "a";
    }
    words
}

/// "10-20", "1990–1995", "5-10%".
fn range_of(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let core = chunks[0].core;
    let (from, to) = core.split_once(['–', '—', '-']).filter(|(from, _)| is_number(from))?;
    let (number, rest) = number_prefix(to);
    if !is_number(number) || !(rest.is_empty() || unit(rest).is_some()) {
        return None;
    }
    let range = chunks[0].core_range();
    output.words(spoken_number(from), &range);
    output.word("to", &range);
    output.words(spoken_number(number), &range);
    output.words(unit(rest).map(|unit| unit.2).into_iter().flat_map(str::split_whitespace), &range);
    Some(1)
}

/// "10^6", "6.02e23", "1e-9".
fn power(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let (sign, text) = signed(chunks[0].core);
    let (base, exponent) = text.split_once(['^', 'e', 'E'])?;
    let (exponent_sign, exponent) = signed(exponent);
    // "2E5" is a room.
    let is_code = text.contains('E') && exponent_sign.is_none() && !base.contains('.');
    if !is_number(base) || !is_digits(exponent) || exponent.len() > 6 || is_code {
        return None;
    }
    let range = chunks[0].core_range();
    output.words(sign.into_iter().flat_map(str::split_whitespace), &range);
    output.words(decimal(base), &range);
    let link: &[&str] = if text.contains('^') { &["to", "the", "power", "of"] } else { &["times", "ten", "to", "the"] };
    let exponent_sign = exponent_sign.filter(|sign| *sign == "minus");
    output.words(link.iter().copied().chain(exponent_sign).chain(cardinal(exponent)), &range);
    Some(1)
}

fn unit(text: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.0 == text)
}

/// A unit, and the one that it is counted by: "MB/s".
fn rate(text: &str) -> Option<(&'static Unit, Option<&'static Unit>)> {
    if let Some(unit) = unit(text) {
        return Some((unit, None));
    }
    let (counted, by) = text.split_once('/')?;
    Some((unit(counted)?, Some(unit(by)?)))
}

/// A number without a unit: four digits of our time are a year.
fn spoken_number(text: &str) -> Vec<&'static str> {
    year_of(text).filter(|year| *year >= 1100).map_or_else(|| decimal(text), year)
}

/// A number, with its unit where it has one: "5", "-3.5", "5 km", "20°C", "60%", "8 MB/s".
fn quantity(chunks: &[Chunk<'_>], output: &mut Output) -> Option<usize> {
    let (sign, text) = signed(chunks[0].core);
    let (number, glued) = number_prefix(text);
    if !is_number(number) {
        return None;
    }
    let many = number != "1";
    let (unit, used) = if glued.is_empty() {
        // "in" and "m" behind a space are units only where no word can be meant.
        let next = following(chunks, 1).filter(|next| !matches!(*next, "in" | "s" | "h" | "l" | "\"")).and_then(rate);
        let next = next.filter(|_| year_of(number).is_none() || number.len() != 4 || chunks[1].core.len() > 1);
        (next, 1 + usize::from(next.is_some()))
    } else {
        (Some(rate(glued)?), 1)
    };
    let range = range(chunks, used);
    output.words(sign.into_iter().flat_map(str::split_whitespace), &range);
    match unit {
        Some((counted, by)) => {
            output.words(decimal(number), &range);
            output.words(if many { counted.2 } else { counted.1 }.split_whitespace(), &range);
            output.words(by.into_iter().flat_map(|by| ["per"].into_iter().chain(by.1.split_whitespace())), &range);
        }
        None => output.words(if sign.is_none() { spoken_number(number) } else { decimal(number) }, &range),
    }
    Some(used)
}
