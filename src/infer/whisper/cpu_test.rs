//! The processor's engine against the one of tensors, which computes in f32 with operations of candle's.

use candle_core::{Device, Tensor};
use safetensors::Dtype;

use super::{config::Dimensions, cpu, model_test::model_directory, small_model::write_safetensors, tensor};
use crate::{
    Error,
    audio::{self, Limits, mel::N_SAMPLES},
    infer::{compute_type::ComputeType, weights::Checkpoint},
};

const N_FRAMES: usize = 40;
const N_VOCAB: usize = 50;

fn small() -> (tempfile::TempDir, Checkpoint) {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors(directory.path(), Dtype::F32, 1);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    (directory, checkpoint)
}

fn mel() -> Vec<f32> {
    (0..8 * N_FRAMES).map(|n| (n as f32).sin()).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Scores after each of some tokens.
fn scores(model: &cpu::Model, audio: &cpu::Audio, tokens: &[u32]) -> Vec<f32> {
    let wanted: Vec<usize> = (0..tokens.len()).collect();
    let mut cache = model.new_cache(audio, 1);
    model.decode(&mut [cpu::Step { cache: &mut cache, tokens, wanted: &wanted }]).unwrap().concat()
}

#[test]
fn both_engines_compute_the_same() {
    let (_directory, checkpoint) = small();
    let tensors = tensor::Model::load(&checkpoint, &Device::Cpu).unwrap();
    let audio = tensors.encode(&[&mel()], N_FRAMES).unwrap().remove(0);
    let (tokens, heads) = ([1, 2, 3, 4, 5], [(0, 1), (1, 3)]);
    let mut cache = tensors.new_cache(&audio, 1).unwrap();
    let expected = tensors.decode(&tokens, &[0, 1, 2, 3, 4], &mut cache).unwrap();
    let expected_features =
        tensors.features(&Tensor::from_vec(mel(), (1, 8, N_FRAMES), &Device::Cpu).unwrap()).unwrap();
    let expected_features = expected_features.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let expected_alignment = tensors.align(&audio, &tokens, &heads).unwrap();
    // int8: half a unit of 1/127 in every number of both sides of every product.
    for (compute_type, tolerance, likeness) in
        [(ComputeType::Float32, 2e-4, 0.999_999), (ComputeType::Int8, 0.2, 0.999)]
    {
        let model = cpu::Model::load(&checkpoint, compute_type).unwrap();
        let features = model.features(&mel(), N_FRAMES);
        assert!(largest_difference(&features, &expected_features) < tolerance, "{compute_type}");
        let audio = model.encode(&[&mel()], N_FRAMES).remove(0);
        let got = scores(&model, &audio, &tokens);
        assert!(cosine(&got, &expected) > likeness, "{compute_type}: {}", cosine(&got, &expected));
        let alignment = model.align(&audio, &tokens, &heads).unwrap();
        assert!(largest_difference(&alignment.scores, &expected_alignment.scores) < tolerance, "{compute_type}");
        assert_eq!(alignment.logits, got, "{compute_type}");
    }
}

#[test]
fn features_in_int8_are_those_in_floats() {
    let clip = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jfk.flac");
    let mut samples = audio::load(clip, Some(16_000), &Limits::default()).unwrap().waveform.into_samples();
    samples.resize(N_SAMPLES, 0.0);
    let mel = audio::log_mel(&samples, 80, 0).unwrap();
    let (n_frames, mel) = (mel.ncols(), mel.iter().copied().collect::<Vec<f32>>());
    for name in ["tiny.en", "base"] {
        let checkpoint = Checkpoint::open(&model_directory(name)).unwrap();
        let [floats, integers] = [ComputeType::Float32, ComputeType::Int8]
            .map(|compute_type| cpu::Model::load(&checkpoint, compute_type).unwrap().features(&mel, n_frames));
        assert!(cosine(&floats, &integers) > 0.995, "{name}: {}", cosine(&floats, &integers));
    }
}

#[test]
fn in_int8_a_row_has_the_same_bits_in_any_company() {
    let (_directory, checkpoint) = small();
    let model = cpu::Model::load(&checkpoint, ComputeType::Int8).unwrap();
    let other: Vec<f32> = mel().iter().map(|x| 1.0 - x).collect();
    let audios = model.encode(&[&mel(), &other], N_FRAMES);
    let sequences: [&[u32]; 3] = [&[1, 2, 3], &[4, 5, 6], &[7, 8, 9]];
    let alone: Vec<_> = sequences.iter().map(|tokens| scores(&model, &audios[0], tokens)).collect();
    let hears_other = scores(&model, &audios[1], sequences[0]);
    let (mut cache, mut other_cache) = (model.new_cache(&audios[0], 3), model.new_cache(&audios[1], 1));
    let together = model
        .decode(&mut [
            cpu::Step { cache: &mut other_cache, tokens: sequences[0], wanted: &[0, 1, 2] },
            cpu::Step { cache: &mut cache, tokens: &sequences.concat(), wanted: &[0, 1, 2] },
        ])
        .unwrap();
    assert_eq!(together[0], hears_other);
    assert_eq!(together[1], alone.concat());
    assert_ne!(alone[0], hears_other);
}

#[test]
fn a_step_that_does_not_fit_changes_no_cache() {
    let (_directory, checkpoint) = small();
    let model = cpu::Model::load(&checkpoint, ComputeType::Auto).unwrap();
    let dimensions = Dimensions::of(&checkpoint).unwrap();
    assert_eq!(cpu::Model::compute_type_of(&dimensions, ComputeType::Auto).unwrap(), ComputeType::Int8);
    let audio = model.encode(&[&mel()], N_FRAMES).remove(0);
    let (mut good, mut bad) = (model.new_cache(&audio, 1), model.new_cache(&audio, 2));
    let impossible: [(&[u32], &[usize]); 5] =
        [(&[1, 2, 3], &[]), (&[], &[]), (&[1, 2], &[1]), (&[1, 50], &[]), (&[0; 34], &[])];
    for (tokens, wanted) in impossible {
        let mut steps =
            [cpu::Step { cache: &mut good, tokens: &[1], wanted: &[0] }, cpu::Step { cache: &mut bad, tokens, wanted }];
        assert!(matches!(model.decode(&mut steps), Err(Error::InvalidInput(_))), "{tokens:?}");
    }
    assert_eq!((good.len(), bad.len()), (0, 0));
    assert!(good.select(&[1]).is_err());
    assert_eq!(scores(&model, &audio, &[1]).len(), N_VOCAB);
}

#[test]
fn numbers_that_the_processor_does_not_compute_in_are_refused_with_those_that_it_does() {
    let (_directory, checkpoint) = small();
    for compute_type in [ComputeType::Float16, ComputeType::BFloat16] {
        let message = cpu::Model::load(&checkpoint, compute_type).unwrap_err().to_string();
        assert!(message.contains(compute_type.name()) && message.contains("auto, int8 or float32"), "{message}");
    }
}
