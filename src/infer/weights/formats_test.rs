//! Every format gives the same tensors, for the structure of every published family; damaged files give errors.

use std::{fs, path::Path};

use candle_core::Device;
use proptest::prelude::*;
use safetensors::Dtype;

use super::Checkpoint;
use crate::{
    Error,
    infer::whisper::{
        Dimensions,
        small_ggml::{self, Stored as Ggml, write_ggml},
        small_model::{SmallModel, Stored, random_weights, write_ctranslate2_of, write_safetensors_of},
    },
};

/// The structures of tiny to large-v2, large-v3 (more mel bands), turbo and distil-whisper (few decoder layers), but
/// narrow.
const FAMILIES: [(&str, SmallModel); 4] = [
    ("large-v2", SmallModel { n_mels: 80, n_vocab: 50, n_encoder_layers: 3, n_decoder_layers: 3 }),
    ("large-v3", SmallModel { n_mels: 128, n_vocab: 51, n_encoder_layers: 3, n_decoder_layers: 3 }),
    ("turbo", SmallModel { n_mels: 128, n_vocab: 51, n_encoder_layers: 5, n_decoder_layers: 4 }),
    ("distil", SmallModel { n_mels: 128, n_vocab: 51, n_encoder_layers: 5, n_decoder_layers: 2 }),
];

/// Writes a model into a directory, in some format.
type Write = Box<dyn Fn(SmallModel, &Path)>;

/// All formats, and how far their values may be off: half of the step between two values of the format.
fn formats() -> Vec<(String, f32, Write)> {
    let mut formats: Vec<(String, f32, Write)> = Vec::new();
    for (dtype, tolerance) in [(Dtype::F32, 0.0), (Dtype::F16, 0.0), (Dtype::BF16, 0.25 / 256.0)] {
        for n_shards in [1, 3] {
            let write: Write = Box::new(move |model, path| write_safetensors_of(model, path, dtype, n_shards));
            formats.push((format!("safetensors {dtype:?} in {n_shards}"), tolerance, write));
        }
    }
    for (stored, tolerance) in [
        (Stored::F32, 0.0),
        (Stored::F16, 0.0),
        (Stored::I8, 0.25 / 254.0),
        (Stored::I8F16, 0.25 / 254.0),
        (Stored::I16, 0.25 / 2046.0),
    ] {
        let write: Write = Box::new(move |model, path| write_ctranslate2_of(model, path, stored));
        formats.push((format!("CTranslate2 {stored:?}"), tolerance, write));
    }
    for (stored, tolerance) in [
        (Ggml::F32, 0.0),
        (Ggml::F16, 0.0),
        (Ggml::Q4_0, 0.25 / 14.0),
        (Ggml::Q4_1, 0.25 / 15.0),
        (Ggml::Q5_0, 0.25 / 30.0),
        (Ggml::Q5_1, 0.25 / 31.0),
        (Ggml::Q8_0, 0.25 / 254.0),
    ] {
        let write: Write = Box::new(move |model, path| drop(write_ggml(model, path, stored)));
        formats.push((format!("ggml {stored:?}"), tolerance, write));
    }
    formats
}

#[test]
fn every_format_gives_the_tensors_of_every_family() {
    for (family, model) in FAMILIES {
        for (format, tolerance, write) in formats() {
            let directory = tempfile::tempdir().unwrap();
            write(model, directory.path());
            let checkpoint = Checkpoint::open(directory.path()).unwrap();
            let dimensions = Dimensions::of(&checkpoint).unwrap();
            assert_eq!(
                (dimensions.n_mels, dimensions.n_vocab, dimensions.n_encoder_layers, dimensions.n_decoder_layers),
                (model.n_mels, model.n_vocab, model.n_encoder_layers, model.n_decoder_layers),
                "{family} in {format}"
            );
            assert_eq!((dimensions.n_encoder_heads, dimensions.n_decoder_heads), (4, 4), "{family} in {format}");
            for (name, (shape, expected)) in random_weights(model) {
                let mut got = vec![0.0; expected.len()];
                checkpoint.read_into(&name, &shape, &mut got).unwrap();
                // Rounding of the scales themselves is small beside the steps.
                let tolerance = tolerance * 1.01;
                let is_close = |(got, expected): (&f32, &f32)| (got - expected).abs() <= tolerance;
                assert!(got.iter().zip(&expected).all(is_close), "{name} of {family} in {format}");
            }
        }
    }
}

