//! Whisper on a real clip of 11 s: `cargo bench --features infer --bench whisper`.
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
    infer::{Options, Transcriber},
};

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
            let model = Transcriber::load(&models.join(name), "cpu", Some(threads)).expect("a model");
            group.bench_function(format!("{name}, {threads} threads, 11 s of speech"), |bencher| {
                bencher.iter(|| {
                    let on_progress = &mut |_: violet::infer::Progress<'_>| ControlFlow::Continue(());
                    model.transcribe(clip.samples(), &Options::default(), on_progress).expect("a transcript")
                });
            });
        }
        group.bench_function(format!("{name}, load"), |bencher| {
            bencher.iter(|| Transcriber::load(&models.join(name), "cpu", Some(1)).expect("a model"));
        });
    }
    group.finish();
}

criterion_group!(benches, whisper);
criterion_main!(benches);
