//! The transcript: what a transcription task returns, on the wire and in the formats of files.

mod formats;
mod subtitles;
#[cfg(test)]
mod tests;
mod times;

use serde::{Deserialize, Serialize};

pub use self::subtitles::SubtitleOptions;
use crate::{Error, Result};

/// Longest text of a transcript, of all its segments together and of all their words, bytes.
const MAX_TEXT_BYTES: usize = 2 << 20;
/// Most segments: one for each second of a day.
const MAX_SEGMENTS: usize = 86_400;
/// Most tokens of one segment, and most words; Whisper's decoder has 448 positions.
const MAX_SEGMENT_TOKENS: usize = 448;
/// Longest JSON text, bytes: the wire's limit on a result.
const MAX_JSON_BYTES: usize = 4 << 20;
/// Latest time, seconds: a day.
const MAX_TIME_S: f64 = 86_400.0;
/// Seconds by which a time may pass its neighbour's or the end: Whisper's time tokens are 0.02 s apart and windows 30 s.
const TIME_SLACK_S: f64 = 30.0;

/// What was said, when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// The whole text.
    pub text: String,
    /// Language code, such as `en`.
    pub language: String,
    /// Probability of that language where it was detected, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_probability: Option<f32>,
    /// Where the language was detected, the probability of every language that the model knows, the likeliest first; not
    /// written to JSON.
    #[serde(skip)]
    pub language_probabilities: Vec<(String, f32)>,
    /// Length of the audio, seconds; openai-whisper's name for it, `duration`, is understood too.
    #[serde(alias = "duration")]
    pub duration_s: f64,
    /// The parts of the text in order of time.
    pub segments: Vec<Segment>,
}

/// A part of a transcript, with the decoder's own account of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Position in the list, from 0.
    pub id: usize,
    /// First frame of the window that the segment was decoded from, 10 ms each.
    pub seek: usize,
    /// Start, seconds.
    pub start: f64,
    /// End, seconds.
    pub end: f64,
    /// The text, with the leading space that the tokens have.
    pub text: String,
    /// Token ids, time tokens included.
    pub tokens: Vec<u32>,
    /// Sampling temperature that was used.
    pub temperature: f32,
    /// Mean log probability of the tokens.
    pub avg_logprob: f32,
    /// UTF-8 bytes of the window's text over those of its zlib compression: high for repetition.
    pub compression_ratio: f32,
    /// Probability that the window holds no speech, 0 to 1.
    pub no_speech_prob: f32,
    /// The words and their times; empty where they were not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// A word of a segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// The word, with the space before it and the punctuation that belongs to it.
    pub word: String,
    /// Start, seconds.
    pub start: f64,
    /// End, seconds.
    pub end: f64,
    /// Mean probability of its tokens, 0 to 1.
    pub probability: f32,
}

/// The names of openai-whisper's JSON files and of the `verbose_json` of `OpenAI`'s API.
#[derive(Serialize)]
struct Verbose<'a> {
    text: &'a str,
    language: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    language_probability: Option<f32>,
    duration: f64,
    segments: &'a [Segment],
}

impl Transcript {
    /// The transcript in a JSON text, checked as [`Self::check`] does.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] above 4 MiB; [`Error::InvalidInput`] for JSON that is not a transcript, and as
    /// [`Self::check`].
    pub fn from_json(json: &str) -> Result<Self> {
        if json.len() > MAX_JSON_BYTES {
            let (got_bytes, limit_bytes) = (json.len() as u64, MAX_JSON_BYTES as u64);
            return Err(Error::TooLarge { what: "transcript", got_bytes, limit_bytes });
        }
        let transcript: Self =
            serde_json::from_str(json).map_err(|error| invalid(&format!("is not a transcript in JSON: {error}")))?;
        transcript.check()?;
        Ok(transcript)
    }

    /// The transcript as a JSON text: the wire form.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if a number is not finite, which JSON cannot say.
    pub fn to_json(&self) -> Result<String> {
        self.check_finite()?;
        serde_json::to_string(self).map_err(|error| invalid(&format!("cannot be written as JSON: {error}")))
    }

    /// The transcript under openai-whisper's names, for files; [`Self::from_json`] reads it too.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if a number is not finite, which JSON cannot say.
    pub fn to_verbose_json(&self) -> Result<String> {
        self.check_finite()?;
        let Self { text, language, language_probability, duration_s, segments, .. } = self;
        let verbose =
            Verbose { text, language, language_probability: *language_probability, duration: *duration_s, segments };
        serde_json::to_string(&verbose).map_err(|error| invalid(&format!("cannot be written as JSON: {error}")))
    }

