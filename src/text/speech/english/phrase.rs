//! Words that a phrase weakens: articles, pronouns, prepositions, auxiliaries; and what joins words.

use super::is_vowel;

/// A word's phonemes alone, within a phrase, and whether it keeps its stress at the end of one.
type Row = (&'static str, &'static str, &'static str, bool);

/// Sorted by word.
const WEAK: [Row; 103] = [
    ("a", "ˈeɪ", "ɐ", false),
    ("about", "ɐbˈaʊt", "ɐbˌaʊt", true),
    ("am", "ˈæm", "æm", true),
    ("among", "ɐmˈʌŋ", "ɐmˌʌŋ", false),
    ("an", "ˈæn", "ɐn", false),
    ("and", "ˈænd", "ænd", false),
    ("any", "ˈɛni", "ˌɛni", true),
    ("are", "ˈɑːɹ", "ɑːɹ", false),
    ("as", "ˈæz", "æz", false),
    ("at", "ˈæt", "æt", false),
    ("be", "bˈiː", "biː", false),
    ("because", "bɪkˈʌz", "bɪkˈʌz", false),
    ("been", "bˈɪn", "bˌɪn", true),
    ("before", "bᵻfˈoːɹ", "bᵻfˌoːɹ", true),
    ("between", "bᵻtwˈiːn", "bᵻtwˌiːn", true),
    ("but", "bˈʌt", "bˌʌt", false),
    ("by", "bˈaɪ", "baɪ", true),
    ("can", "kˈæn", "kæn", true),
    ("could", "kˈʊd", "kʊd", true),
    ("down", "dˈaʊn", "dˌaʊn", true),
    ("every", "ˈɛvɹi", "ˈɛvɹi", false),
    ("for", "fˈɔːɹ", "fɔːɹ", false),
    ("from", "fɹˈʌm", "fɹʌm", false),
    ("get", "ɡˈɛt", "ɡɛt", true),
    ("go", "ɡˈoʊ", "ɡˌoʊ", true),
    ("going", "ɡˈoʊɪŋ", "ɡˌoʊɪŋ", true),
    ("got", "ɡˈɑːt", "ɡɑːt", true),
    ("had", "hˈæd", "hæd", true),
    ("has", "hˈæz", "hɐz", true),
    ("have", "hˈæv", "hæv", true),
    ("he", "hˈiː", "hiː", false),
    ("he's", "hˈiːz", "hiːz", false),
    ("her", "hˈɜː", "hɜː", false),
    ("him", "hˈɪm", "hˌɪm", false),
    ("his", "hˈɪz", "hɪz", false),
    ("how", "hˈaʊ", "hˌaʊ", true),
    ("i", "ˈaɪ", "aɪ", false),
    ("i'm", "ˈaɪm", "aɪm", false),
    ("if", "ˈɪf", "ɪf", false),
    ("in", "ˈɪn", "ɪn", true),
    ("into", "ˈɪntʊ", "ˌɪntʊ", false),
    ("is", "ˈɪz", "ɪz", true),
    ("it", "ˈɪt", "ɪt", false),
    ("it's", "ˈɪts", "ɪts", false),
    ("its", "ˈɪts", "ɪts", false),
    ("just", "dʒˈʌst", "dʒˈʌst", false),
    ("make", "mˈeɪk", "mˌeɪk", true),
    ("me", "mˈiː", "mˌiː", false),
    ("might", "mˈaɪt", "mˌaɪt", true),
    ("my", "mˈaɪ", "maɪ", false),
    ("not", "nˈɑːt", "nˌɑːt", true),
    ("of", "ˈʌv", "ʌv", false),
    ("often", "ˈɔfən", "ˈɔfən", false),
    ("on", "ˈɔn", "ˌɔn", true),
    ("or", "ˈɔːɹ", "ɔːɹ", false),
    ("our", "ˈaʊɚ", "ˌaʊɚ", false),
    ("over", "ˈoʊvɚ", "ˌoʊvɚ", true),
    ("put", "pˈʊt", "pˌʊt", true),
    ("says", "sˈɛz", "sˈɛz", false),
    ("shall", "ʃˈæl", "ʃˌæl", true),
    ("she", "ʃˈiː", "ʃiː", false),
    ("she's", "ʃˈiːz", "ʃiːz", false),
    ("should", "ʃˈʊd", "ʃˌʊd", true),
    ("so", "sˈoʊ", "sˌoʊ", true),
    ("some", "sˈʌm", "sˌʌm", true),
    ("than", "ðˈæn", "ðɐn", false),
    ("that", "ðˈæt", "ðæt", true),
    ("that's", "ðˈæts", "ðæts", false),
    ("the", "ðˈə", "ðə", false),
    ("their", "ðˈɛɹ", "ðɛɹ", false),
    ("them", "ðˈɛm", "ðˌɛm", false),
    ("there", "ðˈɛɹ", "ðɛɹ", true),
    ("these", "ðˈiːz", "ðiːz", true),
    ("they", "ðˈeɪ", "ðeɪ", false),
    ("they're", "ðˈɛɹ", "ðɛɹ", false),
    ("this", "ðˈɪs", "ðɪs", true),
    ("those", "ðˈoʊz", "ðoʊz", true),
    ("though", "ðˈoʊ", "ðˌoʊ", true),
    ("through", "θɹˈuː", "θɹuː", true),
    ("to", "tˈuː", "tə", false),
    ("toward", "təwˈɔːɹd", "təwˈɔːɹd", false),
    ("towards", "təwˈɔːɹdz", "təwˈɔːɹdz", false),
    ("under", "ˈʌndɚ", "ˌʌndɚ", true),
    ("up", "ˈʌp", "ˌʌp", true),
    ("upon", "əpˈɑːn", "əpˌɑːn", false),
    ("us", "ˈʌs", "ˌʌs", false),
    ("want", "wˈɔnt", "wˈɔnt", false),
    ("was", "wˈʌz", "wʌz", false),
    ("we", "wˈiː", "wiː", false),
    ("we're", "wˈɪɹ", "wɪɹ", false),
    ("were", "wˈɜː", "wɜː", false),
    ("what", "wˈʌt", "wʌt", true),
    ("when", "wˈɛn", "wɛn", false),
    ("where", "wˈɛɹ", "wˌɛɹ", true),
    ("which", "wˈɪtʃ", "wˌɪtʃ", true),
    ("while", "wˈaɪl", "wˌaɪl", true),
    ("who", "hˈuː", "hˌuː", true),
    ("will", "wˈɪl", "wɪl", true),
    ("with", "wˈɪð", "wɪð", false),
    ("would", "wˈʊd", "wʊd", true),
    ("you", "jˈuː", "juː", false),
    ("you're", "jˈʊɹ", "jʊɹ", false),
    ("your", "jˈʊɹ", "jʊɹ", false),
];

fn row(word: &str) -> Option<&'static Row> {
    WEAK.binary_search_by_key(&word, |row| row.0).ok().map(|at| &WEAK[at])
}

