//! The engine against the engine of tensors, on a GPU that is the processor.

use std::{collections::HashMap, path::Path, sync::Arc};

use rand::{Rng, SeedableRng, rngs::StdRng};
use safetensors::{Dtype, tensor::TensorView};

use super::{Audio, Cache, Feed, Model};
use crate::{
    Error,
    infer::{
        cuda::{Element, Host, MAX_AHEAD},
        weights::Checkpoint,
        whisper::{
            choice::{Answer, Choice, Choices, Masks},
            rules::Allowed,
            tensor,
        },
    },
};

const WIDTH: usize = 128;
const N_VOCAB: usize = 90;
const N_MELS: usize = 8;
const N_AUDIO_CTX: usize = 20;
const N_TEXT_CTX: usize = 24;
const N_LAYERS: usize = 2;

/// Writes a model of two layers and two heads with random weights, which half precision holds exactly.
pub(in crate::infer::whisper) fn write_model(directory: &Path, n_vocab: usize) {
    let mut rng = StdRng::seed_from_u64(5);
    let mut tensors: HashMap<String, (Vec<usize>, Vec<u8>)> = HashMap::new();
    let mut add = |name: String, shape: &[usize]| {
        let value = |_| f32::from(rng.random_range(-128_i16..=128)) / 512.0;
        let bytes = (0..shape.iter().product()).map(value).flat_map(f32::to_le_bytes).collect();
        tensors.insert(format!("model.{name}"), (shape.to_vec(), bytes));
    };
    for (side, n_positions) in [("encoder", N_AUDIO_CTX), ("decoder", N_TEXT_CTX)] {
        add(format!("{side}.embed_positions.weight"), &[n_positions, WIDTH]);
        let mut norms = vec![format!("{side}.layer_norm")];
        for layer in (0..N_LAYERS).map(|index| format!("{side}.layers.{index}")) {
            let attentions: &[&str] = if side == "encoder" { &["self_attn"] } else { &["self_attn", "encoder_attn"] };
            for attention in attentions {
                norms.push(format!("{layer}.{attention}_layer_norm"));
                for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                    add(format!("{layer}.{attention}.{part}.weight"), &[WIDTH, WIDTH]);
                    if part != "k_proj" {
                        add(format!("{layer}.{attention}.{part}.bias"), &[WIDTH]);
                    }
                }
            }
            norms.push(format!("{layer}.final_layer_norm"));
            for (name, n_outputs, n_inputs) in [("fc1", 4 * WIDTH, WIDTH), ("fc2", WIDTH, 4 * WIDTH)] {
                add(format!("{layer}.{name}.weight"), &[n_outputs, n_inputs]);
                add(format!("{layer}.{name}.bias"), &[n_outputs]);
            }
        }
        for norm in norms {
            add(format!("{norm}.weight"), &[WIDTH]);
            add(format!("{norm}.bias"), &[WIDTH]);
        }
    }
    add("decoder.embed_tokens.weight".into(), &[n_vocab, WIDTH]);
    for (name, n_inputs) in [("conv1", N_MELS), ("conv2", WIDTH)] {
        add(format!("encoder.{name}.weight"), &[WIDTH, n_inputs, 3]);
        add(format!("encoder.{name}.bias"), &[WIDTH]);
    }
    let views =
        tensors.iter().map(|(name, (shape, bytes))| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, &directory.join("model.safetensors")).unwrap();
}

/// The same model twice: on the device under test, and in tensors.
struct Pair {
    host: Arc<Host>,
    model: Model,
    reference: tensor::Model,
}

impl Pair {
    fn new(element: Element, n_processors: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_model(directory.path(), N_VOCAB);
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        let host = Host::new(element, n_processors);
        let model = Model::load(&checkpoint, host.clone()).unwrap();
        let reference = tensor::Model::load(&checkpoint, &candle_core::Device::Cpu).unwrap();
        Self { host, model, reference }
    }

    fn audios(&self, n: usize, n_frames: usize) -> (Vec<Audio>, Vec<tensor::Audio>) {
        let mels: Vec<Vec<f32>> = (0..n).map(|seed| mel(seed, n_frames)).collect();
        let mels: Vec<&[f32]> = mels.iter().map(Vec::as_slice).collect();
        (self.model.encode(&mels, n_frames).unwrap(), self.reference.encode(&mels, n_frames).unwrap())
    }

