//! Letter-to-sound rules: how a word that is in no dictionary is probably said.

use crate::{Error, Result};

/// A split asks whether a feature has a value; a leaf says what the letter becomes.
#[derive(Debug, Clone, Copy)]
enum Node {
    Split { feature: u8, value: u8, otherwise: u32 },
    Leaf(u8),
}

/// How many numbers describe a letter in its word.
const N_FEATURES: usize = 14;

/// One decision tree per letter, grown on the dictionary; `make_english.py` has the features and the format.
#[derive(Debug)]
pub(super) struct Letters {
    labels: Vec<String>,
    nodes: Vec<Node>,
    roots: [u32; 26],
}

impl Letters {
    /// The trees from their packed form.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged =
            || Error::InvalidInput("the letter-to-sound rules in this build are damaged: build it anew".to_owned());
        let mut bytes = bytes.iter().copied();
        let n_labels = bytes.next().ok_or_else(damaged)?;
        let mut labels = Vec::with_capacity(usize::from(n_labels));
        for _ in 0..n_labels {
            let length = usize::from(bytes.next().ok_or_else(damaged)?);
            let label = bytes.by_ref().take(length).collect();
            labels.push(String::from_utf8(label).map_err(|_| damaged())?);
        }
        let mut nodes = Vec::new();
        let mut roots = [0; 26];
        for root in &mut roots {
            *root = u32::try_from(nodes.len()).map_err(|_| damaged())?;
            // Splits whose second branch is still to come.
            let mut open = Vec::new();
            loop {
                let byte = bytes.next().ok_or_else(damaged)?;
                if let Some(label) = byte.checked_sub(16) {
                    if usize::from(label) >= labels.len() {
                        return Err(damaged());
                    }
                    nodes.push(Node::Leaf(label));
                    let Some(split) = open.pop() else { break };
                    let next = u32::try_from(nodes.len()).map_err(|_| damaged())?;
                    if let Some(Node::Split { otherwise, .. }) = nodes.get_mut(split) {
                        *otherwise = next;
                    }
                } else {
                    open.push(nodes.len());
                    let value = bytes.next().ok_or_else(damaged)?;
                    if usize::from(byte) >= N_FEATURES {
                        return Err(damaged());
                    }
                    nodes.push(Node::Split { feature: byte, value, otherwise: 0 });
                }
            }
        }
        Ok(Self { labels, nodes, roots })
    }

    /// The phonemes of a word of the letters a to z; other bytes are silent.
    pub(super) fn phonemes(&self, word: &str) -> String {
        let word = word.as_bytes();
        let letter = |at: Option<usize>| {
            at.and_then(|at| word.get(at)).map_or(0, |&byte| letter_index(byte).map_or(0, |index| index + 1))
        };
        let (mut stress, mut syllables, mut next, mut after_next) = (0_u8, 0_u8, 0, 0);
        let mut parts = Vec::with_capacity(word.len());
        for at in (0..word.len()).rev() {
            let Some(root) = letter_index(word[at]).and_then(|index| self.roots.get(usize::from(index))) else {
                continue;
            };
            let before = |distance| letter(at.checked_sub(distance));
            let behind = |distance| letter(at.checked_add(distance));
            let features = [
                before(1),
                behind(1),
                before(2),
                behind(2),
                before(3),
                behind(3),
                before(4),
                behind(4),
                behind(5),
                u8::try_from(at.min(15)).unwrap_or(15),
                stress,
                syllables.min(4),
                next,
                after_next,
            ];
            let label = self.leaf(*root, &features);
            let part = &self.labels[usize::from(label)];
            if !part.is_empty() {
                (after_next, next) = (next, label);
                if has_vowel(part) {
                    syllables = syllables.saturating_add(1);
                }
            }
            if part.contains('ˈ') && stress > 0 {
                parts.push(part.replace('ˈ', ""));
            } else {
                parts.push(part.clone());
            }
            if has_vowel(part) {
                stress = match stress {
                    _ if parts.last().is_some_and(|part| part.contains('ˈ')) => 1,
                    0 => 0,
                    placed => (placed + 1).min(3),
                };
            }
        }
        parts.reverse();
        stressed(parts.concat())
    }

    fn leaf(&self, root: u32, features: &[u8; N_FEATURES]) -> u8 {
        let mut at = root as usize;
        loop {
            match self.nodes[at] {
                Node::Leaf(label) => return label,
                Node::Split { feature, value, otherwise } => {
                    at = if features[usize::from(feature)] == value { at + 1 } else { otherwise as usize };
                }
            }
        }
    }
}

/// 0 for `a` to 25 for `z`.
fn letter_index(byte: u8) -> Option<u8> {
    byte.is_ascii_lowercase().then(|| byte - b'a')
}

/// Whether a part of a word carries a syllable.
pub(super) fn has_vowel(phonemes: &str) -> bool {
    phonemes.contains(is_vowel) || phonemes.contains('\u{329}')
}

/// Whether a phoneme is a vowel.
pub(super) fn is_vowel(phoneme: char) -> bool {
    "aɐæɑɔəɚɜɛeɪiᵻʌʊuo".contains(phoneme)
}

/// The word with a main stress: its first secondary one, or its first vowel.
fn stressed(word: String) -> String {
    if word.contains('ˈ') {
        return word;
    }
    if word.contains('ˌ') {
        return word.replacen('ˌ', "ˈ", 1);
    }
    match word.find(is_vowel) {
        Some(at) => format!("{}ˈ{}", &word[..at], &word[at..]),
        None => word,
    }
}
