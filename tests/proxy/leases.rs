//! Slots, leases and tokens over the wire.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::http::{post_json, send, until};
use crate::network::Network;
use crate::neuron::{Neuron, transcript};

#[test]
fn eight_miners_at_once_never_share_a_slot() {
    let network = Network::start(&["--redundancy", "3"]);
    // Three quarters of what eight newcomers may hold together, so that nobody is the last who could.
    let n_tasks = 8;
    for _ in 0..n_tasks {
        network.create_task(&[]);
    }
    let network = &network;
    let leases: Vec<(usize, Value)> = std::thread::scope(|scope| {
        let miners: Vec<_> = network
            .miners
            .iter()
            .enumerate()
            .map(|(at, miner)| {
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    // Leases are kept, so each miner runs out of tasks that it may have.
                    for round in 0.. {
                        let got = miner.claim(&network.peer, &format!("r{round}"), 16, 0.6);
                        if got.is_empty() {
                            break;
                        }
                        mine.extend(got.into_iter().map(|lease| (at, lease)));
                    }
                    mine
                })
            })
            .collect();
        miners.into_iter().flat_map(|miner| miner.join().unwrap()).collect()
    });
    assert_eq!(leases.len(), n_tasks * 3, "every slot is lent once");
    let slots: HashSet<_> =
        leases.iter().map(|(_, lease)| (lease["task_id"].to_string(), lease["slot"].to_string())).collect();
    assert_eq!(slots.len(), leases.len(), "and none twice");
    let pairs: HashSet<_> = leases.iter().map(|(miner, lease)| (miner, lease["task_id"].to_string())).collect();
    assert_eq!(pairs.len(), leases.len(), "no miner has two slots of a task");
}

#[test]
fn the_same_claim_gets_the_same_lease() {
    let network = Network::start(&["--redundancy", "1"]);
    network.create_task(&[]);
    network.create_task(&[]);
    let miner = &network.miners[0];
    let first = miner.claim_one(&network.peer, "again");
    let second = miner.claim_one(&network.peer, "again");
    assert_eq!((&first["task_id"], &first["token"]), (&second["task_id"], &second["token"]));
    assert!(miner.claim(&network.peer, "other", 1, 0.0).is_empty(), "the capacity counts what is held");
    assert_eq!(miner.claim(&network.peer, "other", 2, 5.0).len(), 1);
}

#[test]
fn a_waiting_miner_is_woken_by_new_work() {
    let network = Network::start(&["--redundancy", "1"]);
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| network.miners[0].claim_one(&network.peer, "c"));
        // The claim is on the wire once the proxy saw the miner.
        until("the miner to wait", || {
            let seen = crate::http::get(network.url(), "/v1/network").expect(200);
            (seen["miners"].as_array().unwrap().len() == 1).then_some(())
        });
        let task = network.create_task(&[]);
        assert_eq!(waiting.join().unwrap()["task_id"], task["id"]);
    });
    assert!(started.elapsed().as_secs() < 15, "woken, not timed out");
}

#[test]
fn a_silent_miner_loses_its_lease_and_its_late_answer_is_refused() {
    let network = Network::start(&["--redundancy", "1", "--lease-s", "1.5"]);
    network.create_task(&[]);
    let [slow, quick, ..] = network.miners.as_slice() else { panic!() };
    let old = slow.claim_one(&network.peer, "c");
    let new = quick.claim_one(&network.peer, "c");
    assert_eq!(new["task_id"], old["task_id"]);
    assert!(new["token"].as_u64() > old["token"].as_u64());
    assert_eq!(slow.submit(&network.peer, &old, &transcript("late")).error(410), "lease_ended");
    assert_eq!(slow.heartbeat(&network.peer, &old, 0.9, "").error(410), "lease_ended");
    assert_eq!(slow.heartbeat(&network.peer, &new, 0.9, "").error(403), "not_your_lease");
    quick.submit(&network.peer, &new, &transcript("in time")).expect(200);
    assert!(network.metric("violet_lease_expiries_total") >= 1.0);
}

#[test]
fn heartbeats_keep_a_lease_alive_beyond_its_time() {
    let network = Network::start(&["--redundancy", "1", "--lease-s", "1"]);
    let task = network.create_task(&[]);
    let miner = &network.miners[0];
    let lease = miner.claim_one(&network.peer, "c");
    let first = lease["expires_at_ms"].as_i64().unwrap();
    until("a heartbeat after the first end of the lease", || {
        let beat = miner.heartbeat(&network.peer, &lease, 0.4, "so far").expect(200);
        (beat["expires_at_ms"].as_i64().unwrap() > first + 1_200).then_some(())
    });
    let seen = network.task(task["id"].as_str().unwrap());
    assert_eq!(
        (seen["state"].as_str(), seen["progress"].as_f64(), seen["partial"].as_str()),
        (Some("running"), Some(0.4), Some("so far"))
    );
    miner.submit(&network.peer, &lease, &transcript("in time")).expect(200);
}

