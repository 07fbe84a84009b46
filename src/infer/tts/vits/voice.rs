//! A VITS voice with its settings, as an engine.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    model::{self, Vits},
    symbols::Symbols,
};
use crate::{
    Error, Result,
    infer::{
        tts::engine::{Engine, Manner, Reads, Sentence, Spoken, Voice},
        weights::{Checkpoint, read_json},
    },
};

/// Sample rates of voices, Hz.
const SAMPLE_RATES: std::ops::RangeInclusive<u64> = 8_000..=96_000;

/// A VITS voice.
#[derive(Debug)]
pub(in crate::infer::tts) struct VitsVoice {
    network: Vits,
    symbols: Symbols,
    reads: Reads,
    voice: Voice,
    noise_scale: f32,
    noise_w: f32,
    length_scale: f64,
}

/// Whether a path may be a VITS voice.
pub(in crate::infer::tts) fn opens(path: &Path) -> bool {
    let is_named = |suffix: &str| path.to_string_lossy().ends_with(suffix);
    if path.is_file() {
        return is_named(".onnx") || is_named(".onnx.json") || is_named(".safetensors");
    }
    let model_type = |config: Option<Value>| Some(config?.get("model_type")?.as_str()? == "vits");
    !graphs(path).is_empty()
        || read_json(&path.join("config.json")).is_ok_and(|config| model_type(config).unwrap_or(false))
}

/// The ONNX files of a directory, sorted.
fn graphs(directory: &Path) -> Vec<PathBuf> {
    let files = directory.read_dir().into_iter().flatten().filter_map(|file| Some(file.ok()?.path()));
    let mut found: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "onnx")).collect();
    found.sort();
    found
}

impl VitsVoice {
    /// Loads a Piper voice (its `.onnx`, its `.onnx.json`, or the directory of one), or a directory of Hugging Face's.
    ///
    /// # Errors
    /// [`Error::NotFound`] when a file is missing, [`Error::Unsupported`] for other networks, [`Error::Weights`] when
    /// files are damaged, [`Error::InvalidInput`] for a directory of several voices, [`Error::Io`].
    pub(in crate::infer::tts) fn load(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            return Self::huggingface(path.parent().unwrap_or(Path::new("")));
        }
        let found = graphs(path);
        match &found[..] {
            [] if path.is_dir() => Self::huggingface(path),
            [] => Self::piper(&path.with_extension("").with_extension("onnx")),
            [graph] => Self::piper(graph),
            several => {
                let names: Vec<_> = several.iter().filter_map(|file| file.file_name()?.to_str()).collect();
                let (path, names) = (path.display(), names.join(", "));
                Err(Error::InvalidInput(format!("{path} holds several voices; give the path of one: {names}")))
            }
        }
    }

    fn piper(graph: &Path) -> Result<Self> {
        let mut settings_path = graph.as_os_str().to_owned();
        settings_path.push(".json");
        let settings_path = PathBuf::from(settings_path);
        let settings = read_json(&settings_path)?.ok_or_else(|| {
            Error::NotFound(format!(
                "{} is not there: a Piper voice needs it beside its .onnx",
                settings_path.display()
            ))
        })?;
        let network = Vits::load(&Checkpoint::open(graph)?)?;
        let get = |names: &[&str]| names.iter().try_fold(&settings, |value, name| value.get(name));
        let number = |names: &[&str], default: f64| get(names).and_then(Value::as_f64).unwrap_or(default);
        let bad = |what: &str| Error::Weights { path: settings_path.clone(), reason: what.to_owned() };
        let kind = get(&["phoneme_type"]).and_then(Value::as_str).unwrap_or("espeak");
        let reads = match kind {
            "espeak" => Reads::Phonemes,
            "text" => Reads::Characters,
            other => {
                return Err(Error::Unsupported(format!(
                    "{}: phoneme_type is {other}; supported are espeak and text",
                    settings_path.display()
                )));
            }
        };
        let symbols = get(&["phoneme_id_map"]).and_then(|map| Symbols::piper(map, network.n_symbols()));
        let symbols = symbols.ok_or_else(|| {
            bad(&format!(
                "no usable phoneme_id_map; expected symbols with lists of numbers below {}",
                network.n_symbols()
            ))
        })?;
        let speakers = names_of(get(&["speaker_id_map"]), network.n_speakers());
        let language = get(&["language", "code"]).or_else(|| get(&["espeak", "voice"])).and_then(Value::as_str);
        let voice = Voice {
            name: graph.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            language: language.unwrap_or_default().to_owned(),
            espeak: get(&["espeak", "voice"]).and_then(Value::as_str).map(str::to_owned),
            sample_rate: sample_rate(get(&["audio", "sample_rate"])).map_err(|what| bad(&what))?,
            speakers,
            is_described: false,
        };
        Ok(Self {
            network,
            symbols,
            reads,
            voice,
            noise_scale: number(&["inference", "noise_scale"], 0.667) as f32,
            noise_w: number(&["inference", "noise_w"], 0.8) as f32,
            length_scale: number(&["inference", "length_scale"], 1.0),
        })
    }

    fn huggingface(directory: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(directory)?;
        let network = Vits::load(&checkpoint)?;
        let number = |name: &str, default: f64| checkpoint.setting(name).and_then(Value::as_f64).unwrap_or(default);
        let path = directory.join("vocab.json");
        let vocabulary = read_json(&path)?.ok_or_else(|| {
            Error::NotFound(format!("{} is not there: it says which characters the voice reads", path.display()))
        })?;
        let tokenizer = read_json(&directory.join("tokenizer_config.json"))?.unwrap_or(Value::Null);
        let flag = |name: &str| tokenizer.get(name).and_then(Value::as_bool);
        if flag("is_uroman") == Some(true) {
            return Err(Error::Unsupported(format!(
                "{}: the voice reads text that the program uroman has written in Latin letters; supported are voices that \
                 read their own script",
                directory.display()
            )));
        }
        let symbols = Symbols::characters(&vocabulary, network.n_symbols(), flag("add_blank").unwrap_or(true));
        let symbols = symbols.ok_or_else(|| Error::Weights {
            path: path.clone(),
            reason: format!("no vocabulary; expected characters with numbers below {}", network.n_symbols()),
        })?;
        let rate = sample_rate(checkpoint.setting("sampling_rate"))
            .map_err(|reason| Error::Weights { path: directory.join("config.json"), reason })?;
        let voice = Voice {
            name: directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            language: tokenizer.get("language").and_then(Value::as_str).unwrap_or_default().to_owned(),
            espeak: None,
            sample_rate: rate,
            speakers: names_of(None, network.n_speakers()),
            is_described: false,
        };
        Ok(Self {
            symbols,
            reads: if flag("phonemize") == Some(true) { Reads::Phonemes } else { Reads::Characters },
            voice,
            noise_scale: number("noise_scale", 0.667) as f32,
            noise_w: number("noise_scale_duration", 0.8) as f32,
            length_scale: 1.0 / number("speaking_rate", 1.0).clamp(0.01, 100.0),
            network,
        })
    }
}

