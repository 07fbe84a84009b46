//! What users may say about a task, and which of it belongs to which kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::{ApiError, ApiResult};
use crate::analysis;
use crate::audio::Format;
use crate::subnet::task::{Kind, Options, Target};

/// Longest prompt, characters: Whisper reads the last 224 tokens of it.
const MAX_PROMPT_CHARS: usize = 4_000;

/// Longest name of a voice, bytes.
pub(crate) const MAX_VOICE_BYTES: usize = 64;

/// Most members of a task's metadata, and the longest name and text, bytes; OpenAI's.
const MAX_METADATA: usize = 16;
const MAX_METADATA_NAME_BYTES: usize = 64;
const MAX_METADATA_BYTES: usize = 512;

/// How fast synthesized speech may be, 1 is the voice's own speed.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// Fields of an analysis that miners need models for; `violet.analysis.MODELS`.
const MODEL_FIELDS: [&str; 4] = ["speech", "speakers", "language", "quality"];

/// What a user may say about a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskOptions {
    pub(crate) kind: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) temperature: Option<f64>,
    pub(crate) task: Option<String>,
    pub(crate) word_timestamps: Option<bool>,
    pub(crate) voice: Option<String>,
    pub(crate) speed: Option<f64>,
    pub(crate) format: Option<String>,
    pub(crate) fields: Option<Vec<String>>,
    pub(crate) priority: Option<u8>,
    pub(crate) redundancy: Option<u8>,
    pub(crate) deadline_s: Option<u32>,
    pub(crate) webhook_url: Option<String>,
    pub(crate) webhook_secret: Option<String>,
    /// Whether an answer that this user has for the same input and options will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reuse: Option<bool>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
}

