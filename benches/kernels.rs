//! The processor's kernels alone, at tiny.en's and base's sizes, one thread: `cargo bench --features infer --bench kernels`.
//!
//! Elements are operations, two for a multiplication with its addition, so that `thrpt` is what a core does in a second.
//! The kernels are private to the crate, so their files are compiled into this program.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "of the kernels' files only some is measured")]
#![allow(clippy::pedantic, reason = "the kernels' files are checked where they belong")]

use criterion::{criterion_group, criterion_main};

#[path = "../src/audio"]
mod audio {
    mod dispatch;
    pub(crate) use dispatch::Once;
}

#[path = "../src/infer"]
mod infer {
    mod kernels;

    use criterion::{Criterion, Throughput};
    use kernels::{Finish, Memory, Numbers, Packed, Queries, Rows, gelu};
    use rayon::prelude::*;

    /// Positions of a window, and what a panel has of columns and positions.
    const ROWS: usize = 1_500;
    const PANEL: usize = kernels::COLUMNS;
    const HEAD_SIZE: usize = 64;

    fn values(n: usize, seed: u32) -> Vec<f32> {
        let value = |i: u32| ((i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0) - 1.0;
        (0..n as u32).map(value).collect()
    }

    pub fn products(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("products");
        for (numbers, n_rows, n_inputs, n_outputs) in [
            (Numbers::Bytes, ROWS, 384, 384),
            (Numbers::Bytes, ROWS, 384, 1_536),
            (Numbers::Bytes, ROWS, 1_536, 384),
            (Numbers::Bytes, ROWS, 512, 2_048),
            (Numbers::Bytes, ROWS, 2_048, 512),
            (Numbers::Words, ROWS, 384, 384),
            (Numbers::Bytes, 1, 384, 51_864),
        ] {
            let weights = values(n_inputs * n_outputs, 3);
            let mut packed = Packed::zeros(n_outputs, n_inputs, numbers);
            packed.panels_mut().for_each(|mut panel| {
                let outputs = panel.outputs.clone();
                panel.fill(&weights[outputs.start * n_inputs..outputs.end * n_inputs], &[]);
            });
            let (mut rows, mut out) = (Rows::default(), vec![0.0; n_rows * n_outputs]);
            rows.set(&values(n_rows * n_inputs, 7), (n_rows, n_inputs), n_inputs, numbers);
            group.throughput(Throughput::Elements(2 * (n_rows * n_inputs * n_outputs) as u64));
            group.bench_function(format!("{numbers:?} {n_rows} x {n_inputs} x {n_outputs}"), |bencher| {
                bencher.iter(|| packed.product(&rows, &mut out, Finish::Set, false));
            });
        }
    }

    pub fn attention(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("attention");
        for n_heads in [6, 8] {
            let width = n_heads * HEAD_SIZE;
            let [asked, keys, heard] = [1, 2, 3].map(|seed| values(ROWS * width, seed));
            let mut memory = Memory::new(ROWS, n_heads, HEAD_SIZE);
            memory.panels_mut().enumerate().for_each(|(index, mut panel)| {
                let start = index * PANEL * width;
                panel.fill(&keys[start..], &heard[start..], width);
            });
            for n_rows in [ROWS, 1] {
                let (mut queries, mut out) = (Queries::default(), vec![0.0; n_rows * width]);
                queries.set(&asked[..n_rows * width], n_rows, width, n_heads, HEAD_SIZE);
                group.throughput(Throughput::Elements(4 * (n_rows * ROWS * width) as u64));
                group.bench_function(format!("{n_rows} x {ROWS}, {n_heads} heads"), |bencher| {
                    bencher.iter(|| memory.attend(&queries, &mut out, false));
                });
            }
        }
    }

    pub fn pointwise(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("pointwise");
        let given = values(ROWS * 1_536, 5);
        let mut found = given.clone();
        group.throughput(Throughput::Elements(given.len() as u64));
        // A thread of its own pool: these share their work by themselves.
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        group.bench_function("gelu, 1,500 x 1,536", |bencher| {
            bencher.iter(|| {
                found.copy_from_slice(&given);
                if let Ok(alone) = &alone {
                    alone.install(|| gelu(&mut found));
                }
            });
        });
    }
}

criterion_group!(kernels, infer::products, infer::attention, infer::pointwise);
criterion_main!(kernels);
