//! Bindings of [`crate::infer`] and of transcripts.

use std::ops::ControlFlow;
use std::path::PathBuf;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::infer::{self, LoadOptions, Options};
use crate::text::transcript;

/// A Whisper model in memory; one may serve several threads.
#[pyclass(frozen, module = "violet._core")]
struct Transcriber(infer::Transcriber);

/// What was said: the text, its language, and segments with times.
#[pyclass(frozen, module = "violet._core")]
#[derive(Clone)]
struct Transcript(transcript::Transcript);

/// One stretch of speech with its text, times and the decoder's own doubts.
#[pyclass(frozen, module = "violet._core")]
#[derive(Clone)]
struct Segment(transcript::Segment);

#[pymethods]
impl Transcriber {
    #[new]
    #[pyo3(signature = (path, device="auto", num_threads=None))]
    fn new(py: Python<'_>, path: PathBuf, device: &str, num_threads: Option<usize>) -> PyResult<Self> {
        let options = LoadOptions { device: device.parse()?, num_threads, ..LoadOptions::default() };
        Ok(Self(py.detach(|| infer::Transcriber::load(&path, &options))?))
    }

    /// Transcribe 16 kHz mono samples; `progress(fraction, text_so_far)` is called as the work goes on.
    #[pyo3(signature = (samples, language=None, beam_size=1, temperature=vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0], prompt=None, progress=None))]
    #[allow(clippy::too_many_arguments, reason = "they are keyword arguments of the Python method")]
    fn transcribe(
        &self,
        py: Python<'_>,
        samples: PyReadonlyArray1<'_, f32>,
        language: Option<String>,
        beam_size: usize,
        temperature: Vec<f32>,
        prompt: Option<String>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Transcript> {
        let samples = samples.as_array().to_vec();
        let options = Options { language, beam_size, temperatures: temperature, prompt, ..Options::default() };
        let mut interrupted = None;
        let result = py.detach(|| {
            self.0.transcribe(&samples, &options, &mut |state| {
                let answer = Python::attach(|py| {
                    py.check_signals()?;
                    match &progress {
                        Some(progress) => {
                            let text: String = state.segments.iter().map(|segment| segment.text.as_str()).collect();
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
    /// Read a transcript from the JSON that `to_json` writes, within the limits of the wire protocol.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        Ok(Self(transcript::Transcript::from_json(text)?))
    }

    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    #[getter]
    fn language(&self) -> &str {
        &self.0.language
    }

    #[getter]
    fn language_probability(&self) -> Option<f32> {
        self.0.language_probability
    }

    #[getter]
    fn duration_s(&self) -> f64 {
        self.0.duration_s
    }

    #[getter]
    fn segments(&self) -> Vec<Segment> {
        self.0.segments.iter().cloned().map(Segment).collect()
    }

    /// Subtitles in the form of `SubRip` (srt).
    fn to_srt(&self) -> String {
        self.0.to_srt()
    }

    /// Subtitles in the form of `WebVTT`.
    fn to_vtt(&self) -> String {
        self.0.to_vtt()
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
    #[getter]
    fn id(&self) -> usize {
        self.0.id
    }

    #[getter]
    fn start(&self) -> f64 {
        self.0.start
    }

    #[getter]
    fn end(&self) -> f64 {
        self.0.end
    }

    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    #[getter]
    fn tokens(&self) -> Vec<u32> {
        self.0.tokens.clone()
    }

    #[getter]
    fn temperature(&self) -> f32 {
        self.0.temperature
    }

    #[getter]
    fn avg_logprob(&self) -> f32 {
        self.0.avg_logprob
    }

    #[getter]
    fn compression_ratio(&self) -> f32 {
        self.0.compression_ratio
    }

    #[getter]
    fn no_speech_prob(&self) -> f32 {
        self.0.no_speech_prob
    }

    fn __repr__(&self) -> String {
        format!("Segment(start={:.2}, end={:.2}, text={:?})", self.0.start, self.0.end, self.0.text)
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Transcriber>()?;
    module.add_class::<Transcript>()?;
    module.add_class::<Segment>()
}
