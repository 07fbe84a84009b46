//! Words to the numbers that a voice's network reads.

use std::{collections::HashMap, ops::Range};

use serde_json::Value;

use crate::{infer::tts::engine::Word, text::speech::Skipped};

/// The symbols of a voice.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    numbers: HashMap<char, Vec<usize>>,
    /// Before the first symbol, and behind the last.
    begin: Vec<usize>,
    end: Vec<usize>,
    /// Behind every symbol.
    between: Vec<usize>,
}

/// The numbers of a sentence.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    pub numbers: Vec<usize>,
    /// Which of them each word is.
    pub words: Vec<Range<usize>>,
    /// Characters that the voice does not know.
    pub skipped: Skipped,
}

impl Symbols {
    /// Of the `phoneme_id_map` of a Piper voice, whose numbers are below `n`; `None` when it is not one.
    pub(super) fn piper(map: &Value, n: usize) -> Option<Self> {
        let mut numbers = HashMap::new();
        for (symbol, value) in map.as_object()? {
            let value = value.as_array()?.iter().map(|number| number_below(number, n)).collect::<Option<Vec<_>>>()?;
            // Piper's voices have one character each.
            if let [c] = symbol.chars().collect::<Vec<_>>()[..] {
                numbers.insert(c, value);
            }
        }
        let mut mark = |c| numbers.remove(&c).unwrap_or_default();
        let (between, begin, end) = (mark('_'), mark('^'), mark('$'));
        let begin = [begin, between.clone()].concat();
        Some(Self { numbers, begin, end, between })
    }

    /// Of the `vocab.json` of a Hugging Face voice; `blank` is between symbols.
    pub(super) fn characters(vocabulary: &Value, n: usize, blank: bool) -> Option<Self> {
        let mut numbers = HashMap::new();
        for (symbol, value) in vocabulary.as_object()? {
            if let [c] = symbol.chars().collect::<Vec<_>>()[..] {
                numbers.insert(c, vec![number_below(value, n)?]);
            }
        }
        let between = if blank { vec![0] } else { Vec::new() };
        Some(Self { numbers, begin: between.clone(), end: Vec::new(), between })
    }

    /// The numbers of words with spaces between them.
    pub(super) fn of(&self, words: &[Word]) -> Numbered {
        let mut numbered = Numbered { numbers: self.begin.clone(), ..Numbered::default() };
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                self.push(' ', &mut numbered);
            }
            let start = numbered.numbers.len();
            for c in word.symbols.chars() {
                self.push(c, &mut numbered);
            }
            numbered.words.push(start..numbered.numbers.len());
            if let Some(c) = word.pause {
                self.push(c, &mut numbered);
            }
        }
        numbered.numbers.extend(&self.end);
        numbered
    }

    fn push(&self, c: char, numbered: &mut Numbered) {
        match self.numbers.get(&c) {
            Some(numbers) => {
                numbered.numbers.extend(numbers);
                numbered.numbers.extend(&self.between);
            }
            // Words that are not divided, and marks that a voice does not read, lose nothing that is said.
            None if c == ' ' || c.is_ascii_punctuation() => {}
            None => numbered.skipped.push(c),
        }
    }
}

fn number_below(value: &Value, n: usize) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok().filter(|number| *number < n)
}
