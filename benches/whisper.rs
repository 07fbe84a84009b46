//! Whisper on a real clip of 11 s: `cargo bench --features infer --bench whisper`.
//!
//! With the feature `compare` also the model of candle's own example, with the same weights and features, fed the tokens
//! that ours decoded (it saves that one the search, the rules and the features). Its threads are rayon's: set
//! `RAYON_NUM_THREADS`.
//!
//! Models as in `tests/whisper.rs`: from the directory `VIOLET_TEST_MODELS`, else from the user's cache.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run fails by panicking")]

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use criterion::{Criterion, criterion_group, criterion_main};
use violet::{
    audio::{self, Limits},
    infer::{LoadOptions, Options, Transcriber},
};

fn cpu(num_threads: Option<usize>) -> LoadOptions {
    LoadOptions { device: violet::infer::device::Choice::Cpu, num_threads, ..LoadOptions::default() }
}

fn whisper(criterion: &mut Criterion) {
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jfk.flac");
    let clip = audio::load(clip, Some(16_000), &Limits::default()).expect("a clip").waveform;
    let models = std::env::var_os("VIOLET_TEST_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/violet/models"),
        PathBuf::from,
    );
    let mut group = criterion.benchmark_group("whisper");
    group.sample_size(10);
    for name in ["tiny.en", "base"] {
        for threads in [1, 2] {
            let model = Transcriber::load(&models.join(name), &cpu(Some(threads))).expect("a model");
            group.bench_function(format!("{name}, {threads} threads, 11 s of speech"), |bencher| {
                bencher.iter(|| {
                    let on_progress = &mut |_: violet::infer::Progress<'_>| ControlFlow::Continue(());
                    model.transcribe(clip.samples(), &Options::default(), on_progress).expect("a transcript")
                });
            });
        }
        group.bench_function(format!("{name}, load"), |bencher| {
            bencher.iter(|| Transcriber::load(&models.join(name), &cpu(Some(1))).expect("a model"));
        });
    }
    #[cfg(feature = "compare")]
    for name in ["tiny.en", "base"] {
        let threads = candle_core::utils::get_num_threads();
        let model = Transcriber::load(&models.join(name), &cpu(None)).expect("a model");
        let on_progress = &mut |_: violet::infer::Progress<'_>| ControlFlow::Continue(());
        let transcript = model.transcribe(clip.samples(), &Options::default(), on_progress).expect("a transcript");
        let tokens: Vec<u32> = transcript.segments.into_iter().flat_map(|segment| segment.tokens).collect();
        let mut peer = candle_example::Peer::load(&models.join(name), clip.samples()).expect("the peer");
        group.bench_function(format!("{name}, {threads} threads, 11 s of speech, candle's example"), |bencher| {
            bencher.iter(|| peer.run(&tokens).expect("scores"));
        });
    }
    group.finish();
}

#[cfg(feature = "compare")]
mod candle_example {
    use std::path::Path;

    use candle_core::{DType, Device, IndexOp, Result, Tensor};
    use candle_nn::VarBuilder;
    use candle_transformers::models::whisper::{Config, model::Whisper};
    use violet::{audio, infer::weights::Checkpoint, infer::whisper::Dimensions};

    /// candle's model, ready to run on one window.
    pub(super) struct Peer {
        model: Whisper,
        mel: Tensor,
    }

    impl Peer {
        pub(super) fn load(directory: &Path, samples: &[f32]) -> violet::Result<Self> {
            let checkpoint = Checkpoint::open(directory)?;
            let sizes = Dimensions::of(&checkpoint)?;
            let mut tensors = std::collections::HashMap::new();
            for name in checkpoint.names() {
                if let Some(shape) = checkpoint.shape(name).filter(|shape| !shape.is_empty()) {
                    tensors.insert(format!("model.{name}"), checkpoint.tensor(name, shape, &Device::Cpu)?);
                }
            }
            let config = Config {
                num_mel_bins: sizes.n_mels,
                max_source_positions: sizes.n_audio_ctx,
                d_model: sizes.width,
                encoder_attention_heads: sizes.n_encoder_heads,
                encoder_layers: sizes.n_encoder_layers,
                decoder_attention_heads: sizes.n_decoder_heads,
                decoder_layers: sizes.n_decoder_layers,
                max_target_positions: sizes.n_text_ctx,
                vocab_size: sizes.n_vocab,
                suppress_tokens: Vec::new(),
            };
            let model = Whisper::load(&VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), config)?;
            let mut window = samples.to_vec();
            window.resize(audio::mel::N_SAMPLES, 0.0);
            let mel = audio::log_mel(&window, sizes.n_mels, 0)?;
            let shape = (1, mel.nrows(), mel.ncols());
            Ok(Self { model, mel: Tensor::from_iter(mel.iter().copied(), &Device::Cpu)?.reshape(shape)? })
        }

        /// The encoder, then one decoder call a token as the example makes them: with all tokens so far.
        pub(super) fn run(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
            let features = self.model.encoder.forward(&self.mel, true)?;
            let mut scores = Vec::new();
            for n in 1..=tokens.len() {
                let so_far = Tensor::new(&tokens[..n], &Device::Cpu)?.unsqueeze(0)?;
                let vectors = self.model.decoder.forward(&so_far, &features, n == 1)?;
                let last = self.model.decoder.final_linear(&vectors.i((..1, n - 1..))?)?;
                scores = last.flatten_all()?.to_vec1()?;
            }
            Ok(scores)
        }
    }
}

criterion_group!(benches, whisper);
criterion_main!(benches);
