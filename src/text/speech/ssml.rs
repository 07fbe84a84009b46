//! A subset of SSML 1.1: `speak p s break prosody@rate say-as phoneme sub`.
//!
//! Source: W3C, Speech Synthesis Markup Language 1.1, sections 3.1 and 3.2.

mod elements;
mod xml;

use self::elements::Reader;
use crate::{Error, Result};

/// The largest document that is read, bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// Text that is spoken at one rate, and the silence behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Plain text for a [`Phonemizer`](super::Phonemizer); phonemes of the document are in `[[ ... ]]`. It may be empty.
    pub text: String,
    /// Speed relative to the voice's own, 0.25 to 4.
    pub rate: f64,
    /// Silence behind the text, seconds, beside that of its sentences.
    pub pause_s: f64,
}

/// Whether a text is meant as SSML: it begins with a `speak` element, or with an XML declaration.
#[must_use]
pub fn is_ssml(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    ["<speak>", "<speak ", "<speak\n", "<speak\t", "<speak\r", "<?xml"].iter().any(|start| text.starts_with(start))
}

/// The spans of a document, in its order.
///
/// # Errors
///
/// [`Error::InvalidInput`] with line and column for malformed XML, an element or attribute that is not supported, or an
/// impossible value; [`Error::TooLarge`] above [`MAX_BYTES`].
pub fn parse(document: &str) -> Result<Vec<Span>> {
    if document.len() > MAX_BYTES {
        return Err(Error::TooLarge {
            what: "the SSML document",
            got_bytes: document.len() as u64,
            limit_bytes: MAX_BYTES as u64,
        });
    }
    Reader::new(document).spans()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, rate: f64, pause_s: f64) -> Span {
        Span { text: text.to_owned(), rate, pause_s }
    }

    #[test]
    fn elements_become_text_rates_and_pauses() {
        let table = [
            ("<speak>Hello &amp; bye &#65;&#x42;</speak>", vec![span("Hello & bye AB", 1.0, 0.0)]),
            (
                "<speak>One<break time=\"500ms\"/>two<break time='1.5s'/></speak>",
                vec![span("One", 1.0, 0.5), span("two", 1.0, 1.5)],
            ),
            (
                "<speak><p><s>A b</s><s>C d</s></p>E</speak>",
                vec![span("A b", 1.0, 0.35), span("C d", 1.0, 0.35 + 0.7), span("E", 1.0, 0.0)],
            ),
            (
                "<speak>a <prosody rate=\"150%\">b <prosody rate=\"slow\">c</prosody></prosody> d</speak>",
                vec![span("a ", 1.0, 0.0), span("b ", 1.5, 0.0), span("c", 1.125, 0.0), span(" d", 1.0, 0.0)],
            ),
            ("<speak>my <sub alias=\"World Wide Web\">WWW</sub></speak>", vec![span("my World Wide Web", 1.0, 0.0)]),
            (
                "<speak><phoneme alphabet=\"ipa\" ph=\"təmˈɑːɾoʊ\">tomato</phoneme>!</speak>",
                vec![span("[[təmˈɑːɾoʊ]]!", 1.0, 0.0)],
            ),
            (
                "<speak><say-as interpret-as=\"characters\">A1</say-as> <say-as interpret-as=\"ordinal\">3</say-as> <say-as interpret-as=\"digits\">42</say-as></speak>",
                vec![span("[[ˈeɪ]] one 3rd four two", 1.0, 0.0)],
            ),
            ("<?xml version=\"1.0\"?><!-- c --><speak version=\"1.1\"></speak>", vec![]),
        ];
        for (document, want) in table {
            assert_eq!(parse(document).unwrap(), want, "{document}");
        }
    }

    #[test]
    fn errors_say_where() {
        let table = [
            ("hello", "SSML, line 1, column 1: expected <speak>, got \"hello\""),
            ("<speak>\n <p>x</s></speak>", "SSML, line 2, column 6: </s> closes no <s>: <p> is open"),
            ("<speak>x", "SSML, line 1, column 9: the document ends within <speak>"),
            (
                "<speak><audio src='x'/></speak>",
                "SSML, line 1, column 8: <audio> is not supported; these are: speak p s break prosody say-as phoneme sub",
            ),
            (
                "<speak><break time='5 days'/></speak>",
                "SSML, line 1, column 8: time=\"5 days\" is no duration from 0 to 60 s, such as 500ms or 1.5s",
            ),
            (
                "<speak><prosody rate='900%'>x</prosody></speak>",
                "SSML, line 1, column 8: rate=\"900%\" is no rate from 25% to 400%, nor one of x-slow slow medium fast x-fast default",
            ),
            ("<speak><phoneme ph='AH0'>x</phoneme></speak>", "SSML, line 1, column 8: 'A' in ph=\"AH0\" is no phoneme"),
            (
                "<speak>&nbsp;</speak>",
                "SSML, line 1, column 8: &nbsp; is no entity of XML; these are: &amp; &lt; &gt; &quot; &apos; &#...;",
            ),
            ("<speak><sub>x</sub></speak>", "SSML, line 1, column 8: <sub> needs alias=\"...\""),
            (
                "<speak>a < b</speak>",
                "SSML, line 1, column 10: expected a tag behind <, got \" b</speak>\"; a < in the text is written &lt;",
            ),
            ("<speak></speak>x", "SSML, line 1, column 16: expected nothing behind </speak>, got \"x\""),
        ];
        for (document, want) in table {
            assert_eq!(parse(document).unwrap_err().to_string(), want, "{document}");
        }
    }

    #[test]
    fn deep_documents_are_refused() {
        let deep = format!("<speak>{}", "<prosody rate='fast'>".repeat(1000));
        assert!(parse(&deep).unwrap_err().to_string().contains("more than 32 elements"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<(/?)(speak|p|s|break|sub|say-as)( [a-z]+=\"[0-9a-z%]*\")?/?>|&[a-z#]{0,3};|\\PC){0,30}") {
            let _ = parse(&text);
            let _ = parse(&format!("<speak>{text}</speak>"));
        }
    }
}
