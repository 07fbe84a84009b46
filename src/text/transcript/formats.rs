//! A transcript as txt, tsv, srt and vtt. Source: openai-whisper `utils.py` (20250625).

use std::fmt::Write;

use super::{
    Transcript,
    subtitles::{SubtitleOptions, cues},
};

impl Transcript {
    /// The segments' texts, one a line; the whole text where there are no segments.
    #[must_use]
    pub fn to_txt(&self) -> String {
        if self.segments.is_empty() && !self.text.trim().is_empty() {
            return one_line(self.text.trim()) + "\n";
        }
        self.segments.iter().fold(String::new(), |text, segment| text + &one_line(segment.text.trim()) + "\n")
    }

    /// Tab-separated values: start and end in milliseconds, and the text of every segment, under a line of names.
    #[must_use]
    pub fn to_tsv(&self) -> String {
        self.segments.iter().fold("start\tend\ttext\n".to_owned(), |mut table, segment| {
            let text = one_line(segment.text.trim()).replace('\t', " ");
            let _ = writeln!(table, "{}\t{}\t{text}", milliseconds(segment.start), milliseconds(segment.end));
            table
        })
    }

    /// `SubRip` subtitles.
    #[must_use]
    pub fn to_srt(&self, options: &SubtitleOptions) -> String {
        let cues = cues(&self.segments, options, &|text: &str| text.to_owned());
        cues.enumerate().fold(String::new(), |mut srt, (index, cue)| {
            let (start, end) = (timestamp(cue.start, true, ','), timestamp(cue.end, true, ','));
            let _ = write!(srt, "{}\n{start} --> {end}\n{}\n\n", index + 1, cue.text);
            srt
        })
    }

    /// `WebVTT` subtitles.
    ///
    /// Differs from openai-whisper: `&` and `<` are written as `&amp;` and `&lt;`, as the standard demands; players
    /// take what follows for a tag otherwise and do not show it.
    #[must_use]
    pub fn to_vtt(&self, options: &SubtitleOptions) -> String {
        let cues = cues(&self.segments, options, &|text: &str| text.replace('&', "&amp;").replace('<', "&lt;"));
        cues.fold("WEBVTT\n\n".to_owned(), |mut vtt, cue| {
            let (start, end) = (timestamp(cue.start, false, '.'), timestamp(cue.end, false, '.'));
            let _ = write!(vtt, "{start} --> {end}\n{}\n\n", cue.text);
            vtt
        })
    }
}

/// The text with spaces for its line ends: an empty line would end a cue, any would start a row.
pub(super) fn one_line(text: &str) -> String {
    text.replace("\r\n", " ").replace(['\r', '\n'], " ")
}

/// Whole milliseconds, not negative. Source: openai-whisper, with Python's `round`: half to even.
pub(super) fn milliseconds(seconds: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; `as` saturates")]
    let milliseconds = (seconds.max(0.0) * 1000.0).round_ties_even() as u64;
    milliseconds
}

/// `HH:MM:SS` and the milliseconds behind `mark`; hours have more digits from 100 on.
fn timestamp(milliseconds: u64, always_hours: bool, mark: char) -> String {
    let (hours, minutes) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60);
    let (seconds, milliseconds) = (milliseconds / 1000 % 60, milliseconds % 1000);
    let hours = if always_hours || hours > 0 { format!("{hours:02}:") } else { String::new() };
    format!("{hours}{minutes:02}:{seconds:02}{mark}{milliseconds:03}")
}