#[test]
fn rows_and_pieces_and_tensors_are_the_same_values() {
    // Wide enough for several pieces.
    let model = SmallModel { n_vocab: 2000, ..SmallModel::default() };
    for (format, _, write) in formats() {
        let directory = tempfile::tempdir().unwrap();
        write(model, directory.path());
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        let (name, shape) = ("decoder.embed_tokens.weight", [2000, 32]);
        let mut all = vec![0.0; 2000 * 32];
        checkpoint.read_into(name, &shape, &mut all).unwrap();
        let tensor = checkpoint.tensor(name, &shape, &Device::Cpu).unwrap();
        assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), all, "{format}");
        for rows in [0..1, 3..3, 1..1999, 1999..2000, 0..2000] {
            let mut some = vec![0.0; rows.len() * 32];
            checkpoint.read_rows(name, &shape, rows.clone(), &mut some).unwrap();
            assert_eq!(some, all[rows.start * 32..rows.end * 32], "{format}, rows {rows:?}");
        }
        let refused = checkpoint.read_rows(name, &shape, 1999..2001, &mut [0.0; 64]);
        assert!(matches!(refused, Err(Error::InvalidInput(_))), "{refused:?}");
        let refused = checkpoint.read_into(name, &shape, &mut [0.0; 64]);
        assert!(matches!(refused, Err(Error::InvalidInput(_))), "{refused:?}");
    }
}

#[test]
fn a_model_is_opened_by_its_directory_or_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_safetensors_of(SmallModel::default(), directory.path(), Dtype::F16, 1);
    fs::rename(path("model.safetensors"), path("other.safetensors")).unwrap();
    write_ggml(SmallModel::default(), directory.path(), small_ggml::Stored::F16);
    assert_eq!(Checkpoint::open(directory.path()).unwrap().vocabulary().unwrap()[..], [&b"a"[..], b"bc", b""]);
    let from_file = Checkpoint::open(&path("other.safetensors")).unwrap();
    assert!(from_file.vocabulary().is_none());
    assert_eq!(from_file.directory(), directory.path());
    assert_eq!(Dimensions::of(&from_file).unwrap().n_encoder_heads, 4, "config.json beside the file is read");
    fs::rename(path("ggml-small.bin"), path("weights.of-mine")).unwrap();
    assert!(Checkpoint::open(&path("weights.of-mine")).unwrap().vocabulary().is_some());
    fs::copy(path("weights.of-mine"), path("ggml-a.bin")).unwrap();
    fs::copy(path("weights.of-mine"), path("ggml-b.bin")).unwrap();
    let several = Checkpoint::open(directory.path()).unwrap_err();
    assert!(matches!(&several, Error::InvalidInput(text) if text.contains("ggml-a.bin, ggml-b.bin")), "{several}");
    assert!(matches!(Checkpoint::open(&path("nothing")), Err(Error::NotFound(_))));
}

