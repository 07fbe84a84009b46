//! Speech quality and voices through the public API, against the originals (`tests/data/mos.json`).
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

/// The clips of `make_mos.py`, by the same arithmetic.
fn clip(name: &str) -> Vec<f32> {
    let jfk = jfk();
    match name {
        "whole" => jfk,
        "first_4_s" => jfk[..64_000].to_vec(),
        "first_0.5_s" => jfk[..8_000].to_vec(),
        "reversed" => jfk.into_iter().rev().collect(),
        "shuffled" => {
            let pieces: Vec<&[f32]> = jfk.chunks_exact(3_200).collect();
            pieces.iter().step_by(2).chain(pieces.iter().skip(1).step_by(2)).copied().flatten().copied().collect()
        }
        "half_gain" => jfk.into_iter().map(|sample| 0.5 * sample).collect(),
        "with_noise" => {
            let mut state = 1_u32;
            let mut noise = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (f64::from(state >> 8) / f64::from(1 << 23) - 1.0) as f32
            };
            jfk.into_iter().map(|sample| 0.8 * sample + 0.02 * noise()).collect()
        }
        "twice" => [jfk.clone(), jfk].concat(),
        "sine_220_hz_10_s" => {
            let step = 2.0 * std::f64::consts::PI * 220.0 / 16_000.0;
            (0..160_000).map(|n| (0.1 * (step * f64::from(n)).sin()) as f32).collect()
        }
        "silence_10_s" => vec![0.0; 160_000],
        other => panic!("no clip {other}"),
    }
}

fn golden() -> Vec<(String, Value)> {
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(data("mos.json")).unwrap()).unwrap();
    golden["clips"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

#[test]
fn distillmos_is_that_of_the_original() {
    let network = DistillMos::load(&model("distillmos")).unwrap();
    for (name, golden) in golden() {
        let (got, want) = (network.score(&clip(&name)).unwrap(), golden["distillmos"].as_f64().unwrap());
        assert!((got - want).abs() < 1e-3, "{name}: {got}, not {want}");
    }
}

#[test]
fn dnsmos_is_that_of_the_original() {
    let network = DnsMos::load(&model("dnsmos")).unwrap();
    for (name, golden) in golden() {
        let got = network.score(&clip(&name)).unwrap();
        for (part, got) in [("sig", got.sig), ("bak", got.bak), ("ovr", got.ovr), ("p808", got.p808)] {
            let want = golden["dnsmos"][part].as_f64().unwrap();
            assert!((got - want).abs() < 1e-3, "{name}, {part}: {got}, not {want}");
        }
    }
}

#[test]
fn voices_are_those_of_the_original() {
    let network = SpeakerEncoder::load(&model("ge2e")).unwrap();
    for (name, golden) in golden() {
        let got = network.embed(&clip(&name), PARTIALS_PER_S).unwrap();
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
    for name in ["whole", "half_gain", "with_noise"] {
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
    let clip = clip("twice");
    let with = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let dnsmos = dnsmos.score(&clip[..16_000 * 12]).unwrap();
            let voice = speaker.embed(&clip, 4.0).unwrap();
            (
                distillmos.score(&clip[..16_000 * 9]).unwrap().to_bits(),
                [dnsmos.sig, dnsmos.p808].map(f64::to_bits),
                voice,
            )
        })
    };
    let one = with(1);
    for n_threads in [2, 3, 8] {
        assert_eq!(with(n_threads), one, "{n_threads} threads");
    }
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
