//! The kernels against their definitions in f64. They run on the processor here, from the same sources.

use std::sync::Arc;

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    Append, Attend, AttendItem, BiasGelu, Choose, ChooseResult, ChooseRule, Element, Embed, Flash, Gpu, HEAD, Host,
    LayerNorm, MelRows, Memory, Scores, SelectRows, encode,
};

/// A device, and numbers that its matrices hold exactly.
struct Bench {
    gpu: Arc<dyn Gpu>,
    rng: StdRng,
}

const ELEMENTS: [Element; 3] = [Element::F16, Element::BF16, Element::F32];

impl Bench {
    fn new(element: Element, seed: u64) -> Self {
        Self { gpu: Host::new(element, 4), rng: StdRng::seed_from_u64(seed) }
    }

    /// Random values of about `scale`, and the same as a matrix on the device.
    fn matrix(&mut self, n: usize, scale: f32) -> (Vec<f32>, Memory) {
        let values: Vec<f32> = (0..n).map(|_| scale * self.rng.random_range(-2.0_f32..2.0)).collect();
        let memory = Memory::of(&self.gpu, &encode(self.gpu.element(), &values)).unwrap();
        (self.read(&memory, n), memory)
    }

    fn vector(&mut self, n: usize) -> (Vec<f32>, Memory) {
        let values: Vec<f32> = (0..n).map(|_| self.rng.random_range(-2.0_f32..2.0)).collect();
        let memory = Memory::of(&self.gpu, &values).unwrap();
        (values, memory)
    }

    fn room(&self, n: usize) -> Memory {
        Memory::new(&self.gpu, n * self.gpu.element().n_bytes()).unwrap()
    }

    fn read(&self, memory: &Memory, n: usize) -> Vec<f32> {
        let span = memory.all();
        match self.gpu.element() {
            Element::F32 => span.download(n).unwrap(),
            Element::F16 => {
                span.download::<u16>(n).unwrap().iter().map(|&b| half::f16::from_bits(b).to_f32()).collect()
            }
            Element::BF16 => {
                span.download::<u16>(n).unwrap().iter().map(|&b| half::bf16::from_bits(b).to_f32()).collect()
            }
        }
    }

    /// What a result of about 1 may be off by.
    fn tolerance(&self) -> f64 {
        match self.gpu.element() {
            Element::F16 => 2e-3,
            Element::BF16 => 1.6e-2,
            // Some hundred rounded products: an attention score and its softmax.
            Element::F32 => 1e-5,
        }
    }

    fn assert_close(&self, got: &[f32], expected: &[f64], what: &str) {
        assert_eq!(got.len(), expected.len(), "{what}");
        for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
            let limit = self.tolerance() * expected.abs().max(1.0);
            assert!((f64::from(got) - expected).abs() <= limit, "{what}, value {index}: {got} and {expected}");
        }
    }
}

