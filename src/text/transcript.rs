//! The transcript: what a transcription task returns, on the wire and in subtitle formats.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Longest text of a transcript, and of all its segments together, bytes.
const MAX_TEXT_BYTES: usize = 2 << 20;
/// Most segments: one for each second of a day.
const MAX_SEGMENTS: usize = 86_400;
/// Most tokens of one segment; Whisper's decoder has 448 positions.
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
    /// Length of the audio, seconds.
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

    /// Whether this can be a transcript of some audio: sizes, finite numbers and ranges, times in order.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the first thing that cannot be.
    pub fn check(&self) -> Result<()> {
        self.check_finite()?;
        let n_bytes = self.text.len().max(self.segments.iter().map(|segment| segment.text.len()).sum());
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
        };
        if !self.duration_s.is_finite() || self.language_probability.is_some_and(|p| !p.is_finite()) {
            return Err(invalid("has a duration or probability that is not finite"));
        }
        match self.segments.iter().position(|segment| !is_finite(segment)) {
            Some(index) => Err(invalid(&format!("has a number in segment {index} that is not finite"))),
            None => Ok(()),
        }
    }

    /// The segments' texts, one a line; the whole text where there are no segments. Source: openai-whisper `WriteTXT`.
    #[must_use]
    pub fn to_text(&self) -> String {
        if self.segments.is_empty() && !self.text.trim().is_empty() {
            return self.text.trim().to_owned() + "\n";
        }
        self.segments.iter().fold(String::new(), |text, segment| text + segment.text.trim() + "\n")
    }

    /// `SubRip` subtitles. Source: openai-whisper `WriteSRT`.
    #[must_use]
    pub fn to_srt(&self) -> String {
        let cue = |(index, segment): (usize, &Segment)| {
            let (start, end) = (timestamp(segment.start, true, ','), timestamp(segment.end, true, ','));
            format!("{}\n{start} --> {end}\n{}\n\n", index + 1, segment.cue_text())
        };
        self.segments.iter().enumerate().map(cue).collect()
    }

    /// `WebVTT` subtitles. Source: openai-whisper `WriteVTT`.
    #[must_use]
    pub fn to_vtt(&self) -> String {
        let cue = |segment: &Segment| {
            let (start, end) = (timestamp(segment.start, false, '.'), timestamp(segment.end, false, '.'));
            format!("{start} --> {end}\n{}\n\n", segment.cue_text())
        };
        "WEBVTT\n\n".to_owned() + &self.segments.iter().map(cue).collect::<String>()
    }
}

impl Segment {
    fn check(&self, index: usize, duration_s: f64) -> Result<()> {
        let latest = duration_s + TIME_SLACK_S;
        if !(0.0..=latest).contains(&self.start) || !(self.start..=latest).contains(&self.end) {
            let (start, end) = (self.start, self.end);
            return Err(invalid(&format!("has segment {index} from {start} to {end} s in {duration_s} s of audio")));
        }
        if self.tokens.len() > MAX_SEGMENT_TOKENS {
            let n = self.tokens.len();
            return Err(invalid(&format!("has {n} tokens in segment {index}; the limit is {MAX_SEGMENT_TOKENS}")));
        }
        if !(0.0..=1.0).contains(&self.no_speech_prob) || !(0.0..=2.0).contains(&self.temperature) {
            return Err(invalid(&format!("has a no_speech_prob or temperature out of range in segment {index}")));
        }
        Ok(())
    }

    /// The text as a subtitle shows it: an arrow in it would be read as a time.
    fn cue_text(&self) -> String {
        self.text.trim().replace("-->", "->")
    }
}

fn invalid(what: &str) -> Error {
    Error::InvalidInput(format!("the transcript {what}"))
}

