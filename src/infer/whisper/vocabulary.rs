//! A model's vocabulary, from whichever file has it: the bytes of text tokens, and the ids of special ones.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use foldhash::fast::RandomState;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Error, Result,
    infer::weights::{Checkpoint, read_bytes},
};

/// Codes of Whisper's languages in the order of their tokens; `yue` came with large-v3.
/// Source: openai/whisper 20250625 `tokenizer.py`, `LANGUAGES`.
const LANGUAGES: &str = "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur \
hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be \
tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue";

/// Tokens of a vocabulary that are neither text nor languages, the one for the end of text included: eight, and a time
/// token for every 0.02 s. With them, English models have 50,256 text tokens and others 50,257.
/// Source: openai/whisper `model.py`, `num_languages`.
const N_OTHER: usize = 8 + 1501;

/// What a model's files say about tokens.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The bytes of each text token, in the order of the ids; empty for an id that has none.
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) special: BTreeMap<String, u32>,
}

/// Texts of tokens and their ids.
type Ids = HashMap<String, u32, RandomState>;

/// `tokenizer.json`, as far as it is needed: merges are the ids' order.
#[derive(Deserialize)]
struct TokenizerJson {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct Model {
    vocab: Ids,
}

#[derive(Deserialize)]
struct AddedToken {
    content: String,
    id: u32,
}

impl Vocabulary {
    /// The weights' own vocabulary, else `tokenizer.json`, else `vocab.json` with `added_tokens.json`.
    pub(super) fn load(checkpoint: &Checkpoint, n_vocab: usize) -> Result<Self> {
        match checkpoint.vocabulary() {
            Some(pieces) => Self::from_pieces(pieces, n_vocab)
                .map_err(|reason| Error::Weights { path: checkpoint.path().to_owned(), reason }),
            None => Self::read(checkpoint.directory()),
        }
    }

    /// `tokenizer.json`, else `vocab.json` with `added_tokens.json`.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("tokenizer.json");
        if let Some(json) = read::<TokenizerJson>(&path)? {
            let added = json.added_tokens.into_iter().map(|token| (token.content, token.id)).collect();
            return Self::from_texts(json.model.vocab, added).map_err(|reason| Error::Weights { path, reason });
        }
        let path = directory.join("vocab.json");
        let Some(vocab) = read(&path)? else {
            return Err(Error::NotFound(format!(
                "{}: no tokenizer here; expected tokenizer.json, or vocab.json with added_tokens.json",
                directory.display()
            )));
        };
        let added = read(&directory.join("added_tokens.json"))?.unwrap_or_default();
        Self::from_texts(vocab, added).map_err(|reason| Error::Weights { path, reason })
    }

    /// Texts in the byte alphabet.
    fn from_texts(vocab: Ids, mut special: BTreeMap<String, u32>) -> Result<Self, String> {
        let is_special = |name: &str| name.starts_with("<|") && name.ends_with("|>");
        special.extend(vocab.iter().filter(|(name, _)| is_special(name)).map(|(name, id)| (name.clone(), *id)));
        let n_text = *special.get("<|endoftext|>").ok_or("the special token <|endoftext|> is missing")? as usize;
        if n_text > vocab.len() {
            return Err(format!("{} text tokens are fewer than the {n_text} expected", vocab.len()));
        }
        let byte_of = byte_alphabet();
        let mut pieces = vec![Vec::new(); n_text];
        for (text, id) in vocab.into_iter().filter(|(_, id)| (*id as usize) < n_text) {
            let bytes: Option<_> = text.chars().map(|c| byte_of.get(c as usize).copied().flatten()).collect();
            pieces[id as usize] = bytes.ok_or_else(|| format!("the token {text} is not in the byte alphabet"))?;
        }
        Ok(Self { pieces, special })
    }

    /// Text tokens alone; the special ones are where the number of all tokens puts them.
    pub(super) fn from_pieces(pieces: &[Vec<u8>], n_vocab: usize) -> Result<Self, String> {
        let codes: Vec<&str> = LANGUAGES.split(' ').collect();
        let is_multilingual = n_vocab >= 51_865;
        let n_text = 50_256 + usize::from(is_multilingual);
        let n_languages = n_vocab.checked_sub(n_text + N_OTHER).filter(|n| (1..=codes.len()).contains(n));
        let Some(n_languages) = n_languages else {
            return Err(format!("{n_vocab} tokens; expected 51864 (English), 51865 or 51866 (multilingual)"));
        };
        if pieces.len() + 1 < n_text {
            return Err(format!("{} text tokens are fewer than the {n_text} expected", pieces.len()));
        }
        let others = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"];
        let names = ["endoftext", "startoftranscript"].into_iter().chain(codes.into_iter().take(n_languages));
        let special = names.chain(others).zip(n_text as u32..).map(|(name, id)| (format!("<|{name}|>"), id)).collect();
        let mut pieces = pieces[..n_text.min(pieces.len())].to_vec();
        pieces.resize(n_text, Vec::new());
        Ok(Self { pieces, special })
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let parse = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Weights { path: path.to_owned(), reason: format!("not a vocabulary: {error}") })
    };
    read_bytes(path)?.map(parse).transpose()
}

/// The byte that each printable character stands for, by its code point. Source: openai/gpt-2 `encoder.py`.
fn byte_alphabet() -> Vec<Option<u8>> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut byte_of: Vec<Option<u8>> = (0..=255).map(|byte| Some(byte).filter(|byte| is_printable(*byte))).collect();
    byte_of.extend((0..=255).filter(|byte| !is_printable(*byte)).map(Some));
    byte_of
}
