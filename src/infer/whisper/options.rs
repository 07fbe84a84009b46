//! What a caller chooses, and what a caller is told on the way.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::words::{APPENDED, PREPENDED};
use crate::{Error, Result, infer::vad::VadOptions, text::transcript::Segment};

/// Largest beam, and most draws, that are accepted: memory and time grow with them, quality no longer does.
const MAX_ROWS: usize = 32;
/// Most chunks that are decoded side by side.
const MAX_BATCH_SIZE: usize = 128;
/// Most temperatures that are tried on one window.
const MAX_TEMPERATURES: usize = 16;
/// Longest text that is accepted as prompt, prefix or hotwords, bytes; far more than the model reads.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Most times in `clip_timestamps`.
const MAX_CLIP_TIMES: usize = 100_000;

/// What to write down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Task {
    /// What is said, in its language.
    #[default]
    Transcribe,
    /// What is said, in English.
    Translate,
}

impl Task {
    const ALL: [Self; 2] = [Self::Transcribe, Self::Translate];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transcribe => "transcribe",
            Self::Translate => "translate",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|task| task.name() == text)
            .ok_or_else(|| Error::InvalidInput(format!("unknown task `{text}`; expected transcribe or translate")))
    }
}

/// How to transcribe. The defaults are those of openai-whisper's `transcribe`; `best_of` is that of its command.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own, and named")]
pub struct Options {
    /// What to write down.
    pub task: Task,
    /// Code or English name of the spoken language, such as `de` or `german`; detected when absent.
    pub language: Option<String>,
    /// Whether to detect the language again in every window, for recordings in several.
    pub multilingual: bool,
    /// Tried one after the other until a result is neither repetitive nor improbable, each 0 to 2.
    pub temperatures: Vec<f32>,
    /// Sequences kept by the search at temperature 0; 1 is greedy.
    pub beam_size: usize,
    /// Sequences drawn at temperatures above 0; the likeliest is kept.
    pub best_of: usize,
    /// The search ends when `beam_size * patience` sequences have ended; above 0.
    pub patience: f32,
    /// Exponent of Google NMT's length penalty, 0 to 1; without one, sequences compare by their mean log probability.
    pub length_penalty: Option<f32>,
    /// Above 1 the tokens of the window so far become less likely.
    pub repetition_penalty: f32,
    /// No sequence of so many tokens comes twice in a window; 0 for no such rule.
    pub no_repeat_ngram_size: usize,
    /// A window whose text compresses better than this is repetitive.
    pub compression_ratio_threshold: Option<f32>,
    /// A window whose mean log probability is lower than this is improbable.
    pub logprob_threshold: Option<f32>,
    /// An improbable window whose probability of no speech is higher than this is silence.
    pub no_speech_threshold: Option<f32>,
    /// Text that might have come before the audio: names and spellings. openai-whisper calls it `initial_prompt`.
    pub prompt: Option<String>,
    /// Whether `prompt` stands before every window, not only before the first ones.
    pub carry_initial_prompt: bool,
    /// Words that are likely to be said; they stand before every window, except one with a `prefix`.
    pub hotwords: Option<String>,
    /// What is said first; decoding goes on from there.
    pub prefix: Option<String>,
    /// Whether the text of a window is the prompt of the next one.
    pub condition_on_previous_text: bool,
    /// Above this temperature the text of a window is too uncertain to be the prompt of the next one.
    pub prompt_reset_on_temperature: f32,
    /// Tokens that are never written; -1 stands for those that are not speech, such as brackets.
    pub suppress_tokens: Vec<i32>,
    /// Whether a window may neither begin with a space nor be empty without a time.
    pub suppress_blank: bool,
    /// Most tokens that are written for a window; half of the model's positions when absent.
    pub max_new_tokens: Option<usize>,
    /// Whether to write text without times: each window is one segment.
    pub without_timestamps: bool,
    /// The latest time at which the first segment of a window may start, seconds.
    pub max_initial_timestamp: Option<f32>,
    /// Start, end, start, end .. of the parts to transcribe, seconds, in order; a last start goes on to the end. With
    /// `vad_filter`, of the parts only the speech; with `batch_size` above 1 and without `vad_filter`, each part is a chunk
    /// (or several of 30 s).
    pub clip_timestamps: Vec<f64>,
    /// Whether segments have words with times.
    pub word_timestamps: bool,
    /// Marks that belong to the word behind them.
    pub prepend_punctuations: String,
    /// Marks that belong to the word before them.
    pub append_punctuations: String,
    /// With word times: words that are likely made up are dropped if there is more silence than this around them, seconds.
    pub hallucination_silence_threshold: Option<f32>,
    /// Whether silence is left out: only speech, as a voice activity detector finds it, is decoded.
    pub vad_filter: bool,
    /// What counts as speech; what suits the way of decoding when absent.
    pub vad: Option<VadOptions>,
    /// Chunks of speech that are decoded side by side; 1 decodes window after window, each with the text before it.
    pub batch_size: usize,
    /// Seed of the draws at temperatures above 0: equal seeds, equal results.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            task: Task::Transcribe,
            language: None,
            multilingual: false,
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            beam_size: 1,
            best_of: 5,
            patience: 1.0,
            length_penalty: None,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            compression_ratio_threshold: Some(2.4),
            logprob_threshold: Some(-1.0),
            no_speech_threshold: Some(0.6),
            prompt: None,
            carry_initial_prompt: false,
            hotwords: None,
            prefix: None,
            condition_on_previous_text: true,
            prompt_reset_on_temperature: 0.5,
            suppress_tokens: vec![-1],
            suppress_blank: true,
            max_new_tokens: None,
            without_timestamps: false,
            max_initial_timestamp: Some(1.0),
            clip_timestamps: Vec::new(),
            word_timestamps: false,
            prepend_punctuations: PREPENDED.to_owned(),
            append_punctuations: APPENDED.to_owned(),
            hallucination_silence_threshold: None,
            vad_filter: false,
            vad: None,
            batch_size: 1,
            seed: 0,
        }
    }
}