/// Attention of one query, by its definition; `bias` is added to the query, which is rounded as the device stores it.
fn attention(element: Element, query: &[f32], bias: &[f32], keys: &[&[f32]], values: &[&[f32]]) -> Vec<f64> {
    let query: Vec<f32> = query.iter().zip(bias).map(|(q, b)| q + b).collect();
    // The tensor cores take the biased query as a matrix; elsewhere it stays a float. The tolerance covers both.
    let _ = element;
    let scores: Vec<f64> = keys
        .iter()
        .map(|key| query.iter().zip(*key).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>() / 8.0)
        .collect();
    let max = scores.iter().copied().fold(f64::MIN, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (0..HEAD).map(|j| weights.iter().zip(values).map(|(w, v)| w * f64::from(v[j])).sum::<f64>() / sum).collect()
}

#[test]
fn embed_adds_token_and_position() {
    for element in ELEMENTS {
        let mut bench = Bench::new(element, 1);
        let width = 72;
        let (embedding, embedding_memory) = bench.matrix(10 * width, 1.0);
        let (table, table_memory) = bench.vector(6 * width);
        let (tokens, positions) = ([3_u32, 9, 0], [5_u32, 0, 2]);
        let out = bench.room(3 * width);
        Embed {
            out: out.all(),
            tokens: Memory::of(&bench.gpu, &tokens).unwrap().all(),
            positions: Memory::of(&bench.gpu, &positions).unwrap().all(),
            embedding: embedding_memory.all(),
            table: table_memory.all(),
            n_tokens: 3,
            width,
        }
        .run(&*bench.gpu)
        .unwrap();
        let expected: Vec<f64> = tokens
            .iter()
            .zip(positions)
            .flat_map(|(&token, position)| {
                (0..width).map(move |i| (token as usize * width + i, position as usize * width + i))
            })
            .map(|(token, position)| f64::from(embedding[token]) + f64::from(table[position]))
            .collect();
        bench.assert_close(&bench.read(&out, 3 * width), &expected, "embed");
    }
}

#[test]
fn layer_norm_is_its_definition_and_leaves_the_bias_behind() {
    for (element, width) in ELEMENTS.into_iter().flat_map(|element| [(element, 64), (element, 384), (element, 1280)]) {
        let mut bench = Bench::new(element, 2);
        let (x, x_memory) = bench.matrix(5 * width, 3.0);
        let ((gamma, gamma_memory), (beta, beta_memory)) = (bench.vector(width), bench.vector(width));
        let (bias, bias_memory) = bench.vector(width);
        for rows in [None, Some([4_u32, 1])] {
            let rows_memory = rows.map(|rows| Memory::of(&bench.gpu, &rows).unwrap());
            let taken: Vec<usize> = rows.map_or((0..5).collect(), |rows| rows.map(|row| row as usize).to_vec());
            let out = bench.room(taken.len() * width);
            // Reading leaves x as it is; the whole run adds the bias afterwards.
            let bias = rows.is_none().then_some(&bias);
            LayerNorm {
                out: out.all(),
                x: x_memory.all(),
                rows: rows_memory.as_ref().map(Memory::all),
                gamma: gamma_memory.all(),
                beta: beta_memory.all(),
                bias: None,
                n_rows: taken.len(),
                width,
                epsilon: 1e-5,
            }
            .run(&*bench.gpu)
            .unwrap();
            let expected: Vec<f64> = taken
                .iter()
                .flat_map(|&row| {
                    let row: Vec<f64> = x[row * width..][..width].iter().map(|&x| f64::from(x)).collect();
                    let mean = row.iter().sum::<f64>() / width as f64;
                    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / width as f64;
                    let norm = move |x: f64| (x - mean) / (variance + 1e-5).sqrt();
                    row.into_iter()
                        .map(norm)
                        .zip(&gamma)
                        .zip(&beta)
                        .map(|((x, g), b)| x * f64::from(*g) + f64::from(*b))
                        .collect::<Vec<_>>()
                })
                .collect();
            bench.assert_close(&bench.read(&out, taken.len() * width), &expected, "layer norm");
            bench.assert_close(
                &bench.read(&x_memory, x.len()),
                &x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(),
                "x",
            );
            let Some(bias) = bias else { continue };
            let copy = Memory::of(&bench.gpu, &encode(element, &x)).unwrap();
            LayerNorm {
                out: out.all(),
                x: copy.all(),
                rows: None,
                gamma: gamma_memory.all(),
                beta: beta_memory.all(),
                bias: Some(bias_memory.all()),
                n_rows: 5,
                width,
                epsilon: 1e-5,
            }
            .run(&*bench.gpu)
            .unwrap();
            bench.assert_close(&bench.read(&out, x.len()), &expected, "layer norm with a bias");
            let moved: Vec<f64> =
                x.iter().zip(bias.iter().cycle()).map(|(x, b)| f64::from(*x) + f64::from(*b)).collect();
            bench.assert_close(&bench.read(&copy, x.len()), &moved, "x and the bias");
        }
    }
}

#[test]
fn gelu_follows_the_bias_and_precedes_the_table() {
    for element in ELEMENTS {
        let mut bench = Bench::new(element, 3);
        let (n_windows, n_rows, width, window_stride) = (3, 5, 40, 6 * 40);
        let (x, memory) = bench.matrix(n_windows * window_stride, 1.0);
        let ((bias, bias_memory), (table, table_memory)) = (bench.vector(width), bench.vector(n_rows * width));
        let (all, bias_span) = (memory.all(), bias_memory.all());
        let table_span = Some(table_memory.all());
        BiasGelu { x: all, bias: bias_span, table: table_span, n_windows, window_stride, n_rows, width }
            .run(&*bench.gpu)
            .unwrap();
        let mut expected: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        for window in expected.chunks_mut(window_stride) {
            for (i, x) in window[..n_rows * width].iter_mut().enumerate() {
                let y = *x + f64::from(bias[i % width]);
                *x = 0.5 * y * (1.0 + erf(y / std::f64::consts::SQRT_2)) + f64::from(table[i]);
            }
        }
        bench.assert_close(&bench.read(&memory, x.len()), &expected, "gelu");
    }
}

/// The error function by its Maclaurin series, exact to 1e-12 for |x| <= 4.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    2.0 / std::f64::consts::PI.sqrt() * sum
}