fn sample_rate(value: Option<&Value>) -> std::result::Result<u32, String> {
    let rate = value.and_then(Value::as_u64).filter(|rate| SAMPLE_RATES.contains(rate));
    rate.and_then(|rate| u32::try_from(rate).ok()).ok_or_else(|| {
        let shown = value.map_or("missing".to_owned(), ToString::to_string);
        format!("the sample rate is {shown}; expected {} to {} Hz", SAMPLE_RATES.start(), SAMPLE_RATES.end())
    })
}

/// The names of speakers by their numbers; numbers where they have none.
fn names_of(map: Option<&Value>, n: usize) -> Vec<String> {
    if n < 2 {
        return Vec::new();
    }
    let mut names: Vec<String> = (0..n).map(|number| number.to_string()).collect();
    for (name, number) in map.and_then(Value::as_object).into_iter().flatten() {
        let number = number.as_u64().and_then(|number| usize::try_from(number).ok());
        if let Some(slot) = number.and_then(|number| names.get_mut(number)) {
            slot.clone_from(name);
        }
    }
    names
}

impl Engine for VitsVoice {
    fn voice(&self) -> &Voice {
        &self.voice
    }

    fn reads(&self) -> Reads {
        self.reads
    }

    fn speak(&self, sentence: &Sentence<'_>, manner: &Manner) -> Result<Spoken> {
        let numbered = self.symbols.of(sentence.words);
        if numbered.words.iter().all(std::ops::Range::is_empty) {
            return Ok(Spoken { skipped: numbered.skipped, ..Spoken::default() });
        }
        let manner = model::Manner {
            seed: manner.seed,
            part: sentence.number,
            noise_scale: manner.noise_scale.unwrap_or(self.noise_scale),
            noise_w: manner.noise_w.unwrap_or(self.noise_w),
            length_scale: self.length_scale,
            speed: manner.speed,
            speaker: manner.speaker,
        };
        let (samples, frames) = self.network.speak(&numbered.numbers, &manner, self.voice.sample_rate)?;
        let mut ends = vec![0];
        ends.extend(frames.iter().scan(0, |end, frames| {
            *end += frames * self.network.hop_length();
            Some(*end)
        }));
        let words = numbered.words.iter().map(|word| (!word.is_empty()).then(|| (ends[word.start], ends[word.end])));
        let words = words.collect();
        Ok(Spoken { samples, words, skipped: numbered.skipped })
    }
}
