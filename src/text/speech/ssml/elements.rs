//! What the elements mean.

use super::super::phonemizer::{is_phoneme, spelled_apart};
use super::Span;
use super::xml::{Event, Xml};
use crate::Result;

/// The elements that are understood.
const ELEMENTS: [&str; 8] = ["speak", "p", "s", "break", "prosody", "say-as", "phoneme", "sub"];
/// How deep elements may be within each other.
const MAX_DEPTH: usize = 32;
/// The longest pause, seconds.
const MAX_PAUSE_S: f64 = 60.0;
/// Silence behind a sentence and behind a paragraph, seconds.
const SENTENCE_S: f64 = 0.35;
const PARAGRAPH_S: f64 = 0.7;

/// An element that is open.
#[derive(Debug)]
struct Open {
    name: String,
    rate: f64,
    /// What replaces its text: `None` where its text is spoken.
    instead: Option<String>,
    /// How `say-as` wants its text said.
    say_as: Option<String>,
}

/// Turns events into spans.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    xml: Xml<'a>,
    open: Vec<Open>,
    spans: Vec<Span>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a str) -> Self {
        Self { xml: Xml::new(document), open: Vec::new(), spans: Vec::new() }
    }

    pub(super) fn spans(mut self) -> Result<Vec<Span>> {
        let mut is_done = false;
        loop {
            let at = self.xml.position();
            let Some(event) = self.xml.next()? else { break };
            if self.open.is_empty() {
                match &event {
                    Event::Text(text) if text.trim().is_empty() => continue,
                    Event::Open { name, is_empty, .. } if name == "speak" && !is_done => is_done |= is_empty,
                    _ => {
                        let expected = if is_done { "nothing behind </speak>" } else { "<speak>" };
                        return Err(self.xml.error(at, &format!("expected {expected}, got {}", self.xml.quoted(at))));
                    }
                }
            }
            match event {
                Event::Text(text) => self.text(&text),
                Event::Open { name, attributes, is_empty } => {
                    self.begin(at, &name, &attributes)?;
                    if is_empty {
                        self.end();
                    }
                }
                Event::Close(name) => {
                    let open = self.open.last().map_or("", |open| &open.name);
                    if open != name {
                        return Err(self.xml.error(at, &format!("</{name}> closes no <{name}>: <{open}> is open")));
                    }
                    self.end();
                    is_done |= self.open.is_empty();
                }
            }
        }
        let at = self.xml.position();
        match self.open.last() {
            Some(open) => Err(self.xml.error(at, &format!("the document ends within <{}>", open.name))),
            None if !is_done => Err(self.xml.error(at, "expected <speak>, got nothing")),
            None => Ok(self.spans),
        }
    }

    fn begin(&mut self, at: usize, name: &str, attributes: &[(String, String)]) -> Result<()> {
        let fail = |what: String| Err(self.xml.error(at, &what));
        if !ELEMENTS.contains(&name) {
            return fail(format!("<{name}> is not supported; these are: {}", ELEMENTS.join(" ")));
        }
        if self.open.len() >= MAX_DEPTH {
            return fail(format!("more than {MAX_DEPTH} elements are open within each other"));
        }
        if name == "speak" && !self.open.is_empty() {
            return fail("<speak> within <speak>".to_owned());
        }
        let attribute = |key: &str| attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let needed =
            |key: &str| attribute(key).ok_or_else(|| self.xml.error(at, &format!("<{name}> needs {key}=\"...\"")));
        let rate = self.open.last().map_or(1.0, |open| open.rate);
        let mut open = Open { name: name.to_owned(), rate, instead: None, say_as: None };
        match name {
            "prosody" => {
                if let Some((key, _)) = attributes.iter().find(|(key, _)| key != "rate") {
                    return fail(format!("{key} in <prosody> is not supported; rate is"));
                }
                let written = needed("rate")?;
                let Some(factor) = rate_of(written) else {
                    return fail(format!(
                        "rate={written:?} is no rate from 25% to 400%, nor one of x-slow slow medium fast x-fast default"
                    ));
                };
                open.rate = (rate * factor).clamp(0.25, 4.0);
            }
            "break" => {
                let pause_s = match (attribute("time"), attribute("strength")) {
                    (Some(time), _) => match duration_s(time) {
                        Some(pause_s) => pause_s,
                        None => {
                            return fail(format!(
                                "time={time:?} is no duration from 0 to {MAX_PAUSE_S} s, such as 500ms or 1.5s"
                            ));
                        }
                    },
                    (None, strength) => match strength.unwrap_or("medium") {
                        "none" => 0.0,
                        "x-weak" => 0.1,
                        "weak" => 0.2,
                        "medium" => 0.4,
                        "strong" => 0.7,
                        "x-strong" => 1.2,
                        other => {
                            return fail(format!(
                                "strength={other:?} is none of none x-weak weak medium strong x-strong"
                            ));
                        }
                    },
                };
                self.pause(pause_s);
            }
            "phoneme" => {
                let phonemes = needed("ph")?;
                if let Some(alphabet) = attribute("alphabet").filter(|alphabet| *alphabet != "ipa") {
                    return fail(format!("alphabet={alphabet:?} is not supported; \"ipa\" is"));
                }
                if let Some(unknown) = phonemes.chars().find(|&c| !c.is_whitespace() && !is_phoneme(c)) {
                    return fail(format!("{unknown:?} in ph={phonemes:?} is no phoneme"));
                }
                open.instead = Some(format!("[[{}]]", phonemes.trim()));
            }
            "sub" => open.instead = Some(needed("alias")?.to_owned()),
            "say-as" => {
                let kind = needed("interpret-as")?;
                if !SAY_AS.contains(&kind) {
                    return fail(format!("interpret-as={kind:?} is not supported; these are: {}", SAY_AS.join(" ")));
                }
                open.say_as = Some(kind.to_owned());
            }
            _ => {}
        }
        if let Some(instead) = &open.instead {
            let instead = instead.clone();
            self.text(&instead);
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        match open.name.as_str() {
            "s" => self.pause(SENTENCE_S),
            "p" => self.pause(PARAGRAPH_S),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.open.iter().any(|open| open.instead.is_some()) {
            return;
        }
        let rate = self.open.last().map_or(1.0, |open| open.rate);
        let kind = self.open.iter().rev().find_map(|open| open.say_as.as_deref());
        let text = kind.map_or_else(|| text.to_owned(), |kind| said_as(kind, text));
        match self.spans.last_mut() {
            Some(last) if last.pause_s == 0.0 && last.rate.to_bits() == rate.to_bits() => last.text.push_str(&text),
            // White space between elements makes no span.
            _ if text.trim().is_empty() => {}
            _ => self.spans.push(Span { text, rate, pause_s: 0.0 }),
        }
    }

    fn pause(&mut self, pause_s: f64) {
        let rate = self.open.last().map_or(1.0, |open| open.rate);
        match self.spans.last_mut() {
            Some(last) => last.pause_s = (last.pause_s + pause_s).min(MAX_PAUSE_S),
            None if pause_s > 0.0 => self.spans.push(Span { text: String::new(), rate, pause_s }),
            None => {}
        }
    }
}

/// The kinds of `say-as` that are understood.
const SAY_AS: [&str; 12] = [
    "characters",
    "spell-out",
    "digits",
    "telephone",
    "cardinal",
    "number",
    "ordinal",
    "fraction",
    "unit",
    "currency",
    "date",
    "time",
];

/// A text that is read as `say-as` wants it.
fn said_as(kind: &str, text: &str) -> String {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        "characters" | "spell-out" => spelled_apart(text),
        "digits" => spelled_apart(&text.chars().filter(char::is_ascii_digit).collect::<String>()),
        "telephone" => text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|group| !group.is_empty())
            .map(spelled_apart)
            .collect::<Vec<_>>()
            .join(", "),
        "ordinal" if is_number => {
            let ending =
                match (text.len() > 1 && text.as_bytes()[text.len() - 2] == b'1', text.as_bytes()[text.len() - 1]) {
                    (false, b'1') => "st",
                    (false, b'2') => "nd",
                    (false, b'3') => "rd",
                    _ => "th",
                };
            format!("{text}{ending}")
        }
        // With a comma or a point four digits are no year.
        "cardinal" | "number" if is_number && text.len() == 4 => format!("{},{}", &text[..1], &text[1..]),
        _ => text.to_owned(),
    }
}

fn rate_of(text: &str) -> Option<f64> {
    let named = [("x-slow", 0.5), ("slow", 0.75), ("medium", 1.0), ("default", 1.0), ("fast", 1.25), ("x-fast", 1.75)];
    let factor = match named.iter().find(|(name, _)| *name == text) {
        Some((_, factor)) => *factor,
        None => match text.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().ok()? / 100.0,
            None => text.parse().ok()?,
        },
    };
    (0.25..=4.0).contains(&factor).then_some(factor)
}

fn duration_s(text: &str) -> Option<f64> {
    let text = text.trim();
    let seconds = match text.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse::<f64>().ok()? / 1000.0,
        None => text.strip_suffix('s')?.parse().ok()?,
    };
    (0.0..=MAX_PAUSE_S).contains(&seconds).then_some(seconds)
}
