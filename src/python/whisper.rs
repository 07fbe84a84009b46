//! Bindings of [`crate::infer`] and of transcripts.

use std::ops::ControlFlow;
use std::path::PathBuf;

use std::sync::Arc;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::options;
use super::stream::Stream;
use super::vad::Vad;
use crate::audio::Limits;
use crate::infer::{self, LoadOptions, Recording};
use crate::text::transcript::{self, SubtitleOptions};

/// A Whisper model in memory; one may serve several threads.
#[pyclass(frozen, module = "violet._core")]
struct Transcriber(Arc<infer::Transcriber>);

/// A file, or 16 kHz mono samples.
#[derive(FromPyObject)]
enum Audio<'py> {
    Samples(PyReadonlyArray1<'py, f32>),
    Path(PathBuf),
}

/// What was said: the text, its language, and segments with times.
#[pyclass(frozen, module = "violet._core")]
#[derive(Clone)]
pub(super) struct Transcript(pub(super) transcript::Transcript);

/// One stretch of speech with its text, times and the decoder's own doubts.
#[pyclass(frozen, module = "violet._core")]
#[derive(Clone)]
pub(super) struct Segment(pub(super) transcript::Segment);

/// A word of a segment with its times and probability.
#[pyclass(frozen, module = "violet._core")]
#[derive(Clone)]
struct Word(transcript::Word);

#[pymethods]
impl Transcriber {
    #[new]
    #[pyo3(signature = (path, device="auto", num_threads=None, compute_type="auto"))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        device: &str,
        num_threads: Option<usize>,
        compute_type: &str,
    ) -> PyResult<Self> {
        let options = LoadOptions { device: device.parse()?, num_threads, compute_type: compute_type.parse()? };
        Ok(Self(Arc::new(py.detach(|| infer::Transcriber::load(&path, &options))?)))
    }

    /// Use this detector where silence is left out.
    fn use_vad(&self, vad: &Vad) {
        self.0.use_vad(Arc::clone(&vad.0));
    }

    /// True if it has a detector of voice activity.
    #[getter]
    fn has_vad(&self) -> bool {
        self.0.has_vad()
    }

    /// Transcribe a file or 16 kHz mono samples; `progress(fraction, text_so_far)` is called as the work goes on.
    #[pyo3(signature = (audio, options, progress=None))]
    fn transcribe(
        &self,
        py: Python<'_>,
        audio: Audio<'_>,
        options: &Bound<'_, PyAny>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Transcript> {
        let options = options::read(options)?;
        let recording = recording(py, audio)?;
        let mut interrupted = None;
        let result = py.detach(|| {
            self.0.transcribe_recording(recording, &options, &mut |state| {
                let answer = Python::attach(|py| {
                    py.check_signals()?;
                    match &progress {
                        Some(progress) => {
                            let text: String = state.segments.iter().map(|segment| segment.text.as_str()).collect();
                            let text = format!("{} {}", text.trim(), state.partial);
                            progress.call1(py, (state.fraction, text.trim())).map(|_| ())
                        }
                        None => Ok(()),
                    }
                });
                match answer {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        interrupted = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
        });
        match interrupted {
            Some(error) => Err(error),
            None => Ok(Transcript(result?)),
        }
    }

    /// Start to transcribe a file or 16 kHz mono samples; iterate over the segments as they are decoded.
    #[pyo3(signature = (audio, options, progress=None))]
    fn stream(
        &self,
        py: Python<'_>,
        audio: Audio<'_>,
        options: &Bound<'_, PyAny>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Stream> {
        let options = options::read(options)?;
        let recording = recording(py, audio)?;
        Ok(Stream::start(Arc::clone(&self.0), Some(recording), None, options, progress)?)
    }

    /// Start to transcribe chunks of 16 kHz mono samples from an iterable, as they come.
    #[pyo3(signature = (chunks, options, progress=None))]
    fn stream_live(
        &self,
        chunks: &Bound<'_, PyAny>,
        options: &Bound<'_, PyAny>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Stream> {
        let chunks = chunks.try_iter()?.into_any().unbind();
        Ok(Stream::start(Arc::clone(&self.0), None, Some(chunks), options::read(options)?, progress)?)
    }

    /// Every language that the model knows with its probability in the first 30 s of 16 kHz samples, the likeliest first.
    fn detect_language(&self, py: Python<'_>, samples: PyReadonlyArray1<'_, f32>) -> PyResult<Vec<(String, f32)>> {
        let samples = samples.as_array().to_vec();
        Ok(py.detach(|| self.0.detect_language(&samples))?)
    }

    /// Numbers that the model computes in.
    #[getter]
    fn compute_type(&self) -> &'static str {
        self.0.compute_type().name()
    }

    /// Where the model runs.
    #[getter]
    fn device(&self) -> &'static str {
        self.0.device()
    }

    /// True if the model knows more languages than English.
    #[getter]
    fn is_multilingual(&self) -> bool {
        self.0.is_multilingual()
    }

    /// Codes of the languages that the model knows.
    #[getter]
    fn languages(&self) -> Vec<&str> {
        self.0.languages()
    }
}

