//! What an engine is, and the list of them.

use std::{fmt, path::Path, sync::Arc};

#[cfg(feature = "parler")]
use super::parler;
use super::vits;
use crate::{Error, Result, infer::device::Choice, text::speech::Skipped};

/// A kind of voice: how its files are recognised and opened.
pub(super) struct Entry {
    /// What it is called in messages.
    pub name: &'static str,
    /// Whether a file or directory may be one of its voices, by names and settings alone.
    pub opens: fn(&Path) -> bool,
    /// Loads a voice.
    pub load: fn(&Path, Choice) -> Result<Box<dyn Engine>>,
}

/// All engines. The first that recognises a voice opens it.
pub(super) const ENGINES: &[Entry] = &[
    Entry {
        name: "VITS (Piper's NAME.onnx beside NAME.onnx.json; Hugging Face's VITS and MMS-TTS)",
        opens: vits::opens,
        load: |path, device| {
            if !matches!(device, Choice::Auto | Choice::Cpu) {
                return Err(Error::Unsupported(
                    "VITS voices run on the processor; use the device `auto` or `cpu`".to_owned(),
                ));
            }
            Ok(Box::new(vits::VitsVoice::load(path)?))
        },
    },
    #[cfg(feature = "parler")]
    Entry {
        name: "Parler-TTS (a directory with config.json, safetensors and tokenizer.json)",
        opens: parler::opens,
        load: |path, device| Ok(Box::new(parler::ParlerVoice::load(path, device)?)),
    },
];

/// A voice that says sentences.
pub(super) trait Engine: Send + Sync + fmt::Debug {
    /// What is known of the voice.
    fn voice(&self) -> &Voice;

    /// What it reads.
    fn reads(&self) -> Reads;

    /// Says a sentence.
    ///
    /// # Errors
    /// What makes this sentence impossible to say in this manner.
    fn speak(&self, sentence: &Sentence<'_>, manner: &Manner) -> Result<Spoken>;
}

/// What a voice is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// The file's or directory's name.
    pub name: String,
    /// Such as `en_US`; empty when it is not said.
    pub language: String,
    /// What espeak-ng calls the language, where the voice reads phonemes.
    pub espeak: Option<String>,
    /// Hz.
    pub sample_rate: u32,
    /// Names of the speakers, in the order of their numbers; empty for a single one.
    pub speakers: Vec<String>,
    /// Whether a description in words says how it sounds.
    pub is_described: bool,
}

/// What an engine reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Phonemes in IPA as espeak-ng writes them.
    Phonemes,
    /// Small letters.
    Characters,
}

/// A sentence as an engine is given it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sentence<'a> {
    /// Its words in order, at least one.
    pub words: &'a [Word],
    /// Its number in the text: engines that draw have numbers of its own for it.
    pub number: u64,
}

/// A word as an engine is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As it is written.
    pub text: String,
    /// What of it is read.
    pub symbols: String,
    /// The mark behind it that makes a pause.
    pub pause: Option<char>,
}

/// How a sentence is said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manner {
    /// Relative to the voice's own speed, 0.25 to 4.
    pub speed: f64,
    /// Of the noise: the same seed gives the same bits.
    pub seed: u64,
    /// Number of the speaker.
    pub speaker: usize,
    /// How much the voice varies; `None` for what the voice was made for.
    pub noise_scale: Option<f32>,
    /// How much the lengths of sounds vary; `None` for what the voice was made for.
    pub noise_w: Option<f32>,
    /// How the voice sounds, in words, where words make it; `None` for a plain one.
    pub description: Option<Arc<str>>,
}

/// What was said.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoken {
    /// At the voice's rate.
    pub samples: Vec<f32>,
    /// First sample of each word, and the one behind its last; `None` for what could not be said.
    pub words: Vec<Option<(usize, usize)>>,
    /// Characters that the voice does not know.
    pub skipped: Skipped,
}

/// Opens the voice at a path with the engine that knows it.
pub(super) fn open(path: &Path, device: Choice) -> Result<Box<dyn Engine>> {
    if !path.exists() {
        return Err(Error::NotFound(format!("{}: no voice here", path.display())));
    }
    if let Some(entry) = ENGINES.iter().find(|entry| (entry.opens)(path)) {
        return (entry.load)(path, device);
    }
    let names: Vec<_> = ENGINES.iter().map(|entry| entry.name).collect();
    Err(Error::Unsupported(format!("{} is no voice; supported are: {}", path.display(), names.join("; "))))
}
