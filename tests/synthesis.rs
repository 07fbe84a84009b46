//! Speech from text through the public API, against onnxruntime and transformers (`tests/data/make_vits.py`).
//!
//! Needs the models joe and silero-vad: in the directory `VIOLET_TEST_MODELS`, else in the user's cache.

#![cfg(feature = "infer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "numbers of a golden file")]

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use violet::{
    Error,
    infer::{
        SpeechOptions, Synthesizer,
        device::Choice,
        tts::{Chunk, Reader},
    },
    score::signal,
    text::speech::Lexicon,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn model(name: &str) -> PathBuf {
    let models = std::env::var_os("VIOLET_TEST_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/violet/models"),
        PathBuf::from,
    );
    let directory = models.join(name);
    assert!(
        directory.is_dir(),
        "{}: no model here; fetch it with `violet models fetch {name}`, or set VIOLET_TEST_MODELS",
        directory.display()
    );
    directory
}

fn load(path: &Path, num_threads: usize) -> Synthesizer {
    Synthesizer::load(path, Choice::Auto, Some(num_threads)).unwrap()
}

fn english() -> Reader {
    Reader::English(Lexicon::default())
}

fn plain() -> SpeechOptions {
    SpeechOptions { noise_scale: Some(0.0), noise_w: Some(0.0), ..SpeechOptions::default() }
}

fn say(voice: &Synthesizer, text: &str, options: &SpeechOptions) -> Result<Vec<Chunk>, Error> {
    voice.speak(text.to_owned(), english(), options)?.collect()
}

fn samples(voice: &Synthesizer, text: &str, options: &SpeechOptions) -> Vec<f32> {
    say(voice, text, options).unwrap().into_iter().flat_map(|chunk| chunk.samples).collect()
}

/// The weights of `make_vits.py`: sines of their place.
fn weight(name: &str, shape: &[usize]) -> Vec<u8> {
    let n: usize = shape.iter().product();
    let phase = name.bytes().map(f64::from).sum::<f64>();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let is_norm = name.contains("norm") || ends(&["weight_g", "original0"]);
    let value = |i: usize| {
        let sine = (0.7 * i as f64 + phase).sin();
        if is_norm {
            return if ends(&["weight", "weight_g", "original0"]) { 1.0 + 0.2 * sine } else { 0.1 * sine };
        }
        if shape.len() < 2 || ends(&["translate", "log_scale"]) {
            return 0.1 * sine;
        }
        sine * 1.5 / (shape[1..].iter().product::<usize>() as f64).sqrt()
    };
    (0..n).flat_map(|i| (value(i) as f32).to_le_bytes()).collect()
}

/// The small voice of `vits_tiny.json` as Hugging Face stores one.
fn tiny(golden: &Value) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let shapes = golden["shapes"].as_object().unwrap().iter();
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .map(|(name, shape)| {
            let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
            let bytes = weight(name, &shape);
            (name.clone(), shape, bytes)
        })
        .collect();
    let views: HashMap<&str, TensorView<'_>> = tensors
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()))
        .collect();
    safetensors::serialize_to_file(views, None, &directory.path().join("model.safetensors")).unwrap();
    fs::write(directory.path().join("config.json"), golden["config"].to_string()).unwrap();
    fs::write(directory.path().join("vocab.json"), golden["vocabulary"].to_string()).unwrap();
    directory
}

fn golden() -> Value {
    serde_json::from_slice(&fs::read(data("vits_tiny.json")).unwrap()).unwrap()
}

#[test]
fn the_voice_joe_says_what_onnxruntime_says() {
    let voice = load(&model("joe"), 2);
    let bytes = fs::read(data("vits_joe.bin")).unwrap();
    let expected: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let got = samples(&voice, "[[həlˈoʊ]], [[wˈɜːld]]!", &plain());
    assert_eq!(got.len(), expected.len());
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let correlation = product(&got, &expected) / (product(&got, &got) * product(&expected, &expected)).sqrt();
    assert!(correlation > 0.999_999, "{correlation}");
    let double = |samples: &[f32]| samples.iter().copied().map(f64::from).collect::<Vec<_>>();
    let (expected, got) = (double(&expected), double(&got));
    let pair = signal::Pair::new(&expected, &got, voice.voice().sample_rate).unwrap();
    let distance_db = signal::log_spectral_distance(&pair).unwrap().unwrap();
    assert!(distance_db < 0.5, "{distance_db} dB");
}

