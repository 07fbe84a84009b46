//! Text to tokens and back, from a model directory's own files, with the faults of published conversions repaired.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use tokenizers::{
    models::bpe::{BPE, Vocab},
    pre_tokenizers::byte_level::ByteLevel,
};

use crate::{Error, Result, infer::weights::read_json};

/// Time tokens: 0.00 s to 30.00 s in steps of 0.02 s.
const N_TIMESTAMPS: u32 = 1501;

/// A Whisper tokenizer.
///
/// Differs from the published `tokenizer.json` files: the time tokens are there, and so is the merge `Ġ t`, which one
/// widespread conversion lost (without it " this" splits). Special tokens inside of a text are plain text.
#[derive(Debug)]
pub struct Tokenizer {
    bpe: tokenizers::Tokenizer,
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

/// What the files hold, before it is understood.
struct Files {
    vocab: BTreeMap<String, u32>,
    merges: Vec<(String, String)>,
    special: BTreeMap<String, u32>,
}

impl Tokenizer {
    /// Loads `tokenizer.json`, or `vocab.json` with `merges.txt` and `added_tokens.json`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when neither is there; [`Error::Weights`] when they are damaged.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("tokenizer.json");
        let (files, path) = match read_json(&path)? {
            Some(json) => (Files::from_tokenizer_json(&json), path),
            None => (Files::from_vocabulary(directory)?, directory.join("vocab.json")),
        };
        let damaged = |reason: String| Error::Weights { path: path.clone(), reason };
        files.ok_or_else(|| damaged("no byte-pair vocabulary with merges".into()))?.build().map_err(damaged)
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
        let encoding = self.bpe.encode_fast(text, false);
        encoding
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| Error::InvalidInput(format!("the text cannot be tokenized: {error}")))
    }

    /// The text of the text tokens among `tokens`. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.piece(token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn piece(&self, token: u32) -> &[u8] {
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

impl Files {
    fn from_tokenizer_json(json: &Value) -> Option<Self> {
        let model = json.get("model")?;
        let vocab = vocabulary(model.get("vocab")?)?;
        let merges = model.get("merges")?.as_array()?.iter().map(|merge| match merge {
            Value::String(pair) => pair.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())),
            Value::Array(pair) => Some((pair.first()?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned())),
            _ => None,
        });
        let added = json.get("added_tokens").and_then(Value::as_array).into_iter().flatten().filter_map(|token| {
            Some((token.get("content")?.as_str()?.to_owned(), u32::try_from(token.get("id")?.as_u64()?).ok()?))
        });
        Some(Self { merges: merges.collect::<Option<_>>()?, special: added.collect(), vocab })
    }

    fn from_vocabulary(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join("merges.txt");
        let Some(vocab) = read_json(&directory.join("vocab.json"))? else {
            return Err(Error::NotFound(format!(
                "{}: no tokenizer here; expected tokenizer.json, or vocab.json with merges.txt",
                directory.display()
            )));
        };
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
        let pairs = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
        let merges = pairs.filter_map(|line| line.split_once(' ')).map(|(left, right)| (left.into(), right.into()));
        let added = read_json(&directory.join("added_tokens.json"))?;
        let special = added.as_ref().and_then(vocabulary).unwrap_or_default();
        Ok(vocabulary(&vocab).map(|vocab| Self { vocab, merges: merges.collect(), special }))
    }

    fn build(mut self) -> Result<Tokenizer, String> {
        let is_special = |name: &str| name.starts_with("<|") && name.ends_with("|>");
        self.special
            .extend(self.vocab.iter().filter(|(name, _)| is_special(name)).map(|(name, id)| (name.clone(), *id)));
        let special = self.special_ids()?;
        if special.end_of_text as usize > self.vocab.len() {
            return Err(format!(
                "{} text tokens are fewer than the {} expected",
                self.vocab.len(),
                special.end_of_text
            ));
        }
        self.vocab.retain(|_, id| *id < special.end_of_text);
        if self.vocab.contains_key("Ġt") && !self.merges.iter().any(|(left, right)| left == "Ġ" && right == "t") {
            self.merges.insert(0, ("Ġ".into(), "t".into()));
        }
        let (bytes, ends) = self.pieces(special.end_of_text)?;
        let mut languages: Vec<_> = self
            .special
            .iter()
            .filter_map(|(name, &id)| {
                let last = special.translate.min(special.transcribe);
                let is_language = special.start_of_transcript < id && id < last;
                is_language.then(|| (name.trim_matches(['<', '|', '>']).to_owned(), id))
            })
            .collect();
        languages.sort_by_key(|(_, id)| *id);
        let vocab: Vocab = self.vocab.into_iter().collect();
        let model = BPE::builder().vocab_and_merges(vocab, self.merges).build().map_err(|error| error.to_string())?;
        let mut bpe = tokenizers::Tokenizer::new(model);
        bpe.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        Ok(Tokenizer { bpe, bytes, ends, languages, special })
    }

    fn special_ids(&self) -> Result<Special, String> {
        let optional = |name: &str| self.special.get(name).copied();
        let required = |name: &str| optional(name).ok_or_else(|| format!("the special token {name} is missing"));
        let no_timestamps = required("<|notimestamps|>")?;
        let timestamp_begin = no_timestamps + 1;
        if optional("<|0.00|>").is_some_and(|id| id != timestamp_begin) {
            return Err("the time tokens do not follow <|notimestamps|>".into());
        }
        Ok(Special {
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

    /// The bytes of every text token.
    fn pieces(&self, end_of_text: u32) -> Result<(Vec<u8>, Vec<usize>), String> {
        let mut by_id = vec![""; end_of_text as usize];
        for (text, &id) in &self.vocab {
            by_id[id as usize] = text;
        }
        let byte_of = byte_alphabet();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(by_id.len()));
        for text in by_id {
            for character in text.chars() {
                let byte = byte_of.get(&character);
                bytes.push(*byte.ok_or_else(|| format!("the token {text} is not in the byte alphabet"))?);
            }
            ends.push(bytes.len());
        }
        Ok((bytes, ends))
    }
}

impl Special {
    /// The number of time tokens is the same in every Whisper model.
    #[must_use]
    pub fn n_tokens(&self) -> u32 {
        self.timestamp_begin + N_TIMESTAMPS
    }
}

fn vocabulary(json: &Value) -> Option<BTreeMap<String, u32>> {
    let entry = |(name, id): (&String, &Value)| Some((name.clone(), u32::try_from(id.as_u64()?).ok()?));
    json.as_object()?.iter().map(entry).collect()
}

/// The printable character that stands for each byte. Source: openai/gpt-2 `encoder.py`.
fn byte_alphabet() -> BTreeMap<char, u8> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let moved = (0..=255_u8).filter(|&byte| !is_printable(byte)).zip('\u{100}'..);
    (0..=255)
        .filter(|&byte| is_printable(byte))
        .map(|byte| (char::from(byte), byte))
        .chain(moved.map(|(b, c)| (c, b)))
        .collect()
}