    /// Feeds both; the largest difference over the spread of the scores.
    fn difference(&self, both: &mut [(&mut Cache, &mut tensor::Cache)], tokens: &[&[u32]], wanted: &[&[usize]]) -> f32 {
        let expected: Vec<f32> = both
            .iter_mut()
            .zip(tokens)
            .zip(wanted)
            .flat_map(|(((_, cache), tokens), wanted)| self.reference.decode(tokens, wanted, cache).unwrap())
            .collect();
        let mut feeds: Vec<Feed<'_>> = both
            .iter_mut()
            .zip(tokens)
            .zip(wanted)
            .map(|(((cache, _), tokens), wanted)| Feed { cache, tokens, wanted, choices: None })
            .collect();
        relative(&scores(&self.model, &mut feeds), &expected)
    }
}

fn scores(model: &Model, feeds: &mut [Feed<'_>]) -> Vec<f32> {
    model.answer(feeds).unwrap().into_iter().flat_map(Answer::scores).collect()
}

fn mel(seed: usize, n_frames: usize) -> Vec<f32> {
    (0..N_MELS * n_frames).map(|n| ((n * (seed + 1)) as f32 * 0.7).sin()).collect()
}

fn relative(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let spread = expected.iter().copied().fold(f32::MIN, f32::max) - expected.iter().copied().fold(f32::MAX, f32::min);
    let difference = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(got.iter().all(|x| x.is_finite()) && spread > 1.0, "not scores: spread {spread}, {got:?}");
    difference / spread
}

const TYPES: [(Element, f32); 3] = [(Element::F32, 1e-5), (Element::F16, 5e-3), (Element::BF16, 4e-2)];

#[test]
fn scores_equal_the_tensors_in_every_type() {
    for ((element, limit), n_frames) in TYPES.into_iter().zip([2 * N_AUDIO_CTX, 26, 2 * N_AUDIO_CTX]) {
        let pair = Pair::new(element, 4);
        {
            let (audios, expected) = pair.audios(3, n_frames);
            let mut caches: Vec<Cache> =
                audios.iter().zip([1, 3, 2]).map(|(audio, n)| pair.model.new_cache(audio, n).unwrap()).collect();
            let mut references: Vec<_> =
                expected.iter().zip([1, 3, 2]).map(|(audio, n)| pair.reference.new_cache(audio, n).unwrap()).collect();
            let mut both: Vec<_> = caches.iter_mut().zip(references.iter_mut()).collect();
            // Different numbers of rows and of tokens in one step, some longer than an item.
            let long: Vec<u32> = (1..=11).collect();
            let first: [&[u32]; 3] = [&long, &[5, 6, 7, 8, 9, 10], &[11, 12]];
            let wanted: [&[usize]; 3] = [&[0, 10], &[1], &[0]];
            let difference = pair.difference(&mut both, &first, &wanted);
            assert!(difference < limit, "{element:?}, first tokens: {difference}");
            for step in 0..3_u32 {
                let (two, three) = ([50 + step, 60 + step], [20 + step, 30, 40 - step]);
                let tokens: [&[u32]; 3] = [&[13 + step], &three, &two];
                let difference = pair.difference(&mut both, &tokens, &[&[0][..]; 3]);
                assert!(difference < limit, "{element:?}, step {step}: {difference}");
                // Beams are exchanged, multiplied and dropped.
                let rows: &[usize] = [&[2, 0, 0][..], &[1, 0, 2], &[0, 1, 2]][step as usize];
                both[1].0.select(rows).unwrap();
                both[1].1.select(rows).unwrap();
            }
            for (cache, reference) in &mut both {
                cache.clear();
                reference.clear();
            }
            let difference = pair.difference(&mut both, &first, &wanted);
            assert!(difference < limit, "{element:?}, again from the start: {difference}");
        }
        assert_eq!(pair.host.n_launches("flash") > 0, element != Element::F32);
    }
}

#[test]
fn a_cache_can_grow_and_shrink() {
    let pair = Pair::new(Element::F32, 4);
    let (audios, expected) = pair.audios(1, 2 * N_AUDIO_CTX);
    let (mut cache, mut reference) =
        (pair.model.new_cache(&audios[0], 1).unwrap(), pair.reference.new_cache(&expected[0], 1).unwrap());
    for (rows, tokens) in [(&[0][..], &[1_u32, 2, 3][..]), (&[0, 0, 0], &[4, 5, 6]), (&[2, 1], &[7, 8]), (&[1], &[9])] {
        cache.select(rows).unwrap();
        reference.select(rows).unwrap();
        let wanted = [tokens.len() / rows.len() - 1];
        let difference = pair.difference(&mut [(&mut cache, &mut reference)], &[tokens], &[&wanted]);
        assert!(difference < 1e-5, "{rows:?}: {difference}");
    }
    assert!(matches!(cache.select(&[1]), Err(Error::InvalidInput(_))));
    assert!(matches!(cache.select(&[]), Err(Error::InvalidInput(_))));
}

#[test]
fn heads_attend_as_in_tensors() {
    for (element, limit) in TYPES {
        let pair = Pair::new(element, 4);
        let (audios, expected) = pair.audios(1, 30);
        let (tokens, heads) = ([3_u32, 1, 4, 1, 5], [(1, 0), (0, 1), (1, 1)]);
        let (scores, logits) = pair.model.align(&audios[0], &tokens, &heads).unwrap();
        let expected = pair.reference.align(&expected[0], &tokens, &heads).unwrap();
        assert!(relative(&logits, &expected.logits) < limit, "{element:?}");
        let difference = scores.iter().zip(&expected.scores).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let largest = expected.scores.iter().map(|score| score.abs()).fold(0.0, f32::max);
        assert_eq!(scores.len(), 3 * 5 * 15);
        assert!(difference < 2.0 * limit * largest, "{element:?}: {difference} of {largest}");
    }
}

#[test]
fn too_little_memory_halves_the_batch_and_gives_the_same() {
    let pair = Pair::new(Element::F16, 4);
    let mels: Vec<Vec<f32>> = (0..8).map(|seed| mel(seed, 40)).collect();
    let mels: Vec<&[f32]> = mels.iter().map(Vec::as_slice).collect();
    let read = |audios: &[Audio]| -> Vec<Vec<u16>> {
        audios.iter().map(|audio| audio.memory.all().download(20 * N_LAYERS * 2 * WIDTH).unwrap()).collect()
    };
    let (before, _) = pair.host.used_bytes();
    let expected = read(&pair.model.encode(&mels, 40).unwrap());
    let passes = pair.host.n_launches("mel_rows");
    let (after, largest) = pair.host.used_bytes();
    assert_eq!((before, passes), (after, 1), "memory is given back");
    // Room for the results and for half of the work.
    let results: usize = 8 * 20 * N_LAYERS * 2 * WIDTH * 2;
    pair.host.limit_memory(Some(before + results + (largest - before - results) / 2));
    assert_eq!(read(&pair.model.encode(&mels, 40).unwrap()), expected);
    assert!(pair.host.n_launches("mel_rows") > passes + 2, "it was done in parts");
    // Not even one fits.
    pair.host.limit_memory(Some(before + 1000));
    assert!(matches!(pair.model.encode(&mels, 40), Err(Error::OutOfMemory { .. })));
    pair.host.limit_memory(None);
    assert_eq!(read(&pair.model.encode(&mels, 40).unwrap()), expected);
}

#[test]
fn a_step_without_memory_leaves_the_cache_as_it_was() {
    let pair = Pair::new(Element::F32, 4);
    let (audios, expected) = pair.audios(1, 40);
    let (mut cache, mut reference) =
        (pair.model.new_cache(&audios[0], 1).unwrap(), pair.reference.new_cache(&expected[0], 1).unwrap());
    pair.host.limit_memory(Some(pair.host.used_bytes().0 + 2000));
    let failed = pair.model.answer(&mut [Feed { cache: &mut cache, tokens: &[1, 2], wanted: &[1], choices: None }]);
    assert!(matches!(failed, Err(Error::OutOfMemory { .. })) && cache.len() == 0);
    pair.host.limit_memory(None);
    assert!(pair.difference(&mut [(&mut cache, &mut reference)], &[&[1, 2]], &[&[1]]) < 1e-5);
}

#[test]
fn a_model_that_does_not_fit_says_how_large_it_is() {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), N_VOCAB);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let host = Host::new(Element::F16, 4);
    host.limit_memory(Some(1_000_000));
    match Model::load(&checkpoint, host.clone()) {
        Err(Error::OutOfMemory { needed_bytes, available_bytes, .. }) => {
            assert!(needed_bytes > 1_500_000 && available_bytes <= 1_000_000, "{needed_bytes} of {available_bytes}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(host.used_bytes().0, 0);
}

fn choice(row: usize) -> Choice {
    let allowed = Allowed {
        text_from: 10,
        times: 75..80,
        time_begin: 70,
        end_of_text: 65,
        floor: 75,
        opens: true,
        is_first: false,
    };
    Choice { row, allowed, observed: None, temperature: 0.0, uniforms: [0.0; MAX_AHEAD] }
}

#[test]
fn the_device_chooses_what_the_scores_say() {
    let pair = Pair::new(Element::F16, 4);
    let (audios, _) = pair.audios(2, 40);
    let masks = Masks(pair.model.masks(&[vec![11, 12, 40], Vec::new()]).unwrap());
    // The second chooses for its two rows alone, and is told of a token; the first wants its scores.
    let choices: Vec<Choice> = [0, 1, 1]
        .into_iter()
        .enumerate()
        .map(|(n, row)| Choice { observed: (n == 2).then_some(5), ..choice(row) })
        .collect();
    let step = |choices: Option<Choices<'_>>| {
        let mut caches: Vec<Cache> = audios.iter().map(|audio| pair.model.new_cache(audio, 2).unwrap()).collect();
        let mut feeds: Vec<Feed<'_>> = caches
            .iter_mut()
            .enumerate()
            .map(|(n, cache)| Feed { cache, tokens: &[1, 2, 3, 4], wanted: &[1], choices: choices.filter(|_| n == 1) })
            .collect();
        pair.model.answer(&mut feeds).unwrap()
    };
    let all: Vec<Vec<f32>> = step(None).into_iter().map(Answer::scores).collect();
    let answers = step(Some(Choices { each: &choices, masks: &masks, n_ahead: 1 }));
    assert_eq!(answers[0], Answer::Scores(all[0].clone()));
    let Answer::Chosen(chosen) = &answers[1] else { panic!("{answers:?}") };
    for (row, chosen) in all[1].chunks(N_VOCAB).zip(chosen) {
        let sum = |tokens: &mut dyn Iterator<Item = usize>| tokens.map(|token| row[token].exp()).sum::<f32>();
        let text: Vec<usize> = (10..70).filter(|token| ![11, 12, 40].contains(token)).collect();
        let max = text.iter().map(|&token| row[token]).fold(f32::MIN, f32::max);
        let is_time = sum(&mut (75..80)).ln() > max;
        let allowed: Vec<usize> = if is_time { (75..80).collect() } else { text.into_iter().chain(75..80).collect() };
        let token = *allowed.iter().max_by(|a, b| row[**a].total_cmp(&row[**b])).unwrap();
        let log_probability = row[token] - sum(&mut allowed.into_iter()).ln();
        assert_eq!(chosen.token, Some(token as u32));
        assert!((chosen.log_probability - log_probability).abs() < 1e-4, "{chosen:?} and {log_probability}");
    }
    let told = chosen[2].log_probability;
    let row = &all[1][N_VOCAB..];
    // Of the times and the text that the rule leaves, without regard to the mask.
    let allowed = |token: &usize| (10..70).contains(token) || (75..80).contains(token);
    let is_time = (75..80).map(|token| row[token].exp()).sum::<f32>().ln()
        > (10..70).map(|token| row[token]).fold(f32::MIN, f32::max);
    let sum = (0..N_VOCAB).filter(allowed).filter(|token| !is_time || *token > 70).map(|token| row[token].exp());
    assert!((told - (row[5] - sum.sum::<f32>().ln())).abs() < 1e-4, "{told}");
}

#[test]
fn tokens_chosen_ahead_are_those_chosen_one_by_one() {
    for (element, n_processors) in [(Element::F32, 4), (Element::F16, 64)] {
        let pair = Pair::new(element, n_processors);
        let (audios, _) = pair.audios(3, 40);
        let masks = Masks(pair.model.masks(&[vec![11, 12], vec![13]]).unwrap());
        let run = |n_ahead: [usize; 3]| {
            let mut caches: Vec<Cache> =
                audios.iter().zip([1, 2, 1]).map(|(audio, n)| pair.model.new_cache(audio, n).unwrap()).collect();
            let choices = [
                vec![choice(0)],
                vec![choice(0), Choice { temperature: 0.7, uniforms: [0.1, 0.6, 0.3, 0.9], ..choice(1) }],
                vec![choice(0)],
            ];
            let tokens: [&[u32]; 3] = [&[3], &[4, 5], &[6]];
            let mut feeds: Vec<Feed<'_>> = caches
                .iter_mut()
                .enumerate()
                .map(|(n, cache)| Feed {
                    cache,
                    tokens: tokens[n],
                    wanted: &[0],
                    choices: Some(Choices { each: &choices[n], masks: &masks, n_ahead: n_ahead[n] }),
                })
                .collect();
            let answers = pair.model.answer(&mut feeds).unwrap();
            (answers, caches)
        };
        let (answers, caches) = run([2, 4, 1]);
        assert_eq!(caches.iter().map(Cache::len).collect::<Vec<_>>(), [2, 4, 1]);
        // Each alone, as far as the others have nothing to do with it.
        for (n, n_ahead) in [2, 4, 1].into_iter().enumerate() {
            let mut alone = [1; 3];
            alone[n] = n_ahead;
            let (others, _) = run(alone);
            let (Answer::Chosen(a), Answer::Chosen(b)) = (&answers[n], &others[n]) else { panic!("{answers:?}") };
            assert_eq!(a.len(), [2, 8, 1][n]);
            for (a, b) in a.iter().zip(b) {
                assert_eq!(a.token, b.token, "{element:?}");
                assert!((a.log_probability - b.log_probability).abs() < 1e-3);
            }
        }
        // Feeding the first token by hand gives the second.
        let (ones, mut caches) = run([1; 3]);
        let (Answer::Chosen(first), Answer::Chosen(two)) = (&ones[0], &answers[0]) else { panic!("{ones:?}") };
        assert_eq!(first[0].token, two[0].token);
        let token = first[0].token.unwrap();
        let is_time = token >= 70;
        let times = if is_time { N_VOCAB..N_VOCAB } else { 75..N_VOCAB };
        let allowed = Allowed { text_from: 0, times, opens: is_time, ..choice(0).allowed };
        let next = [Choice { allowed, ..choice(0) }];
        let choices = Some(Choices { each: &next, masks: &masks, n_ahead: 1 });
        let mut feed = [Feed { cache: &mut caches[0], tokens: &[token], wanted: &[0], choices }];
        let answer = pair.model.answer(&mut feed).unwrap();
        let Answer::Chosen(second) = &answer[0] else { panic!("{answer:?}") };
        assert_eq!(second[0].token, two[1].token, "{element:?}");
    }
}

#[test]
fn choices_that_do_not_fit_are_errors() {
    let pair = Pair::new(Element::F16, 4);
    let (audios, _) = pair.audios(1, 40);
    let mut cache = pair.model.new_cache(&audios[0], 1).unwrap();
    let masks = Masks(pair.model.masks(&[vec![], vec![]]).unwrap());
    let too_far = Allowed { text_from: N_VOCAB + 1, ..choice(0).allowed };
    let far_ahead = [Choice { observed: Some(1), ..choice(0) }];
    for (choices, n_ahead, tokens) in [
        (&[choice(1)][..], 1, &[1_u32][..]),
        (&[Choice { allowed: too_far, ..choice(0) }], 1, &[1]),
        (&[Choice { observed: Some(N_VOCAB as u32), ..choice(0) }], 1, &[1]),
        (&[choice(0)], MAX_AHEAD + 1, &[1]),
        (&[choice(0)], 2, &[1, 2]),
        (&[choice(0), choice(0)], 2, &[1]),
        (&far_ahead, 2, &[1]),
    ] {
        let choices = Some(Choices { each: choices, masks: &masks, n_ahead });
        let failed = pair.model.answer(&mut [Feed { cache: &mut cache, tokens, wanted: &[0], choices }]);
        assert!(matches!(failed, Err(Error::Model { .. })), "{failed:?}");
    }
    assert_eq!(cache.len(), 0);
}

#[test]
fn the_scores_after_one_token_may_be_wanted_twice() {
    let pair = Pair::new(Element::F16, 4);
    let (audios, _) = pair.audios(1, 40);
    let mut cache = pair.model.new_cache(&audios[0], 1).unwrap();
    let mut feed = [Feed { cache: &mut cache, tokens: &[7], wanted: &[0, 0], choices: None }];
    let both = scores(&pair.model, &mut feed);
    assert_eq!(both[..N_VOCAB], both[N_VOCAB..]);
}

#[test]
fn what_cannot_be_fed_is_an_error_and_changes_nothing() {
    let pair = Pair::new(Element::F16, 4);
    let (audios, _) = pair.audios(1, 40);
    let mut cache = pair.model.new_cache(&audios[0], 2).unwrap();
    let too_many = [0; 2 * (N_TEXT_CTX + 1)];
    for (tokens, wanted) in
        [(&[1_u32, 2, 3][..], &[0_usize][..]), (&[], &[]), (&[1, 90], &[0]), (&[1, 2], &[1]), (&too_many, &[0])]
    {
        let failed = pair.model.answer(&mut [Feed { cache: &mut cache, tokens, wanted, choices: None }]);
        assert!(matches!(failed, Err(Error::Model { .. })), "{tokens:?}");
        assert_eq!(cache.len(), 0);
    }
    assert!(matches!(pair.model.new_cache(&audios[0], 0), Err(Error::InvalidInput(_))));
}