    /// Whether this can be a transcript of some audio: sizes, finite numbers and ranges, times in order.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the first thing that cannot be.
    pub fn check(&self) -> Result<()> {
        self.check_finite()?;
        let n_segment_bytes = self.segments.iter().map(|segment| segment.text.len()).sum();
        let words = self.segments.iter().flat_map(|segment| &segment.words);
        let n_word_bytes = words.map(|word| word.word.len()).sum();
        let n_bytes = self.text.len().max(n_segment_bytes).max(n_word_bytes);
        if n_bytes > MAX_TEXT_BYTES {
            return Err(invalid(&format!("has {n_bytes} bytes of text; the limit is {MAX_TEXT_BYTES}")));
        }
        if self.segments.len() > MAX_SEGMENTS {
            return Err(invalid(&format!("has {} segments; the limit is {MAX_SEGMENTS}", self.segments.len())));
        }
        let is_code = |c: char| c.is_ascii_lowercase() || c == '-';
        if !(2..=8).contains(&self.language.len()) || !self.language.chars().all(is_code) {
            return Err(invalid(&format!("has the language {:?}; expected a code such as \"en\"", self.language)));
        }
        if !(0.0..=MAX_TIME_S).contains(&self.duration_s) {
            return Err(invalid(&format!("has duration_s {}; expected 0 to {MAX_TIME_S}", self.duration_s)));
        }
        if self.language_probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(invalid("has a language_probability outside 0 to 1"));
        }
        let mut latest_start = 0.0;
        for (index, segment) in self.segments.iter().enumerate() {
            segment.check(index, self.duration_s)?;
            if segment.start + TIME_SLACK_S < latest_start {
                return Err(invalid(&format!(
                    "has segment {index} at {} s after one at {latest_start} s",
                    segment.start
                )));
            }
            latest_start = segment.start.max(latest_start);
        }
        Ok(())
    }

    fn check_finite(&self) -> Result<()> {
        let is_finite = |segment: &Segment| {
            [segment.start, segment.end].iter().all(|value| value.is_finite())
                && [segment.temperature, segment.avg_logprob, segment.compression_ratio, segment.no_speech_prob]
                    .iter()
                    .all(|value| value.is_finite())
                && segment.words.iter().all(Word::is_finite)
        };
        if !self.duration_s.is_finite() || self.language_probability.is_some_and(|p| !p.is_finite()) {
            return Err(invalid("has a duration or probability that is not finite"));
        }
        match self.segments.iter().position(|segment| !is_finite(segment)) {
            Some(index) => Err(invalid(&format!("has a number in segment {index} that is not finite"))),
            None => Ok(()),
        }
    }
}

impl Segment {
    fn check(&self, index: usize, duration_s: f64) -> Result<()> {
        let latest = duration_s + TIME_SLACK_S;
        if !is_span(self.start, self.end, latest) {
            let (start, end) = (self.start, self.end);
            return Err(invalid(&format!("has segment {index} from {start} to {end} s in {duration_s} s of audio")));
        }
        if self.tokens.len() > MAX_SEGMENT_TOKENS || self.words.len() > MAX_SEGMENT_TOKENS {
            let n = self.tokens.len().max(self.words.len());
            return Err(invalid(&format!(
                "has {n} tokens or words in segment {index}; the limit is {MAX_SEGMENT_TOKENS}"
            )));
        }
        if !(0.0..=1.0).contains(&self.no_speech_prob) || !(0.0..=2.0).contains(&self.temperature) {
            return Err(invalid(&format!("has a no_speech_prob or temperature out of range in segment {index}")));
        }
        if self.words.iter().any(|word| !is_span(word.start, word.end, latest)) {
            return Err(invalid(&format!("has a word in segment {index} that is not in {duration_s} s of audio")));
        }
        if self.words.iter().any(|word| !(0.0..=1.0).contains(&word.probability)) {
            return Err(invalid(&format!("has a word in segment {index} with a probability outside 0 to 1")));
        }
        Ok(())
    }
}

impl Word {
    fn is_finite(&self) -> bool {
        self.start.is_finite() && self.end.is_finite() && self.probability.is_finite()
    }
}

/// Whether `start` and `end` are times in this order, not before 0 and not after `latest`.
fn is_span(start: f64, end: f64, latest: f64) -> bool {
    (0.0..=latest).contains(&start) && (start..=latest).contains(&end)
}

fn invalid(what: &str) -> Error {
    Error::InvalidInput(format!("the transcript {what}"))
}
