//! The process dies at every step of a task's life; whoever was not answered asks again, and nothing is lost or doubled.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Events, get, try_send};
use crate::kinds::{TEXT, result, sha256, speech};
use crate::network::{FAULT, Network, wav};
use crate::neuron::{Neuron, transcript};

/// Where the process dies: the points of `src/proxy/fault.rs`, some at a later time. The first commit makes the task, the
/// second lends it, the third is the heartbeat's, the fourth takes the answer.
const POINTS: [&str; 17] = [
    "blob_part_written",
    "blob_meta_renamed",
    "blob_renamed",
    "blob_kept",
    "before_insert",
    "before_commit:1",
    "before_commit:2",
    "before_commit:3",
    "before_commit:4",
    "after_commit:1",
    "after_commit:2",
    "after_commit:3",
    "after_commit:4",
    "after_claim",
    "before_submit",
    "before_submit_reply",
    "in_reaper",
];

/// Asks until there is an answer that is no 5xx; starts the proxy again when it died.
fn persist(network: &mut Network, ask: impl Fn(&Network) -> Option<(u16, Value)>) -> Value {
    for _ in 0..8 {
        if let Some((status, body)) = ask(network)
            && status < 500
        {
            assert!(status < 300, "{status} {body}");
            return body;
        }
        // Its connection ends before the process does.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !network.is_dead() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        network.crash_and_restart();
    }
    panic!("no answer");
}

fn create(network: &mut Network) -> Value {
    let mut body = b"--e\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".to_vec();
    body.extend_from_slice(&wav(1.0));
    body.extend_from_slice(b"\r\n--e--\r\n");
    persist(network, |network| {
        let headers = [("content-type", "multipart/form-data; boundary=e"), ("idempotency-key", "the-task")];
        let answer = try_send(network.url(), "POST", "/v1/tasks", &headers, &body)?;
        Some((answer.status, serde_json::from_slice(&answer.body).ok()?))
    })
}

fn post(network: &mut Network, miner: usize, path: &str, body: impl Fn(&Neuron) -> Value) -> Value {
    post_as(network, |network| &network.miners[miner], path, body)
}

fn post_as(
    network: &mut Network,
    who: impl Fn(&Network) -> &Neuron,
    path: &str,
    body: impl Fn(&Neuron) -> Value,
) -> Value {
    persist(network, |network| {
        let neuron = who(network);
        let answer = neuron.try_post(&network.peer, path, &body(neuron))?;
        Some((answer.status, serde_json::from_slice(&answer.body).ok()?))
    })
}

fn claim(network: &mut Network, miner: usize, kind: &str) -> Value {
    let body = json!({"claim_id": "c", "kinds": [kind], "voices": ["joe"], "capacity": 1, "wait_s": 20});
    let leases = post(network, miner, "/v1/miner/claim", |_| body.clone());
    assert_eq!(leases["leases"].as_array().unwrap().len(), 1, "{leases}");
    leases["leases"][0].clone()
}

fn dies_at(point: &str) {
    let flags = ["--redundancy", "1", "--commit-s", "0.2", "--reveal-s", "0.1"];
    let mut network = Network::start_with(&flags, &[(FAULT, point)]);
    let task = create(&mut network);
    let id = task["id"].as_str().unwrap().to_owned();
    let lease = claim(&mut network, 0, "transcription");
    // The blob is there, whole, when its task is.
    let url = lease["input"]["url"].as_str().unwrap().to_owned();
    let path = format!("/{}", url.splitn(4, '/').nth(3).unwrap());
    assert_eq!(get(network.url(), &path).body, wav(1.0), "{point}");
    let beat = json!({"task_id": id, "slot": 0, "token": lease["token"], "progress": 0.5, "partial": "hel"});
    let kept = post(&mut network, 0, "/v1/miner/heartbeat", |_| beat.clone());
    assert!(kept["expires_at_ms"].as_i64() >= lease["expires_at_ms"].as_i64(), "{point}");
    let receipt = post(&mut network, 0, "/v1/miner/submit", |miner| miner.submission(&lease, &transcript("hello")));
    assert_eq!(receipt["state"], "submitted", "{point}");
    // `in_reaper` may only die now.
    let ended = loop {
        let answer = try_send(network.url(), "GET", &format!("/v1/tasks/{id}?wait=10"), &[], b"");
        match answer.filter(|answer| answer.status == 200).map(|answer| answer.json()) {
            Some(task) if task["state"] == "unverified" => break task,
            Some(task) => {
                assert!(["answered", "running"].contains(&task["state"].as_str().unwrap()), "{point}: {task}");
            }
            None => network.crash_and_restart(),
        }
    };
    assert_eq!(ended["answer"]["text"], "hello", "{point}");
    assert_eq!(ended["answer"]["response_id"], receipt["response_id"], "{point}");
    let listed = get(network.url(), "/v1/tasks").expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{point}: a key makes one task");
    let path = format!("/v1/tasks/{id}/events");
    let numbers: Vec<u64> = Events::open(network.url(), &path, Some(0)).rest().iter().filter_map(|e| e.id).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{point}: events without gaps");
    let fault = std::fs::read_dir(network.path("data/blobs.part")).unwrap().count();
    assert_eq!(fault, 0, "{point}: nothing half-written stays");
}

