//! Words that are said in two ways, told apart by their neighbours.

use super::Context;

/// What says which way: the part of speech, guessed from the word before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Verb,
    Noun,
    /// A participle or a past tense.
    Past,
    Other,
}

/// A word, its verb (or, where tense decides, its present), and its noun or adjective (or its past).
struct Heteronym {
    word: &'static str,
    verb: &'static str,
    noun: &'static str,
    /// What is said where the neighbours do not tell.
    default: Part,
}

const fn verb_first(word: &'static str, verb: &'static str, noun: &'static str) -> Heteronym {
    Heteronym { word, verb, noun, default: Part::Verb }
}

const fn noun_first(word: &'static str, verb: &'static str, noun: &'static str) -> Heteronym {
    Heteronym { word, verb, noun, default: Part::Noun }
}

/// Sorted by word.
const HETERONYMS: [Heteronym; 51] = [
    noun_first("abuse", "ɐbjˈuːz", "ɐbjˈuːs"),
    noun_first("addict", "ɐdˈɪkt", "ˈædɪkt"),
    noun_first("advocate", "ˈædvəkˌeɪt", "ˈædvəkət"),
    noun_first("alternate", "ˈɔːltɚnˌeɪt", "ˈɔːltɚnət"),
    noun_first("appropriate", "ɐpɹˈoʊpɹɪˌeɪt", "ɐpɹˈoʊpɹɪət"),
    noun_first("bow", "bˈaʊ", "bˈoʊ"),
    noun_first("close", "klˈoʊz", "klˈoʊs"),
    noun_first("conduct", "kəndˈʌkt", "kˈɑːndʌkt"),
    noun_first("conflict", "kənflˈɪkt", "kˈɑːnflɪkt"),
    noun_first("console", "kənsˈoʊl", "kˈɑːnsoʊl"),
    noun_first("content", "kəntˈɛnt", "kˈɑːntɛnt"),
    noun_first("contest", "kəntˈɛst", "kˈɑːntɛst"),
    noun_first("contract", "kəntɹˈækt", "kˈɑːntɹækt"),
    noun_first("contrast", "kəntɹˈæst", "kˈɑːntɹæst"),
    noun_first("convict", "kənvˈɪkt", "kˈɑːnvɪkt"),
    noun_first("defect", "dᵻfˈɛkt", "dˈiːfɛkt"),
    noun_first("delegate", "dˈɛlɪɡˌeɪt", "dˈɛlɪɡət"),
    noun_first("desert", "dᵻzˈɜːt", "dˈɛzɚt"),
    noun_first("digest", "daɪdʒˈɛst", "dˈaɪdʒɛst"),
    noun_first("duplicate", "dˈuːplɪkˌeɪt", "dˈuːplɪkət"),
    noun_first("elaborate", "ɪlˈæbɚɹˌeɪt", "ɪlˈæbɚɹət"),
    noun_first("estimate", "ˈɛstᵻmˌeɪt", "ˈɛstᵻmət"),
    noun_first("excuse", "ɛkskjˈuːz", "ɛkskjˈuːs"),
    noun_first("graduate", "ɡɹˈædʒuːˌeɪt", "ɡɹˈædʒuːət"),
    noun_first("house", "hˈaʊz", "hˈaʊs"),
    noun_first("increase", "ɪŋkɹˈiːs", "ˈɪŋkɹiːs"),
    noun_first("insult", "ɪnsˈʌlt", "ˈɪnsʌlt"),
    noun_first("lead", "lˈiːd", "lˈɛd"),
    verb_first("live", "lˈɪv", "lˈaɪv"),
    noun_first("moderate", "mˈɑːdɚɹˌeɪt", "mˈɑːdɚɹət"),
    noun_first("object", "əbdʒˈɛkt", "ˈɑːbdʒɛkt"),
    noun_first("perfect", "pɚfˈɛkt", "pˈɜːfɛkt"),
    noun_first("permit", "pɚmˈɪt", "pˈɜːmɪt"),
    noun_first("present", "pɹɪzˈɛnt", "pɹˈɛzənt"),
    noun_first("produce", "pɹədˈuːs", "pɹˈoʊduːs"),
    noun_first("progress", "pɹəɡɹˈɛs", "pɹˈɑːɡɹɛs"),
    noun_first("project", "pɹədʒˈɛkt", "pɹˈɑːdʒɛkt"),
    noun_first("protest", "pɹətˈɛst", "pɹˈoʊtɛst"),
    verb_first("read", "ɹˈiːd", "ɹˈɛd"),
    noun_first("rebel", "ɹᵻbˈɛl", "ɹˈɛbəl"),
    noun_first("record", "ɹᵻkˈoːɹd", "ɹˈɛkɚd"),
    noun_first("refuse", "ɹᵻfjˈuːz", "ɹˈɛfjuːs"),
    noun_first("reject", "ɹᵻdʒˈɛkt", "ɹˈiːdʒɛkt"),
    noun_first("separate", "sˈɛpɚɹˌeɪt", "sˈɛpɹət"),
    noun_first("subject", "səbdʒˈɛkt", "sˈʌbdʒɛkt"),
    noun_first("suspect", "səspˈɛkt", "sˈʌspɛkt"),
    noun_first("tear", "tˈɛɹ", "tˈɪɹ"),
    noun_first("transport", "tɹænspˈoːɹt", "tɹˈænspoːɹt"),
    verb_first("use", "jˈuːz", "jˈuːs"),
    noun_first("wind", "wˈaɪnd", "wˈɪnd"),
    noun_first("wound", "wˈaʊnd", "wˈuːnd"),
];