impl Options {
    /// Whether all values are possible.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the option, its value and what is expected.
    pub fn validate(&self) -> Result<()> {
        count("beam_size", self.beam_size, 1..=MAX_ROWS)?;
        count("best_of", self.best_of, 1..=MAX_ROWS)?;
        count("batch_size", self.batch_size, 1..=MAX_BATCH_SIZE)?;
        self.vad.as_ref().map_or(Ok(()), VadOptions::check)?;
        if self.temperatures.is_empty() || self.temperatures.len() > MAX_TEMPERATURES {
            let n = self.temperatures.len();
            return Err(Error::InvalidInput(format!("{n} temperatures; expected 1 to {MAX_TEMPERATURES}")));
        }
        for &temperature in &self.temperatures {
            number("temperature", temperature, 0.0..=2.0)?;
        }
        number("patience", self.patience, 0.01..=100.0)?;
        number("length_penalty", self.length_penalty.unwrap_or(0.0), 0.0..=1.0)?;
        number("repetition_penalty", self.repetition_penalty, 0.01..=100.0)?;
        number("compression_ratio_threshold", self.compression_ratio_threshold.unwrap_or(0.0), 0.0..=f32::MAX)?;
        number("logprob_threshold", self.logprob_threshold.unwrap_or(0.0), f32::MIN..=f32::MAX)?;
        number("no_speech_threshold", self.no_speech_threshold.unwrap_or(0.0), 0.0..=1.0)?;
        number("prompt_reset_on_temperature", self.prompt_reset_on_temperature, 0.0..=f32::MAX)?;
        number("max_initial_timestamp", self.max_initial_timestamp.unwrap_or(0.0), 0.0..=30.0)?;
        if let Some(threshold) = self.hallucination_silence_threshold {
            number("hallucination_silence_threshold", threshold, 0.0..=f32::MAX)?;
            if !self.word_timestamps {
                return Err(Error::InvalidInput(format!(
                    "hallucination_silence_threshold is {threshold} without word_timestamps; it needs the words' times"
                )));
            }
        }
        if let Some(n) = self.max_new_tokens {
            count("max_new_tokens", n, 1..=usize::MAX)?;
        }
        for (name, text) in [("prompt", &self.prompt), ("hotwords", &self.hotwords), ("prefix", &self.prefix)] {
            if let Some(n) = text.as_ref().map(String::len).filter(|n| *n > MAX_TEXT_BYTES) {
                return Err(Error::InvalidInput(format!("{name} has {n} bytes; expected at most {MAX_TEXT_BYTES}")));
            }
        }
        self.validate_clips()
    }