#[test]
fn submitting_twice_is_submitting_once() {
    let network = Network::start(&["--redundancy", "1"]);
    network.create_task(&[]);
    let miner = &network.miners[0];
    let lease = miner.claim_one(&network.peer, "c");
    let first = miner.submit(&network.peer, &lease, &transcript("hello")).expect(200);
    assert_eq!(miner.submit(&network.peer, &lease, &transcript("hello")).expect(200), first);
    assert_eq!(miner.submit(&network.peer, &lease, &transcript("other")).error(409), "already_submitted");
    assert!((network.metric("violet_submits_total{outcome=\"submitted\"}") - 1.0).abs() < 0.1);
}

#[test]
fn a_bad_answer_is_refused_and_another_miner_gets_the_slot() {
    let network = Network::start(&["--redundancy", "1"]);
    let task = network.create_task(&[]);
    let [bad, good, ..] = network.miners.as_slice() else { panic!() };
    let lease = bad.claim_one(&network.peer, "c");
    let loop_text = transcript(&"and then ".repeat(200));
    let receipt = bad.submit(&network.peer, &lease, &loop_text).expect(200);
    assert_eq!(receipt["state"], "rejected");
    assert!(receipt["reason"].as_str().unwrap().contains("degenerate"), "{receipt}");
    assert_eq!(bad.submit(&network.peer, &lease, &loop_text).expect(200), receipt, "the same again");
    let lease = good.claim_one(&network.peer, "c");
    good.submit(&network.peer, &lease, &transcript("hello")).expect(200);
    let seen = network.task(task["id"].as_str().unwrap());
    assert_eq!((seen["state"].as_str(), seen["slots"][0]["attempts"].as_u64()), (Some("answered"), Some(2)));
}

#[test]
fn a_result_that_is_no_transcript_of_this_audio_is_refused_with_the_reason() {
    let network = Network::start(&["--redundancy", "3"]);
    network.create_task(&[]);
    let longer = transcript("x").replace("\"duration_s\":1.0", "\"duration_s\":9.0");
    for (miner, (result, part)) in
        network.miners.iter().zip([("{}", "missing field"), ("no", "JSON"), (longer.as_str(), "9.0 s")])
    {
        let lease = miner.claim_one(&network.peer, "c");
        let receipt = miner.submit(&network.peer, &lease, result).expect(200);
        assert_eq!(receipt["state"], "rejected");
        assert!(receipt["reason"].as_str().unwrap().contains(part), "{receipt}");
    }
    let lease = network.miners[3].claim_one(&network.peer, "c");
    let mut forged = network.miners[3].submission(&lease, &transcript("x"));
    forged["signature"] = json!(format!("0x{}", "ab".repeat(64)));
    assert_eq!(network.miners[3].post(&network.peer, "/v1/miner/submit", &forged).error(401), "bad_response_signature");
}

#[test]
fn a_task_that_no_miner_can_do_fails_with_the_reason() {
    let network = Network::start(&["--redundancy", "1"]);
    let task = network.create_task(&[]);
    for miner in &network.miners[..3] {
        let lease = miner.claim_one(&network.peer, "c");
        let body = json!({"task_id": lease["task_id"], "slot": lease["slot"], "token": lease["token"], "reason": "out of memory"});
        miner.post(&network.peer, "/v1/miner/fail", &body).expect(200);
    }
    let task = network.ended(task["id"].as_str().unwrap());
    assert_eq!(task["state"], "failed");
    assert!(task["reason"].as_str().unwrap().contains("out of memory"), "{task}");
}

#[test]
fn cancelling_tells_the_miner_to_stop() {
    let network = Network::start(&["--redundancy", "1"]);
    let task = network.create_task(&[]);
    let path = format!("/v1/tasks/{}/cancel", task["id"].as_str().unwrap());
    let miner = &network.miners[0];
    let lease = miner.claim_one(&network.peer, "c");
    assert_eq!(post_json(network.url(), &path, &[], &json!({})).expect(200)["state"], "cancelled");
    assert_eq!(miner.heartbeat(&network.peer, &lease, 0.5, "").expect(200)["cancel"], true);
    assert_eq!(miner.submit(&network.peer, &lease, &transcript("late")).error(410), "task_ended");
}

#[test]
fn only_fresh_requests_of_registered_hotkeys_are_heard() {
    let network = Network::start(&[]);
    let body = json!({"claim_id": "c", "kinds": ["transcription"], "capacity": 1}).to_string();
    let path = "/v1/miner/claim";
    let signed = |neuron: &Neuron, receiver: &str| neuron.headers(receiver, "POST", path, body.as_bytes());
    let post = |headers: &[(String, String)], body: &str| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        send(network.url(), "POST", path, &headers, body.as_bytes())
    };
    let miner = &network.miners[0];
    let headers = signed(miner, &network.peer.hotkey);
    post(&headers, &body).expect(200);
    assert_eq!(post(&headers, &body).error(401), "replayed");
    assert_eq!(post(&signed(miner, &network.peer.hotkey), &body.replace('1', "2")).error(401), "bad_signature");
    assert_eq!(post(&signed(miner, &miner.hotkey), &body).error(401), "wrong_receiver");
    assert_eq!(post(&[], &body).error(401), "missing_signature");
    assert_eq!(post(&signed(&Neuron::new(200), &network.peer.hotkey), &body).error(403), "not_registered");
    let lease = json!({"claim_id": "c", "kinds": [], "max": 1});
    assert_eq!(miner.post(&network.peer, "/v1/validator/lease", &lease).error(403), "no_validator_permit");
}