#[test]
fn other_models_are_called_by_their_kind() {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors_of(SmallModel::default(), directory.path(), Dtype::F32, 1);
    for (config, kind) in
        [(r#"{"model_type": "llama"}"#, "llama"), (r#"{"architectures": ["VitsModel"]}"#, "VitsModel")]
    {
        fs::write(directory.path().join("config.json"), config).unwrap();
        let error = Dimensions::of(&Checkpoint::open(directory.path()).unwrap()).unwrap_err();
        assert!(matches!(&error, Error::Unsupported(text) if text.contains(kind)), "{error}");
    }
    for (bytes, kind) in
        [(&b"GGUF\x03\0\0\0"[..], "GGUF"), (b"PK\x03\x04....", "PyTorch"), (b"version https://git-lfs", "LFS")]
    {
        let path = directory.path().join("ggml-x.bin");
        fs::write(&path, bytes).unwrap();
        let error = Checkpoint::open(&path).unwrap_err();
        assert!(matches!(&error, Error::Unsupported(text) if text.contains(kind)), "{error}");
    }
}

/// Reads everything in a damaged model, as loading does.
fn read_all(path: &Path) -> Result<(), Error> {
    let checkpoint = Checkpoint::open(path)?;
    Dimensions::of(&checkpoint)?;
    let names: Vec<String> = checkpoint.names().map(str::to_owned).collect();
    for name in names {
        let shape = checkpoint.shape(&name).unwrap().to_vec();
        checkpoint.tensor(&name, &shape, &Device::Cpu)?;
    }
    Ok(())
}

#[test]
fn a_truncated_ggml_file_is_an_error_that_names_it_at_every_length() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ggml-small.bin");
    let bytes = write_ggml(SmallModel::default(), directory.path(), small_ggml::Stored::Q5_0);
    for len in (4..200).chain((200..bytes.len()).step_by(487)).chain([bytes.len() - 1]) {
        fs::write(&path, &bytes[..len]).unwrap();
        let error = read_all(&path).unwrap_err();
        assert!(matches!(&error, Error::Weights { path, .. } if path.ends_with("ggml-small.bin")), "{len}: {error}");
    }
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let error = read_all(&path).unwrap_err().to_string();
    assert!(error.contains("in tensor encoder.blocks.1.attn_ln.weight"), "{error}");
}

#[test]
fn what_is_not_a_number_is_named_by_file_and_tensor() {
    let directory = tempfile::tempdir().unwrap();
    write_ctranslate2_of(SmallModel::default(), directory.path(), Stored::F32);
    let path = directory.path().join("model.bin");
    let bytes = fs::read(&path).unwrap();
    let name = b"encoder/conv1/bias\0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 1 + 4 + 1 + 4;
    for value in [f32::NAN, f32::INFINITY] {
        let mut damaged = bytes.clone();
        damaged[at..at + 4].copy_from_slice(&value.to_le_bytes());
        fs::write(&path, damaged).unwrap();
        let error = read_all(&path).unwrap_err().to_string();
        assert!(error.contains("model.bin") && error.contains("encoder.conv1.bias"), "{error}");
    }
}

#[test]
fn a_wrong_shape_names_both_shapes() {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors_of(SmallModel::default(), directory.path(), Dtype::F32, 1);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let error = checkpoint.tensor("encoder.conv1.bias", &[33], &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("[32]") && error.contains("[33]") && error.contains("model.safetensors"), "{error}");
}

#[test]
fn sizes_that_contradict_the_tensors_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ggml-small.bin");
    let bytes = write_ggml(SmallModel::default(), directory.path(), small_ggml::Stored::F16);
    // n_vocab, n_audio_ctx, n_audio_state, n_audio_layer, n_text_ctx, n_text_layer.
    for at in [4, 8, 12, 20, 24, 36] {
        let mut damaged = bytes.clone();
        damaged[at] += 1;
        fs::write(&path, damaged).unwrap();
        let error = Checkpoint::open(&path).unwrap_err();
        assert!(matches!(error, Error::Weights { .. }), "byte {at}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Nothing that is read says more than the file holds, so nothing larger is allocated.
    #[test]
    fn flipped_bytes_never_panic_and_tensors_never_exceed_the_file(
        format in 0..4_usize,
        flips in prop::collection::vec((0..6000_usize, 1..=255_u8), 1..6),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let model = SmallModel::default();
        let name = match format {
            0 => { write_ggml(model, directory.path(), small_ggml::Stored::Q5_1); "ggml-small.bin" }
            1 => { write_ggml(model, directory.path(), small_ggml::Stored::F16); "ggml-small.bin" }
            2 => { write_ctranslate2_of(model, directory.path(), Stored::I8); "model.bin" }
            _ => { write_safetensors_of(model, directory.path(), Dtype::F16, 1); "model.safetensors" }
        };
        let path = directory.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        for (at, mask) in flips {
            let at = at % bytes.len();
            bytes[at] ^= mask;
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            for name in checkpoint.names() {
                let n: usize = checkpoint.shape(name).unwrap().iter().product();
                // The smallest block takes 18 bytes for 32 values.
                prop_assert!(n <= 2 * bytes.len(), "{} claims {n} values in {} bytes", name, bytes.len());
            }
        }
        match read_all(&path) {
            Ok(()) => {}
            Err(error) => prop_assert!(error.to_string().contains(name), "{error}"),
        }
    }
}
