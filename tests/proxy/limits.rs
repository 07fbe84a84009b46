//! What is too much: requests of an address, a key or a hotkey, open tasks of a key, a disk that is nearly full.

use serde_json::{Value, json};

use crate::http::{Answer, get, post_json, send};
use crate::network::{Network, wav};
use crate::neuron::Neuron;

fn from(network: &Network, address: &str, path: &str) -> Answer {
    send(network.url(), "GET", path, &[("x-forwarded-for", address)], b"")
}

fn seconds_to_wait(answer: &Answer) -> u64 {
    answer.header("retry-after").expect("Retry-After").parse().unwrap()
}

#[test]
fn an_address_that_asks_too_often_waits_and_the_others_do_not() {
    let network = Network::start(&["--rate-per-address", "1"]);
    (0..10).for_each(|_| drop(from(&network, "198.51.100.1", "/v1/models").expect(200)));
    let refused = crate::http::until("a refusal", || {
        let answer = from(&network, "198.51.100.1", "/v1/models");
        (answer.status == 429).then_some(answer)
    });
    assert!(seconds_to_wait(&refused) >= 1);
    assert!(refused.text().contains("--rate-per-address"), "{}", refused.text());
    assert_eq!(refused.error(429), "rate_limited");
    from(&network, "198.51.100.2", "/v1/models").expect(200);
    // Those who watch the proxy are never refused, nor programs of its own machine.
    (0..30).for_each(|_| assert_eq!(from(&network, "198.51.100.1", "/healthz").status, 200));
    (0..30).for_each(|_| drop(get(network.url(), "/v1/models").expect(200)));
    assert!(network.metric("violet_rate_limited_total{by=\"address\"}") >= 1.0);
}

#[test]
fn a_key_and_a_hotkey_have_limits_of_their_own() {
    let network = Network::start(&["--rate-per-key", "1", "--rate-per-hotkey", "1"]);
    let admin = std::fs::read_to_string(network.path("data/admin.url")).unwrap();
    let token = format!("Bearer {}", std::fs::read_to_string(network.path("data/admin.token")).unwrap());
    let key = |name: &str| {
        let made =
            post_json(&admin, "/v1/admin/keys", &[("authorization", &token)], &json!({"name": name})).expect(201);
        format!("Bearer {}", made["key"].as_str().unwrap())
    };
    let (ann, bob) = (key("ann"), key("bob"));
    let ask = |key: &str| send(network.url(), "GET", "/v1/models", &[("authorization", key)], b"");
    let refused = (0..60).map(|_| ask(&ann)).find(|answer| answer.status != 200).expect("a refusal");
    assert!(seconds_to_wait(&refused) >= 1);
    assert_eq!(refused.error(429), "rate_limited");
    ask(&bob).expect(200);
    let claim = json!({"claim_id": "c", "kinds": [], "capacity": 1});
    let claim = |miner: &Neuron| miner.try_post(&network.peer, "/v1/miner/claim", &claim).unwrap();
    let refused = (0..60).map(|_| claim(&network.miners[0])).find(|answer| answer.status != 200).expect("a refusal");
    assert!(seconds_to_wait(&refused) >= 1);
    assert_eq!(refused.error(429), "rate_limited");
    assert_eq!(claim(&network.miners[1]).status, 200);
}

#[test]
fn a_key_may_have_so_many_tasks_open() {
    let network = Network::start(&["--open-tasks-per-key", "2"]);
    let task = json!({"kind": "synthesis", "input": {"text": "hello"}});
    (0..4).for_each(|_| drop(post_json(network.url(), "/v1/tasks", &[], &task).expect(201)));
    let admin = std::fs::read_to_string(network.path("data/admin.url")).unwrap();
    let token = format!("Bearer {}", std::fs::read_to_string(network.path("data/admin.token")).unwrap());
    let key = post_json(&admin, "/v1/admin/keys", &[("authorization", &token)], &json!({"name": "ann"})).expect(201);
    let key = format!("Bearer {}", key["key"].as_str().unwrap());
    let make = || post_json(network.url(), "/v1/tasks", &[("authorization", &key)], &task);
    let first = make().expect(201);
    make().expect(201);
    let refused = make();
    assert!(seconds_to_wait(&refused) >= 1);
    assert_eq!(refused.error(429), "too_many_open_tasks");
    let path = format!("/v1/tasks/{}/cancel", first["id"].as_str().unwrap());
    send(network.url(), "POST", &path, &[("authorization", &key)], b"").expect(200);
    make().expect(201);
}

#[test]
fn a_disk_that_is_nearly_full_takes_nothing_new_and_gives_what_is_there() {
    let mut network = Network::start(&[]);
    let task = network.create_task(&[]);
    network.restart_with(&["--min-free-bytes", &u64::MAX.to_string()]);
    let sound = wav(0.1);
    let upload = send(network.url(), "POST", "/v1/uploads", &[], &sound);
    assert_eq!(upload.header("retry-after"), Some("60"));
    assert_eq!(upload.error(507), "storage_full");
    let text = json!({"kind": "synthesis", "input": {"text": "hello"}});
    assert_eq!(post_json(network.url(), "/v1/tasks", &[], &text).error(507), "storage_full");
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let shown: Value = get(network.url(), &path).expect(200);
    assert_eq!(shown["state"], "queued");
    assert_eq!(get(network.url(), &format!("{path}/audio")).body, wav(1.0));
    assert_eq!(std::fs::read_dir(network.path("data/blobs.part")).unwrap().count(), 0);
}
