//! Parler-TTS voices through the public API, with random weights in small shapes; the codec's are candle-transformers' own.

#![cfg(feature = "parler")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_precision_loss, reason = "24 random bits")]

use std::{fs, sync::LazyLock};

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use candle_transformers::models::parler_tts::{Config, Model};
use tempfile::TempDir;
use violet::{
    Error,
    infer::{
        SpeechOptions, Synthesizer,
        device::Choice,
        tts::{Chunk, MAX_DESCRIPTION_BYTES, Reader},
    },
    text::speech::Lexicon,
};

const RATE: u32 = 44_100;
/// Samples of one step of the codec.
const HOP: usize = 512;
/// Size of the decoder's states.
const HIDDEN: usize = 16;
/// Room for tokens and steps together.
const N_POSITIONS: usize = 24;

const CONFIG: &str = r#"{
    "model_type": "parler_tts", "decoder_start_token_id": 17, "pad_token_id": 16, "vocab_size": 16,
    "decoder": {
        "vocab_size": 18, "max_position_embeddings": 24, "num_hidden_layers": 2, "ffn_dim": 32, "num_attention_heads": 2,
        "num_key_value_heads": null, "num_cross_attention_key_value_heads": null, "activation_function": "gelu",
        "hidden_size": 16, "scale_embedding": false, "num_codebooks": 2, "pad_token_id": 16, "bos_token_id": 17,
        "eos_token_id": 16, "tie_word_embeddings": false, "rope_embeddings": false, "rope_theta": 10000.0
    },
    "text_encoder": {
        "vocab_size": 16, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2,
        "relative_attention_num_buckets": 8, "dropout_rate": 0.0, "layer_norm_epsilon": 1e-6, "initializer_factor": 1.0,
        "feed_forward_proj": "gated-gelu", "is_encoder_decoder": true, "pad_token_id": 0, "eos_token_id": 1
    },
    "audio_encoder": {
        "num_codebooks": 2, "model_bitrate": 8, "codebook_size": 16, "latent_dim": 8, "frame_rate": 86,
        "sampling_rate": 44100
    }
}"#;

const TOKENIZER: &str = r#"{
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
    "model": {"type": "WordLevel", "unk_token": "<unk>", "vocab": {
        "<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "deep": 4, "bright": 5, "voice": 6, "Hello": 7, "world": 8, "!": 9
    }}
}"#;

/// A model that nobody changes.
static VOICE: LazyLock<(TempDir, Synthesizer)> = LazyLock::new(|| {
    let directory = made();
    let voice = Synthesizer::load(directory.path(), Choice::Auto, Some(1)).unwrap();
    (directory, voice)
});

/// Writes a model with random weights.
fn made() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let variables = VarMap::new();
    let config: Config = serde_json::from_str(CONFIG).unwrap();
    Model::new(&config, VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).unwrap();
    let mut state = 1_u64;
    let mut names: Vec<_> = variables.data().lock().unwrap().keys().cloned().collect();
    names.sort();
    for name in names {
        let data = variables.data().lock().unwrap();
        let variable = &data[&name];
        let mut values: Vec<f32> = (0..variable.elem_count())
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // In [-1, 1).
                ((state >> 40) as u32 as f32) / 8_388_608.0 - 1.0
            })
            .collect();
        if name.contains("lm_heads") {
            // The tokens of the beginning and the end are never the likeliest.
            values[16 * HIDDEN..].fill(0.0);
        } else if name.ends_with("alpha") {
            // The codec divides by them.
            for alpha in &mut values {
                *alpha += 1.5;
            }
        }
        variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    variables.save(directory.path().join("model.safetensors")).unwrap();
    fs::write(directory.path().join("config.json"), CONFIG).unwrap();
    fs::write(directory.path().join("tokenizer.json"), TOKENIZER).unwrap();
    directory
}

fn say(text: &str, options: &SpeechOptions) -> Result<Vec<Chunk>, Error> {
    VOICE.1.speak(text.to_owned(), Reader::English(Lexicon::default()), options)?.collect()
}

