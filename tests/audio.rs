//! Log-mel features against openai-whisper's own on a public-domain clip.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking; lengths here are small"
)]

use std::path::{Path, PathBuf};

use violet::audio::{self, Limits};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn golden(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(data(name)).unwrap();
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn jfk() -> Vec<f32> {
    let decoded = audio::load(data("jfk.flac"), Some(16_000), &Limits::default()).unwrap();
    assert_eq!((decoded.waveform.n_samples(), decoded.skipped_packets), (176_000, 0));
    decoded.waveform.into_samples()
}

#[test]
fn log_mel_80_equals_whispers() {
    let (mel, want) = (audio::log_mel(&jfk(), 80, 0).unwrap(), golden("log_mel_jfk_mel80.bin"));
    assert_eq!(mel.dim(), (80, 1_100));
    assert_eq!(mel.len(), want.len());
    let worst = mel.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "worst difference {worst}");
}

#[test]
fn log_mel_128_equals_whispers() {
    let (mel, want) = (audio::log_mel(&jfk(), 128, 0).unwrap(), golden("log_mel_jfk_mel128_every_8th.bin"));
    let every_8th = mel.slice(ndarray::s![.., ..;8]);
    assert_eq!(every_8th.len(), want.len());
    let worst = every_8th.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "worst difference {worst}");
}

#[test]
fn log_mel_padded_to_30_s_equals_whispers() {
    let samples = jfk();
    let mel = audio::log_mel(&samples, 80, audio::mel::N_SAMPLES - samples.len()).unwrap();
    assert_eq!(mel.dim(), (80, audio::mel::N_FRAMES));
    for (row, want) in mel.rows().into_iter().zip(golden("log_mel_jfk_mel80_padded_sum.bin")) {
        let got: f64 = row.iter().map(|&value| f64::from(value)).sum();
        let mean_difference = (got - f64::from(want)).abs() / audio::mel::N_FRAMES as f64;
        assert!(mean_difference < 1e-4, "sum {got}, not {want}");
    }
}
