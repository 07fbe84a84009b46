//! Many requests at once on a small random model: what one of them does is nothing to the others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    decode::{Decoded, Request},
    model::Whisper,
    model_test::model_directory,
    rules::Rules,
    scheduler::{Capacity, Done, Scheduler},
    tokenizer::Tokenizer,
};
use crate::{
    Error, Result,
    infer::{compute_type::ComputeType, device::Device, weights::Checkpoint},
};

/// 2 s: enough to decode, quick to encode.
const N_FRAMES: usize = 200;
const CAPACITY: Capacity = Capacity { max_bytes: 1 << 30, max_encoded: 1 };

fn model() -> Whisper {
    let checkpoint = Checkpoint::open(&model_directory("tiny.en")).unwrap();
    Whisper::load(&checkpoint, &Device::Cpu, ComputeType::Float32).unwrap()
}

/// The engine lets go of a window after it has told of it.
fn assert_nothing_is_left(scheduler: &Scheduler) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while scheduler.bytes_in_flight() > 0 {
        assert!(Instant::now() < deadline, "{} bytes are still lent", scheduler.bytes_in_flight());
        thread::sleep(Duration::from_millis(5));
    }
}

fn rules() -> Arc<Rules> {
    let tokenizer = Tokenizer::load(&model_directory("tiny.en")).unwrap();
    Arc::new(Rules::new(Arc::new(tokenizer), 51_864).unwrap())
}

