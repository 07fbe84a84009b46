//! Speech quality and voices through the public API, against the originals (`tests/data/mos.json`).
//!
//! Here the networks are hardly optimised, so only some clips are heard; `tests/python/test_quality.py` hears all.
//!
//! Needs the models distillmos, dnsmos, ge2e and silero-vad: in the directory `VIOLET_TEST_MODELS`, else in the user's cache.

#![cfg(feature = "infer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "numbers of a golden file")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use violet::{
    Error,
    audio::{self, Limits},
    infer::{
        DistillMos, DnsMos, SpeakerEncoder, Vad,
        speaker::{PARTIALS_PER_S, cosine_similarity, prepare},
    },
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

fn jfk() -> Vec<f32> {
    audio::load(data("jfk.flac"), Some(16_000), &Limits::default()).unwrap().waveform.into_samples()
}

/// Some of the clips of `make_mos.py`.
fn clip(name: &str) -> Vec<f32> {
    let jfk = jfk();
    match name {
        "whole" => jfk,
        "first_4_s" => jfk[..64_000].to_vec(),
        "first_0.5_s" => jfk[..8_000].to_vec(),
        "half_gain" => jfk.into_iter().map(|sample| 0.5 * sample).collect(),
        "silence_10_s" => vec![0.0; 160_000],
        other => panic!("no clip {other}"),
    }
}

/// What the originals say of a clip.
fn golden(name: &str) -> Value {
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(data("mos.json")).unwrap()).unwrap();
    golden["clips"][name].clone()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

#[test]
fn distillmos_is_that_of_the_original() {
    let network = DistillMos::load(&model("distillmos")).unwrap();
    for name in ["first_4_s", "first_0.5_s"] {
        let (got, want) = (network.score(&clip(name)).unwrap(), golden(name)["distillmos"].as_f64().unwrap());
        assert!((got - want).abs() < 1e-3, "{name}: {got}, not {want}");
    }
}

#[test]
fn dnsmos_is_that_of_the_original() {
    let network = DnsMos::load(&model("dnsmos")).unwrap();
    for name in ["whole", "first_0.5_s"] {
        let (got, golden) = (network.score(&clip(name)).unwrap(), golden(name));
        for (part, got) in [("sig", got.sig), ("bak", got.bak), ("ovr", got.ovr), ("p808", got.p808)] {
            let want = golden["dnsmos"][part].as_f64().unwrap();
            assert!((got - want).abs() < 1e-3, "{name}, {part}: {got}, not {want}");
        }
    }
}

#[test]
fn voices_are_those_of_the_original() {
    let network = SpeakerEncoder::load(&model("ge2e")).unwrap();
    for name in ["whole", "first_0.5_s", "silence_10_s"] {
        let (got, golden) = (network.embed(&clip(name), PARTIALS_PER_S).unwrap(), golden(name));
        let cosine = cosine_similarity(&got.embedding, &floats(&golden["voice"])).unwrap();
        assert!(cosine > 1.0 - 1e-6, "{name}: {cosine}");
        let starts: Vec<u64> = got.partials.iter().map(|partial| partial.start as u64).collect();
        let want: Vec<u64> = golden["partials"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert_eq!(starts, want, "{name}");
    }
}

#[test]
fn prepared_clips_have_the_level_and_the_voice_of_the_originals() {
    let (network, vad) = (SpeakerEncoder::load(&model("ge2e")).unwrap(), Vad::load(&model("silero-vad")).unwrap());
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(data("mos.json")).unwrap()).unwrap();
    for name in ["whole", "half_gain"] {
        let (samples, stretches) = prepare(&clip(name), &vad).unwrap();
        assert_eq!(samples.len(), stretches.iter().map(|(start, end)| end - start).sum::<usize>());
        let voice = network.embed(&samples, PARTIALS_PER_S).unwrap().embedding;
        let cosine = cosine_similarity(&voice, &floats(&golden["prepared"][name])).unwrap();
        // Another detector of pauses: close, not equal.
        assert!(cosine > 0.98, "{name}: {cosine}");
    }
    let (nothing, stretches) = prepare(&clip("silence_10_s"), &vad).unwrap();
    assert!(nothing.is_empty() && stretches.is_empty());
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let (distillmos, dnsmos) =
        (DistillMos::load(&model("distillmos")).unwrap(), DnsMos::load(&model("dnsmos")).unwrap());
    let speaker = SpeakerEncoder::load(&model("ge2e")).unwrap();
    let clip = clip("whole");
    let with = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let dnsmos = dnsmos.score(&clip).unwrap();
            let voice = speaker.embed(&clip[..16_000 * 4], 4.0).unwrap();
            (
                distillmos.score(&clip[..16_000 * 9]).unwrap().to_bits(),
                [dnsmos.sig, dnsmos.p808].map(f64::to_bits),
                voice,
            )
        })
    };
    assert_eq!(with(3), with(1));
}

#[test]
fn what_is_no_audio_is_refused() {
    let network = SpeakerEncoder::load(&model("ge2e")).unwrap();
    for (samples, reason) in [
        (Vec::new(), "the clip has no samples"),
        (vec![0.0, f32::NAN], "sample 1 is NaN; every sample must be finite"),
        (vec![0.0, 0.0, f32::INFINITY], "sample 2 is inf"),
        (vec![1200.0], "sample 0 is 1200; expected floats in [-1, 1]"),
    ] {
        let error = network.embed(&samples, PARTIALS_PER_S).unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)) && error.to_string().starts_with(reason), "{error}");
    }
}

#[test]
fn damaged_weights_are_refused_by_file_and_tensor() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(DistillMos::load(directory.path()), Err(Error::NotFound(_))));
    assert!(matches!(DnsMos::load(directory.path()), Err(Error::NotFound(_))));
    let path = directory.path().join("model.pt");
    let whole = std::fs::read(model("distillmos").join("model.pt")).unwrap();
    let older = std::fs::read(model("ge2e").join("model.pt")).unwrap();
    // Another model's weights, by the first tensor that is missed.
    std::fs::write(&path, &older).unwrap();
    let error = DistillMos::load(directory.path()).unwrap_err().to_string();
    assert!(error.contains("model.pt: tensor ") && error.contains(" is missing"), "{error}");
    // Cut short, and with a value that is no number.
    for bytes in [&whole[..whole.len() / 2], &older[..older.len() / 2], &whole[..100], b"PK\x03\x04", b""] {
        std::fs::write(&path, bytes).unwrap();
        assert!(DistillMos::load(directory.path()).is_err() && SpeakerEncoder::load(directory.path()).is_err());
    }
    let mut poisoned = older;
    poisoned[20_000..40_000].fill(0xff);
    std::fs::write(&path, &poisoned).unwrap();
    let error = SpeakerEncoder::load(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Weights { .. }) && error.to_string().contains("not finite"), "{error}");
}
