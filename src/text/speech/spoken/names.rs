//! Words, abbreviations, acronyms, Roman numerals, addresses and signs.

use std::ops::Range;

use super::numbers::{cardinal, decimal, digits, ordinal, roman};
use super::{Chunk, Output, Piece, Spoken, is_letter};

/// Abbreviations with a point, in small letters, and their words.
pub(in super::super) const ABBREVIATIONS: [(&str, &str); 52] = [
    ("adm", "Admiral"),
    ("approx", "approximately"),
    ("apt", "apartment"),
    ("assoc", "association"),
    ("ave", "avenue"),
    ("blvd", "boulevard"),
    ("capt", "Captain"),
    ("cmdr", "Commander"),
    ("co", "company"),
    ("col", "Colonel"),
    ("corp", "corporation"),
    ("dept", "department"),
    ("dr", "doctor"),
    ("e.g", "for example"),
    ("ed", "edition"),
    ("esp", "especially"),
    ("est", "established"),
    ("etc", "et cetera"),
    ("fig", "figure"),
    ("gen", "General"),
    ("gov", "Governor"),
    ("hon", "Honorable"),
    ("i.e", "that is"),
    ("inc", "incorporated"),
    ("jr", "junior"),
    ("lt", "Lieutenant"),
    ("ltd", "limited"),
    ("maj", "Major"),
    ("messrs", "messers"),
    ("mr", "mister"),
    ("mrs", "missus"),
    ("ms", "miz"),
    ("mt", "mount"),
    ("no", "number"),
    ("p", "page"),
    ("ph.d", "P H D"),
    ("pp", "pages"),
    ("prof", "Professor"),
    ("pvt", "Private"),
    ("rd", "road"),
    ("rep", "Representative"),
    ("rev", "Reverend"),
    ("sen", "Senator"),
    ("sgt", "Sergeant"),
    ("sr", "senior"),
    ("st", "saint"),
    ("supt", "Superintendent"),
    ("univ", "university"),
    ("vol", "volume"),
    ("vols", "volumes"),
    ("vs", "versus"),
    ("wt", "weight"),
];

/// Abbreviations that are also words, or that are only meant before a number or a name.
const BEFORE_NUMBER: [&str; 6] = ["fig", "no", "p", "pp", "vol", "vols"];
/// Those that are words themselves when a sentence ends behind them.
const ALSO_WORDS: [&str; 7] = ["co", "col", "ed", "gen", "hon", "mt", "rep"];
/// Abbreviations that are understood without a point.
const WITHOUT_POINT: [&str; 16] =
    ["blvd", "capt", "dept", "dr", "etc", "jr", "lt", "ltd", "mr", "mrs", "ms", "mt", "sgt", "sr", "st", "vs"];

/// Capitals that are said as a word.
const SAID_AS_WORDS: [&str; 34] = [
    "ACORN", "AIDS", "ASAP", "ASCII", "BASIC", "CAD", "COBOL", "COVID", "DARPA", "FEMA", "FIFA", "GIF", "IKEA", "JPEG",
    "LASER", "LIDAR", "NAFTA", "NASA", "NASCAR", "NASDAQ", "NATO", "NOAA", "OPEC", "OSHA", "PIN", "RADAR", "RAM",
    "SARS", "SCUBA", "SONAR", "SWAT", "UNESCO", "UNICEF", "YOLO",
];
/// Capitals that spell a word, but are not it.
const SAID_AS_LETTERS: [&str; 22] = [
    "AA", "AC", "AD", "AI", "AM", "BA", "BC", "DC", "ID", "IE", "IT", "LA", "MA", "OS", "PA", "PE", "PM", "RE", "SAT",
    "UN", "US", "USA",
];
/// Words that a writer stresses with capitals.
const STRESSED: [&str; 40] = [
    "ALL", "AND", "ANY", "ARE", "BE", "BIG", "BUT", "CAN", "DAY", "DID", "DO", "DOES", "FOR", "FREE", "GO", "HAS",
    "HE", "HER", "HIS", "HOW", "IF", "IN", "IS", "MY", "NEW", "NO", "NOT", "NOW", "OF", "ON", "ONE", "OR", "OUT", "SO",
    "THE", "TO", "WAS", "WHO", "WHY", "YOU",
];