#[test]
fn a_voice_of_hugging_faces_says_what_transformers_says() {
    let golden = golden();
    let directory = tiny(&golden);
    let voice = load(directory.path(), 1);
    assert_eq!(voice.voice().speakers, ["0", "1", "2"]);
    let options = SpeechOptions { speaker: Some("1".to_owned()), ..plain() };
    let got = samples(&voice, golden["text"].as_str().unwrap(), &options);
    let expected: Vec<f32> = serde_json::from_value(golden["samples"].clone()).unwrap();
    assert_eq!(got.len(), expected.len());
    for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert!((got - expected).abs() < 2e-5, "sample {at} is {got}; expected {expected}");
    }
    let other = samples(&voice, "ab cab", &SpeechOptions { speaker: Some("2".to_owned()), ..plain() });
    assert_ne!(got, other);
}

#[test]
fn a_seed_says_the_same_bits_on_any_number_of_threads() {
    let golden = golden();
    let directory = tiny(&golden);
    // Long enough for several pieces of the decoder and several tiles of every layer.
    let text = "abc ".repeat(150);
    let with = |seed, num_threads| {
        samples(&load(directory.path(), num_threads), &text, &SpeechOptions { seed, ..SpeechOptions::default() })
    };
    let first = with(1, 1);
    assert!(first.len() > 8 * 300);
    assert!(first.iter().all(|sample| (-1.0..=1.0).contains(sample)));
    for num_threads in [2, 3] {
        assert_eq!(first, with(1, num_threads));
    }
    assert_ne!(first, with(2, 1));
}

#[test]
fn speed_changes_the_length_and_times_of_words_follow() {
    let golden = golden();
    let directory = tiny(&golden);
    let voice = load(directory.path(), 1);
    let text = "abc cba abc";
    let length = |speed| samples(&voice, text, &SpeechOptions { speed, ..plain() }).len() as f64;
    for (slow, fast) in [(0.25, 0.5), (0.5, 1.0), (1.0, 2.0)] {
        let ratio = length(slow) / length(fast);
        assert!((ratio - 2.0).abs() < 0.1, "{ratio} times as long at {slow} as at {fast}");
    }
    assert!(length(4.0) < 0.3 * length(1.0));
    let chunks = say(&voice, "abc cba. ab", &plain()).unwrap();
    let words: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.words).collect();
    assert_eq!(words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), ["abc", "cba.", "ab"]);
    assert!(words.windows(2).all(|pair| pair[0].start < pair[0].end && pair[0].end <= pair[1].start));
    let seconds = chunks.iter().map(|chunk| chunk.samples.len()).sum::<usize>() as f64 / 16_000.0;
    assert!(words[2].start >= chunks[0].samples.len() as f64 / 16_000.0 && words[2].end <= seconds);
}

#[test]
fn other_rates_are_as_long_in_time() {
    let golden = golden();
    let directory = tiny(&golden);
    let voice = load(directory.path(), 1);
    let text = "abc cba. ".repeat(20);
    let own = samples(&voice, &text, &plain()).len();
    let other = samples(&voice, &text, &SpeechOptions { sample_rate: Some(48_000), ..plain() }).len();
    assert_eq!(other, 3 * own);
}

#[test]
fn long_texts_are_said_piece_by_piece() {
    let golden = golden();
    let directory = tiny(&golden);
    let voice = load(directory.path(), 1);
    // Without an end: cut where it gets too long.
    let endless = "abc ".repeat(1 << 18);
    let mut speech = voice.speak(endless, english(), &plain()).unwrap();
    let first = speech.next().unwrap().unwrap();
    assert!(first.text.len() <= 1000 && speech.next().unwrap().is_ok());
    let error = voice.speak("a".repeat((16 << 20) + 1), english(), &plain()).err().unwrap();
    assert!(matches!(error, Error::TooLarge { limit_bytes: 16_777_216, .. }), "{error}");
}

