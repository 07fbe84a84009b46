//! `kill -9` of the proxy: what it acknowledged is there again.

use serde_json::json;

use crate::http::{Events, get};
use crate::network::Network;
use crate::neuron::transcript;

#[test]
fn a_lease_survives_the_proxy() {
    let mut network = Network::start(&["--redundancy", "1"]);
    let task = network.create_task(&[]);
    let before = network.peer.hotkey.clone();
    let lease = network.miners[0].claim_one(&network.peer, "c");
    network.miners[0].heartbeat(&network.peer, &lease, 0.5, "half").expect(200);
    network.crash_and_restart();
    assert_eq!(network.peer.hotkey, before, "the proxy keeps its key");
    let same = network.miners[0].claim_one(&network.peer, "c");
    assert_eq!((&same["task_id"], &same["token"]), (&lease["task_id"], &lease["token"]));
    assert_eq!(network.task(task["id"].as_str().unwrap())["partial"], "half");
    network.miners[0].submit(&network.peer, &lease, &transcript("hello")).expect(200);
    network.judge(0.9, "hello");
    assert_eq!(network.ended(task["id"].as_str().unwrap())["state"], "verified");
}

#[test]
fn a_submit_survives_the_proxy_and_is_not_taken_twice() {
    let mut network = Network::start(&["--redundancy", "2"]);
    let task = network.create_task(&[]);
    let task_id = task["id"].as_str().unwrap();
    let leases: Vec<_> = network.miners[..2].iter().map(|miner| miner.claim_one(&network.peer, "c")).collect();
    let receipt = network.miners[0].submit(&network.peer, &leases[0], &transcript("hello")).expect(200);
    network.crash_and_restart();
    assert_eq!(network.task(task_id)["answer"]["text"], "hello");
    let again = network.miners[0].submit(&network.peer, &leases[0], &transcript("hello")).expect(200);
    assert_eq!(again, receipt);
    network.miners[1].submit(&network.peer, &leases[1], &transcript("hello")).expect(200);
    // In the middle of the evaluation too.
    let evaluation = network.validators[0].lease_evaluation(&network.peer, "v");
    let scores = |score: f64| {
        let ids =
            evaluation["responses"].as_array().unwrap().iter().map(|r| r["response_id"].as_str().unwrap().to_owned());
        serde_json::Value::Object(ids.map(|id| (id, json!({"score": score, "error_rate": 0.0}))).collect())
    };
    network.validators[0].commit(&network.peer, task_id, &scores(0.9)).expect(200);
    network.crash_and_restart();
    for validator in &network.validators[1..] {
        validator.commit(&network.peer, task_id, &scores(0.8)).expect(200);
    }
    network.validators[0].reveal(&network.peer, task_id, &scores(0.9)).expect(200);
    network.crash_and_restart();
    for validator in &network.validators[1..] {
        validator.reveal(&network.peer, task_id, &scores(0.8)).expect(200);
    }
    let ended = network.ended(task_id);
    assert_eq!(ended["state"], "verified", "{ended}");
    network.crash_and_restart();
    assert_eq!(network.task(task_id)["verdict"], ended["verdict"]);
    let numbers: Vec<u64> = Events::open(network.url(), &format!("/v1/tasks/{task_id}/events"), Some(0))
        .rest()
        .iter()
        .filter_map(|e| e.id)
        .collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected, "no event was lost or doubled");
}

#[test]
fn whatever_was_acknowledged_while_the_proxy_was_killed_is_there() {
    let mut network = Network::start(&["--max-open-tasks", "100000"]);
    let url = network.url().to_owned();
    let writer = std::thread::spawn(move || {
        let sound = crate::network::wav(0.1);
        let mut acknowledged = Vec::new();
        while let Some(answer) = crate::http::try_send(&url, "POST", "/v1/uploads", &[], &sound) {
            // A head without a whole body is no acknowledgement.
            let Ok(body) = serde_json::from_slice::<serde_json::Value>(&answer.body) else { break };
            acknowledged.push(body["id"].as_str().unwrap().to_owned());
        }
        acknowledged
    });
    crate::http::until("some uploads", || {
        let text = get(network.url(), "/metrics").text();
        let line = text.lines().find(|line| line.contains("route=\"/v1/uploads\",status=\"201\""))?;
        (line.rsplit(' ').next()?.parse::<u32>().ok()? >= 20).then_some(())
    });
    network.crash_and_restart();
    let acknowledged = writer.join().unwrap();
    assert!(acknowledged.len() >= 20);
    for id in &acknowledged {
        let body = json!({"input": {"upload_id": id}});
        crate::http::post_json(network.url(), "/v1/tasks", &[], &body).expect(201);
    }
}

#[test]
fn while_the_store_stalls_reads_go_on_and_nothing_is_lost_or_doubled() {
    let network = Network::start(&[]);
    let known = network.create_task(&[]);
    let path = format!("/v1/tasks/{}", known["id"].as_str().unwrap());
    let backup = rusqlite::Connection::open(network.path("data/violet.sqlite3")).unwrap();
    backup.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({"kind": "synthesis", "input": {"text": "hello"}});
    let make = || crate::http::post_json(network.url(), "/v1/tasks", &[("idempotency-key", "once")], &body);
    std::thread::scope(|scope| {
        // Whoever writes waits for the store, five seconds at the most, and is told to come back.
        let stalled = scope.spawn(make);
        while !stalled.is_finished() {
            assert_eq!(get(network.url(), "/healthz").status, 200);
            assert_eq!(get(network.url(), &path).expect(200)["state"], "queued");
            assert_eq!(get(network.url(), "/v1/tasks").expect(200)["data"].as_array().unwrap().len(), 1);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let told = stalled.join().unwrap();
        assert!(told.header("retry-after").is_some());
        assert_eq!(told.error(503), "store_busy");
    });
    backup.execute_batch("COMMIT").unwrap();
    let task = make();
    assert!([200, 201].contains(&task.status), "{}", task.text());
    assert_eq!(make().expect(200)["id"], task.json()["id"]);
    assert_eq!(get(network.url(), "/v1/tasks").expect(200)["data"].as_array().unwrap().len(), 2);
}
