//! A voice, ready to speak.

use std::{path::Path, sync::Arc};

use super::{
    engine::{self, Engine, Manner, Reads, Voice},
    reader::{Reader, Script},
    speech::Speech,
};
use crate::{Error, Result, infer::device::Choice};

/// The longest text of one call, bytes: about three days of speech. It is read and said sentence by sentence.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// The longest description of a voice, bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 2_000;

/// Most threads that a synthesizer may have.
const MAX_THREADS: usize = 1024;
/// Speeds, relative to the voice's own.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.25..=4.0;
/// Highest noise: four times what voices are made for.
const MAX_NOISE: f32 = 4.0;
/// Sample rates that speech is given at, Hz.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// How a text is said.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechOptions {
    /// Relative to the voice's own speed, 0.25 to 4; the pitch stays.
    pub speed: f64,
    /// Of the noise: the same seed gives the same bits, on any number of threads.
    pub seed: u64,
    /// Name or number of the speaker; the first when `None`.
    pub speaker: Option<String>,
    /// How much the voice varies, 0 to 4; `None` for what the voice was made for.
    pub noise_scale: Option<f32>,
    /// How much the lengths of sounds vary, 0 to 4; `None` for what the voice was made for.
    pub noise_w: Option<f32>,
    /// How the voice sounds, in words, of at most [`MAX_DESCRIPTION_BYTES`]; only for voices that are made so (Parler-TTS).
    pub description: Option<String>,
    /// Whether the text is SSML.
    pub ssml: bool,
    /// Hz; the voice's own when `None`.
    pub sample_rate: Option<u32>,
}

impl Default for SpeechOptions {
    fn default() -> Self {
        Self {
            speed: 1.0,
            seed: 0,
            speaker: None,
            noise_scale: None,
            noise_w: None,
            description: None,
            ssml: false,
            sample_rate: None,
        }
    }
}

/// A voice in memory. Any number of threads may share it.
#[derive(Debug, Clone)]
pub struct Synthesizer {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) pool: Option<Arc<rayon::ThreadPool>>,
}

impl Synthesizer {
    /// Loads a voice (a file or directory of any engine) for a device; `num_threads` threads share the work, all when `None`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is there, [`Error::Unsupported`] for what is no voice, with what is supported,
    /// [`Error::Weights`] when it is damaged, [`Error::Io`]; [`Error::InvalidInput`] for an impossible number of threads.
    pub fn load(path: &Path, device: Choice, num_threads: Option<usize>) -> Result<Self> {
        let pool = match num_threads {
            None => None,
            Some(n) if (1..=MAX_THREADS).contains(&n) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
                let pool = pool.map_err(|error| Error::InvalidInput(format!("cannot start {n} threads: {error}")))?;
                Some(Arc::new(pool))
            }
            Some(n) => return Err(Error::InvalidInput(format!("num_threads is {n}; expected 1 to {MAX_THREADS}"))),
        };
        let engine = match &pool {
            Some(pool) => pool.install(|| engine::open(path, device))?,
            None => engine::open(path, device)?,
        };
        Ok(Self { engine: engine.into(), pool })
    }

    /// What is known of the voice.
    #[must_use]
    pub fn voice(&self) -> &Voice {
        self.engine.voice()
    }

    /// What the voice reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        self.engine.reads()
    }

    /// Begins to say a text: each sentence is said when it is asked for.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an empty text, markup that is not understood and impossible options;
    /// [`Error::TooLarge`] above [`MAX_TEXT_BYTES`]; [`Error::Unsupported`] for a language that `reader` does not know.
    pub fn speak(&self, text: String, reader: Reader, options: &SpeechOptions) -> Result<Speech> {
        if text.trim().is_empty() {
            return Err(Error::InvalidInput("the text is empty; expected something to say".to_owned()));
        }
        if text.len() > MAX_TEXT_BYTES {
            let (got_bytes, limit_bytes) = (text.len() as u64, MAX_TEXT_BYTES as u64);
            return Err(Error::TooLarge { what: "the text", got_bytes, limit_bytes });
        }
        let voice = self.engine.voice();
        if self.reads() == Reads::Phonemes
            && matches!(reader, Reader::English(_))
            && !voice.language.to_lowercase().starts_with("en")
        {
            return Err(Error::Unsupported(format!(
                "the voice {} speaks {}; the built-in phonemizer knows English: choose the phonemizer espeak",
                voice.name, voice.language
            )));
        }
        let manner = self.manner(options)?;
        let script = Script::new(text, options.ssml, self.engine.reads(), reader)?;
        Speech::new(self.clone(), script, manner, options.sample_rate)
    }

    fn manner(&self, options: &SpeechOptions) -> Result<Manner> {
        let bad = |what: String| Err(Error::InvalidInput(what));
        if !SPEEDS.contains(&options.speed) {
            return bad(format!("speed is {}; expected {} to {}", options.speed, SPEEDS.start(), SPEEDS.end()));
        }
        for (name, noise) in [("noise_scale", options.noise_scale), ("noise_w", options.noise_w)] {
            if let Some(noise) = noise.filter(|noise| !(0.0..=MAX_NOISE).contains(noise)) {
                return bad(format!("{name} is {noise}; expected 0 to {MAX_NOISE}"));
            }
        }
        if let Some(rate) = options.sample_rate.filter(|rate| !SAMPLE_RATES.contains(rate)) {
            let (least, most) = (SAMPLE_RATES.start(), SAMPLE_RATES.end());
            return bad(format!("sample_rate is {rate}; expected {least} to {most} Hz"));
        }
        if let Some(description) = &options.description {
            let voice = self.voice();
            if !voice.is_described {
                return bad(format!(
                    "the voice {} cannot be described; leave the description out, or use a Parler-TTS voice",
                    voice.name
                ));
            }
            if description.trim().is_empty() || description.len() > MAX_DESCRIPTION_BYTES {
                let n = description.len();
                return bad(format!(
                    "the description has {n} bytes; expected 1 to {MAX_DESCRIPTION_BYTES}, some of them words"
                ));
            }
        }
        Ok(Manner {
            speed: options.speed,
            seed: options.seed,
            speaker: self.speaker(options.speaker.as_deref())?,
            noise_scale: options.noise_scale,
            noise_w: options.noise_w,
            description: options.description.as_deref().map(Into::into),
        })
    }

    /// The number of a speaker.
    fn speaker(&self, asked: Option<&str>) -> Result<usize> {
        let speakers = &self.engine.voice().speakers;
        let Some(asked) = asked else { return Ok(0) };
        let number = asked.parse().ok().filter(|number| *number < speakers.len().max(1));
        speakers.iter().position(|name| name == asked).or(number).ok_or_else(|| {
            const MOST: usize = 20;
            let some = speakers.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::InvalidInput(match speakers.len() {
                0 => format!("no speaker {asked:?}: the voice has one speaker"),
                n if n > MOST => format!("no speaker {asked:?}; expected a number below {n} or one of {some} ..."),
                _ => format!("no speaker {asked:?}; expected one of {some}"),
            })
        })
    }
}
