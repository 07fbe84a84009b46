//! Cutting a transcript into the cues of subtitles. Source: openai-whisper `utils.py`, `SubtitlesWriter` (20250625).

use unicode_general_category::{GeneralCategory as G, get_general_category};

use super::{
    Segment, Word,
    formats::{milliseconds, one_line},
};

/// A pause after which a new cue begins where cues do not follow the segments, seconds.
const LONG_PAUSE_S: f64 = 3.0;

/// How subtitles are laid out. Everything here needs words with times: without them a segment is a cue of one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubtitleOptions {
    /// Most characters in a line; a longer word has a line of its own.
    pub max_line_width: Option<usize>,
    /// Most lines in a cue. With `max_line_width`, cues no longer follow the segments.
    pub max_line_count: Option<usize>,
    /// Most words in a cue; without effect when both limits above are given.
    pub max_words_per_line: Option<usize>,
    /// Whether every word is underlined in its time: a cue a word.
    pub highlight_words: bool,
}

/// A text and the time in which it is shown, milliseconds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) text: String,
}

/// A word in its place in a cue.
struct Placed {
    start: u64,
    end: u64,
    /// Begins with a line end when the word begins a line that is not the first.
    text: String,
}

/// The cues of the segments; `escape` makes a text safe for the format.
pub(super) fn cues<'a>(
    segments: &'a [Segment],
    options: &SubtitleOptions,
    escape: &'a dyn Fn(&str) -> String,
) -> Box<dyn Iterator<Item = Cue> + 'a> {
    let safe = |text: &str| without_arrow(&escape(text));
    if segments.iter().all(|segment| segment.words.is_empty()) {
        return Box::new(segments.iter().map(move |segment| Cue {
            start: milliseconds(segment.start),
            end: milliseconds(segment.end),
            text: safe(&one_line(segment.text.trim())),
        }));
    }
    let mut layout = Layout::new(*options, segments);
    for segment in segments {
        layout.add(segment);
    }
    let is_highlighted = options.highlight_words;
    Box::new(layout.finish().into_iter().flat_map(move |mut cue| {
        for word in &mut cue {
            word.text = escape(&word.text);
        }
        if is_highlighted { highlighted(&cue) } else { plain(&cue).into_iter().collect() }
    }))
}

/// The state of the loop over all words.
struct Layout {
    options: SubtitleOptions,
    follows_segments: bool,
    done: Vec<Vec<Placed>>,
    cue: Vec<Placed>,
    line_len: usize,
    n_lines: usize,
    last_start: f64,
}

impl Layout {
    fn new(options: SubtitleOptions, segments: &[Segment]) -> Self {
        // Source: a limit of 0 is none.
        let limit = |limit: Option<usize>| limit.filter(|&limit| limit > 0);
        let options = SubtitleOptions {
            max_line_width: limit(options.max_line_width),
            max_line_count: limit(options.max_line_count),
            max_words_per_line: limit(options.max_words_per_line),
            ..options
        };
        Self {
            follows_segments: options.max_line_count.is_none() || options.max_line_width.is_none(),
            options,
            done: Vec::new(),
            cue: Vec::new(),
            line_len: 0,
            n_lines: 1,
            last_start: segments.iter().flat_map(|segment| &segment.words).next().map_or(0.0, |word| word.start),
        }
    }

    fn add(&mut self, segment: &Segment) {
        /// Source: what stands for no limit there.
        const NO_LIMIT: usize = 1000;
        for words in segment.words.chunks(self.options.max_words_per_line.unwrap_or(NO_LIMIT)) {
            for (index, word) in words.iter().enumerate() {
                self.place(word, index == 0);
            }
        }
    }

    fn place(&mut self, word: &Word, is_first: bool) {
        let text = one_line(&word.word);
        let n_characters = text.chars().count();
        let is_after_pause = !self.follows_segments && word.start - self.last_start > LONG_PAUSE_S;
        let fits = self.options.max_line_width.is_none_or(|width| self.line_len + n_characters <= width);
        let is_cut = is_first && !self.cue.is_empty() && self.follows_segments;
        self.last_start = word.start;
        // Differs from openai-whisper: a vowel sign or an accent is not parted from its letter at the end of a line.
        if self.line_len > 0 && (fits || begins_with_mark(&text)) && !is_after_pause && !is_cut {
            self.line_len += n_characters;
            self.push(word, text);
            return;
        }
        let text = text.trim();
        let is_full = self.options.max_line_count.is_some_and(|limit| is_after_pause || self.n_lines >= limit);
        let line_end = if !self.cue.is_empty() && is_full || is_cut {
            self.done.push(std::mem::take(&mut self.cue));
            self.n_lines = 1;
            ""
        } else if self.line_len > 0 {
            self.n_lines += 1;
            "\n"
        } else {
            ""
        };
        self.line_len = text.chars().count();
        self.push(word, format!("{line_end}{text}"));
    }

    fn push(&mut self, word: &Word, text: String) {
        self.cue.push(Placed { start: milliseconds(word.start), end: milliseconds(word.end), text });
    }

    fn finish(mut self) -> Vec<Vec<Placed>> {
        self.done.extend((!self.cue.is_empty()).then_some(self.cue));
        self.done
    }
}

fn plain(words: &[Placed]) -> Option<Cue> {
    let text = words.iter().map(|word| word.text.as_str()).collect::<String>();
    Some(Cue { start: words.first()?.start, end: words.last()?.end, text: without_arrow(&text) })
}

/// A cue for every word, with the word underlined, and one for every pause before a word.
fn highlighted(words: &[Placed]) -> Vec<Cue> {
    let Some(whole) = plain(words) else { return Vec::new() };
    let (mut cues, mut last) = (Vec::new(), whole.start);
    for (index, word) in words.iter().enumerate() {
        if last != word.start {
            cues.push(Cue { start: last, end: word.start, text: whole.text.clone() });
        }
        let text = words
            .iter()
            .enumerate()
            .map(|(other, word)| if other == index { underlined(&word.text) } else { word.text.clone() });
        cues.push(Cue { start: word.start, end: word.end, text: without_arrow(&text.collect::<String>()) });
        last = word.end;
    }
    cues
}

fn underlined(word: &str) -> String {
    let text = word.trim_start();
    format!("{}<u>{text}</u>", &word[..word.len() - text.len()])
}

/// An arrow in a text would be read as a time.
fn without_arrow(text: &str) -> String {
    text.replace("-->", "->")
}

fn begins_with_mark(text: &str) -> bool {
    let is_mark = |c| matches!(get_general_category(c), G::NonspacingMark | G::SpacingMark | G::EnclosingMark);
    text.chars().next().is_some_and(is_mark)
}
