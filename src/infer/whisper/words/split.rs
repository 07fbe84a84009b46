//! Tokens to words. Source: openai/whisper `tokenizer.py`, `split_to_word_tokens` (20250625).

use super::super::tokenizer::Tokenizer;

/// Languages that are written without spaces; a word there is what can be decoded by itself, often one character.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];
/// Python's `string.punctuation`: what is a part of it is a word of its own.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// The words of text tokens in `language`, each with the number of its tokens; all tokens are in one of them.
pub(super) fn words(tokenizer: &Tokenizer, tokens: &[u32], language: &str) -> Vec<(String, usize)> {
    let parts = decodable(tokenizer, tokens);
    if WITHOUT_SPACES.contains(&language) {
        return parts;
    }
    let mut words: Vec<(String, usize)> = Vec::new();
    for (part, n_tokens) in parts {
        let is_new = part.starts_with(' ') || PUNCTUATION.contains(part.trim());
        match words.last_mut() {
            Some((word, n)) if !is_new => {
                word.push_str(&part);
                *n += n_tokens;
            }
            _ => words.push((part, n_tokens)),
        }
    }
    words
}

/// The shortest runs of tokens whose bytes are whole characters.
fn decodable(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<(String, usize)> {
    let whole: Vec<char> = tokenizer.decode(tokens).chars().collect();
    let mut parts = Vec::new();
    let (mut first, mut n_characters) = (0, 0);
    for end in 1..=tokens.len() {
        let part = tokenizer.decode(&tokens[first..end]);
        let is_replaced = |c: &char| *c == char::REPLACEMENT_CHARACTER;
        // A character that is replaced in the whole text too will not get better with more tokens.
        let is_whole = part
            .chars()
            .position(|c| is_replaced(&c))
            .is_none_or(|at| whole.get(n_characters + at).is_none_or(is_replaced));
        if is_whole || end == tokens.len() {
            n_characters += part.chars().count();
            parts.push((part, end - first));
            first = end;
        }
    }
    parts
}
