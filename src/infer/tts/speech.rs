//! A text while it is said.

use super::{
    engine::{Manner, Sentence, Spoken},
    reader::{Read, Script},
    synthesizer::Synthesizer,
};
use crate::{Error, Result, audio::Resampler, text::speech::Skipped};

/// What is said at once: a sentence, with the silence behind it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunk {
    /// As it is written; empty for silence alone.
    pub text: String,
    /// Mono, in [-1, 1].
    pub samples: Vec<f32>,
    /// Its words, in seconds from the start of the speech.
    pub words: Vec<WordTime>,
    /// Characters that could not be said.
    pub skipped: Skipped,
}

/// When a word is said.
#[derive(Debug, Clone, PartialEq)]
pub struct WordTime {
    /// The word.
    pub text: String,
    /// Seconds from the start of the speech.
    pub start: f64,
    /// Seconds from the start of the speech.
    pub end: f64,
}

/// A text while it is said: an iterator of [`Chunk`]s. Memory does not grow with the text that was said.
pub struct Speech {
    synthesizer: Synthesizer,
    script: Script,
    manner: Manner,
    resampler: Option<Resampler>,
    sample_rate: u32,
    /// Sentences so far.
    number: u64,
    /// Samples so far, at the voice's own rate.
    n_samples: u64,
    has_spoken: bool,
    is_done: bool,
    /// What was skipped before anything was said.
    skipped: Skipped,
}

impl Speech {
    pub(super) fn new(
        synthesizer: Synthesizer,
        script: Script,
        manner: Manner,
        sample_rate: Option<u32>,
    ) -> Result<Self> {
        let own = synthesizer.voice().sample_rate;
        let sample_rate = sample_rate.unwrap_or(own);
        let resampler = if sample_rate == own { None } else { Some(Resampler::new(own, sample_rate)?) };
        Ok(Self {
            synthesizer,
            script,
            manner,
            resampler,
            sample_rate,
            number: 0,
            n_samples: 0,
            has_spoken: false,
            is_done: false,
            skipped: Skipped::default(),
        })
    }

    /// Samples a second, Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn step(&mut self) -> Result<Option<Chunk>> {
        while !self.is_done {
            let Some(read) = self.script.next()? else {
                self.is_done = true;
                return self.last();
            };
            let chunk = self.say(read)?;
            if !chunk.samples.is_empty() || !chunk.words.is_empty() {
                return Ok(Some(chunk));
            }
            self.skipped.merge(&chunk.skipped);
        }
        Ok(None)
    }

    /// What is left when all is said.
    fn last(&mut self) -> Result<Option<Chunk>> {
        if !self.has_spoken {
            let why = if self.skipped.is_empty() { String::new() } else { format!(": {}", self.skipped) };
            return Err(Error::InvalidInput(format!("nothing in the text can be said{why}")));
        }
        let mut chunk = Chunk { skipped: std::mem::take(&mut self.skipped), ..Chunk::default() };
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(&mut chunk.samples);
        }
        Ok(Some(chunk).filter(|chunk| !chunk.samples.is_empty() || !chunk.skipped.is_empty()))
    }

    fn say(&mut self, read: Read) -> Result<Chunk> {
        let voice_rate = f64::from(self.synthesizer.voice().sample_rate);
        let speed = (self.manner.speed * read.rate).clamp(0.25, 4.0);
        let manner = Manner { speed, ..self.manner.clone() };
        let mut spoken = if read.words.is_empty() {
            Spoken::default()
        } else {
            let sentence = Sentence { words: &read.words, number: self.number };
            let engine = &self.synthesizer.engine;
            self.number += 1;
            match &self.synthesizer.pool {
                Some(pool) => pool.install(|| engine.speak(&sentence, &manner))?,
                None => engine.speak(&sentence, &manner)?,
            }
        };
        self.has_spoken |= !spoken.samples.is_empty();
        let time = |sample: usize| (self.n_samples + sample as u64) as f64 / voice_rate;
        let words = read.words.into_iter().zip(&spoken.words);
        let words = words.filter_map(|(word, times)| {
            let (start, end) = (*times)?;
            Some(WordTime { text: word.text, start: time(start), end: time(end) })
        });
        let words = words.collect();
        let pause = (read.pause_s / self.manner.speed * voice_rate) as usize;
        spoken.samples.resize(spoken.samples.len() + pause, 0.0);
        self.n_samples += spoken.samples.len() as u64;
        let mut skipped = read.skipped;
        skipped.merge(&spoken.skipped);
        skipped.merge(&std::mem::take(&mut self.skipped));
        let samples = match &mut self.resampler {
            None => spoken.samples,
            Some(resampler) => {
                let mut samples = Vec::new();
                resampler.push(&spoken.samples, &mut samples);
                samples
            }
        };
        Ok(Chunk { text: read.text, samples, words, skipped })
    }
}

impl Iterator for Speech {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step();
        // After an error there is nothing more.
        self.is_done |= next.is_err();
        next.transpose()
    }
}
