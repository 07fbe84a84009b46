//! Decoding on a GPU that is the processor: what the device chooses, and what happens when it runs out of memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{ops::ControlFlow, sync::Arc, thread};

use proptest::prelude::*;

use super::{
    cuda::model_test::write_model,
    decode::{Decoded, Decoding, Request},
    model::{Audio, Whisper},
    model_test::model_directory,
    options::Options,
    rules::Rules,
    scheduler::{Capacity, Done, Scheduler},
    tokenizer::Tokenizer,
};
use crate::{
    Error,
    infer::{
        cuda::{Element, Host},
        weights::Checkpoint,
    },
};

/// Tokens of tiny.en, whose tokenizer is used.
const N_VOCAB: usize = 51_864;
const N_FRAMES: usize = 40;
const CAPACITY: Capacity = Capacity { max_bytes: 1 << 30, max_encoded: 4 };

/// A model with random weights and the words of tiny.en.
fn model() -> (Arc<Host>, Whisper) {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), N_VOCAB);
    let host = Host::new(Element::F32, 4);
    let model = Whisper::on_host(&Checkpoint::open(directory.path()).unwrap(), host.clone()).unwrap();
    (host, model)
}

fn rules(options: &Options) -> Arc<Rules> {
    let tokenizer = Tokenizer::load(&model_directory("tiny.en")).unwrap();
    Arc::new(Rules::new(Arc::new(tokenizer), N_VOCAB).unwrap().with(options).unwrap())
}

fn mel(seed: u64) -> Vec<f32> {
    (0..8 * N_FRAMES as u64).map(|n| ((n * (seed % 1000 + 1)) as f32 * 0.7).sin()).collect()
}

fn request(rules: &Arc<Rules>, seed: u64) -> Request {
    Request {
        rules: Arc::clone(rules),
        prompt: Vec::new(),
        start: vec![rules.special().start_of_transcript],
        given: Vec::new(),
        temperature: 0.0,
        beam_size: 1,
        best_of: 1,
        patience: 1.0,
        length_penalty: None,
        max_new_tokens: None,
        seed,
    }
}

/// Decodes a window; with scores that come back, or with tokens that the device chooses.
fn decode(model: &Whisper, audio: &Audio, request: &Request, by_scores: bool) -> (Decoded, usize) {
    let mut decoding = Decoding::new(request.clone(), model, audio).unwrap();
    for n_steps in 1.. {
        decoding.prepare().unwrap();
        let mut step = decoding.step();
        if by_scores {
            step.choices = None;
        } else {
            assert!(step.choices.is_some(), "the device is not asked");
        }
        let answer = model.decode(&mut [step]).unwrap().remove(0);
        if let Some(decoded) = decoding.advance(answer) {
            return (decoded, n_steps);
        }
    }
    unreachable!()
}

#[test]
fn the_device_chooses_the_tokens_that_the_rules_choose_by_its_scores() {
    let (_host, model) = model();
    let config = ProptestConfig::with_cases(12);
    let options = (any::<bool>(), any::<bool>(), prop_oneof![Just(None), (0.0_f32..1.5).prop_map(Some)]);
    let choice =
        (prop_oneof![Just(0.0_f32), 0.2_f32..1.5], 1_usize..4, prop_oneof![Just(None), (1_usize..9).prop_map(Some)]);
    let given =
        prop_oneof![Just(vec![]), Just(vec![50_363, 500]), Just(vec![500, 50_400]), Just(vec![50_370, 7, 50_380])];
    proptest!(config, |(seed: u64, options in options, choice in choice, given in given)| {
        let (without_timestamps, suppress_blank, max_initial_timestamp) = options;
        let (temperature, best_of, max_new_tokens) = choice;
        let options = Options { suppress_blank, without_timestamps, max_initial_timestamp, ..Options::default() };
        let request = Request { given, temperature, best_of, max_new_tokens, ..request(&rules(&options), seed) };
        let mel = mel(seed);
        let audio = model.encode(&[&mel], N_FRAMES).unwrap().remove(0);
        let (by_scores, n_one_by_one) = decode(&model, &audio, &request, true);
        let (chosen, n_steps) = decode(&model, &audio, &request, false);
        prop_assert_eq!(&chosen.tokens, &by_scores.tokens, "{:?}", request);
        prop_assert!((chosen.avg_logprob - by_scores.avg_logprob).abs() < 1e-3);
        prop_assert!((chosen.no_speech_prob - by_scores.no_speech_prob).abs() < 1e-6);
        // The first token alone, then four at a time.
        prop_assert!(n_steps <= 1 + n_one_by_one.div_ceil(4).max(1), "{} steps for {}", n_steps, n_one_by_one);
    });
}