#[test]
fn what_cannot_be_said_is_told() {
    let golden = golden();
    let directory = tiny(&golden);
    let voice = load(directory.path(), 1);
    let chunks = say(&voice, "abz caz ☃", &plain()).unwrap();
    let skipped: Vec<_> = chunks.iter().flat_map(|chunk| chunk.skipped.iter()).collect();
    assert_eq!(skipped, [('z', 2), ('☃', 1)]);
    let table = [
        ("", plain(), "the text is empty"),
        (" \n", plain(), "the text is empty"),
        ("☃☃", plain(), "nothing in the text can be said: 2 symbols skipped: '☃' (U+2603) 2 times"),
        ("abc", SpeechOptions { speed: 5.0, ..plain() }, "speed is 5; expected 0.25 to 4"),
        ("abc", SpeechOptions { speed: f64::NAN, ..plain() }, "speed is NaN"),
        ("abc", SpeechOptions { noise_w: Some(-1.0), ..plain() }, "noise_w is -1; expected 0 to 4"),
        ("abc", SpeechOptions { sample_rate: Some(1), ..plain() }, "sample_rate is 1; expected 8000 to 192000 Hz"),
        ("abc", SpeechOptions { speaker: Some("x".into()), ..plain() }, "no speaker \"x\"; expected one of 0, 1, 2"),
        ("<speak><a/></speak>", SpeechOptions { ssml: true, ..plain() }, "<a> is not supported"),
    ];
    for (text, options, want) in table {
        let error = say(&voice, text, &options).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    let lexicon = Reader::English(Lexicon::parse("abc\tˈeɪ").unwrap());
    let error = voice.speak("abc".to_owned(), lexicon, &plain()).err().unwrap();
    assert!(error.to_string().contains("reads letters"), "{error}");
}

#[test]
fn other_files_are_refused_with_what_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let graph = directory.path().join("voice.onnx");
    fs::copy(model("silero-vad").join("model.onnx"), &graph).unwrap();
    let error = |path: &Path| Synthesizer::load(path, Choice::Auto, None).unwrap_err().to_string();
    assert!(error(&graph).contains("voice.onnx.json is not there"));
    fs::write(directory.path().join("voice.onnx.json"), "{}").unwrap();
    let message = error(directory.path());
    assert!(message.contains("is no VITS voice: its tensors are") && message.contains("Piper's voices"), "{message}");
    fs::write(&graph, b"RIFF....WAVE").unwrap();
    assert!(error(&graph).contains("is not an ONNX model"));
    let other = directory.path().join("voice.mp3");
    fs::write(&other, b"ID3").unwrap();
    assert!(error(&other).contains("is no voice; supported are: VITS"));
    assert!(error(&directory.path().join("none")).contains("no voice here"));
    fs::copy(&graph, directory.path().join("second.onnx")).unwrap();
    assert!(error(directory.path()).contains("several voices; give the path of one: second.onnx, voice.onnx"));
    let error = Synthesizer::load(&model("joe"), Choice::Cuda(0), None).unwrap_err().to_string();
    assert!(error.contains("run on the processor"), "{error}");
}

#[test]
fn damaged_voices_are_refused_with_the_tensor() {
    let golden = golden();
    let directory = tiny(&golden);
    let path = directory.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Synthesizer::load(directory.path(), Choice::Auto, None).unwrap_err().to_string()
    };
    assert!(error(&bytes[..bytes.len() / 2]).contains("does not fit into the file"));
    let text = String::from_utf8_lossy(&bytes[..200_000.min(bytes.len())]).into_owned();
    let at = text.find("decoder.conv_post").unwrap();
    let mut renamed = bytes.clone();
    renamed[at] = b'D';
    assert!(error(&renamed).contains("decoder.conv_post.weight is missing"));
}