fn mel(seed: usize) -> Vec<f32> {
    (0..80 * N_FRAMES).map(|n| ((n * (seed + 1)) as f32 * 0.001).sin() * 0.5 - 0.5).collect()
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn request(rules: &Arc<Rules>) -> Request {
    Request {
        rules: Arc::clone(rules),
        prompt: Vec::new(),
        start: vec![rules.special().start_of_transcript],
        temperature: 0.0,
        given: Vec::new(),
        beam_size: 1,
        best_of: 1,
        patience: 1.0,
        length_penalty: None,
        max_new_tokens: None,
        seed: 0,
    }
}

fn transcribe(scheduler: &Scheduler, rules: &Arc<Rules>, seed: usize) -> Result<Decoded> {
    let client = scheduler.client()?;
    let session = client.session();
    let window = session.encode(mel(seed), N_FRAMES, 1, &mut go_on)?;
    session.decode(request(rules), &window, &mut |_| go_on())
}

#[test]
fn windows_that_are_stepped_together_say_what_each_says_alone() {
    let (scheduler, rules) = (Scheduler::new(model(), CAPACITY).unwrap(), rules());
    let alone: Vec<_> = (0..6).map(|seed| transcribe(&scheduler, &rules, seed).unwrap().tokens).collect();
    assert!(alone.iter().any(|tokens| *tokens != alone[0]), "the windows are all alike");
    let together: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|seed| {
                scope.spawn({
                    let (scheduler, rules) = (&scheduler, &rules);
                    move || transcribe(scheduler, rules, seed).unwrap().tokens
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(together, alone);
    assert_nothing_is_left(&scheduler);
}

#[test]
fn the_errors_and_panics_of_one_request_are_its_own() {
    let (scheduler, rules) = (Scheduler::new(model(), CAPACITY).unwrap(), rules());
    let expected = transcribe(&scheduler, &rules, 0).unwrap().tokens;
    let client = scheduler.client().unwrap();
    let session = client.session();
    let window = session.encode(mel(0), N_FRAMES, 1, &mut go_on).unwrap();
    // A token that the model does not have, scores of another length than the model's, and two good ones.
    let wrong_token = Request { start: vec![60_000], ..request(&rules) };
    let tokenizer = Tokenizer::load(&model_directory("tiny.en")).unwrap();
    let wrong_rules = Arc::new(Rules::new(Arc::new(tokenizer), 1_000_000).unwrap());
    for (ticket, request) in
        [request(&rules), wrong_token, request(&wrong_rules), request(&rules)].into_iter().enumerate()
    {
        session.submit_decoding(ticket, request, &window, None);
    }
    for _ in 0..4 {
        let (ticket, outcome) = session.next(&mut go_on).unwrap();
        match (ticket, outcome) {
            (0 | 3, Ok(Done::Said(decoded))) => assert_eq!(decoded.tokens, expected),
            (1, Err(Error::InvalidInput(_))) | (2, Err(Error::Model { .. })) => {}
            (ticket, outcome) => panic!("{ticket}: {outcome:?}"),
        }
    }
    assert!(session.encode(vec![0.0; 7], N_FRAMES, 1, &mut go_on).is_err(), "a window of another size");
    assert_eq!(transcribe(&scheduler, &rules, 0).unwrap().tokens, expected, "and the engine goes on");
}

#[test]
fn a_cancelled_request_ends_at_once_and_leaves_nothing() {
    let (scheduler, rules) = (Scheduler::new(model(), CAPACITY).unwrap(), rules());
    let client = scheduler.client().unwrap();
    let session = client.session();
    let window = session.encode(mel(0), N_FRAMES, 1, &mut go_on).unwrap();
    for ticket in 0..20 {
        session.submit_window(ticket, mel(ticket), N_FRAMES, 1);
    }
    let cancelled = session.next(&mut || ControlFlow::Break(()));
    assert!(matches!(cancelled, Err(Error::Cancelled) | Ok(_)));
    let began = Instant::now();
    let result = session.decode(request(&rules), &window, &mut |_| ControlFlow::Break(()));
    assert!(matches!(result, Err(Error::Cancelled | Error::Model { .. })), "{result:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "it waits for the window");
    drop(window);
    drop(session);
    drop(client);
    assert_nothing_is_left(&scheduler);
    assert!(!transcribe(&scheduler, &rules, 0).unwrap().tokens.is_empty());
}

#[test]
fn memory_bounds_the_windows_in_flight_and_queues_take_turns() {
    // Room for one window.
    let scheduler = Scheduler::new(model(), Capacity { max_bytes: 1, max_encoded: 4 }).unwrap();
    let long = scheduler.client().unwrap();
    let line = long.session();
    let first = line.encode(mel(0), N_FRAMES, 1, &mut go_on).unwrap();
    for ticket in 0..4 {
        line.submit_window(ticket, mel(ticket), N_FRAMES, 1);
    }
    let order = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (scheduler, order) = (&scheduler, &order);
        let short = scope.spawn(move || {
            let client = scheduler.client().unwrap();
            let window = client.session().encode(mel(9), N_FRAMES, 1, &mut go_on).unwrap();
            let place = order.fetch_add(1, SeqCst);
            drop(window);
            place
        });
        // The short request is in its queue, and nothing is heard while the first window is held.
        while scheduler.n_waiting() < 5 {
            thread::sleep(Duration::from_millis(1));
        }
        let mut n_looks = 0;
        let nothing = line.next(&mut || {
            n_looks += 1;
            if n_looks > 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(nothing, Err(Error::Cancelled)), "{nothing:?}");
        drop(first);
        for _ in 0..4 {
            drop(line.next(&mut go_on).unwrap().1.unwrap());
            order.fetch_add(1, SeqCst);
        }
        let place = short.join().unwrap();
        assert!(place <= 2, "the short request came after {place} windows of the long one");
    });
}

#[test]
fn too_many_requests_are_told_so_and_dropping_ends_the_thread() {
    let scheduler = Scheduler::new(model(), CAPACITY).unwrap();
    let clients: Vec<_> = (0..256).map(|_| scheduler.client().unwrap()).collect();
    let error = scheduler.client().unwrap_err();
    assert_eq!(error.to_string(), "busy: 256 transcriptions are under way; try again later");
    drop(clients);
    assert!(scheduler.client().is_ok());
    drop(scheduler);
}