/// A weakened word's phonemes where it stands alone.
pub(super) fn alone(word: &str) -> Option<&'static str> {
    row(word).map(|row| row.1)
}

/// What stands around a word in its phrase; empty at its ends.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Neighbours<'a> {
    /// The word before, in small letters.
    pub before: &'a str,
    /// The word behind, in small letters.
    pub next: &'a str,
    /// The phonemes of the word behind.
    pub after: &'a str,
}

/// A word's phonemes within a phrase, from those that it has alone.
pub(in super::super) fn in_phrase(word: &str, phonemes: String, neighbours: &Neighbours<'_>) -> String {
    let Neighbours { before, next, after } = *neighbours;
    let before_vowel = after.trim_start_matches(['ˈ', 'ˌ']).starts_with(is_vowel);
    let mut phonemes = match row(&word.to_lowercase()) {
        Some(&(_, alone, _, true)) if after.is_empty() => alone.to_owned(),
        Some(&("the", ..)) if before_vowel => "ðɪ".to_owned(),
        Some(&("to", ..)) if before_vowel => "tʊ".to_owned(),
        Some(&("to", ..)) if after.is_empty() => "tuː".to_owned(),
        Some(&("of", ..)) if matches!(next, "a" | "an") => "əv".to_owned(),
        Some(&("for", ..)) if matches!(next, "a" | "the") => "fɚ".to_owned(),
        Some(&("a", ..)) if matches!(before, "of" | "at" | "for") => "ə".to_owned(),
        Some(&("an", ..)) if matches!(before, "of" | "at" | "for") => "ən".to_owned(),
        Some(&("it" | "at", ..)) if before_vowel => phonemes_of(word, "ɾ"),
        Some(row) => row.2.to_owned(),
        None => phonemes,
    };
    if before_vowel && (phonemes.ends_with('ɚ') || phonemes.ends_with("ɜː")) {
        phonemes.push('ɹ');
    }
    phonemes
}

fn phonemes_of(word: &str, last: &str) -> String {
    let first = if word.starts_with(['i', 'I']) { "ɪ" } else { "æ" };
    format!("{first}{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(WEAK.is_sorted_by_key(|row| row.0));
    }

    #[test]
    fn neighbours_weaken_words() {
        let table = [
            ("the", "ˈæpəl", "ðɪ"),
            ("The", "bˈʊk", "ðə"),
            ("a", "bˈʊk", "ɐ"),
            ("to", "ɡˌoʊ", "tə"),
            ("to", "ˈiːt", "tʊ"),
            ("on", "", "ˈɔn"),
            ("on", "tˈaɪm", "ˌɔn"),
            ("water", "ɪz", "wˈɔːɾɚɹ"),
        ];
        for (word, after, want) in table {
            let alone = alone(&word.to_lowercase()).unwrap_or("wˈɔːɾɚ").to_owned();
            let neighbours = Neighbours { before: "", next: "", after };
            assert_eq!(in_phrase(word, alone, &neighbours), want, "{word} {after}");
        }
    }
}