fn samples(text: &str, options: &SpeechOptions) -> Vec<f32> {
    say(text, options).unwrap().into_iter().flat_map(|chunk| chunk.samples).collect()
}

fn described(description: &str) -> SpeechOptions {
    SpeechOptions { description: Some(description.to_owned()), ..SpeechOptions::default() }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_other_ones() {
    assert_eq!(VOICE.1.voice().sample_rate, RATE);
    assert!(VOICE.1.voice().is_described);
    let once = samples("Hello world!", &SpeechOptions::default());
    // Three tokens; the second of two codebooks begins one step late.
    assert!(!once.is_empty() && once.len() <= (N_POSITIONS - 3 - 1) * HOP, "{}", once.len());
    assert!(once.iter().all(|x| x.abs() <= 1.0) && once.iter().any(|x| *x != 0.0));
    assert_eq!(once, samples("Hello world!", &SpeechOptions::default()));
    assert_ne!(once, samples("Hello world!", &SpeechOptions { seed: 1, ..SpeechOptions::default() }));
}

#[test]
fn the_description_and_the_text_change_what_is_said() {
    let calm = |options| SpeechOptions { noise_scale: Some(0.0), ..options };
    let deep = samples("Hello world!", &calm(described("a deep voice")));
    assert_eq!(deep, samples("Hello world!", &calm(described("a deep voice"))));
    assert_ne!(deep, samples("Hello world!", &calm(described("a bright voice"))));
    assert_ne!(samples("Hello world!", &described("a deep voice")), samples("a bright!", &described("a deep voice")));
}

#[test]
fn half_the_speed_lasts_twice_as_long() {
    let whole = samples("Hello world!", &SpeechOptions::default());
    let slow = samples("Hello world!", &SpeechOptions { speed: 0.5, ..SpeechOptions::default() });
    assert_eq!(slow.len(), 2 * whole.len());
}

#[test]
fn impossible_wishes_are_refused_with_what_is_possible() {
    let long = "a deep voice ".repeat(MAX_DESCRIPTION_BYTES / 13 + 1);
    for (options, expected) in [
        (described("  "), "some of them words"),
        (described(&long), "expected 1 to 2000"),
        (SpeechOptions { noise_w: Some(0.5), ..SpeechOptions::default() }, "noise_w"),
    ] {
        let message = say("Hello!", &options).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let message = say(&"Hello ".repeat(20), &SpeechOptions::default()).unwrap_err().to_string();
    assert!(message.contains("has 20 tokens; expected 1 to 12"), "{message}");
    #[cfg(not(feature = "candle-cuda"))]
    assert!(matches!(Synthesizer::load(VOICE.0.path(), Choice::Cuda(0), None), Err(Error::Unsupported(_))));
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let copy = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::hard_link(VOICE.0.path().join(name), copy.path().join(name)).unwrap();
    }
    let replaced = |name: &str, text: &str| {
        let path = copy.path().join(name);
        fs::remove_file(&path).unwrap();
        fs::write(path, text).unwrap();
    };
    let message = || Synthesizer::load(copy.path(), Choice::Cpu, None).map(|_| ()).unwrap_err().to_string();
    replaced("config.json", &CONFIG.replace("\"ffn_dim\": 32", "\"ffn_dim\": 33"));
    assert!(message().contains("fc1"), "{}", message());
    replaced("config.json", &CONFIG.replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 0"));
    assert!(message().contains("num_attention_heads 0"), "{}", message());
    replaced("config.json", "{\"model_type\": \"parler_tts\"}");
    assert!(message().contains("config.json") && message().contains("missing field"), "{}", message());
    replaced("config.json", CONFIG);
    replaced("tokenizer.json", "{}");
    assert!(message().contains("tokenizer.json"), "{}", message());
    fs::remove_file(copy.path().join("tokenizer.json")).unwrap();
    assert!(message().contains("tokenizer.json is not there"), "{}", message());
}