/// Words before a Roman numeral.
const BEFORE_ROMAN: [&str; 22] = [
    "act", "appendix", "article", "book", "canto", "chapter", "class", "factor", "figure", "grade", "level", "mark",
    "part", "phase", "section", "stage", "table", "title", "type", "volume", "war", "world",
];
/// Rulers and popes: the numeral behind their name is an ordinal.
const RULERS: [&str; 32] = [
    "alexander",
    "alfonso",
    "benedict",
    "catherine",
    "charles",
    "christian",
    "clement",
    "edward",
    "elizabeth",
    "ferdinand",
    "francis",
    "frederick",
    "george",
    "gregory",
    "henry",
    "innocent",
    "ivan",
    "james",
    "john",
    "leo",
    "louis",
    "mary",
    "napoleon",
    "nicholas",
    "paul",
    "peter",
    "philip",
    "pius",
    "ptolemy",
    "ramses",
    "richard",
    "william",
];

/// Signs that are said wherever they stand.
const SIGNS: [(char, &str); 28] = [
    ('%', "percent"),
    ('&', "and"),
    ('@', "at"),
    ('#', "number"),
    ('+', "plus"),
    ('=', "equals"),
    ('/', "slash"),
    ('\\', "backslash"),
    ('$', "dollar"),
    ('€', "euro"),
    ('£', "pound"),
    ('¥', "yen"),
    ('°', "degrees"),
    ('§', "section"),
    ('©', "copyright"),
    ('®', "registered"),
    ('™', "trademark"),
    ('×', "times"),
    ('÷', "divided by"),
    ('−', "minus"),
    ('±', "plus or minus"),
    ('≈', "about"),
    ('<', "less than"),
    ('>', "greater than"),
    ('^', "caret"),
    ('π', "pi"),
    ('µ', "micro"),
    ('½', "one half"),
];

/// Letters that stand for a beginning that was dropped: "'em".
pub(super) fn is_clipped(word: &str) -> bool {
    let word = word.trim_end_matches(super::trails).to_ascii_lowercase();
    ["em", "tis", "twas", "cause", "til", "bout", "round"].contains(&word.as_str())
}

/// Reads the word that the chunks begin with, and says how many of them it is.
pub(super) fn read(chunks: &[Chunk<'_>], is_shouted: bool, output: &mut Output) -> usize {
    let chunk = &chunks[0];
    let range = chunk.core_range();
    if let "w/" | "w/o" = chunk.core {
        output.word(if chunk.core == "w/" { "with" } else { "without" }, &range);
    } else if is_address(chunk.core) {
        address(chunk.core, &range, output);
    } else if !(abbreviation(chunks, output) || dotted(chunk.core, &range, output)) {
        compound(chunk.core, &range, is_shouted, output);
    }
    1
}

fn is_address(text: &str) -> bool {
    let scheme =
        ["http://", "https://", "ftp://", "www."].iter().any(|start| text.to_ascii_lowercase().starts_with(start));
    let mail = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    let host = text.split(['/', ':']).next().unwrap_or_default();
    let domain = host.rsplit_once('.').is_some_and(|(name, last)| {
        let known = [
            "com", "org", "net", "edu", "gov", "io", "ai", "uk", "de", "co", "info", "dev", "app", "py", "rs", "txt",
            "html", "pdf",
        ];
        known.contains(&last)
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
            && !name.is_empty()
    });
    scheme || mail || domain
}

/// An address of the net, sign by sign; "www" and short parts are spelled.
fn address(text: &str, range: &Range<usize>, output: &mut Output) {
    let text =
        text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text).trim_end_matches('/');
    for part in split_keeping(text, |c| !c.is_alphanumeric()) {
        match part {
            "." => output.word("dot", range),
            "-" => output.word("dash", range),
            "_" => output.word("underscore", range),
            "?" => output.words(["question", "mark"], range),
            ":" => output.word("colon", range),
            "~" => output.word("tilde", range),
            "www" | "html" | "pdf" | "http" | "https" | "io" | "uk" | "de" | "py" | "rs" | "txt" | "ai" => {
                output.letters(part, range);
            }
            _ => mixed(part, range, false, output),
        }
    }
}

/// The parts of a text at the characters that `is_mark` says, those kept as parts of their own.
fn split_keeping(text: &str, is_mark: impl Fn(char) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| is_mark(*c)) {
        parts.extend((start < at).then(|| &text[start..at]));
        parts.push(&text[at..at + c.len_utf8()]);
        start = at + c.len_utf8();
    }
    parts.extend((start < text.len()).then(|| &text[start..]));
    parts
}

