//! Text as it is spoken: numbers, signs and abbreviations become words.

mod names;
mod numbers;
mod quantities;

use std::ops::Range;

use super::english::is_readable;

pub(super) use self::names::ABBREVIATIONS;

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A word.
    Word(String),
    /// Letters that are said by their names.
    Letters(String),
    /// Phonemes that the text gives itself.
    Phonemes(String),
    /// A punctuation mark: one of `, . ; : ! ?`.
    Pause(char),
    /// A character that cannot be said.
    Unknown(char),
}

/// A piece, and the bytes of the text that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spoken {
    pub piece: Piece,
    pub range: Range<usize>,
}

/// A run of characters without white space, with the punctuation around it apart.
#[derive(Debug, Clone, Copy)]
struct Chunk<'a> {
    lead: &'a str,
    core: &'a str,
    trail: &'a str,
    /// Where `lead` begins.
    start: usize,
}

impl Chunk<'_> {
    fn core_start(&self) -> usize {
        self.start + self.lead.len()
    }

    fn core_range(&self) -> Range<usize> {
        self.core_start()..self.core_start() + self.core.len()
    }

    /// Whether the next chunk can belong to the same expression.
    fn goes_on(&self) -> bool {
        self.trail.is_empty()
    }
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Output {
    pieces: Vec<Spoken>,
    /// Whether the last chunk was an abbreviation, whose point ends no phrase but at the end of the text.
    is_abbreviated: bool,
}

impl Output {
    fn word(&mut self, word: &str, range: &Range<usize>) {
        self.pieces.push(Spoken { piece: Piece::Word(word.to_owned()), range: range.clone() });
    }

    fn words<'w>(&mut self, words: impl IntoIterator<Item = &'w str>, range: &Range<usize>) {
        for word in words {
            self.word(word, range);
        }
    }

    fn letters(&mut self, letters: &str, range: &Range<usize>) {
        self.pieces.push(Spoken { piece: Piece::Letters(letters.to_owned()), range: range.clone() });
    }

    fn last_word(&self) -> Option<&str> {
        match self.pieces.last().map(|spoken| &spoken.piece) {
            Some(Piece::Word(word)) => Some(word),
            _ => None,
        }
    }
}

/// The pieces of a text, in its order.
pub(super) fn pieces(text: &str) -> Vec<Spoken> {
    let mut output = Output::default();
    let mut at = 0;
    while let Some((open, close)) = phoneme_span(&text[at..]) {
        plain(text, at..at + open, &mut output);
        let inside = at + open + 2..at + close - 2;
        output
            .pieces
            .push(Spoken { piece: Piece::Phonemes(text[inside].trim().to_owned()), range: at + open..at + close });
        at += close;
    }
    plain(text, at..text.len(), &mut output);
    output.pieces
}

/// Where the next `[[ ... ]]` begins and ends.
pub(super) fn phoneme_span(text: &str) -> Option<(usize, usize)> {
    let open = text.find("[[")?;
    let close = text[open..].find("]]")? + open + 2;
    Some((open, close))
}

/// Reads a part of the text that has no `[[ ... ]]`.
fn plain(text: &str, range: Range<usize>, output: &mut Output) {
    let part = &text[range.clone()];
    let chunks: Vec<Chunk<'_>> = chunks(part, range.start).collect();
    let is_shouted = !part.chars().any(char::is_lowercase)
        && chunks.len() > 1
        && part.chars().filter(|c| c.is_uppercase()).count() > 6;
    let mut at = 0;
    while let Some(chunk) = chunks.get(at) {
        punctuation(chunk.lead, chunk.start, output);
        output.is_abbreviated = false;
        let rest = &chunks[at..];
        let used = if chunk.core.is_empty() {
            1
        } else {
            quantities::read(rest, output).unwrap_or_else(|| names::read(rest, is_shouted, output))
        };
        at += used.max(1);
        if let Some(last) = chunks.get(at - 1) {
            let point = usize::from(output.is_abbreviated && at < chunks.len() && last.trail.starts_with('.'));
            punctuation(&last.trail[point..], last.core_range().end + point, output);
        }
    }
}

/// Punctuation that a chunk can begin with. Signs that are spoken are not among it.
fn leads(c: char) -> bool {
    matches!(
        c,
        '"' | '“'
            | '”'
            | '„'
            | '‘'
            | '’'
            | '\''
            | '('
            | '['
            | '{'
            | '<'
            | '«'
            | '‹'
            | '¿'
            | '¡'
            | '*'
            | '_'
            | '~'
            | '`'
            | '—'
            | '–'
            | '…'
            | '|'
            | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '•'
            | '·'
    )
}

/// Punctuation that a chunk can end with.
fn trails(c: char) -> bool {
    leads(c) || matches!(c, '.' | ')' | ']' | '}' | '>' | '»' | '›' | '-')
}

fn chunks(text: &str, offset: usize) -> impl Iterator<Item = Chunk<'_>> {
    text.split_whitespace().map(move |chunk| {
        let start = offset + (chunk.as_ptr() as usize - text.as_ptr() as usize);
        let first = chunk.find(|c| !leads(c)).unwrap_or(chunk.len());
        // The apostrophe of "'90s" and "'em" belongs to the word.
        let keeps = chunk[..first].ends_with(['\'', '’'])
            && (chunk[first..].starts_with(|c: char| c.is_ascii_digit()) || names::is_clipped(&chunk[first..]));
        let first = if keeps { first - chunk[..first].chars().next_back().map_or(0, char::len_utf8) } else { first };
        let (lead, rest) = chunk.split_at(first);
        let core = rest.trim_end_matches(trails);
        // Dashes between phrases: "---".
        let core = if core.is_empty() && rest.starts_with('-') { "" } else { core };
        Chunk { lead, core, trail: &rest[core.len()..], start }
    })
}

/// Pauses for punctuation marks; quotes and the like make none.
fn punctuation(marks: &str, start: usize, output: &mut Output) {
    for (at, mark) in marks.char_indices() {
        let pause = match mark {
            ',' | ';' | ':' | '!' | '?' | '.' => mark,
            '…' => '.',
            '—' | '–' | '(' | ')' | '[' | ']' | '{' | '}' => ',',
            '-' if marks.contains("--") || marks.len() == 1 && marks == "-" && at > 0 => ',',
            _ => continue,
        };
        let range = start + at..start + at + mark.len_utf8();
        match output.pieces.last_mut() {
            // The stronger mark of several stays: "?)" asks.
            Some(Spoken { piece: Piece::Pause(last), .. }) if pause == ',' || *last != ',' => {}
            Some(Spoken { piece: Piece::Pause(last), .. }) => *last = pause,
            Some(_) => output.pieces.push(Spoken { piece: Piece::Pause(pause), range }),
            // Nothing has been said yet: no pause.
            None => {}
        }
    }
}

/// Whether a character is said as a part of a word.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() && is_readable(c)
}

#[cfg(test)]
mod tests;
