//! When each word was said: where the decoder listened while it wrote the word. Source: openai/whisper `timing.py`
//! (20250625).

mod attention;
mod dtw;
mod gaps;
mod hallucination;
mod heads;
mod pauses;
mod split;
mod timing;
#[cfg(test)]
mod words_test;

pub(super) use hallucination::{Place, next_seek};
#[cfg(test)]
use heads::alignment_heads;
pub(super) use heads::{Head, Listeners, listeners};
use timing::{Timing, Usual};

use super::{
    model::{Alignment, Audio, Whisper},
    segments::frames_to_s,
    tokenizer::Tokenizer,
};
use crate::{Error, Result, audio::mel::N_FRAMES, infer::kernels::log_sum_exp, text::transcript::Segment};

/// Seconds in a position of the encoder's output.
const POSITION_S: f64 = 0.02;
/// Mel frames in a position of the encoder's output.
const FRAMES_PER_POSITION: usize = 2;

/// Marks that belong to the word behind them. Source: openai/whisper `transcribe.py`.
pub(super) const PREPENDED: &str = "\"'“¿([{-";
/// Marks that belong to the word before them. Source: openai/whisper `transcribe.py`.
pub(super) const APPENDED: &str = "\"'.。,，!！?？:：”)]}、";

/// Gives segments their words.
#[derive(Clone, Copy)]
pub(super) struct Aligner<'a> {
    pub(super) model: &'a Whisper,
    pub(super) tokenizer: &'a Tokenizer,
    /// The heads that follow the speech.
    pub(super) heads: &'a [Head],
    /// How much later than it starts they listen to a word, seconds; words have gaps between them then. Without it, each
    /// moment belongs to a word, as in openai/whisper.
    pub(super) late_s: Option<f64>,
    /// `<|startoftranscript|>`, and for a multilingual model the language and the task.
    pub(super) start: &'a [u32],
    /// Language of the text: English for a translation.
    ///
    /// Differs from openai/whisper, which cuts English translations from Chinese as it cuts Chinese.
    pub(super) language: &'a str,
    /// Marks that join the word behind them, usually [`PREPENDED`].
    pub(super) prepended: &'a str,
    /// Marks that join the word before them, usually [`APPENDED`].
    pub(super) appended: &'a str,
    /// The window's log-mel features, dense `[n_mels, N_FRAMES]`, to take pauses out of words; without them a pause
    /// belongs to one of its neighbours, as in openai/whisper.
    pub(super) mel: Option<&'a [f32]>,
}

impl Aligner<'_> {
    /// Sets the words of all segments of one window, and moves the segments' starts and ends to them.
    ///
    /// `audio` is the window's, of which the first `n_frames` mel frames hold sound; `last_speech_s` is the end of what
    /// was said before the window, as [`last_end`] gives it, 0 at first. Costs one pass of the decoder.
    ///
    /// # Errors
    /// [`Error::Model`] when the device fails.
    pub(super) fn add(
        &self,
        segments: &mut [Segment],
        audio: &Audio,
        n_frames: usize,
        last_speech_s: f64,
    ) -> Result<()> {
        let end_of_text = self.tokenizer.special().end_of_text;
        let is_text = |token: &&u32| **token < end_of_text;
        let n_text_tokens: Vec<usize> = segments.iter().map(|s| s.tokens.iter().filter(is_text).count()).collect();
        let tokens: Vec<u32> = segments.iter().flat_map(|s| s.tokens.iter().filter(is_text)).copied().collect();
        let Some(seek) = segments.first().map(|segment| segment.seek) else { return Ok(()) };
        let mut timings = self.align(&tokens, audio, n_frames)?;
        // Words that have gaps between them have no pauses that would have to be taken away by how long words usually are.
        let usual = self.late_s.is_none().then(|| Usual::of(&timings));
        if let Some(usual) = usual {
            timing::shorten_at_sentence_ends(&mut timings, usual);
        }
        timing::merge_punctuation(&mut timings, self.prepended, self.appended);
        timing::assign(segments, &timings, &n_text_tokens, usual, (frames_to_s(seek), last_speech_s));
        if let Some(mel) = self.mel {
            pauses::leave_out(&pauses::pauses(mel, N_FRAMES, n_frames), seek, segments);
        }
        Ok(())
    }

    /// The words of text tokens with the times at which the decoder went from one to the next.
    fn align(&self, tokens: &[u32], audio: &Audio, n_frames: usize) -> Result<Vec<Timing>> {
        let n_used = (n_frames / FRAMES_PER_POSITION).min(audio.n_positions());
        if tokens.is_empty() || n_used == 0 {
            return Ok(Vec::new());
        }
        let special = self.tokenizer.special();
        // The row of a token is that of the one before it, which asked for it.
        let first_row = self.start.len();
        let n_positions = self.model.dimensions().n_text_ctx;
        if first_row + 1 + tokens.len() > n_positions {
            let n = tokens.len();
            return Err(Error::InvalidInput(format!("{n} tokens of text in a window; the model has {n_positions}")));
        }
        let mut fed = [self.start, &[special.no_timestamps], tokens, &[special.end_of_text]].concat();
        // The end is fed for the normalisation over tokens alone; a text that fills the context does without.
        fed.truncate(n_positions);
        let Alignment { scores, logits } = self.model.align(audio, &fed, self.heads)?;
        let rows = first_row..first_row + tokens.len() + 1;
        let words = split::words(self.tokenizer, tokens, self.language);
        let lengths: Vec<usize> = words.iter().map(|(_, n_tokens)| *n_tokens).collect();
        let shape = [fed.len(), audio.n_positions()];
        let places = self.model.install(|| {
            if self.late_s.is_some() {
                gaps::words(&attention::shares(&scores, shape, n_used, rows), n_used, &lengths)
            } else {
                let costs: Vec<f32> = attention::table(scores, shape, n_used, rows).into_iter().map(|x| -x).collect();
                side_by_side(&dtw::first_columns(&costs, n_used), &lengths)
            }
        });
        let (late_s, end_s) = (self.late_s.unwrap_or(0.0), n_used as f64 * POSITION_S);
        let seconds = |position: usize| (position as f64 * POSITION_S - late_s).clamp(0.0, end_s);
        let n_vocab = self.model.dimensions().n_vocab;
        let probability = |index: usize| {
            let logits = &logits[(first_row + index) * n_vocab..][..special.end_of_text as usize];
            (logits[tokens[index] as usize] - log_sum_exp(logits)).exp()
        };
        let mut first = 0;
        let timing = |((word, n_tokens), (start, end)): ((String, usize), (usize, usize))| {
            let range = first..first + n_tokens;
            first = range.end;
            Timing {
                word,
                n_tokens,
                start: seconds(start),
                end: seconds(end),
                probability: range.map(probability).sum::<f32>() / n_tokens as f32,
            }
        };
        Ok(words.into_iter().zip(places).map(timing).collect())
    }
}

/// Where each word begins and the next one does, by the first position of each token.
fn side_by_side(first: &[usize], lengths: &[usize]) -> Vec<(usize, usize)> {
    let mut end = 0;
    let place = |&n_tokens: &usize| {
        let start = end;
        end += n_tokens;
        (first[start], first[end])
    };
    lengths.iter().map(place).collect()
}

/// The end of the last word, else of the last segment, seconds: the speech that the next window comes after.
pub(super) fn last_end(segments: &[Segment]) -> Option<f64> {
    let last_word = segments.iter().rev().find_map(|segment| segment.words.last());
    last_word.map(|word| word.end).or_else(|| segments.last().map(|segment| segment.end))
}
