//! Reading a model: `cargo bench --features infer --bench weights`.
//!
//! Needs the models tiny.en and base: in the directory `VIOLET_TEST_MODELS`, else in the user's cache. Files are in the
//! system's memory after the first run, so this is the time of reading and converting, not of a disk.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use violet::infer::{weights::Checkpoint, whisper::tokenizer::Tokenizer};

fn models() -> PathBuf {
    std::env::var_os("VIOLET_TEST_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/violet/models"),
        PathBuf::from,
    )
}

/// Every tensor once, in f32, into one buffer that stays.
fn read_all(checkpoint: &Checkpoint, tensors: &[(String, Vec<usize>)], buffer: &mut [f32]) {
    for (name, shape) in tensors {
        checkpoint.read_into(name, shape, &mut buffer[..shape.iter().product()]).unwrap();
    }
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("weights");
    for name in ["tiny.en", "base"] {
        let directory = models().join(name);
        group.bench_function(format!("open {name}"), |b| b.iter(|| Checkpoint::open(&directory).unwrap()));
        group.bench_function(format!("tokenizer {name}"), |b| b.iter(|| Tokenizer::load(&directory).unwrap()));
        let checkpoint = Checkpoint::open(&directory).unwrap();
        let tensors: Vec<_> =
            checkpoint.names().map(|name| (name.to_owned(), checkpoint.shape(name).unwrap().to_vec())).collect();
        let n_elements = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>());
        let mut buffer = vec![0.0; n_elements.clone().max().unwrap()];
        group.throughput(Throughput::Elements(n_elements.sum::<usize>() as u64));
        for n_threads in [1, 2] {
            let threads = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            group.bench_function(format!("read {name}, {n_threads} threads"), |b| {
                b.iter(|| threads.install(|| read_all(&checkpoint, &tensors, &mut buffer)));
            });
        }
    }
}

criterion_group!(benches, reading);
criterion_main!(benches);
