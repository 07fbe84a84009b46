//! Text into sentences, one after the other.

use std::ops::Range;

use super::spoken::{ABBREVIATIONS, phoneme_span};

/// The longest sentence, bytes: what has no end is cut at a comma, a space or, at last, anywhere.
pub const MAX_SENTENCE_BYTES: usize = 1000;

/// What follows a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Another part of the same sentence, which was too long.
    Cut,
    /// Another sentence.
    Sentence,
    /// Another paragraph.
    Paragraph,
    /// Nothing.
    Text,
}

/// The sentences of a text: ranges of bytes that together are the whole text, white space included.
#[derive(Debug, Clone)]
pub struct Sentences<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Sentences<'a> {
    /// The sentences of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The end of the sentence that begins at `self.at`, without the white space behind it.
    fn end(&self) -> (usize, End) {
        let rest = &self.text[self.at..];
        let limit = floor(rest, MAX_SENTENCE_BYTES);
        let begin = rest.len() - rest.trim_start().len();
        let mut breakable = None;
        let mut phonemes = phoneme_span(&rest[..limit]);
        for (at, c) in rest[..limit].char_indices() {
            let behind = at + c.len_utf8();
            if let Some((open, close)) = phonemes {
                if at >= close {
                    phonemes = phoneme_span(&rest[at..limit]).map(|(open, close)| (at + open, at + close));
                } else if at >= open {
                    continue;
                }
            }
            if at < begin {
                continue;
            }
            if c == '\n' && is_paragraph(&rest[at..]) {
                return (self.at + at, End::Paragraph);
            }
            if matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？') {
                let end = behind + rest[behind..].len() - rest[behind..].trim_start_matches(closes).len();
                let end = end.min(limit);
                let wide = matches!(c, '。' | '！' | '？');
                if (wide || rest[end..].starts_with(char::is_whitespace) || end == rest.len())
                    && !(c == '.' && end == behind && goes_on(&rest[begin..at], &rest[end..]))
                {
                    return (self.at + end, End::Sentence);
                }
            }
            if matches!(c, ',' | ';' | ':') && rest[behind..].starts_with(char::is_whitespace)
                || (c.is_whitespace() && breakable.is_none_or(|at| at < limit / 2))
            {
                breakable = Some(behind);
            }
        }
        if limit == rest.len() {
            return (self.text.len(), End::Text);
        }
        (self.at + breakable.filter(|at| *at > begin).unwrap_or(limit), End::Cut)
    }
}

impl Iterator for Sentences<'_> {
    type Item = (Range<usize>, End);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let (mut end, mut kind) = self.end();
        // White space, and any empty lines, belong to the sentence before them.
        let space = self.text[end..].len() - self.text[end..].trim_start().len();
        if kind == End::Sentence && is_paragraph(&self.text[end..end + space]) {
            kind = End::Paragraph;
        }
        end += space;
        if end >= self.text.len() {
            kind = End::Text;
        }
        self.at = end;
        Some((start..end, kind))
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Whether white space holds an empty line.
fn is_paragraph(text: &str) -> bool {
    let space = &text[..text.len() - text.trim_start().len()];
    space.matches('\n').count() > 1 || space.contains('\u{2029}')
}

/// What can stand between a full stop and the white space behind it.
fn closes(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '"' | '\'' | '”' | '’' | ')' | ']' | '}' | '»' | '…')
}

/// Whether the point behind `before` is an abbreviation's, and the sentence goes on with `after`.
fn goes_on(before: &str, after: &str) -> bool {
    let word =
        before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“' | '[')).next().unwrap_or_default();
    let next = after.trim_start();
    let small = word.to_lowercase();
    let before_small = next.starts_with(|c: char| c.is_lowercase() || matches!(c, ',' | ';' | ':'));
    let before_number = next.starts_with(|c: char| c.is_ascii_digit());
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase) && word != "I";
    let is_known = ABBREVIATIONS.binary_search_by_key(&small.as_str(), |row| row.0).is_ok();
    let is_month =
        ["jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"].contains(&small.as_str());
    // These come before a name or a number, so the sentence goes on; others, such as "etc." and "Inc.", may end it.
    let leads = [
        "adm", "capt", "cmdr", "col", "dr", "e.g", "fig", "gen", "gov", "hon", "i.e", "lt", "maj", "messrs", "mr",
        "mrs", "ms", "mt", "pp", "prof", "rep", "rev", "sen", "sgt", "st", "supt", "vs",
    ];
    let is_dotted = word.contains('.')
        && word.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic));
    if leads.contains(&small.as_str()) && word != "no" {
        return !next.is_empty();
    }
    (is_initial && next.starts_with(char::is_uppercase))
        || ((is_known || is_dotted || is_month) && before_small)
        || (before_number && (is_month || ["no", "p", "vol", "vols"].contains(&small.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        Sentences::new(text).map(|(range, _)| text[range].trim()).collect()
    }

    #[test]
    fn sentences_end_where_people_end_them() {
        let table: [(&str, &[&str]); 12] = [
            ("One. Two! Three?", &["One.", "Two!", "Three?"]),
            ("Dr. Smith met Mr. Jones. They talked.", &["Dr. Smith met Mr. Jones.", "They talked."]),
            ("It cost 3.50 dollars. Yes.", &["It cost 3.50 dollars.", "Yes."]),
            ("He came at 5 p.m. and left.", &["He came at 5 p.m. and left."]),
            ("J. R. R. Tolkien wrote it.", &["J. R. R. Tolkien wrote it."]),
            ("Apples, pears, etc. are fruit. Etc.", &["Apples, pears, etc. are fruit.", "Etc."]),
            ("\"Stop!\" she said. \"Why?\" he asked.", &["\"Stop!\"", "she said.", "\"Why?\"", "he asked."]),
            ("See example.com for more. Bye", &["See example.com for more.", "Bye"]),
            ("Wait... what?", &["Wait...", "what?"]),
            ("A line\nand another\n\nA paragraph", &["A line\nand another", "A paragraph"]),
            ("See [[h. ˈ]] now. Go", &["See [[h. ˈ]] now.", "Go"]),
            ("", &[]),
        ];
        for (text, want) in table {
            assert_eq!(split(text), want, "{text}");
        }
    }

    #[test]
    fn paragraphs_and_cuts_are_told() {
        let ends = |text: &str| Sentences::new(text).map(|(_, end)| end).collect::<Vec<_>>();
        assert_eq!(ends("Yes. No.\n\nC"), [End::Sentence, End::Paragraph, End::Text]);
        let long = "word, ".repeat(400);
        assert!(Sentences::new(&long).all(|(range, _)| range.len() <= MAX_SENTENCE_BYTES + 1));
        assert_eq!(Sentences::new(&long).next().unwrap().1, End::Cut);
        assert_eq!(Sentences::new(&"é".repeat(1200)).map(|(range, _)| range.len()).sum::<usize>(), 2400);
    }
}