#[test]
fn mel_rows_are_the_transposed_spectra_between_zeros() {
    let mut bench = Bench::new(Element::F32, 4);
    let (n_windows, n_mels, n_frames) = (2, 40, 70);
    let (mel, mel_memory) = bench.vector(n_windows * n_mels * n_frames);
    let n = n_windows * (n_frames + 2) * n_mels;
    let out = bench.room(n);
    MelRows { out: out.all(), mel: mel_memory.all(), n_windows, n_mels, n_frames }.run(&*bench.gpu).unwrap();
    let got = bench.read(&out, n);
    for (at, value) in got.iter().enumerate() {
        let (window, row, band) = (at / n_mels / (n_frames + 2), at / n_mels % (n_frames + 2), at % n_mels);
        let is_edge = row == 0 || row == n_frames + 1;
        let expected = if is_edge { 0.0 } else { mel[(window * n_mels + band) * n_frames + row - 1] };
        assert!((value - expected).abs() < f32::EPSILON, "window {window}, row {row}, band {band}");
    }
}

#[test]
fn keys_and_values_are_appended_where_the_places_say_and_rows_can_be_selected() {
    for element in ELEMENTS {
        let mut bench = Bench::new(element, 5);
        let size = element.n_bytes();
        // Rows of 2 layers x (keys, values) x 4 places.
        let (width, n_places, n_parts, layer) = (64, 4, 4, 1);
        let plane = n_places * width;
        let (cache, cache_memory) = bench.matrix(3 * n_parts * plane, 1.0);
        let (projected, projected_memory) = bench.matrix(2 * 3 * width, 1.0);
        // Token 0 to row 2, place 1; token 1 to row 0, place 3.
        let at = |row: usize, place: usize| row * n_parts * plane + place * width;
        let places = [(2, 1), (0, 3)].map(|(row, place)| cache_memory.all().start() + (at(row, place) * size) as u64);
        Append {
            projected: projected_memory.all(),
            places: Memory::of(&bench.gpu, &places).unwrap().all(),
            layer_offset: layer * 2 * plane,
            value_offset: plane,
            n_tokens: 2,
            width,
        }
        .run(&*bench.gpu)
        .unwrap();
        let mut expected = cache;
        for (token, (row, place)) in [(2, 1), (0, 3)].into_iter().enumerate() {
            let keys = at(row, place) + layer * 2 * plane;
            for part in 0..2 {
                let from = &projected[token * 3 * width + (part + 1) * width..][..width];
                expected[keys + part * plane..][..width].copy_from_slice(from);
            }
        }
        assert_eq!(bench.read(&cache_memory, expected.len()), expected);

        let rows = [2_u32, 2, 0, 1];
        let (selected, n_used) = (bench.room(4 * n_parts * plane), 3 * width);
        SelectRows {
            to: selected.all(),
            from: cache_memory.all(),
            rows: Memory::of(&bench.gpu, &rows).unwrap().all(),
            n_rows: 4,
            n_planes: n_parts,
            plane,
            n_used,
        }
        .run(&*bench.gpu)
        .unwrap();
        let got = bench.read(&selected, 4 * n_parts * plane);
        for (new, old) in rows.into_iter().enumerate() {
            for index in 0..n_parts {
                let (to, from) = ((new * n_parts + index) * plane, (old as usize * n_parts + index) * plane);
                assert_eq!(got[to..to + n_used], expected[from..from + n_used]);
            }
        }
    }
}

