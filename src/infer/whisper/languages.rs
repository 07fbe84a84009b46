//! The languages of Whisper: their codes, their names, and which one is spoken. Source: openai/whisper `tokenizer.py` and
//! `decoding.py` (20250625).

use super::{
    model::{Audio, Step, Whisper},
    tokenizer::Tokenizer,
};
use crate::{Result, infer::kernels::log_sum_exp};

/// Codes and English names, in the order of the tokens.
const LANGUAGES: [(&str, &str); 100] = [
    ("en", "english"),
    ("zh", "chinese"),
    ("de", "german"),
    ("es", "spanish"),
    ("ru", "russian"),
    ("ko", "korean"),
    ("fr", "french"),
    ("ja", "japanese"),
    ("pt", "portuguese"),
    ("tr", "turkish"),
    ("pl", "polish"),
    ("ca", "catalan"),
    ("nl", "dutch"),
    ("ar", "arabic"),
    ("sv", "swedish"),
    ("it", "italian"),
    ("id", "indonesian"),
    ("hi", "hindi"),
    ("fi", "finnish"),
    ("vi", "vietnamese"),
    ("he", "hebrew"),
    ("uk", "ukrainian"),
    ("el", "greek"),
    ("ms", "malay"),
    ("cs", "czech"),
    ("ro", "romanian"),
    ("da", "danish"),
    ("hu", "hungarian"),
    ("ta", "tamil"),
    ("no", "norwegian"),
    ("th", "thai"),
    ("ur", "urdu"),
    ("hr", "croatian"),
    ("bg", "bulgarian"),
    ("lt", "lithuanian"),
    ("la", "latin"),
    ("mi", "maori"),
    ("ml", "malayalam"),
    ("cy", "welsh"),
    ("sk", "slovak"),
    ("te", "telugu"),
    ("fa", "persian"),
    ("lv", "latvian"),
    ("bn", "bengali"),
    ("sr", "serbian"),
    ("az", "azerbaijani"),
    ("sl", "slovenian"),
    ("kn", "kannada"),
    ("et", "estonian"),
    ("mk", "macedonian"),
    ("br", "breton"),
    ("eu", "basque"),
    ("is", "icelandic"),
    ("hy", "armenian"),
    ("ne", "nepali"),
    ("mn", "mongolian"),
    ("bs", "bosnian"),
    ("kk", "kazakh"),
    ("sq", "albanian"),
    ("sw", "swahili"),
    ("gl", "galician"),
    ("mr", "marathi"),
    ("pa", "punjabi"),
    ("si", "sinhala"),
    ("km", "khmer"),
    ("sn", "shona"),
    ("yo", "yoruba"),
    ("so", "somali"),
    ("af", "afrikaans"),
    ("oc", "occitan"),
    ("ka", "georgian"),
    ("be", "belarusian"),
    ("tg", "tajik"),
    ("sd", "sindhi"),
    ("gu", "gujarati"),
    ("am", "amharic"),
    ("yi", "yiddish"),
    ("lo", "lao"),
    ("uz", "uzbek"),
    ("fo", "faroese"),
    ("ht", "haitian creole"),
    ("ps", "pashto"),
    ("tk", "turkmen"),
    ("nn", "nynorsk"),
    ("mt", "maltese"),
    ("sa", "sanskrit"),
    ("lb", "luxembourgish"),
    ("my", "myanmar"),
    ("bo", "tibetan"),
    ("tl", "tagalog"),
    ("mg", "malagasy"),
    ("as", "assamese"),
    ("tt", "tatar"),
    ("haw", "hawaiian"),
    ("ln", "lingala"),
    ("ha", "hausa"),
    ("ba", "bashkir"),
    ("jw", "javanese"),
    ("su", "sundanese"),
    ("yue", "cantonese"),
];

/// Other names.
const ALIASES: [(&str, &str); 12] = [
    ("burmese", "my"),
    ("valencian", "ca"),
    ("flemish", "nl"),
    ("haitian", "ht"),
    ("letzeburgesch", "lb"),
    ("pushto", "ps"),
    ("panjabi", "pa"),
    ("moldavian", "ro"),
    ("moldovan", "ro"),
    ("sinhalese", "si"),
    ("castilian", "es"),
    ("mandarin", "zh"),
];

/// The code of a language that is given by its code or by an English name, in any case.
///
/// A text that names none of Whisper's languages comes back in lower case: models can know others.
pub(super) fn code_of(text: &str) -> String {
    let text = text.trim().to_lowercase();
    let named = LANGUAGES.iter().find(|(_, name)| *name == text).map(|(code, _)| *code);
    let code = named.or_else(|| ALIASES.iter().find(|(name, _)| *name == text).map(|(_, code)| *code));
    code.map_or(text, str::to_owned)
}

/// The probability of every language that the model knows, the likeliest first.
pub(super) fn detect(model: &Whisper, tokenizer: &Tokenizer, audio: &Audio) -> Result<Vec<(String, f32)>> {
    let mut cache = model.new_cache(audio, 1)?;
    let tokens = [tokenizer.special().start_of_transcript];
    let step = Step { cache: &mut cache, tokens: &tokens, wanted: &[0], choices: None };
    let logits = model.decode(&mut [step])?.swap_remove(0).scores();
    let scores: Vec<f32> = tokenizer.languages().iter().map(|(_, token)| logits[*token as usize]).collect();
    let total = log_sum_exp(&scores);
    let probability = |((code, _), score): (&(String, u32), &f32)| (code.clone(), (score - total).exp());
    let mut probabilities: Vec<_> = tokenizer.languages().iter().zip(&scores).map(probability).collect();
    probabilities.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(probabilities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_in_any_case_are_understood() {
        for (text, code) in [
            ("en", "en"),
            ("German", "de"),
            ("CASTILIAN", "es"),
            ("mandarin", "zh"),
            ("haitian creole", "ht"),
            (" Yue ", "yue"),
            ("klingon", "klingon"),
        ] {
            assert_eq!(code_of(text), code);
        }
    }

    #[test]
    fn codes_and_names_are_unique_and_aliases_lead_to_codes() {
        let mut codes: Vec<_> = LANGUAGES.iter().flat_map(|(code, name)| [code, name]).collect();
        codes.extend(ALIASES.iter().map(|(name, _)| name));
        let n = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), n);
        assert!(ALIASES.iter().all(|(_, code)| LANGUAGES.iter().any(|(known, _)| known == code)));
    }
}