/// "Dr.", "etc.", "St. Paul", "Main St.", "e.g.".
fn abbreviation(chunks: &[Chunk<'_>], output: &mut Output) -> bool {
    let chunk = &chunks[0];
    let small = chunk.core.to_lowercase();
    let pointed = chunk.trail.starts_with('.');
    let Ok(at) = ABBREVIATIONS.binary_search_by_key(&small.as_str(), |row| row.0) else { return false };
    let next = chunks.get(1).filter(|_| chunk.trail.len() <= 1).map(|next| next.core);
    let before_number = next.is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit()));
    let before_name = next.is_some_and(|next| next.starts_with(char::is_uppercase));
    let is_capital = chunk.core.starts_with(char::is_uppercase);
    let is_meant = match small.as_str() {
        small if BEFORE_NUMBER.contains(&small) => pointed && before_number,
        small if ALSO_WORDS.contains(&small) => pointed && is_capital && before_name,
        small if !pointed => {
            matches!(small, "etc" | "vs") || (WITHOUT_POINT.contains(&small) && is_capital && before_name)
        }
        _ => true,
    };
    if !is_meant || small == "ms" && !is_capital {
        return false;
    }
    let words = match small.as_str() {
        "st" if !before_name => "street",
        "dr" if !before_name && output.last_word().is_some_and(|word| word.starts_with(char::is_uppercase)) => "drive",
        _ => ABBREVIATIONS[at].1,
    };
    if words.len() > 4 && words.split(' ').all(|word| word.len() == 1) {
        output.letters(&words.replace(' ', ""), &chunk.core_range());
    } else {
        output.words(words.split(' '), &chunk.core_range());
    }
    output.is_abbreviated = pointed;
    true
}

/// Letters with points between: "U.S.A", "a.m", "J.R.R".
fn dotted(text: &str, range: &Range<usize>, output: &mut Output) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_dotted = parts.len() > 1
        && parts.iter().all(|part| part.chars().count() == 1 && part.chars().all(|c| c.is_ascii_alphabetic()));
    if is_dotted {
        output.letters(&parts.concat(), range);
        output.is_abbreviated = true;
    }
    is_dotted
}

/// A chunk with signs, hyphens and digits between its words.
fn compound(text: &str, range: &Range<usize>, is_shouted: bool, output: &mut Output) {
    let mut at = range.start;
    let parts = split_keeping(text, |c| !(c.is_alphanumeric() || is_mark_of_word(c)));
    for (number, part) in parts.iter().enumerate() {
        let range = at..at + part.len();
        at = range.end;
        let Some(sign) = part.chars().next().filter(|c| !(c.is_alphanumeric() || is_mark_of_word(*c))) else {
            mixed(part, &range, is_shouted, output);
            continue;
        };
        match sign {
            '#' if parts.get(number + 1).is_some_and(|next| next.starts_with(char::is_alphabetic)) => {
                output.word("hashtag", &range);
            }
            '-'
            | '_'
            | '·'
            | '•'
            | '*'
            | '`'
            | '"'
            | '“'
            | '”'
            | '|'
            | '~'
            | '\u{ad}'
            | '\u{2010}'
            | '\u{2011}'
            | '\u{200b}'..='\u{200f}'
            | '\u{feff}'
            | '\u{2060}'
            | '\u{fe0f}' => {}
            ',' | ';' | ':' | '.' | '!' | '?' | '—' | '–' | '…' | '(' | ')' | '[' | ']' | '{' | '}' => {
                // A point within a word is no pause: "node.js".
                let inside = number > 0 && number + 1 < parts.len();
                if sign == '.' && inside {
                    output.word(
                        if parts[number + 1].starts_with(|c: char| c.is_ascii_digit()) { "point" } else { "dot" },
                        &range,
                    );
                } else {
                    super::punctuation(part, range.start, output);
                }
            }
            sign => match SIGNS.iter().find(|row| row.0 == sign) {
                Some((_, words)) => output.words(words.split(' '), &range),
                None if sign.is_whitespace() || sign.is_control() => {}
                None => output.pieces.push(Spoken { piece: Piece::Unknown(sign), range }),
            },
        }
    }
}

/// Characters that belong to a word without being letters: apostrophes and accents.
fn is_mark_of_word(c: char) -> bool {
    matches!(c, '\'' | '’' | '\u{2bc}' | '\u{300}'..='\u{36f}')
}

