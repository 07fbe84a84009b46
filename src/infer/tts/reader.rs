//! A text, plain or marked up, as the sentences that an engine is given.

use std::{fmt, ops::Range, sync::Arc};

use super::engine::{Reads, Word};
use crate::{
    Error, Result,
    text::speech::{End, Lexicon, Phonemizer, Sentences, Skipped, ssml},
};

/// Silence behind a sentence, behind a paragraph and behind a part of a sentence that was too long, seconds.
const SENTENCE_S: f64 = 0.3;
const PARAGRAPH_S: f64 = 0.7;
const CUT_S: f64 = 0.1;

/// Says how a sentence is pronounced: a program outside.
pub type Pronounce = Arc<dyn Fn(&str) -> Result<String> + Send + Sync>;

/// How sentences become what a voice reads.
#[derive(Clone)]
pub enum Reader {
    /// Violet's English, with the user's own words.
    English(Lexicon),
    /// A program's phonemes.
    Program(Pronounce),
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::English(_) => "English",
            Self::Program(_) => "Program",
        })
    }
}

/// A sentence that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Read {
    pub text: String,
    pub words: Vec<Word>,
    pub skipped: Skipped,
    /// Relative to the speed of the whole text.
    pub rate: f64,
    /// Silence behind it, seconds.
    pub pause_s: f64,
}

/// The sentences of a text, each read when it is asked for: memory does not grow with them.
pub(super) struct Script {
    spans: std::vec::IntoIter<ssml::Span>,
    /// The span that is read, and how far.
    span: Option<(ssml::Span, usize)>,
    how: How,
}

enum How {
    Characters,
    English(Box<Phonemizer>),
    Program(Pronounce),
}

impl Script {
    /// # Errors
    /// [`Error::InvalidInput`] for markup that is not understood, and for phonemes of a voice that reads letters.
    pub(super) fn new(text: String, is_ssml: bool, reads: Reads, reader: Reader) -> Result<Self> {
        let how = match (reads, reader) {
            (Reads::Characters, Reader::English(lexicon)) if lexicon.is_empty() => How::Characters,
            (Reads::Characters, _) => {
                return Err(Error::InvalidInput(
                    "the voice reads letters: a lexicon or another phonemizer has no effect on it".to_owned(),
                ));
            }
            (Reads::Phonemes, Reader::English(lexicon)) => {
                How::English(Box::new(Phonemizer::new()?.with_lexicon(lexicon)))
            }
            (Reads::Phonemes, Reader::Program(pronounce)) => How::Program(pronounce),
        };
        let spans = if is_ssml { ssml::parse(&text)? } else { vec![ssml::Span { text, rate: 1.0, pause_s: 0.0 }] };
        Ok(Self { spans: spans.into_iter(), span: None, how })
    }

    /// The next sentence; its words may be none. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Read>> {
        let (span, at) = match self.span.take() {
            Some(under_way) => under_way,
            None => match self.spans.next() {
                Some(span) => (span, 0),
                None => return Ok(None),
            },
        };
        let Some((range, end)) = Sentences::new(&span.text[at..]).next() else {
            return Ok(Some(Read { rate: span.rate, pause_s: span.pause_s, ..Read::default() }));
        };
        let range = at + range.start..at + range.end;
        let mut read = self.how.read(&span.text, range.clone())?;
        read.rate = span.rate;
        read.pause_s = match end {
            End::Cut => CUT_S,
            End::Sentence => SENTENCE_S,
            End::Paragraph => PARAGRAPH_S,
            End::Text => span.pause_s,
        };
        if end != End::Text {
            self.span = Some((span, range.end));
        }
        Ok(Some(read))
    }
}

impl How {
    fn read(&self, text: &str, range: Range<usize>) -> Result<Read> {
        let text = text[range].trim();
        let (words, skipped) = match self {
            Self::Characters => (text.split_whitespace().map(letters).collect(), Skipped::default()),
            Self::English(phonemizer) => {
                let sentence = phonemizer.phonemize(text);
                let words = sentence.words.into_iter();
                let words = words.map(|word| Word { text: word.text, symbols: word.phonemes, pause: word.pause });
                (words.collect(), sentence.skipped)
            }
            Self::Program(pronounce) => (pronounced(text, pronounce)?, Skipped::default()),
        };
        Ok(Read { text: text.to_owned(), words, skipped, rate: 1.0, pause_s: 0.0 })
    }
}