/// Three items over caches of their own, with `n_queries` queries each, against the definition.
fn check_attend(element: Element, n_keys: [usize; 3], n_queries: [usize; 3], step: usize, n_splits: usize, seed: u64) {
    let mut bench = Bench::new(element, seed);
    let (width, n_layers, layer) = (2 * HEAD, 2, 1);
    let key_stride = n_layers * 2 * width;
    let total: usize = n_queries.iter().sum();
    let query_stride = 3 * width;
    let (queries, queries_memory) = bench.matrix(total * query_stride, 1.5);
    let (bias, bias_memory) = bench.vector(width);
    let mut items = Vec::new();
    let mut expected = Vec::new();
    let mut buffers = Vec::new();
    for (index, first) in [0, n_queries[0], n_queries[0] + n_queries[1]].into_iter().enumerate() {
        let n_seen = n_keys[index] + (n_queries[index] - 1) * step;
        let (audio, memory) = bench.matrix(n_seen * key_stride, 1.5);
        items.push(AttendItem {
            keys: memory.all().start(),
            n_keys: n_keys[index] as i32,
            step: step as i32,
            first_query: first as i32,
            n_queries: n_queries[index] as i32,
        });
        for i in 0..n_queries[index] {
            for head in 0..2 {
                let at = |place: usize, part: usize| {
                    &audio[place * key_stride + (layer * 2 + part) * width + head * HEAD..][..HEAD]
                };
                let n_heard = n_keys[index] + i * step;
                let keys: Vec<_> = (0..n_heard).map(|place| at(place, 0)).collect();
                let values: Vec<_> = (0..n_heard).map(|place| at(place, 1)).collect();
                let query = &queries[(first + i) * query_stride + head * HEAD..][..HEAD];
                expected.extend(attention(element, query, &bias[head * HEAD..][..HEAD], &keys, &values));
            }
        }
        buffers.push(memory);
    }
    items.sort_by_key(|item| item.n_queries > 1);
    let out = bench.room(total * width);
    let partial = Memory::new(&bench.gpu, Attend::n_partial_bytes(total, width, n_splits)).unwrap();
    Attend {
        out: out.all(),
        queries: queries_memory.all(),
        bias: bias_memory.all(),
        items: Memory::of(&bench.gpu, &items).unwrap().all(),
        partial: partial.all(),
        n_single_items: items.iter().filter(|item| item.n_queries == 1).count(),
        n_items: 3,
        n_queries: total,
        n_splits,
        layer_offset: layer * 2 * width,
        value_offset: width,
        key_stride,
        query_stride,
        width,
    }
    .run(&*bench.gpu)
    .unwrap();
    bench.assert_close(&bench.read(&out, total * width), &expected, &format!("{element:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn attention_of_few_queries_is_its_definition(
        element in prop::sample::select(&ELEMENTS[..]),
        n_keys in [1_usize..150, 1_usize..20, 60_usize..70],
        n_queries in prop_oneof![Just([1_usize; 3]), [1_usize..=8, 1_usize..=8, 1_usize..=8]],
        step in 0_usize..2,
        n_splits in 1_usize..6,
        seed: u64,
    ) {
        check_attend(element, n_keys, n_queries, step, n_splits, seed);
    }

    #[test]
    fn attention_on_tensor_cores_is_its_definition(
        element in prop::sample::select(&ELEMENTS[..2]),
        n_positions in prop_oneof![1_usize..8, 60_usize..70, 120_usize..200],
        n_windows in 1_usize..3,
        seed: u64,
    ) {
        let mut bench = Bench::new(element, seed);
        let width = 2 * HEAD;
        let (projected, projected_memory) = bench.matrix(n_windows * n_positions * 3 * width, 1.5);
        let (bias, bias_memory) = bench.vector(width);
        let out = bench.room(n_windows * n_positions * width);
        let (projected_span, bias_span) = (projected_memory.all(), bias_memory.all());
        Flash { out: out.all(), projected: projected_span, bias: bias_span, n_windows, n_positions, width }
            .run(&*bench.gpu)
            .unwrap();
        let mut expected = Vec::new();
        for row in 0..n_windows * n_positions {
            let window = row / n_positions * n_positions;
            for head in 0..2 {
                let at = |row: usize, part: usize| &projected[(row * 3 + part) * width + head * HEAD..][..HEAD];
                let keys: Vec<_> = (window..window + n_positions).map(|row| at(row, 1)).collect();
                let values: Vec<_> = (window..window + n_positions).map(|row| at(row, 2)).collect();
                expected.extend(attention(element, at(row, 0), &bias[head * HEAD..][..HEAD], &keys, &values));
            }
        }
        // The weights and the biased queries are rounded to the matrices' type as well.
        let got = bench.read(&out, expected.len());
        for (index, (&got, &expected)) in got.iter().zip(&expected).enumerate() {
            let limit = 4.0 * bench.tolerance();
            prop_assert!((f64::from(got) - expected).abs() <= limit, "value {}: {} and {}", index, got, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn choice_is_the_likeliest_token_of_those_allowed_or_one_drawn(
        seed: u64,
        text_from in 0_usize..70,
        times in (70_usize..110, 70_usize..110),
        tilt in -4.0_f32..4.0,
        temperature in prop_oneof![Just(0.0_f32), 0.1_f32..2.0],
        uniform in 0.0_f32..1.0,
    ) {
        const N_VOCAB: usize = 110;
        const BEGIN: usize = 70;
        let mut bench = Bench::new(Element::F16, seed);
        let (mut logits, _) = bench.vector(2 * N_VOCAB);
        // Some are forbidden already, and some of the times are likelier than the text.
        for row in logits.chunks_mut(N_VOCAB) {
            row[5] = f32::NEG_INFINITY;
            row[BEGIN..].iter_mut().for_each(|logit| *logit += tilt);
        }
        let n_words = N_VOCAB.div_ceil(32);
        let masks: Vec<u32> = (0..2 * n_words).map(|_| bench.rng.random::<u32>() & bench.rng.random::<u32>()).collect();
        let masks_memory = Memory::of(&bench.gpu, &masks).unwrap();
        let rule = |row: i32, mask: usize| ChooseRule {
            mask: masks_memory.all().start() + (mask * n_words * 4) as u64,
            mask_next: masks_memory.all().start(),
            row,
            text_from: text_from as i32,
            time_from: times.0.min(times.1) as i32,
            time_to: times.0.max(times.1) as i32,
            time_begin: BEGIN as i32,
            end_of_text: 60,
            floor: 80,
            opens: row,
            observed: -1,
            temperature,
            uniforms: [2.0, uniform, 2.0, 2.0],
        };
        // Two of the same row, one of which is told of another token.
        let rules = [rule(1, 1), rule(0, 0), ChooseRule { observed: 7, mask: 0, ..rule(0, 0) }];
        prop_assert!(rules.iter().all(|rule| rule.is_valid(2, N_VOCAB)));
        let out = Memory::new(&bench.gpu, 3 * 8).unwrap();
        let (next, rules_memory) = (Memory::new(&bench.gpu, 12).unwrap(), Memory::of(&bench.gpu, &rules).unwrap());
        Choose {
            out: out.all(),
            logits: Memory::of(&bench.gpu, &logits).unwrap().all(),
            rules: rules_memory.all(),
            next: next.all(),
            n_choices: 3,
            n_rows: 2,
            n_vocab: N_VOCAB,
            ahead: 1,
        }
        .run(&*bench.gpu)
        .unwrap();
        let got: Vec<ChooseResult> = out.all().download(3).unwrap();
        let fed: Vec<u32> = next.all().download(3).unwrap();
        let after: Vec<ChooseRule> = rules_memory.all().download(3).unwrap();
        for (index, (rule, got)) in rules.iter().zip(&got).enumerate() {
            let mask = |token: usize| match index {
                0 => masks[n_words + token / 32],
                1 => masks[token / 32],
                _ => 0,
            };
            let logit = |token: usize| f64::from(logits[rule.row as usize * N_VOCAB + token]);
            let is_free = |token: &usize| mask(*token) >> (token % 32) & 1 == 0 && logit(*token).is_finite();
            let text: Vec<usize> = (text_from..BEGIN).filter(is_free).collect();
            let time: Vec<usize> = (rule.time_from as usize..rule.time_to as usize).filter(is_free).collect();
            let sum = |tokens: &[usize]| tokens.iter().map(|&token| logit(token).exp()).sum::<f64>();
            let best = |tokens: &[usize]| tokens.iter().copied().max_by(|&a, &b| logit(a).total_cmp(&logit(b)).then(b.cmp(&a)));
            let best_text = best(&text).map_or(f64::NEG_INFINITY, logit);
            let is_time = !time.is_empty() && sum(&time).ln() > best_text;
            let allowed = if is_time { time } else { [text, time].concat() };
            let Some(expected) = best(&allowed) else {
                prop_assert_eq!(got.token, i32::MAX);
                prop_assert_eq!(fed[index], 0);
                continue;
            };
            let token = got.token as usize;
            prop_assert_eq!(fed[index] as usize, token);
            if temperature == 0.0 {
                prop_assert_eq!(token, expected);
            } else {
                // Where the sum of the weights passes the number that was given, up to rounding.
                let weight = |token: usize| ((logit(token) - logit(expected)) / f64::from(temperature)).exp();
                let total: f64 = allowed.iter().map(|&token| weight(token)).sum();
                let before = allowed.iter().take_while(|&&other| other < token).map(|&token| weight(token)).sum::<f64>() / total;
                prop_assert!(allowed.contains(&token));
                let passed = before - 1e-5 <= f64::from(uniform) && f64::from(uniform) <= before + weight(token) / total + 1e-5;
                prop_assert!(passed, "{} for {}", token, uniform);
            }
            let told = if index == 2 { 7 } else { token };
            let log_probability = logit(told) - sum(&allowed).ln();
            prop_assert!((f64::from(got.log_probability) - log_probability).abs() < 1e-4);
            let after = &after[index];
            prop_assert_eq!(after.mask, rule.mask_next);
            prop_assert_eq!(after.opens, i32::from(token >= BEGIN));
        }
    }
}

#[test]
fn scores_are_the_scaled_products() {
    for element in ELEMENTS {
        let mut bench = Bench::new(element, 6);
        let (n_queries, n_keys, query_stride, key_stride) = (3, 150, 80, 128);
        let (queries, queries_memory) = bench.matrix(n_queries * query_stride, 0.5);
        let (keys, keys_memory) = bench.matrix(n_keys * key_stride, 0.5);
        let (bias, bias_memory) = bench.vector(HEAD);
        let out = Memory::new(&bench.gpu, n_queries * n_keys * 4).unwrap();
        Scores {
            out: out.all(),
            queries: queries_memory.all(),
            bias: bias_memory.all(),
            keys: keys_memory.all(),
            key_stride,
            query_stride,
            n_queries,
            n_keys,
        }
        .run(&*bench.gpu)
        .unwrap();
        let got: Vec<f32> = out.all().download(n_queries * n_keys).unwrap();
        for (at, got) in got.into_iter().enumerate() {
            let (query, key) = (at / n_keys * query_stride, at % n_keys * key_stride);
            let expected: f64 =
                (0..HEAD).map(|i| f64::from(queries[query + i] + bias[i]) * f64::from(keys[key + i])).sum::<f64>()
                    / 8.0;
            assert!((f64::from(got) - expected).abs() < 1e-5, "{got} and {expected}");
        }
    }
}

#[test]
fn numbers_are_rounded_as_the_half_crate_rounds_them() {
    // The kernels' own conversions, through a kernel that only converts: x + 0.
    for element in [Element::F16, Element::BF16] {
        let gpu: Arc<dyn Gpu> = Host::new(element, 1);
        let values: Vec<f32> =
            (0..1 << 16_u32).map(|i| f32::from_bits((i * 0x0001_0001) ^ 0x5a5a)).filter(|x| x.is_finite()).collect();
        let n = values.len();
        let (table, zeros) = (Memory::of(&gpu, &values).unwrap(), Memory::of(&gpu, &vec![0_u16; n]).unwrap());
        let (ids, out) = (Memory::of(&gpu, &[0_u32]).unwrap(), Memory::new(&gpu, n * 2).unwrap());
        let (tokens, positions) = (ids.all(), ids.all());
        Embed { out: out.all(), tokens, positions, embedding: zeros.all(), table: table.all(), n_tokens: 1, width: n }
            .run(&*gpu)
            .unwrap();
        let got: Vec<u8> = out.all().download(n * 2).unwrap();
        let expected = encode(element, &values);
        for ((got, expected), value) in got.chunks(2).zip(expected.chunks(2)).zip(&values) {
            // Minus zero and a zero added to it are zero.
            let is_zero = expected == [0, 0x80] && got == [0, 0];
            assert!(got == expected || is_zero, "{element:?} of {value}: {got:?} and {expected:?}");
        }
    }
}

#[test]
fn arguments_that_do_not_fit_their_memory_are_errors() {
    let bench = Bench::new(Element::F16, 7);
    let small = bench.room(8);
    let (x, bias, table) = (small.all(), small.all(), None);
    let gelu = BiasGelu { x, bias, table, n_windows: 2, window_stride: 8, n_rows: 1, width: 8 };
    assert!(gelu.run(&*bench.gpu).is_err());
    assert!(small.span(8, 9).is_err());
    assert!(small.span(usize::MAX, 2).is_err());
}