/// `HH:MM:SS` and the milliseconds behind `mark`. Source: openai-whisper `format_timestamp`, which rounds half to even.
fn timestamp(seconds: f64, always_hours: bool, mark: char) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; a day has 27 bits")]
    let milliseconds = (seconds.max(0.0) * 1000.0).round_ties_even() as u64;
    let (hours, minutes) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60);
    let (seconds, milliseconds) = (milliseconds / 1000 % 60, milliseconds % 1000);
    let hours = if always_hours || hours > 0 { format!("{hours:02}:") } else { String::new() };
    format!("{hours}{minutes:02}:{seconds:02}{mark}{milliseconds:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(times: &[(f64, f64, &str)]) -> Transcript {
        let segment = |(id, &(start, end, text)): (usize, &(f64, f64, &str))| Segment {
            id,
            start,
            end,
            text: text.to_owned(),
            ..Segment::default()
        };
        let segments = times.iter().enumerate().map(segment).collect();
        let text = times.iter().map(|time| time.2).collect();
        Transcript { text, language: "en".to_owned(), duration_s: 4000.0, segments, ..Transcript::default() }
    }

    #[test]
    fn subtitles_are_as_whisper_writes_them() {
        let transcript = transcript(&[(0.0, 0.0125, " And so --> my"), (3599.9996, 3661.25, " fellow ")]);
        assert_eq!(
            transcript.to_srt(),
            "1\n00:00:00,000 --> 00:00:00,012\nAnd so -> my\n\n2\n01:00:00,000 --> 01:01:01,250\nfellow\n\n"
        );
        assert_eq!(
            transcript.to_vtt(),
            "WEBVTT\n\n00:00.000 --> 00:00.012\nAnd so -> my\n\n01:00:00.000 --> 01:01:01.250\nfellow\n\n"
        );
        assert_eq!(transcript.to_text(), "And so --> my\nfellow\n");
    }

    #[test]
    fn json_round_trips_and_optional_fields_may_be_absent() {
        let transcript = transcript(&[(0.0, 1.5, " a")]);
        let json = transcript.to_json().unwrap();
        assert!(!json.contains("language_probability"));
        assert_eq!(Transcript::from_json(&json).unwrap(), transcript);
    }

    #[test]
    fn impossible_transcripts_are_refused() {
        let good = transcript(&[(0.0, 1.0, " a"), (1.0, 2.0, " b")]);
        let refuse = |change: &dyn Fn(&mut Transcript)| {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(bad.check().is_err(), "{bad:?}");
        };
        good.check().unwrap();
        refuse(&|t| t.duration_s = f64::NAN);
        refuse(&|t| t.duration_s = -1.0);
        refuse(&|t| t.language = "English!".to_owned());
        refuse(&|t| t.language = String::new());
        refuse(&|t| t.text = "a".repeat(MAX_TEXT_BYTES + 1));
        refuse(&|t| t.segments = vec![Segment::default(); MAX_SEGMENTS + 1]);
        refuse(&|t| t.segments[0].start = f64::INFINITY);
        refuse(&|t| t.segments[0].end = -0.5);
        refuse(&|t| t.segments[1].end = 9_000.0);
        refuse(&|t| (t.segments[0].start, t.segments[0].end) = (100.0, 101.0));
        refuse(&|t| t.segments[0].tokens = vec![0; MAX_SEGMENT_TOKENS + 1]);
        refuse(&|t| t.segments[0].no_speech_prob = 1.5);
        refuse(&|t| t.segments[0].avg_logprob = f32::NAN);
        refuse(&|t| t.language_probability = Some(-0.1));
    }

    #[test]
    fn what_is_not_a_transcript_is_refused_with_a_reason() {
        for json in ["", "null", "[]", "{}", "{\"text\": 1}", "{\"text\": \"a\", \"language\": \"en\", \"extra\": 1}"] {
            let message = Transcript::from_json(json).unwrap_err().to_string();
            assert!(message.starts_with("the transcript is not a transcript in JSON"), "{message}");
        }
        assert!(matches!(Transcript::from_json(&" ".repeat(MAX_JSON_BYTES + 1)), Err(Error::TooLarge { .. })));
    }
}
