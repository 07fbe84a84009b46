//! The process dies at every step of a task's life; whoever was not answered asks again, and nothing is lost or doubled.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Events, get, try_send};
use crate::network::{FAULT, Network, wav};
use crate::neuron::{Neuron, transcript};

/// Where the process dies: the points of `src/proxy/fault.rs`, some at a later time.
const POINTS: [&str; 14] = [
    "blob_part_written",
    "blob_meta_renamed",
    "blob_renamed",
    "blob_kept",
    "before_insert",
    "before_commit:1",
    "before_commit:2",
    "before_commit:3",
    "after_commit:1",
    "after_commit:2",
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
    persist(network, |network| {
        let miner = &network.miners[miner];
        let answer = miner.try_post(&network.peer, path, &body(miner))?;
        Some((answer.status, serde_json::from_slice(&answer.body).ok()?))
    })
}

fn claim(network: &mut Network, miner: usize) -> Value {
    let body = json!({"claim_id": "c", "kinds": ["transcription"], "capacity": 1, "wait_s": 20});
    let leases = post(network, miner, "/v1/miner/claim", |_| body.clone());
    assert_eq!(leases["leases"].as_array().unwrap().len(), 1, "{leases}");
    leases["leases"][0].clone()
}

fn dies_at(point: &str) {
    let flags = ["--redundancy", "1", "--commit-s", "0.2", "--reveal-s", "0.1"];
    let mut network = Network::start_with(&flags, &[(FAULT, point)]);
    let task = create(&mut network);
    let id = task["id"].as_str().unwrap().to_owned();
    let lease = claim(&mut network, 0);
    // The blob is there, whole, when its task is.
    let url = lease["input"]["url"].as_str().unwrap().to_owned();
    let path = format!("/{}", url.splitn(4, '/').nth(3).unwrap());
    assert_eq!(get(network.url(), &path).body, wav(1.0), "{point}");
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
