//! The core's hot paths: `cargo bench --bench core`. Times are for the named length of audio or number of pairs.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking; criterion's macros write undocumented functions"
)]

use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use violet::audio::{self, Limits, Waveform};
use violet::score;
use violet::text::Normalizer;

const TEN_MINUTES_S: usize = 600;

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// The speech of the test clip, over and over.
fn speech(sample_rate: u32, duration_s: usize) -> Waveform {
    let clip = audio::decode(Cursor::new(data("jfk.flac")), "jfk", Some(sample_rate), &Limits::default()).unwrap();
    let n = duration_s * sample_rate as usize;
    let samples = clip.waveform.samples().iter().copied().cycle().take(n).collect();
    Waveform::from_samples(samples, sample_rate).unwrap()
}

/// Like random words, the same in every run.
fn sentences(n_pairs: usize, n_words: usize) -> Vec<(String, String)> {
    let mut state = 1_u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut pair = || {
        let words: Vec<String> = (0..n_words).map(|_| format!("word{}", next(2_000))).collect();
        let heard: Vec<String> = words
            .iter()
            .map(|word| if next(10) == 0 { format!("word{}", next(2_000)) } else { word.clone() })
            .collect();
        (words.join(" "), heard.join(" "))
    };
    (0..n_pairs).map(|_| pair()).collect()
}

fn decoding(bench: &mut Criterion) {
    let flac = data("jfk.flac");
    let mp3 = data("clip_vbr_without_tag.mp3").repeat(TEN_MINUTES_S / 3);
    let mut group = bench.benchmark_group("decode to 16 kHz");
    group.sample_size(10);
    for (name, bytes) in [("flac 11 s", flac), ("mp3 10 min", mp3)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| audio::decode(Cursor::new(&bytes), name, Some(16_000), &Limits::default()).unwrap());
        });
    }
    group.finish();
}

fn resampling(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("resample 10 min to 16 kHz");
    group.sample_size(10);
    for rate in [8_000, 44_100, 48_000] {
        let waveform = speech(rate, TEN_MINUTES_S);
        group.bench_function(format!("{rate} Hz"), |bencher| {
            bencher.iter(|| audio::resample(&waveform, 16_000).unwrap());
        });
    }
    group.finish();
}

fn features(bench: &mut Criterion) {
    let waveform = speech(16_000, TEN_MINUTES_S);
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut group = bench.benchmark_group("log-mel 10 min");
    group.sample_size(10);
    for n_mels in [80, 128] {
        let run = || audio::log_mel(black_box(waveform.samples()), n_mels, 0).unwrap();
        group.bench_function(format!("{n_mels} bands, 1 thread"), |bencher| one_thread.install(|| bencher.iter(run)));
        group.bench_function(format!("{n_mels} bands, all threads"), |bencher| bencher.iter(run));
    }
    group.finish();
}

fn error_rates(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("wer");
    group.sample_size(10);
    for (n_pairs, n_words) in [(100_000, 10), (1_000, 1_000), (1, 20_000)] {
        let pairs = sentences(n_pairs, n_words);
        let rate =
            |(reference, hypothesis): &(String, String)| score::wer(reference, hypothesis, Normalizer::None).unwrap();
        let counts =
            |(reference, hypothesis): &(String, String)| score::word_counts(reference, hypothesis, Normalizer::None);
        let name = format!("{n_pairs} x {n_words} words");
        group.bench_function(format!("{name}, rate"), |bencher| bencher.iter(|| pairs.iter().map(rate).sum::<f64>()));
        group.bench_function(format!("{name}, counts"), |bencher| {
            bencher.iter(|| pairs.iter().map(counts).sum::<score::EditCounts>());
        });
    }
    group.finish();
}

fn normalizers(bench: &mut Criterion) {
    let texts = [
        "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
        "It's the twenty first of May, nineteen ninety nine, and Mr. Smith hasn't paid twenty million dollars yet.",
        "the quick brown fox jumps over the lazy dog and doesn't look back at the grey house",
        "We\u{2019}re meeting at 10:30, in room 42 \u{2014} don\u{2019}t be late!",
        "I think they'd have gone if it hadn't been for the weather, you know, uh, it was terrible",
    ];
    let mut group = bench.benchmark_group("normalize 5 sentences");
    for normalizer in Normalizer::ALL {
        let run = || texts.iter().map(|text| normalizer.normalize(black_box(text)).len()).sum::<usize>();
        group.bench_function(normalizer.id(), |bencher| bencher.iter(run));
    }
    group.finish();
}

criterion_group!(benches, decoding, resampling, features, error_rates, normalizers);
criterion_main!(benches);