/// Letters and digits in one: runs of each, as in "MP3" and "B2B".
fn mixed(text: &str, range: &Range<usize>, is_shouted: bool, output: &mut Output) {
    let mut start = 0;
    let ends = text.char_indices().map(|(at, c)| (at, c.is_ascii_digit())).collect::<Vec<_>>();
    for (index, &(at, is_digit)) in ends.iter().enumerate() {
        let next = ends.get(index + 1);
        if next.is_some_and(|&(_, next)| next == is_digit) {
            continue;
        }
        let end = next.map_or(text.len(), |next| next.0);
        let run = &text[start..end];
        let alone = run.len() == text.len();
        if is_digit {
            let long = run.len() > 4 && !alone;
            output.words(if long { digits(run) } else { decimal(run) }, range);
        } else {
            word(run, range, is_shouted, alone, output);
        }
        (start, _) = (end, at);
    }
}

/// A run of letters; those that cannot be said are reported one by one.
fn word(text: &str, range: &Range<usize>, is_shouted: bool, alone: bool, output: &mut Output) {
    if let Some(unknown) = text.chars().find(|&c| !(is_letter(c) || is_mark_of_word(c))) {
        for part in split_keeping(text, |c| !(is_letter(c) || is_mark_of_word(c))) {
            match part.chars().next() {
                Some(c) if !(is_letter(c) || is_mark_of_word(c)) => match SIGNS.iter().find(|row| row.0 == c) {
                    Some((_, words)) => output.words(words.split(' '), range),
                    None => output.pieces.push(Spoken { piece: Piece::Unknown(c), range: range.clone() }),
                },
                _ => word(part, range, is_shouted, false, output),
            }
        }
        debug_assert!(!is_letter(unknown));
        return;
    }
    if !text.chars().any(is_letter) {
        return;
    }
    if alone && let Some(value) = roman(text).filter(|value| *value < 4000) {
        let before = output.last_word().map(str::to_lowercase).unwrap_or_default();
        let value_digits = value.to_string();
        if RULERS.contains(&before.as_str())
            && output.last_word().is_some_and(|word| word.starts_with(char::is_uppercase))
        {
            return output.words(["the"].into_iter().chain(ordinal(&value_digits)), range);
        }
        if BEFORE_ROMAN.contains(&before.as_str()) || (text.len() > 1 && value < 40 && !is_shouted) {
            return output.words(cardinal(&value_digits), range);
        }
    }
    let capitals = text.chars().filter(|c| c.is_uppercase()).count();
    let plural = text.strip_suffix("'s").or_else(|| text.strip_suffix("’s")).or_else(|| text.strip_suffix('s'));
    match plural.filter(|stem| stem.len() > 1 && stem.chars().all(|c| c.is_ascii_uppercase())) {
        Some(stem) if is_spelled(stem) => output.letters(text, range),
        _ if capitals > 1 && !is_shouted && is_spelled(text) => output.letters(text, range),
        _ if text.chars().count() == 1 && !matches!(text, "a" | "A" | "I" | "i" | "o" | "O") && text.is_ascii() => {
            output.letters(text, range);
        }
        _ if capitals > 0 && capitals < text.chars().count() && !text.starts_with("Mc") && !text.starts_with("Mac") => {
            camel(text, range, output);
        }
        _ => output.word(text, range),
    }
}

/// Whether capitals are said letter by letter.
fn is_spelled(text: &str) -> bool {
    if !text.chars().all(|c| c.is_ascii_uppercase()) || SAID_AS_WORDS.binary_search(&text).is_ok() {
        return false;
    }
    if SAID_AS_LETTERS.binary_search(&text).is_ok() {
        return true;
    }
    let vowels = text.chars().filter(|c| "AEIOU".contains(*c)).count();
    STRESSED.binary_search(&text).is_err()
        && (text.len() < 4
            || vowels == 0
            || (text.len() == 4 && (vowels == 1 && !text.contains('A') || text.starts_with("IE"))))
}

/// "iPhone", "JavaScript": the words that capitals begin.
fn camel(text: &str, range: &Range<usize>, output: &mut Output) {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let mut start = 0;
    for pair in characters.windows(2) {
        if pair[0].1.is_lowercase() && pair[1].1.is_uppercase() {
            word(&text[start..pair[1].0], range, false, false, output);
            start = pair[1].0;
        }
    }
    if start == 0 {
        return output.word(text, range);
    }
    word(&text[start..], range, false, false, output);
}
