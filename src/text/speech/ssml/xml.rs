//! As much of XML as SSML needs: tags, attributes, entities, comments; no document types.

use crate::{Error, Result};

/// The most attributes of one tag.
const MAX_ATTRIBUTES: usize = 16;

/// What a document is made of, with where it begins, bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Text(String),
    Open { name: String, attributes: Vec<(String, String)>, is_empty: bool },
    Close(String),
}

/// Reads events one after the other.
#[derive(Debug)]
pub(super) struct Xml<'a> {
    document: &'a str,
    at: usize,
}

impl<'a> Xml<'a> {
    pub(super) fn new(document: &'a str) -> Self {
        Self { document, at: document.len() - document.trim_start_matches('\u{feff}').len() }
    }

    /// Where the next event begins, bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// An error at a position of the document.
    pub(super) fn error(&self, at: usize, what: &str) -> Error {
        let before = &self.document[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().trim_start_matches('\u{feff}').chars().count() + 1;
        Error::InvalidInput(format!("SSML, line {line}, column {column}: {what}"))
    }

    /// The document from a position on, as an error quotes it.
    pub(super) fn quoted(&self, at: usize) -> String {
        let mut rest = self.document[at..].chars();
        let start: String = rest.by_ref().take(20).collect();
        format!("{start:?}{}", if rest.next().is_some() { "..." } else { "" })
    }

    /// The next event; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Event>> {
        loop {
            let rest = &self.document[self.at..];
            if rest.is_empty() {
                return Ok(None);
            }
            for (start, end) in [("<!--", "-->"), ("<?", "?>")] {
                if rest.starts_with(start) {
                    let length =
                        rest.find(end).ok_or_else(|| self.error(self.at, &format!("{start} without {end}")))?;
                    self.at += length + end.len();
                }
            }
            let rest = &self.document[self.at..];
            if rest.starts_with("<!--") || rest.starts_with("<?") || rest.is_empty() {
                continue;
            }
            if let Some(tag) = rest.strip_prefix('<') {
                return self.tag(tag).map(Some);
            }
            let end = rest.find('<').unwrap_or(rest.len());
            let text = self.unescaped(self.at, &rest[..end])?;
            self.at += end;
            return Ok(Some(Event::Text(text)));
        }
    }

    /// The tag whose inside `rest` begins with.
    fn tag(&mut self, rest: &str) -> Result<Event> {
        let start = self.at;
        let is_close = rest.starts_with('/');
        let mut at = start + 1 + usize::from(is_close);
        let name = self.name(at);
        if name.is_empty() {
            let what = format!("expected a tag behind <, got {}; a < in the text is written &lt;", self.quoted(at));
            return Err(self.error(start, &what));
        }
        at += name.len();
        let name = name.to_owned();
        let mut attributes = Vec::new();
        loop {
            let rest = &self.document[at..];
            let space = rest.len() - rest.trim_start().len();
            at += space;
            let rest = &self.document[at..];
            let closes = [(">", false), ("/>", true)].into_iter().find(|(end, _)| rest.starts_with(end));
            if let Some((end, is_empty)) = closes.filter(|(_, is_empty)| !(is_close && *is_empty)) {
                self.at = at + end.len();
                return Ok(if is_close { Event::Close(name) } else { Event::Open { name, attributes, is_empty } });
            }
            let key = self.name(at);
            if key.is_empty() || space == 0 || is_close || attributes.len() >= MAX_ATTRIBUTES {
                let what = format!("expected an attribute or > in <{name}>, got {}", self.quoted(at));
                return Err(self.error(at, &what));
            }
            at += key.len();
            let rest = self.document[at..].trim_start();
            let value = rest.strip_prefix('=').map(str::trim_start);
            let quote = value.and_then(|value| value.chars().next()).filter(|c| matches!(c, '"' | '\''));
            let inside = value.zip(quote).map(|(value, quote)| (&value[1..], quote));
            let Some((inside, length)) = inside.and_then(|(inside, quote)| Some((inside, inside.find(quote)?))) else {
                return Err(self.error(at, &format!("{key} in <{name}> has no value in quotes")));
            };
            let begin = self.document.len() - inside.len();
            attributes.push((key.to_owned(), self.unescaped(begin, &inside[..length])?));
            at = begin + length + 1;
        }
    }

    fn name(&self, at: usize) -> &'a str {
        let rest = &self.document[at..];
        let end =
            rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '.'))).unwrap_or(rest.len());
        &rest[..end]
    }

    /// The text with its entities resolved.
    fn unescaped(&self, start: usize, text: &str) -> Result<String> {
        let mut plain = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('&') {
            plain.push_str(&rest[..at]);
            let behind = &rest[at + 1..];
            let length = behind.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#')).unwrap_or(behind.len());
            let name = &behind[..length];
            let c = if behind[length..].starts_with(';') { entity(name) } else { None };
            let Some(c) = c else {
                let position = start + text.len() - rest.len() + at;
                let shown: String = name.chars().take(20).collect();
                let end = if behind[length..].starts_with(';') { ";" } else { "" };
                let what =
                    format!("&{shown}{end} is no entity of XML; these are: &amp; &lt; &gt; &quot; &apos; &#...;");
                return Err(self.error(position, &what));
            };
            plain.push(c);
            rest = &behind[length + 1..];
        }
        plain.push_str(rest);
        Ok(plain)
    }
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}