impl TaskOptions {
    /// Sets one option from a text field; an empty one is as good as none.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> ApiResult<()> {
        if text.is_empty() {
            return Ok(());
        }
        match name {
            "kind" => self.kind = Some(text.to_owned()),
            "language" => self.language = Some(text.to_owned()),
            "prompt" => self.prompt = Some(text.to_owned()),
            "temperature" => self.temperature = Some(value("temperature", text, "a number from 0 to 1")?),
            "task" => self.task = Some(text.to_owned()),
            "word_timestamps" => self.word_timestamps = Some(value("word_timestamps", text, "true or false")?),
            "voice" => self.voice = Some(text.to_owned()),
            "speed" => self.speed = Some(value("speed", text, "a number from 0.25 to 4")?),
            "format" => self.format = Some(text.to_owned()),
            // Once for each field, or all in one with commas.
            "fields" | "fields[]" => {
                let names = text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
                self.fields.get_or_insert_default().extend(names);
            }
            "priority" => self.priority = Some(value("priority", text, "a whole number from 0 to 9")?),
            "redundancy" => self.redundancy = Some(value("redundancy", text, "a whole number from 1 to 8")?),
            "deadline_s" => self.deadline_s = Some(value("deadline_s", text, "a whole number from 10 to 3600")?),
            "reuse" => self.reuse = Some(value("reuse", text, "true or false")?),
            "webhook_url" => self.webhook_url = Some(text.to_owned()),
            "webhook_secret" => self.webhook_secret = Some(text.to_owned()),
            "metadata" => {
                self.metadata = serde_json::from_str(text)
                    .map_err(|error| refused("metadata", format!("metadata is no JSON object of texts: {error}")))?;
            }
            _ => return Err(ApiError::invalid("unknown_field", format!("field {name:.40} is not known here"))),
        }
        Ok(())
    }

    /// What is to be done.
    pub(crate) fn kind(&self) -> ApiResult<Kind> {
        let Some(name) = self.kind.as_deref() else { return Ok(Kind::Transcription) };
        let known = Kind::ALL.map(Kind::as_str).join(", ");
        Kind::from_name(name).ok_or_else(|| refused("kind", format!("kind is {name:.40}; expected one of {known}")))
    }

    /// The options of the work itself; refuses values out of range, and options of another kind.
    pub(crate) fn checked(&self) -> ApiResult<Options> {
        let kind = self.kind()?;
        self.check_common()?;
        self.check_kind(kind)?;
        let temperature = self.temperature.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&temperature) {
            return Err(refused("temperature", format!("temperature is {temperature}; expected 0 to 1")));
        }
        if self.prompt.as_ref().is_some_and(|prompt| prompt.chars().count() > MAX_PROMPT_CHARS) {
            return Err(refused("prompt", format!("prompt has more than {MAX_PROMPT_CHARS} characters")));
        }
        let task = match self.task.as_deref() {
            None | Some("transcribe") => Target::Transcribe,
            Some("translate") => Target::Translate,
            Some(other) => {
                return Err(refused("task", format!("task is {other:.40}; expected transcribe or translate")));
            }
        };
        let (speed, fastest, slowest) = (self.speed, SPEEDS.end(), SPEEDS.start());
        if let Some(speed) = speed.filter(|speed| !SPEEDS.contains(speed)) {
            return Err(refused("speed", format!("speed is {speed}; expected {slowest} to {fastest}")));
        }
        let is_name = |name: &str| (1..=MAX_VOICE_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
        if self.voice.as_deref().is_some_and(|voice| !is_name(voice)) {
            let message = format!("voice must be a name of 1 to {MAX_VOICE_BYTES} bytes");
            return Err(refused("voice", message));
        }
        if let Some(format) = &self.format {
            audio_format("format", format)?;
        }
        Ok(Options {
            language: self.language.clone(),
            prompt: self.prompt.clone(),
            temperature,
            task,
            word_timestamps: self.word_timestamps.unwrap_or(false),
            voice: self.voice.clone(),
            speed,
            format: self.format.clone(),
            fields: if kind == Kind::Analysis { self.checked_fields()? } else { Vec::new() },
        })
    }

    fn check_common(&self) -> ApiResult<()> {
        let is_code =
            |code: &str| (2..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if let Some(language) = self.language.as_deref().filter(|language| !is_code(language)) {
            return Err(refused("language", format!("language is {language:.40}; expected a code such as en")));
        }
        if let Some(priority) = self.priority.filter(|&priority| priority > 9) {
            return Err(refused("priority", format!("priority is {priority}; expected 0 to 9")));
        }
        if let Some(redundancy) = self.redundancy.filter(|n| !(1..=8).contains(n)) {
            return Err(refused("redundancy", format!("redundancy is {redundancy}; expected 1 to 8")));
        }
        if let Some(deadline_s) = self.deadline_s.filter(|s| !(10..=3600).contains(s)) {
            return Err(refused("deadline_s", format!("deadline_s is {deadline_s}; expected 10 to 3600")));
        }
        let fits = |(name, text): (&String, &String)| {
            (1..=MAX_METADATA_NAME_BYTES).contains(&name.len()) && text.len() <= MAX_METADATA_BYTES
        };
        if self.metadata.len() > MAX_METADATA || !self.metadata.iter().all(fits) {
            let message = format!(
                "metadata has at most {MAX_METADATA} members, names of 1 to {MAX_METADATA_NAME_BYTES} bytes and texts of {MAX_METADATA_BYTES}"
            );
            return Err(refused("metadata", message));
        }
        Ok(())
    }

    /// Refuses an option that means nothing for this kind: who sends it expects something of it.
    fn check_kind(&self, kind: Kind) -> ApiResult<()> {
        let (heard, spoken) = (Kind::Transcription, Kind::Synthesis);
        let given = [
            ("language", self.language.is_some(), kind != Kind::Analysis),
            ("prompt", self.prompt.is_some(), kind == heard),
            ("temperature", self.temperature.is_some(), kind == heard),
            ("task", self.task.is_some(), kind == heard),
            ("word_timestamps", self.word_timestamps.is_some(), kind == heard),
            ("voice", self.voice.is_some(), kind == spoken),
            ("speed", self.speed.is_some(), kind == spoken),
            ("format", self.format.is_some(), kind == spoken),
            ("fields", self.fields.is_some(), kind == Kind::Analysis),
        ];
        match given.into_iter().find(|&(_, is_given, is_taken)| is_given && !is_taken) {
            Some((name, ..)) => {
                let message = format!("{name} is no option of a task of kind {}; leave it out", kind.as_str());
                Err(refused(name, message))
            }
            None => Ok(()),
        }
    }

    /// The fields to measure; all that need no model if none is named.
    fn checked_fields(&self) -> ApiResult<Vec<String>> {
        let measured = analysis::Field::ALL.map(analysis::Field::name);
        let Some(asked) = self.fields.as_deref().filter(|fields| !fields.is_empty()) else {
            return Ok(measured.map(str::to_owned).to_vec());
        };
        let mut fields = Vec::new();
        for name in asked {
            if !measured.contains(&name.as_str()) && !MODEL_FIELDS.contains(&name.as_str()) {
                let known = [measured.as_slice(), &MODEL_FIELDS].concat().join(", ");
                return Err(refused("fields", format!("fields has {name:.40}; expected some of {known}")));
            }
            if !fields.contains(name) {
                fields.push(name.clone());
            }
        }
        Ok(fields)
    }
}

/// The audio format of a name.
pub(crate) fn audio_format(param: &'static str, name: &str) -> ApiResult<Format> {
    let format = match name {
        "wav" => Format::Wav,
        "flac" => Format::Flac,
        "mp3" => Format::Mp3,
        "aac" => Format::Aac,
        "opus" => Format::Opus,
        "pcm" => Format::Pcm,
        other => {
            let message = format!("{param} is {other:.40}; expected wav, flac, opus, mp3, aac or pcm");
            return Err(refused(param, message));
        }
    };
    Ok(format)
}

fn refused(param: &'static str, message: String) -> ApiError {
    ApiError::invalid("invalid_value", message).at(param)
}

fn value<T: std::str::FromStr>(name: &'static str, text: &str, expected: &str) -> ApiResult<T> {
    text.trim().parse().map_err(|_| refused(name, format!("{name} is {text:.40}; expected {expected}")))
}