/// Words before a noun or an adjective.
const BEFORE_NOUN: [&str; 37] = [
    "a", "an", "another", "any", "at", "both", "by", "each", "every", "for", "from", "good", "her", "his", "in", "its",
    "my", "new", "no", "of", "old", "on", "our", "own", "same", "some", "strong", "that", "the", "their", "these",
    "this", "those", "under", "very", "with", "your",
];

/// Words before a verb.
const BEFORE_VERB: [&str; 39] = [
    "also",
    "always",
    "can",
    "can't",
    "cannot",
    "could",
    "couldn't",
    "did",
    "didn't",
    "do",
    "does",
    "doesn't",
    "don't",
    "he",
    "i",
    "it",
    "just",
    "let's",
    "may",
    "might",
    "must",
    "never",
    "not",
    "often",
    "please",
    "shall",
    "she",
    "should",
    "shouldn't",
    "they",
    "to",
    "we",
    "who",
    "will",
    "won't",
    "would",
    "wouldn't",
    "you",
    "i'll",
];

/// Words before a participle.
const BEFORE_PAST: [&str; 20] = [
    "am", "are", "be", "been", "being", "had", "has", "have", "having", "he", "he'd", "i'd", "i've", "is", "she",
    "they've", "was", "we've", "were", "you've",
];

/// Words that begin an object: what stands before them at the beginning of a sentence is an order.
const OBJECTS: [&str; 14] =
    ["a", "all", "an", "each", "every", "her", "his", "it", "my", "that", "the", "them", "this", "your"];

/// The phonemes of a word that is said in two ways; `None` for any other.
pub(super) fn phonemes(word: &str, context: Context<'_>) -> Option<String> {
    let find = |word: &str| HETERONYMS.binary_search_by_key(&word, |row| row.word).ok().map(|at| &HETERONYMS[at]);
    if let Some(row) = find(word) {
        return Some(said(row, context).to_owned());
    }
    let phonemes = said(find(word.strip_suffix('s')?)?, context);
    Some(format!("{phonemes}{}", super::plural(phonemes)))
}

fn said(row: &Heteronym, context: Context<'_>) -> &'static str {
    let [before, second] = context.before;
    let is_tense = matches!(row.word, "read" | "wound");
    let part = if is_tense && BEFORE_PAST.contains(&before)
        || is_tense && BEFORE_PAST[..18].contains(&second) && before.ends_with("ly")
    {
        Part::Past
    } else if BEFORE_VERB.contains(&before) {
        Part::Verb
    } else if BEFORE_NOUN.contains(&before) || BEFORE_PAST.contains(&before) {
        Part::Noun
    } else if before.is_empty() && OBJECTS.contains(&context.after) {
        Part::Verb
    } else {
        Part::Other
    };
    match (row.word, part) {
        // Past and present are spelled alike: an article before it is no sign of the past.
        ("read", part) => {
            if part == Part::Past {
                row.noun
            } else {
                row.verb
            }
        }
        ("wound", part) => {
            if part == Part::Past {
                row.verb
            } else {
                row.noun
            }
        }
        (_, Part::Verb) => row.verb,
        (_, Part::Other) if row.default == Part::Verb => row.verb,
        (_, Part::Noun | Part::Past | Part::Other) => row.noun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(HETERONYMS.is_sorted_by_key(|row| row.word));
    }

    #[test]
    fn neighbours_say_which_way() {
        let table = [
            (["to", ""], "read", "it", "ɹˈiːd"),
            (["have", "i"], "read", "it", "ɹˈɛd"),
            (["the", ""], "lead", "pipe", "lˈɛd"),
            (["will", "he"], "lead", "us", "lˈiːd"),
            (["we", ""], "live", "here", "lˈɪv"),
            (["a", ""], "live", "show", "lˈaɪv"),
            (["the", ""], "wind", "blows", "wˈɪnd"),
            (["to", ""], "wind", "it", "wˈaɪnd"),
            (["a", ""], "record", "", "ɹˈɛkɚd"),
            (["", ""], "record", "the", "ɹᵻkˈoːɹd"),
            (["to", ""], "present", "it", "pɹɪzˈɛnt"),
            (["was", "he"], "present", "", "pɹˈɛzənt"),
            (["no", ""], "use", "", "jˈuːs"),
            (["can", "you"], "use", "it", "jˈuːz"),
            (["", ""], "close", "the", "klˈoʊz"),
            (["is", "it"], "close", "to", "klˈoʊs"),
            (["he", ""], "records", "it", "ɹᵻkˈoːɹdz"),
            (["their", ""], "lives", "", "lˈaɪvz"),
        ];
        for (before, word, after, want) in table {
            let got = phonemes(word, Context { before, after });
            assert_eq!(got.as_deref(), Some(want), "{before:?} {word} {after}");
        }
        assert_eq!(phonemes("table", Context::default()), None);
    }
}