    fn validate_clips(&self) -> Result<()> {
        let times = &self.clip_timestamps;
        if times.len() > MAX_CLIP_TIMES {
            let n = times.len();
            return Err(Error::InvalidInput(format!(
                "clip_timestamps has {n} times; expected at most {MAX_CLIP_TIMES}"
            )));
        }
        let is_time = |time: &f64| time.is_finite() && *time >= 0.0;
        if let Some(time) = times.iter().find(|time| !is_time(time)) {
            return Err(Error::InvalidInput(format!("clip_timestamps has {time}; expected seconds from 0 on")));
        }
        match times.windows(2).find(|pair| pair[0] > pair[1]) {
            Some(pair) => Err(Error::InvalidInput(format!(
                "clip_timestamps has {} before {}; expected start,end,start,end in order of time",
                pair[0], pair[1]
            ))),
            None => Ok(()),
        }
    }
}

fn count(name: &str, value: usize, expected: RangeInclusive<usize>) -> Result<()> {
    if expected.contains(&value) {
        return Ok(());
    }
    let (least, most) = (expected.start(), expected.end());
    let expected = if *most == usize::MAX { format!("at least {least}") } else { format!("{least} to {most}") };
    Err(Error::InvalidInput(format!("{name} is {value}; expected {expected}")))
}

fn number(name: &str, value: f32, expected: RangeInclusive<f32>) -> Result<()> {
    if expected.contains(&value) {
        return Ok(());
    }
    let (least, most) = (*expected.start(), *expected.end());
    let expected = match (least <= f32::MIN, most >= f32::MAX) {
        (true, _) => "a finite number".to_owned(),
        (false, true) => format!("a finite number of at least {least}"),
        (false, false) => format!("{least} to {most}"),
    };
    Err(Error::InvalidInput(format!("{name} is {value}; expected {expected}")))
}

/// How far a transcription is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// Share of the audio that is done, 0 to 1.
    pub fraction: f32,
    /// The segments so far; they do not change any more.
    pub segments: &'a [Segment],
    /// The text so far of the window that is being decoded; it may still change.
    pub partial: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_possible() {
        Options::default().validate().unwrap();
    }

    #[test]
    fn impossible_values_are_refused_by_name_with_what_is_expected() {
        let default = Options::default;
        for (options, message) in [
            (Options { beam_size: 0, ..default() }, "beam_size is 0; expected 1 to 32"),
            (Options { best_of: 33, ..default() }, "best_of is 33; expected 1 to 32"),
            (Options { temperatures: vec![], ..default() }, "0 temperatures; expected 1 to 16"),
            (Options { temperatures: vec![0.0, f32::NAN], ..default() }, "temperature is NaN; expected 0 to 2"),
            (Options { patience: 0.0, ..default() }, "patience is 0; expected 0.01 to 100"),
            (Options { length_penalty: Some(1.5), ..default() }, "length_penalty is 1.5; expected 0 to 1"),
            (Options { repetition_penalty: -1.0, ..default() }, "repetition_penalty is -1; expected 0.01 to 100"),
            (Options { no_speech_threshold: Some(2.0), ..default() }, "no_speech_threshold is 2; expected 0 to 1"),
            (
                Options { logprob_threshold: Some(f32::NEG_INFINITY), ..default() },
                "logprob_threshold is -inf; expected a finite number",
            ),
            (
                Options { compression_ratio_threshold: Some(-1.0), ..default() },
                "compression_ratio_threshold is -1; expected a finite number of at least 0",
            ),
            (Options { max_new_tokens: Some(0), ..default() }, "max_new_tokens is 0; expected at least 1"),
            (
                Options { max_initial_timestamp: Some(31.0), ..default() },
                "max_initial_timestamp is 31; expected 0 to 30",
            ),
            (
                Options { hallucination_silence_threshold: Some(2.0), ..default() },
                "hallucination_silence_threshold is 2 without word_timestamps; it needs the words' times",
            ),
            (
                Options { clip_timestamps: vec![0.0, f64::INFINITY], ..default() },
                "clip_timestamps has inf; expected seconds from 0 on",
            ),
            (
                Options { clip_timestamps: vec![5.0, 3.0], ..default() },
                "clip_timestamps has 5 before 3; expected start,end,start,end in order of time",
            ),
            (
                Options { prompt: Some("a".repeat(MAX_TEXT_BYTES + 1)), ..default() },
                "prompt has 1048577 bytes; expected at most 1048576",
            ),
        ] {
            assert_eq!(options.validate().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn tasks_have_names() {
        assert!(Task::ALL.into_iter().all(|task| task.to_string().parse::<Task>().unwrap() == task));
        assert!("sing".parse::<Task>().unwrap_err().to_string().contains("transcribe or translate"));
    }
}
