//! Bindings of [`crate::infer::tts`] and of text to phonemes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::Error;
use crate::analysis;
use crate::espeak::Espeak;
use crate::infer::tts::{self, Pronounce, Reader};
use crate::text::speech::{Lexicon, Phonemizer};

/// A voice in memory; one may serve several threads.
#[pyclass(frozen, module = "violet._core")]
struct Synthesizer(tts::Synthesizer);

/// How a text is said, by the names of a mapping's items. The defaults are in `violet.synthesizer`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Arguments {
    speed: f64,
    seed: u64,
    speaker: Option<String>,
    noise_scale: Option<f32>,
    noise_w: Option<f32>,
    description: Option<String>,
    ssml: bool,
    sample_rate: Option<u32>,
    phonemizer: String,
    lexicon: Option<String>,
}

#[pymethods]
impl Synthesizer {
    #[new]
    #[pyo3(signature = (path, device="auto", num_threads=None))]
    fn new(py: Python<'_>, path: PathBuf, device: &str, num_threads: Option<usize>) -> PyResult<Self> {
        let device = device.parse()?;
        Ok(Self(py.detach(|| tts::Synthesizer::load(&path, device, num_threads))?))
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.voice().name
    }

    #[getter]
    fn language(&self) -> &str {
        &self.0.voice().language
    }

    #[getter]
    fn sample_rate(&self) -> u32 {
        self.0.voice().sample_rate
    }

    #[getter]
    fn speakers(&self) -> Vec<String> {
        self.0.voice().speakers.clone()
    }

    #[getter]
    fn is_described(&self) -> bool {
        self.0.voice().is_described
    }

    /// Begin to say a text; iterate over what is said.
    fn speak(&self, py: Python<'_>, text: String, options: Arguments) -> PyResult<SpeechStream> {
        let reader = reader(&options.phonemizer, options.lexicon.as_deref(), self.0.voice().espeak.as_deref())?;
        let options = tts::SpeechOptions {
            speed: options.speed,
            seed: options.seed,
            speaker: options.speaker,
            noise_scale: options.noise_scale,
            noise_w: options.noise_w,
            description: options.description,
            ssml: options.ssml,
            sample_rate: options.sample_rate,
        };
        Ok(SpeechStream(Mutex::new(py.detach(|| self.0.speak(text, reader, &options))?)))
    }
}

/// Text, samples, words with their times, and what was skipped.
type Chunk<'py> = (String, Bound<'py, PyArray1<f32>>, Vec<(String, f64, f64)>, Vec<char>);

/// A text while it is said.
#[pyclass(frozen, module = "violet._core")]
struct SpeechStream(Mutex<tts::Speech>);

#[pymethods]
impl SpeechStream {
    #[getter]
    fn sample_rate(&self, py: Python<'_>) -> u32 {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).sample_rate())
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Chunk<'py>>> {
        let next = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next()).transpose()?;
        Ok(next.map(|chunk| {
            let words = chunk.words.into_iter().map(|word| (word.text, word.start, word.end)).collect();
            let skipped = chunk.skipped.iter().map(|(c, _)| c).collect();
            (chunk.text, chunk.samples.into_pyarray(py), words, skipped)
        }))
    }
}

/// Each sentence of a text with the phonemes that a voice reads.
#[pyfunction]
#[pyo3(signature = (text, phonemizer="violet", lexicon=None))]
fn phonemize(py: Python<'_>, text: &str, phonemizer: &str, lexicon: Option<&str>) -> PyResult<Vec<(String, String)>> {
    let reader = reader(phonemizer, lexicon, None)?;
    Ok(py.detach(|| match reader {
        Reader::English(lexicon) => {
            let phonemizer = Phonemizer::new()?.with_lexicon(lexicon);
            let sentences = phonemizer.sentences(text).filter(|sentence| !sentence.is_silent());
            Ok(sentences.map(|said| (text[said.range.clone()].trim().to_owned(), said.phonemes())).collect())
        }
        Reader::Program(pronounce) => {
            let sentences = crate::text::speech::Sentences::new(text).map(|(range, _)| text[range].trim());
            let said = sentences
                .filter(|sentence| !sentence.is_empty())
                .map(|sentence| Ok((sentence.to_owned(), pronounce(sentence)?)));
            said.collect::<Result<Vec<_>, Error>>()
        }
    })?)
}

/// Speech at -16 LUFS (ITU-R BS.1770-4), its true peak at most -1 dBTP.
#[pyfunction]
fn normalize_loudness<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray1<'py, f32>,
    sample_rate: u32,
) -> Bound<'py, PyArray1<f32>> {
    let mut samples = samples.as_array().to_vec();
    py.detach(|| analysis::normalize_loudness(&mut samples, sample_rate));
    samples.into_pyarray(py)
}

/// The phonemizer of a name.
fn reader(phonemizer: &str, lexicon: Option<&str>, voice: Option<&str>) -> Result<Reader, Error> {
    match (phonemizer, lexicon) {
        ("violet", lexicon) => Ok(Reader::English(lexicon.map(Lexicon::parse).transpose()?.unwrap_or_default())),
        ("espeak", None) => {
            let espeak = Espeak::find(voice.unwrap_or("en-us"))?;
            let pronounce: Pronounce = Arc::new(move |sentence| espeak.phonemize(sentence));
            Ok(Reader::Program(pronounce))
        }
        ("espeak", Some(_)) => {
            Err(Error::InvalidInput("a lexicon is for the phonemizer violet; espeak has its own".to_owned()))
        }
        (other, _) => Err(Error::InvalidInput(format!("phonemizer is {other:?}; expected violet or espeak"))),
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Synthesizer>()?;
    module.add_class::<SpeechStream>()?;
    module.add_function(wrap_pyfunction!(phonemize, module)?)?;
    module.add_function(wrap_pyfunction!(normalize_loudness, module)?)
}