#[pymethods]
impl Transcript {
    /// The transcript in the JSON that `to_json` or `to_verbose_json` writes, within the wire protocol's limits.
    ///
    /// Raises:
    ///     `ValueError`: No transcript, or numbers that cannot be.
    ///     `violet.LimitError`: More than 4 MiB.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        Ok(Self(transcript::Transcript::from_json(text)?))
    }

    /// The whole text, without spaces at its ends.
    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    /// Code of the language spoken, such as `en`: the one given, or the one detected.
    #[getter]
    fn language(&self) -> &str {
        &self.0.language
    }

    /// Probability of that language, 0 to 1, where it was detected; else `None`.
    #[getter]
    fn language_probability(&self) -> Option<f32> {
        self.0.language_probability
    }

    /// Every language with its probability where it was detected, the likeliest first.
    #[getter]
    fn language_probabilities(&self) -> Vec<(String, f32)> {
        self.0.language_probabilities.clone()
    }

    /// Length of the audio, seconds.
    #[getter]
    fn duration_s(&self) -> f64 {
        self.0.duration_s
    }

    /// The parts of the text, in order of time.
    #[getter]
    fn segments(&self) -> Vec<Segment> {
        self.0.segments.iter().cloned().map(Segment).collect()
    }

    /// The segments' texts, one a line.
    fn to_txt(&self) -> String {
        self.0.to_txt()
    }

    /// Tab-separated start and end in milliseconds and the text of every segment.
    fn to_tsv(&self) -> String {
        self.0.to_tsv()
    }

    /// Subtitles in the form of `SubRip` (srt).
    ///
    /// The options need words with times and do nothing without: most characters a line, most lines or words a cue, and
    /// whether each word is underlined in its time, in a cue of its own. As openai-whisper's `WriteSRT`.
    #[pyo3(signature = (*, max_line_width=None, max_line_count=None, max_words_per_line=None, highlight_words=false))]
    fn to_srt(
        &self,
        max_line_width: Option<usize>,
        max_line_count: Option<usize>,
        max_words_per_line: Option<usize>,
        highlight_words: bool,
    ) -> String {
        self.0.to_srt(&SubtitleOptions { max_line_width, max_line_count, max_words_per_line, highlight_words })
    }

    /// Subtitles in the form of `WebVTT`; the options are those of `to_srt`. As openai-whisper's `WriteVTT`.
    #[pyo3(signature = (*, max_line_width=None, max_line_count=None, max_words_per_line=None, highlight_words=false))]
    fn to_vtt(
        &self,
        max_line_width: Option<usize>,
        max_line_count: Option<usize>,
        max_words_per_line: Option<usize>,
        highlight_words: bool,
    ) -> String {
        self.0.to_vtt(&SubtitleOptions { max_line_width, max_line_count, max_words_per_line, highlight_words })
    }

    /// JSON with openai-whisper's names, for files; `from_json` reads it too.
    fn to_verbose_json(&self) -> PyResult<String> {
        Ok(self.0.to_verbose_json()?)
    }

    /// One line of JSON, the form that travels between miners, proxy and validators.
    fn to_json(&self) -> PyResult<String> {
        Ok(self.0.to_json()?)
    }

    fn __repr__(&self) -> String {
        format!(
            "Transcript(language={:?}, duration_s={:.2}, text={:?})",
            self.0.language, self.0.duration_s, self.0.text
        )
    }
}

#[pymethods]
impl Segment {
    /// Position in the transcript, from 0.
    #[getter]
    fn id(&self) -> usize {
        self.0.id
    }

    /// Start, seconds.
    #[getter]
    fn start(&self) -> f64 {
        self.0.start
    }

    /// End, seconds.
    #[getter]
    fn end(&self) -> f64 {
        self.0.end
    }

    /// The text, with the leading space that the tokens have.
    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    /// Ids of the tokens, those of times included.
    #[getter]
    fn tokens(&self) -> Vec<u32> {
        self.0.tokens.clone()
    }

    /// Decoding temperature of the window's result that was kept, 0 to 2.
    #[getter]
    fn temperature(&self) -> f32 {
        self.0.temperature
    }

    /// Mean natural logarithm of the probability of the window's tokens, 0 or less.
    #[getter]
    fn avg_logprob(&self) -> f32 {
        self.0.avg_logprob
    }

    /// Bytes of the window's text (UTF-8) over those of its zlib compression: above 2.4 it likely repeats itself.
    #[getter]
    fn compression_ratio(&self) -> f32 {
        self.0.compression_ratio
    }

    /// Probability that nobody speaks in the window, 0 to 1.
    #[getter]
    fn no_speech_prob(&self) -> f32 {
        self.0.no_speech_prob
    }

    /// The words and their times; empty where they were not asked for.
    #[getter]
    fn words(&self) -> Vec<Word> {
        self.0.words.iter().cloned().map(Word).collect()
    }

    fn __repr__(&self) -> String {
        format!("Segment(start={:.2}, end={:.2}, text={:?})", self.0.start, self.0.end, self.0.text)
    }
}

#[pymethods]
impl Word {
    /// The word, with the space before it and the punctuation that belongs to it.
    #[getter]
    fn word(&self) -> &str {
        &self.0.word
    }

    /// Start, seconds.
    #[getter]
    fn start(&self) -> f64 {
        self.0.start
    }

    /// End, seconds.
    #[getter]
    fn end(&self) -> f64 {
        self.0.end
    }

    /// Mean probability of its tokens, 0 to 1.
    #[getter]
    fn probability(&self) -> f32 {
        self.0.probability
    }

    fn __repr__(&self) -> String {
        format!("Word(start={:.2}, end={:.2}, word={:?})", self.0.start, self.0.end, self.0.word)
    }
}

/// What is to be transcribed; files are decoded on the way.
fn recording(py: Python<'_>, audio: Audio<'_>) -> PyResult<Recording<'static>> {
    Ok(match audio {
        Audio::Path(path) => py.detach(|| Recording::open(&path, &Limits::default()))?,
        Audio::Samples(samples) => Recording::from_vec(samples.as_array().to_vec()),
    })
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Transcriber>()?;
    module.add_class::<Stream>()?;
    module.add_class::<Transcript>()?;
    module.add_class::<Segment>()?;
    module.add_class::<Word>()
}
