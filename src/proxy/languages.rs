//! English names of the languages that Whisper knows, by code; OpenAI's `verbose_json` carries the name.
//! Source: openai/whisper `tokenizer.py`, `LANGUAGES`.

const NAMES: &str = "en english zh chinese de german es spanish ru russian ko korean fr french ja japanese pt portuguese \
tr turkish pl polish ca catalan nl dutch ar arabic sv swedish it italian id indonesian hi hindi fi finnish vi vietnamese \
he hebrew uk ukrainian el greek ms malay cs czech ro romanian da danish hu hungarian ta tamil no norwegian th thai ur urdu \
hr croatian bg bulgarian lt lithuanian la latin mi maori ml malayalam cy welsh sk slovak te telugu fa persian lv latvian \
bn bengali sr serbian az azerbaijani sl slovenian kn kannada et estonian mk macedonian br breton eu basque is icelandic \
hy armenian ne nepali mn mongolian bs bosnian kk kazakh sq albanian sw swahili gl galician mr marathi pa punjabi \
si sinhala km khmer sn shona yo yoruba so somali af afrikaans oc occitan ka georgian be belarusian tg tajik sd sindhi \
gu gujarati am amharic yi yiddish lo lao uz uzbek fo faroese ht haitian-creole ps pashto tk turkmen nn nynorsk mt maltese \
sa sanskrit lb luxembourgish my myanmar bo tibetan tl tagalog mg malagasy as assamese tt tatar haw hawaiian ln lingala \
ha hausa ba bashkir jw javanese su sundanese yue cantonese";

/// The language's name; a code that Whisper does not know stays as it is.
pub(crate) fn name(code: &str) -> String {
    let mut words = NAMES.split_whitespace();
    while let (Some(known), Some(name)) = (words.next(), words.next()) {
        if known == code {
            return name.replace('-', " ");
        }
    }
    code.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_has_a_name_and_another_stays() {
        assert_eq!(
            (name("en"), name("ht"), name("yue")),
            ("english".into(), "haitian creole".into(), "cantonese".into())
        );
        assert_eq!(name("tlh"), "tlh");
    }

    #[test]
    fn the_table_has_whispers_hundred_languages() {
        assert_eq!(NAMES.split_whitespace().count(), 200);
    }
}