#[test]
fn the_process_may_die_at_any_step() {
    for point in POINTS {
        dies_at(point);
    }
}

#[test]
fn a_verdict_is_there_once_and_never_changes_whenever_the_process_dies() {
    for point in ["before_verdict", "before_verdict_reply"] {
        let mut network = Network::start_with(&["--redundancy", "1"], &[(FAULT, point)]);
        let id = create(&mut network)["id"].as_str().unwrap().to_owned();
        let lease = claim(&mut network, 0, "transcription");
        post(&mut network, 0, "/v1/miner/submit", |miner| miner.submission(&lease, &transcript("hello")));
        let evaluation = network.validators[0].lease_evaluation(&network.peer, "v");
        let response_id = evaluation["responses"][0]["response_id"].as_str().unwrap();
        let scores = [0.9, 0.8, 0.4].map(|score| json!({response_id: {"score": score, "error_rate": 0.0}}));
        for (at, scores) in scores.iter().enumerate() {
            post_as(
                &mut network,
                |network| &network.validators[at],
                "/v1/validator/commit",
                |validator| json!({"task_id": id, "commitment": validator.commitment(&id, scores).0}),
            );
        }
        for (at, scores) in scores.iter().enumerate() {
            // The last of them makes the verdict: there it dies.
            post_as(
                &mut network,
                |network| &network.validators[at],
                "/v1/validator/reveal",
                |validator| {
                    let (_, salt, scores) = validator.commitment(&id, scores);
                    json!({"task_id": id, "salt": salt, "scores": scores})
                },
            );
        }
        let ended = network.ended(&id);
        assert_eq!(ended["state"], "verified", "{point}: {ended}");
        let score = ended["verdict"]["scores"][response_id].as_f64().unwrap();
        assert!((score - 0.8).abs() < 1e-9, "{point}: {score} is not the median");
        assert_eq!(ended["verdict"]["evaluations"].as_array().unwrap().len(), 3, "{point}");
        network.crash_and_restart();
        assert_eq!(network.task(&id)["verdict"], ended["verdict"], "{point}");
        let path = format!("/v1/validator/tasks/{id}");
        let reveals = network.validators[0].get(&network.peer, &path).expect(200)["reveals"].clone();
        assert_eq!(reveals.as_array().unwrap().len(), 3, "{point}: each validator once");
    }
}

#[test]
fn a_text_and_the_audio_of_its_answer_are_there_or_are_stored_again_whenever_the_process_dies() {
    // The first blob is the text, a row; the second the audio, a file.
    let of_the_text = ["blob_part_written", "blob_row_put", "blob_kept"];
    let of_the_audio = ["blob_part_written:2", "blob_meta_renamed", "blob_renamed", "blob_kept:2", "before_submit"];
    for point in of_the_text.into_iter().chain(of_the_audio) {
        let mut network = Network::start_with(&["--redundancy", "1"], &[(FAULT, point)]);
        let body = json!({"kind": "synthesis", "input": {"text": TEXT}});
        let task = persist(&mut network, |network| {
            let body = serde_json::to_vec(&body).unwrap();
            let headers = [("content-type", "application/json"), ("idempotency-key", "the-task")];
            let answer = try_send(network.url(), "POST", "/v1/tasks", &headers, &body)?;
            Some((answer.status, serde_json::from_slice(&answer.body).ok()?))
        });
        let lease = claim(&mut network, 0, "synthesis");
        let audio = speech(1, 0.5);
        let (hash, n) = (sha256(&audio), audio.len());
        let declared =
            json!({"task_id": lease["task_id"], "slot": 0, "token": lease["token"], "sha256": hash, "bytes": n});
        // A URL is of the proxy that gave it: declared and stored together, until that is done.
        persist(&mut network, |network| {
            let answer = network.miners[0].try_post(&network.peer, "/v1/miner/output", &declared)?;
            let url = answer.expect(200)["url"].as_str().unwrap().to_owned();
            let stored = try_send(network.url(), "PUT", url.strip_prefix(network.url()).unwrap(), &[], &audio)?;
            Some((stored.status, serde_json::from_slice(&stored.body).ok()?))
        });
        let receipt = post(&mut network, 0, "/v1/miner/submit", |miner| miner.submission(&lease, &result(&audio)));
        assert_eq!(receipt["state"], "submitted", "{point}: {receipt}");
        let path = format!("/v1/tasks/{}/audio?format=flac", task["id"].as_str().unwrap());
        assert_eq!(get(network.url(), &path).body, audio, "{point}");
        assert_eq!(std::fs::read_dir(network.path("data/blobs.part")).unwrap().count(), 0, "{point}");
    }
}
