//! A recording as chunks of speech, each transcribed for itself: side by side, or in turn while it is being spoken.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use super::{
    chunks::{Chunk, TimeMap},
    options::Options,
    recording::Recording,
    scheduler::Client,
    transcriber::Transcriber,
};
use crate::{
    Error, Result,
    text::transcript::{Segment, Transcript},
};

/// How often the caller is asked whether to go on.
const POLL: Duration = Duration::from_millis(20);
/// Bytes of the text that is carried from one part of live speech to the next, at least.
const CARRIED_BYTES: usize = 200;

/// Who is told of the segments so far, and asked whether to go on. The text is of what is being decoded.
type Report<'r> = &'r mut dyn FnMut(&[Segment], &str) -> ControlFlow<()>;

/// Chunks on their way to one transcript.
pub(super) struct Batch<'a> {
    transcriber: &'a Transcriber,
    client: &'a Client<'a>,
    /// With the language, once it is known and where there is only one.
    options: Options,
    language: Option<String>,
    language_probabilities: Vec<(String, f32)>,
    segments: Vec<Segment>,
}

/// A chunk that was transcribed.
struct Said {
    map: TimeMap,
    transcript: Transcript,
}

impl<'a> Batch<'a> {
    pub(super) fn new(transcriber: &'a Transcriber, client: &'a Client<'a>, options: &Options) -> Self {
        let mut options = options.clone();
        if !transcriber.is_multilingual() {
            options.language = Some("en".to_owned());
        }
        let language = options.language.clone();
        Self { transcriber, client, options, language, language_probabilities: Vec::new(), segments: Vec::new() }
    }

    /// Transcribes one chunk after the other; the text so far is the prompt of the next where the options say so.
    pub(super) fn in_turn(&mut self, chunks: impl Iterator<Item = Result<Chunk>>, report: Report<'_>) -> Result<()> {
        let prompt = self.options.prompt.clone().unwrap_or_default();
        let mut text = String::new();
        for chunk in chunks {
            let options = Options { prompt: Some(format!("{prompt} {text}")), ..self.options.clone() };
            let Chunk { samples, map } = chunk?;
            let segments = &self.segments;
            let transcript = self.transcriber.transcribe_windows(
                self.client,
                Recording::from_samples(&samples),
                if self.options.condition_on_previous_text { &options } else { &self.options },
                &mut |progress| report(segments, progress.partial),
            )?;
            text.push_str(&transcript.text);
            text.push(' ');
            let excess = text.len().saturating_sub(CARRIED_BYTES);
            text.drain(..text.ceil_char_boundary(excess));
            self.add(Said { map, transcript });
            ask(report, &self.segments)?;
        }
        Ok(())
    }

    /// Transcribes up to `batch_size` chunks at a time; segments are reported in order, as soon as all before them are
    /// there.
    pub(super) fn side_by_side(
        &mut self,
        mut chunks: impl Iterator<Item = Result<Chunk>> + Send,
        batch_size: usize,
        report: Report<'_>,
    ) -> Result<()> {
        // Until the language is known, no other chunk can begin.
        while self.options.language.is_none() && !self.options.multilingual {
            let Some(chunk) = chunks.next() else { return Ok(()) };
            self.in_turn(std::iter::once(chunk), report)?;
        }
        let work = Work {
            transcriber: self.transcriber,
            client: self.client,
            first: &self.options.clone(),
            rest: &Options { prefix: None, ..self.options.clone() },
            chunks: Mutex::new(chunks.enumerate()),
            is_over: AtomicBool::new(false),
        };
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            for _ in 0..batch_size {
                let (sender, work) = (sender.clone(), &work);
                thread::Builder::new()
                    .name("whisper-chunk".into())
                    .spawn_scoped(scope, move || work.run(&sender))
                    .map_err(|source| Error::Model { source: Box::new(source) })
                    .inspect_err(|_| work.is_over.store(true, Relaxed))?;
            }
            drop(sender);
            let mut outcome = Ok(());
            let mut early = BTreeMap::new();
            let mut n_done = 0;
            // Ends when all threads have.
            loop {
                let result = match receiver.recv_timeout(POLL) {
                    Ok((index, Ok(said))) => {
                        early.insert(index, said);
                        while let Some(said) = early.remove(&n_done) {
                            self.add(said);
                            n_done += 1;
                        }
                        Ok(())
                    }
                    Ok((_, Err(error))) => Err(error),
                    Err(RecvTimeoutError::Timeout) => Ok(()),
                    Err(RecvTimeoutError::Disconnected) => return outcome,
                };
                // The first error is told; what it brings about in the other chunks is not.
                if outcome.is_ok() {
                    outcome = result.and_then(|()| ask(report, &self.segments));
                    work.is_over.store(outcome.is_err(), Relaxed);
                }
            }
        })
    }

    /// The transcript of all chunks; `duration_s` is that of the recording.
    pub(super) fn finish(self, duration_s: f64) -> Transcript {
        Transcript {
            text: self.segments.iter().map(|segment| segment.text.as_str()).collect::<String>().trim().to_owned(),
            language: self.language.unwrap_or_else(|| "en".to_owned()),
            language_probability: self.language_probabilities.first().map(|(_, probability)| *probability),
            language_probabilities: self.language_probabilities,
            duration_s,
            segments: self.segments,
        }
    }

    fn add(&mut self, said: Said) {
        let Said { map, transcript } = said;
        self.options.prefix = None;
        // What was not detected has no probability.
        if self.language.is_none() && transcript.language_probability.is_some() {
            self.language_probabilities = transcript.language_probabilities;
            self.language = Some(transcript.language);
            if !self.options.multilingual {
                self.options.language.clone_from(&self.language);
            }
        }
        for mut segment in transcript.segments {
            map.restore(&mut segment);
            self.segments.push(Segment { id: self.segments.len(), ..segment });
        }
    }
}

/// What the threads of one batch share.
struct Work<'w, C> {
    transcriber: &'w Transcriber,
    client: &'w Client<'w>,
    /// Of the first chunk, and of all others, which do not begin with the prefix.
    first: &'w Options,
    rest: &'w Options,
    chunks: Mutex<C>,
    is_over: AtomicBool,
}

impl<C: Iterator<Item = (usize, Result<Chunk>)>> Work<'_, C> {
    /// Transcribes chunks until there are none.
    fn run(&self, sender: &Sender<(usize, Result<Said>)>) {
        loop {
            let next = {
                let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
                if self.is_over.load(Relaxed) { None } else { chunks.next() }
            };
            let Some((index, chunk)) = next else { return };
            let said = chunk.and_then(|Chunk { samples, map }| {
                let recording = Recording::from_samples(&samples);
                let options = if index == 0 { self.first } else { self.rest };
                let transcript = self.transcriber.transcribe_windows(self.client, recording, options, &mut |_| {
                    if self.is_over.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                Ok(Said { map, transcript })
            });
            let is_error = said.is_err();
            // The receiver outlives the threads.
            let _ = sender.send((index, said));
            if is_error {
                return;
            }
        }
    }
}

fn ask(report: Report<'_>, segments: &[Segment]) -> Result<()> {
    if report(segments, "").is_break() { Err(Error::Cancelled) } else { Ok(()) }
}
