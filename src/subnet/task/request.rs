//! What a user asks for: the kind of work, how it is to be done, with what, and where to tell of it.

use serde::{Deserialize, Serialize};

/// What is to be done with the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Speech to text.
    Transcription,
    /// Text to speech.
    Synthesis,
    /// Audio to measurements.
    Analysis,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Transcription, Self::Synthesis, Self::Analysis];

    /// The kind's word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transcription => "transcription",
            Self::Synthesis => "synthesis",
            Self::Analysis => "analysis",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// In which language a transcript is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The one that was spoken.
    #[default]
    Transcribe,
    /// English.
    Translate,
}

/// How the work is to be done; what another kind of task takes has its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Language code of the speech; absent to detect it.
    #[serde(default)]
    pub language: Option<String>,
    /// Transcription: text that comes before the speech.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Transcription: sampling temperature, 0 to 1.
    #[serde(default)]
    pub temperature: f64,
    /// Transcription: in which language.
    #[serde(default, skip_serializing_if = "is_default")]
    pub task: Target,
    /// Transcription: whether each word's time is asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub word_timestamps: bool,
    /// Synthesis: name of the voice; absent for the miner's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// Synthesis: how fast, 1 is the voice's own speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Synthesis: file format in which the user gets the audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Analysis: what to measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The bytes that a task is about: audio, or the text of a synthesis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// SHA-256 of the bytes, lower-case hex.
    pub sha256: String,
    /// Number of bytes.
    pub bytes: u64,
    /// Duration of the audio where its header tells, seconds.
    pub duration_s: Option<f64>,
    /// The user's name for it.
    pub name: Option<String>,
    /// Characters of a text; absent for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<u64>,
}

/// Where a task's user wants to hear what becomes of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// What the messages are signed with.
    pub secret: String,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the secret nor what a URL may hold is for logs.
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}