#[test]
fn a_device_that_runs_out_steps_fewer_together_and_says_the_same() {
    let (host, model) = model();
    let scheduler = Scheduler::new(model, CAPACITY).unwrap();
    let client = scheduler.client().unwrap();
    let session = client.session();
    let mut go_on = || ControlFlow::Continue(());
    let windows: Vec<_> = (0..6).map(|seed| session.encode(mel(seed), N_FRAMES, 5, &mut go_on).unwrap()).collect();
    let drawn = Request { temperature: 0.8, best_of: 4, ..request(&rules(&Options::default()), 1) };
    let searched = Request { beam_size: 3, ..request(&rules(&Options::default()), 1) };
    let greedy = request(&rules(&Options::default()), 1);
    let requests = [&greedy, &greedy, &drawn, &searched, &greedy, &drawn];
    let all = || {
        for (ticket, window) in windows.iter().enumerate() {
            session.submit_decoding(ticket, requests[ticket].clone(), window, None);
        }
        let mut said = vec![Vec::new(); 6];
        for _ in 0..6 {
            match session.next(&mut || ControlFlow::Continue(())).unwrap() {
                (ticket, Ok(Done::Said(decoded))) => said[ticket] = decoded.tokens,
                other => panic!("{other:?}"),
            }
        }
        said
    };
    let before = host.used_bytes().0;
    for request in [&drawn, &searched] {
        session.submit_decoding(9, request.clone(), &windows[0], None);
        assert!(matches!(session.next(&mut go_on).unwrap(), (9, Ok(Done::Said(_)))));
    }
    let alone = host.used_bytes().1 - before;
    let expected = all();
    assert!(expected.iter().any(|tokens| *tokens != expected[0]));
    let needed = host.used_bytes().1 - before;
    assert!(alone < needed / 2, "{alone} of {needed} bytes");
    // Too little to step all together; too little to step more than two; just enough for the largest alone.
    for part in [2, 3, needed] {
        host.limit_memory(Some(before + alone.max(needed / part)));
        assert_eq!(all(), expected, "with a part of {part}");
    }
    // Nothing can be decoded: all are told so, and later ones succeed.
    host.limit_memory(Some(before + 1000));
    session.submit_decoding(9, greedy.clone(), &windows[0], None);
    assert!(matches!(session.next(&mut go_on).unwrap(), (9, Err(Error::OutOfMemory { .. }))));
    host.limit_memory(None);
    assert_eq!(all(), expected);
}

#[test]
fn a_window_without_memory_waits_for_another_to_end() {
    let (host, model) = model();
    let mel = [mel(0), mel(1)];
    let before = host.used_bytes().0;
    let audio = model.encode(&[&mel[0]], N_FRAMES).unwrap();
    let (audio_bytes, needed) = (host.used_bytes().0 - before, host.used_bytes().1 - before);
    drop(audio);
    let scheduler = Scheduler::new(model, CAPACITY).unwrap();
    let client = scheduler.client().unwrap();
    let session = client.session();
    let mut go_on = || ControlFlow::Continue(());
    // Room to encode one, but not while the other's result is there.
    host.limit_memory(Some(before + needed + audio_bytes / 2));
    let first = session.encode(mel[0].clone(), N_FRAMES, 1, &mut go_on).unwrap();
    session.submit_window(1, mel[1].clone(), N_FRAMES, 1);
    let mut n_looks = 0;
    let nothing = session.next(&mut || {
        n_looks += 1;
        if n_looks > 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(nothing, Err(Error::Cancelled)), "{nothing:?}");
    drop(first);
    assert!(matches!(session.next(&mut go_on).unwrap(), (1, Ok(Done::Heard(_)))));
    // Not even one fits.
    host.limit_memory(Some(before + needed / 2));
    let error = thread::scope(|scope| scope.spawn(|| session_error(&scheduler, &mel[1])).join().unwrap());
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error:?}");
}

fn session_error(scheduler: &Scheduler, mel: &[f32]) -> Error {
    let client = scheduler.client().unwrap();
    client.session().encode(mel.to_vec(), N_FRAMES, 1, &mut || ControlFlow::Continue(())).unwrap_err()
}

#[test]
fn what_may_be_in_flight_follows_the_devices_free_memory() {
    let (host, model) = model();
    let used = host.used_bytes().0;
    let memory = model.dimensions().memory(model.compute_type());
    let capacity = |free: u64| {
        host.limit_memory(Some(used + free as usize));
        Capacity::of(&model)
    };
    let (small, large) = (capacity(100 << 20), capacity(12 << 30));
    assert_eq!(large.max_encoded, 32);
    assert_eq!(large.max_bytes as u64, ((12 << 30) - 32 * memory.workspace_bytes) / 10 * 9);
    assert!(small.max_bytes < 100 << 20 && small.max_bytes > 60 << 20, "{small:?}");
    assert_eq!(capacity(0).max_encoded, 1);
}

#[test]
fn the_memory_that_is_planned_is_what_the_engine_takes() {
    for element in [Element::F32, Element::F16] {
        let directory = tempfile::tempdir().unwrap();
        write_model(directory.path(), 90);
        let host = Host::new(element, 4);
        let model = Whisper::on_host(&Checkpoint::open(directory.path()).unwrap(), host.clone()).unwrap();
        let sizes = model.dimensions();
        let plan = sizes.memory(model.compute_type());
        // The values' biases are multiplied into those that follow.
        let n_attentions = sizes.n_encoder_layers + 2 * sizes.n_decoder_layers;
        let weights = host.used_bytes().0;
        assert_eq!(plan.weights_bytes as usize, weights + 4 * n_attentions * sizes.width, "{element:?}");
        let mel = [mel(0), mel(1), mel(2)];
        let mels: Vec<&[f32]> = mel.iter().map(Vec::as_slice).collect();
        let audio = model.encode(&mels, 2 * sizes.n_audio_ctx).unwrap();
        let (window, workspace) = (3 * plan.window_bytes as usize, 3 * plan.workspace_bytes as usize);
        let (used, most) = host.used_bytes();
        assert_eq!(used - weights, window);
        // The input is forgotten before the last of the results is there.
        assert!(
            (workspace..=workspace + window).contains(&(most - weights)),
            "{} of {workspace} + {window}",
            most - weights
        );
        let caches = [model.new_cache(&audio[0], 1).unwrap(), model.new_cache(&audio[0], 3).unwrap()];
        let row = plan.row_bytes as usize - 4 * sizes.n_vocab;
        assert_eq!(host.used_bytes().0 - used, 4 * row);
        drop(caches);
    }
}
