//! Text to tokens and back, from a model's own vocabulary.

use std::{collections::BTreeMap, path::Path};

use super::{bpe::Ranks, vocabulary::Vocabulary};
use crate::{Error, Result, infer::weights::Checkpoint};

/// Time tokens: 0.00 s to 30.00 s in steps of 0.02 s.
const N_TIMESTAMPS: u32 = 1501;

/// A Whisper tokenizer.
///
/// Differs from the published `tokenizer.json` files: the time tokens are there, and merges follow from the order of the
/// ids, as in OpenAI's own (one widespread conversion lost the merge `Ġ t`, without which " this" splits). Special tokens
/// inside of a text are plain text.
#[derive(Debug)]
pub struct Tokenizer {
    ranks: Ranks,
    /// The bytes of all text tokens, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    languages: Vec<(String, u32)>,
    special: Special,
}

/// The ids of the tokens that are not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the token of its name")]
pub struct Special {
    /// `<|endoftext|>`: the first id that is not text.
    pub end_of_text: u32,
    pub start_of_transcript: u32,
    pub translate: u32,
    pub transcribe: u32,
    pub start_of_lm: Option<u32>,
    /// `<|startofprev|>`: in front of a prompt.
    pub start_of_previous: u32,
    /// `<|nospeech|>`, called `<|nocaptions|>` in older files.
    pub no_speech: u32,
    pub no_timestamps: u32,
    /// `<|0.00|>`; the time `n * 0.02` s is `n` later.
    pub timestamp_begin: u32,
}

impl Tokenizer {
    /// The tokenizer of a model: the weights' own vocabulary, or the files beside them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Weights`] when it is damaged or has more tokens than the model.
    pub fn of(checkpoint: &Checkpoint, n_vocab: usize) -> Result<Self> {
        let tokenizer = Self::new(Vocabulary::load(checkpoint, n_vocab)?, checkpoint.path())?;
        let n_tokens = tokenizer.special.n_tokens();
        if (n_vocab as u64) < u64::from(n_tokens) {
            return Err(Error::Weights {
                path: checkpoint.path().to_owned(),
                reason: format!(
                    "the model has {n_vocab} tokens and its tokenizer {n_tokens}; they belong to different models"
                ),
            });
        }
        Ok(tokenizer)
    }

    /// Loads `tokenizer.json`, or `vocab.json` with `added_tokens.json`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when neither is there; [`Error::Weights`] when they are damaged.
    pub fn load(directory: &Path) -> Result<Self> {
        Self::new(Vocabulary::read(directory)?, directory)
    }

    pub(super) fn new(vocabulary: Vocabulary, path: &Path) -> Result<Self> {
        let special =
            Special::of(&vocabulary.special).map_err(|reason| Error::Weights { path: path.to_owned(), reason })?;
        let first_task = special.translate.min(special.transcribe);
        let is_language = |id: u32| special.start_of_transcript < id && id < first_task;
        let mut languages: Vec<_> = vocabulary
            .special
            .iter()
            .filter(|(_, id)| is_language(**id))
            .map(|(name, id)| (name.trim_matches(['<', '|', '>']).to_owned(), *id))
            .collect();
        languages.sort_by_key(|(_, id)| *id);
        let ranks = Ranks::new(vocabulary.pieces.iter().map(Vec::as_slice));
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(vocabulary.pieces.len()));
        for piece in vocabulary.pieces {
            bytes.extend(piece);
            ends.push(bytes.len());
        }
        Ok(Self { ranks, bytes, ends, languages, special })
    }

    /// The ids of the tokens that are not text.
    #[must_use]
    pub fn special(&self) -> &Special {
        &self.special
    }

    /// Language codes and their tokens, in the order of the tokens.
    #[must_use]
    pub fn languages(&self) -> &[(String, u32)] {
        &self.languages
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the text has a character that the vocabulary cannot spell.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ranks.encode(text).map_err(|byte| {
            Error::InvalidInput(format!("the text cannot be tokenized: no token for the byte {byte:#04x}"))
        })
    }

    /// The text of the text tokens among `tokens`. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.piece(token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn piece(&self, token: u32) -> &[u8] {
        let index = token as usize;
        match self.ends.get(index) {
            Some(&end) => &self.bytes[index.checked_sub(1).map_or(0, |before| self.ends[before])..end],
            None => &[],
        }
    }

    /// Tokens that mean something else than speech: brackets, notes, speaker tags. Source: openai/whisper
    /// `tokenizer.py`, `non_speech_tokens`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the vocabulary lacks a byte.
    pub fn non_speech_tokens(&self) -> Result<Vec<u32>> {
        const SYMBOLS: &str = "\" # ( ) * + / : ; < = > @ [ \\ ] ^ _ ` { | } ~ 「 」 『 』 \
            << >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪";
        /// Their first byte-pair is shared by musical signs only, so it is suppressed even when more follow.
        const MUSIC: &str = "♩ ♪ ♫ ♬ ♭ ♮ ♯";
        let mut tokens = vec![self.encode(" -")?, self.encode(" '")?];
        for symbol in SYMBOLS.split(' ') {
            tokens.extend(
                [self.encode(symbol)?, self.encode(&format!(" {symbol}"))?].into_iter().filter(|t| t.len() == 1),
            );
        }
        for symbol in MUSIC.split(' ') {
            tokens.extend([self.encode(symbol)?, self.encode(&format!(" {symbol}"))?]);
        }
        let mut first: Vec<u32> = tokens.iter().filter_map(|tokens| tokens.first().copied()).collect();
        first.sort_unstable();
        first.dedup();
        Ok(first)
    }
}

impl Special {
    fn of(ids: &BTreeMap<String, u32>) -> Result<Self, String> {
        let optional = |name: &str| ids.get(name).copied();
        let required = |name: &str| optional(name).ok_or_else(|| format!("the special token {name} is missing"));
        let no_timestamps = required("<|notimestamps|>")?;
        let timestamp_begin = no_timestamps.checked_add(1).ok_or("the special token <|notimestamps|> is too large")?;
        if optional("<|0.00|>").is_some_and(|id| id != timestamp_begin) {
            return Err("the time tokens do not follow <|notimestamps|>".into());
        }
        Ok(Self {
            end_of_text: required("<|endoftext|>")?,
            start_of_transcript: required("<|startoftranscript|>")?,
            translate: required("<|translate|>")?,
            transcribe: required("<|transcribe|>")?,
            start_of_lm: optional("<|startoflm|>"),
            start_of_previous: required("<|startofprev|>")?,
            no_speech: optional("<|nospeech|>").map_or_else(|| required("<|nocaptions|>"), Ok)?,
            no_timestamps,
            timestamp_begin,
        })
    }

    /// The number of time tokens is the same in every Whisper model.
    #[must_use]
    pub fn n_tokens(&self) -> u32 {
        self.timestamp_begin.saturating_add(N_TIMESTAMPS)
    }
}
