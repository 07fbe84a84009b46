//! Parler-TTS: voices that a description in words makes ("a woman speaks fast in a small room"), by
//! candle-transformers' network.
//!
//! Source: Lyth and King, "Natural language guidance of high-fidelity text-to-speech with synthetic annotations" (2024).

use std::path::Path;

use candle_core::{DType, Device, IndexOp, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use candle_transformers::{
    generation::LogitsProcessor,
    models::parler_tts::{Config, Model},
};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::{
    Error, Result,
    audio::stretch,
    infer::{
        device::{self, Choice},
        tts::engine::{Engine, Manner, Reads, Sentence, Spoken, Voice},
        weights::{Checkpoint, read_json},
    },
};

/// How a voice sounds that nobody described.
const DESCRIPTION: &str =
    "A clear voice speaks at a moderate speed, recorded very close, without any background noise.";
/// The longest description, tokens; attention to it is paid at every step.
const MAX_DESCRIPTION_TOKENS: usize = 512;
/// The longest speech of one sentence, seconds: what the networks were trained on.
const MAX_SENTENCE_S: f64 = 30.0;
/// How much the voice varies where nobody says, as a temperature.
const NOISE_SCALE: f32 = 1.0;

/// A Parler-TTS model.
#[derive(Debug)]
pub(super) struct ParlerVoice {
    model: Model,
    tokenizer: Tokenizer,
    voice: Voice,
    device: Device,
    /// Steps of the codec a second.
    frame_rate: f64,
    /// Most tokens and steps of a sentence together.
    n_positions: usize,
    /// Numbers of the text's tokens, below.
    n_tokens: u32,
}

/// Whether a path may be such a model: by `model_type` of its `config.json`.
pub(super) fn opens(path: &Path) -> bool {
    let config = read_json(&path.join("config.json")).ok().flatten();
    config.as_ref().and_then(|config| config.get("model_type")).and_then(Value::as_str) == Some("parler_tts")
}

/// Tensors of a checkpoint as candle asks for them.
struct Named(Checkpoint);

impl SimpleBackend for Named {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.0.tensor(name, shape.dims(), device).map_err(candle_core::Error::wrap)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let shape = self.0.shape(name).map(<[usize]>::to_vec).unwrap_or_default();
        self.get(shape.into(), name, Init::Const(0.0), dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.shape(name).is_some()
    }
}

impl ParlerVoice {
    /// Loads a directory with `config.json`, safetensors and `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing file, [`Error::Weights`] for a damaged one, [`Error::Unsupported`] for a device
    /// that this build or machine does not have.
    pub(super) fn load(path: &Path, choice: Choice) -> Result<Self> {
        let device = open_device(choice)?;
        let config_path = path.join("config.json");
        let damaged = |path: &Path, reason: String| Error::Weights { path: path.to_owned(), reason };
        let value = read_json(&config_path)?.unwrap_or(Value::Null);
        let config: Config = serde_json::from_value(value)
            .map_err(|error| damaged(&config_path, format!("not Parler's settings: {error}")))?;
        check(&config).map_err(|reason| damaged(&config_path, reason))?;
        let tokenizer_path = path.join("tokenizer.json");
        if !tokenizer_path.is_file() {
            return Err(Error::NotFound(format!(
                "{} is not there: the voice reads its tokens",
                tokenizer_path.display()
            )));
        }
        let tokenizer = Tokenizer::from_file(&tokenizer_path)
            .map_err(|error| damaged(&tokenizer_path, format!("not a tokenizer: {error}")))?;
        let checkpoint = Checkpoint::open(path)?;
        let tensors = VarBuilder::from_backend(Box::new(Named(checkpoint)), DType::F32, device.clone());
        let model = Model::new(&config, tensors).map_err(|error| damaged(path, error.to_string()))?;
        let codec = &config.audio_encoder;
        Ok(Self {
            model,
            tokenizer,
            voice: Voice {
                name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                language: "en".to_owned(),
                espeak: None,
                sample_rate: codec.sampling_rate,
                speakers: Vec::new(),
                is_described: true,
            },
            device,
            frame_rate: f64::from(codec.frame_rate),
            n_positions: config.decoder.max_position_embeddings,
            n_tokens: u32::try_from(config.vocab_size.min(config.text_encoder.vocab_size)).unwrap_or(u32::MAX),
        })
    }

    /// `[1, n]`.
    fn tokens(&self, what: &str, text: &str, most: usize) -> Result<Tensor> {
        let encoding = self.tokenizer.encode(text, true);
        let encoding =
            encoding.map_err(|error| Error::InvalidInput(format!("{what} {text:?} cannot be read: {error}")))?;
        let ids = encoding.get_ids();
        if ids.is_empty() || ids.len() > most {
            return Err(Error::InvalidInput(format!("{what} has {} tokens; expected 1 to {most}", ids.len())));
        }
        if let Some(id) = ids.iter().find(|id| **id >= self.n_tokens) {
            return Err(Error::InvalidInput(format!(
                "{what}: token {id} of tokenizer.json; the network knows those below {}",
                self.n_tokens
            )));
        }
        Ok(Tensor::new(ids, &self.device)?.unsqueeze(0)?)
    }
}

/// candle's device of a choice.
fn open_device(choice: Choice) -> Result<Device> {
    match choice.open()? {
        device::Device::Cpu => Ok(Device::Cpu),
        device::Device::Metal(device) => Ok(device),
        device::Device::Cuda(index) if cfg!(feature = "candle-cuda") => Ok(Device::new_cuda(index)?),
        // Whisper has a GPU in this build, candle has none.
        device::Device::Cuda(_) if choice == Choice::Auto => Ok(Device::Cpu),
        device::Device::Cuda(_) => Err(Error::Unsupported(
            "this build has no CUDA for Parler-TTS voices (feature `candle-cuda`); use the device `auto` or `cpu`"
                .into(),
        )),
    }
}

/// Settings that the network would divide by, or ask too much memory for.
fn check(config: &Config) -> std::result::Result<(), String> {
    let decoder = &config.decoder;
    let n_heads = decoder.num_attention_heads;
    let key_heads = decoder.num_key_value_heads.unwrap_or(n_heads);
    if n_heads == 0
        || !decoder.hidden_size.is_multiple_of(n_heads)
        || key_heads == 0
        || !n_heads.is_multiple_of(key_heads)
    {
        return Err(format!(
            "hidden_size {} and num_attention_heads {n_heads}, num_key_value_heads {key_heads} do not divide each other",
            decoder.hidden_size
        ));
    }
    let codec = &config.audio_encoder;
    if codec.num_codebooks != decoder.num_codebooks || codec.num_codebooks == 0 {
        return Err(format!(
            "{} codebooks in the codec, {} in the decoder",
            codec.num_codebooks, decoder.num_codebooks
        ));
    }
    if !(8_000..=96_000).contains(&codec.sampling_rate) || !(1..=1_000).contains(&codec.frame_rate) {
        return Err(format!("sampling_rate {} and frame_rate {} of the codec", codec.sampling_rate, codec.frame_rate));
    }
    Ok(())
}

impl Engine for ParlerVoice {
    fn voice(&self) -> &Voice {
        &self.voice
    }

    fn reads(&self) -> Reads {
        Reads::Characters
    }

    fn speak(&self, sentence: &Sentence<'_>, manner: &Manner) -> Result<Spoken> {
        if manner.noise_w.is_some() {
            return Err(Error::InvalidInput("noise_w has no effect on a Parler-TTS voice; noise_scale has".to_owned()));
        }
        let text: Vec<_> = sentence.words.iter().map(|word| word.text.as_str()).collect();
        let prompt = self.tokens("the sentence", &text.join(" "), self.n_positions / 2)?;
        let description = manner.description.as_deref().unwrap_or(DESCRIPTION);
        let description = self.tokens("the description", description, MAX_DESCRIPTION_TOKENS)?;
        let n_steps = (self.n_positions - prompt.dim(1)? - 1).min((MAX_SENTENCE_S * self.frame_rate) as usize);
        let temperature = f64::from(manner.noise_scale.unwrap_or(NOISE_SCALE));
        // Sentences draw numbers of their own.
        let seed = manner.seed ^ sentence.number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let chooser = LogitsProcessor::new(seed, (temperature > 0.0).then_some(temperature), None);
        // A copy has the same weights, and keys and values of its own.
        let mut model = self.model.clone();
        let codes = model.generate(&prompt, &description, chooser, n_steps)?;
        let n_words = sentence.words.len();
        if codes.dim(1)? == 0 {
            return Ok(Spoken { samples: Vec::new(), words: vec![None; n_words], ..Spoken::default() });
        }
        let codes = codes.to_dtype(DType::I64)?.unsqueeze(0)?.to_device(&self.device)?;
        let samples: Vec<f32> = model.audio_encoder.decode_codes(&codes)?.i((0, 0))?.to_dtype(DType::F32)?.to_vec1()?;
        let samples: Vec<f32> =
            samples.into_iter().map(|x| if x.is_finite() { x.clamp(-1.0, 1.0) } else { 0.0 }).collect();
        let samples = stretch(&samples, self.voice.sample_rate, manner.speed)?;
        // The network does not say when it says a word.
        Ok(Spoken { samples, words: vec![None; n_words], ..Spoken::default() })
    }
}