/// A word for a voice that reads letters: in small letters, with the mark behind it apart.
fn letters(word: &str) -> Word {
    let bare = word.trim_end_matches([',', '.', ';', ':', '!', '?']);
    Word { text: word.to_owned(), symbols: bare.to_lowercase(), pause: word[bare.len()..].chars().next() }
}

/// The words of a sentence by a program's phonemes. Programs join words and say signs as several: where there are not
/// as many groups of phonemes as words, all are one.
fn pronounced(text: &str, pronounce: &Pronounce) -> Result<Vec<Word>> {
    let mut phonemes = String::new();
    let mut rest = text;
    // What is in double brackets is phonemes already.
    while let Some((before, given, behind)) = rest
        .split_once("[[")
        .and_then(|(before, behind)| behind.split_once("]]").map(|(given, behind)| (before, given, behind)))
    {
        if !before.trim().is_empty() {
            phonemes += &pronounce(before)?;
        }
        phonemes += " ";
        phonemes += given;
        phonemes += " ";
        rest = behind;
    }
    if !rest.trim().is_empty() {
        phonemes += &pronounce(rest)?;
    }
    let mut groups: Vec<String> = Vec::new();
    for group in phonemes.split_whitespace() {
        let is_mark = group.chars().all(|c| c.is_ascii_punctuation());
        // A mark behind given phonemes.
        if let Some(last) = groups.last_mut().filter(|_| is_mark) {
            last.push_str(group);
        } else {
            groups.push(group.to_owned());
        }
    }
    let names: Vec<&str> = text.split_whitespace().collect();
    let word = |(text, group): (&str, &str)| {
        let bare = group.trim_end_matches([',', '.', ';', ':', '!', '?']);
        Word { text: text.to_owned(), symbols: bare.to_owned(), pause: group[bare.len()..].chars().next() }
    };
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    if groups.len() == names.len() {
        return Ok(names.into_iter().zip(groups.iter().map(String::as_str)).map(word).collect());
    }
    Ok(vec![word((text, &groups.join(" ")))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, is_ssml: bool, reads: Reads, reader: Reader) -> Vec<Read> {
        let mut script = Script::new(text.to_owned(), is_ssml, reads, reader).unwrap();
        std::iter::from_fn(|| script.next().unwrap()).collect()
    }

    #[test]
    fn pauses_follow_what_ends() {
        let reads = all("One. Two!\n\nThree.", false, Reads::Phonemes, Reader::English(Lexicon::default()));
        let pauses: Vec<f64> = reads.iter().map(|read| read.pause_s).collect();
        assert_eq!(pauses, [SENTENCE_S, PARAGRAPH_S, 0.0]);
        assert_eq!(reads[2].text, "Three.");
    }

    #[test]
    fn markup_sets_rates_and_pauses() {
        let document = "<speak>One.<break time=\"1s\"/><prosody rate=\"200%\">Two.</prosody></speak>";
        let reads = all(document, true, Reads::Phonemes, Reader::English(Lexicon::default()));
        let found: Vec<_> = reads.iter().map(|read| (read.text.as_str(), read.rate, read.pause_s)).collect();
        assert_eq!(found, [("One.", 1.0, 1.0), ("Two.", 2.0, 0.0)]);
    }

    #[test]
    fn a_programs_words_are_told_apart_where_they_can_be() {
        let program = |text: &str| Ok(text.replace("of the", "ofthe").replace("Hello", "həlˈoʊ"));
        let reader = || Reader::Program(Arc::new(program));
        let words = all("Hello, you [[ˈeɪ]]!", false, Reads::Phonemes, reader())[0].words.clone();
        let found: Vec<_> = words.iter().map(|word| (word.symbols.as_str(), word.pause)).collect();
        assert_eq!(found, [("həlˈoʊ", Some(',')), ("you", None), ("ˈeɪ", Some('!'))]);
        assert_eq!(all("End of the day.", false, Reads::Phonemes, reader())[0].words.len(), 1);
    }

    #[test]
    fn letters_are_small_and_marks_are_apart() {
        let words = all("Hallo, WELT!", false, Reads::Characters, Reader::English(Lexicon::default()))[0].words.clone();
        assert_eq!((words[0].symbols.as_str(), words[0].pause), ("hallo", Some(',')));
        assert_eq!((words[1].symbols.as_str(), words[1].text.as_str()), ("welt", "WELT!"));
    }
}
