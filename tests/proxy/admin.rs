//! The operator's own listener and its commands: keys, bans, tasks, pauses.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::http::{Answer, get, post_json, send};
use crate::network::Network;
use crate::neuron::transcript;

impl Network {
    /// Where the operator's routes are, and what their requests carry.
    fn operator(&self) -> (String, String) {
        let read = |name: &str| fs::read_to_string(self.path("data").join(name)).unwrap();
        (read("admin.url"), format!("Bearer {}", read("admin.token")))
    }

    fn order(&self, method: &str, path: &str, body: &Value) -> Answer {
        let (url, token) = self.operator();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&url, method, &format!("/v1/admin{path}"), &[("authorization", &token)], body.as_bytes())
    }

    fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_violet-proxy"));
        command.args(["admin", "--data-dir"]).arg(self.path("data")).args(args).output().unwrap()
    }
}

fn said(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

#[test]
fn only_the_token_opens_the_operators_routes_and_only_on_their_listener() {
    let network = Network::start(&[]);
    let (url, token) = network.operator();
    assert!(url.starts_with("http://127.0.0.1:") && url != network.url());
    for header in ["", "Bearer ", "Bearer x", &token.to_ascii_uppercase(), token.trim_start_matches("Bearer ")] {
        let answer = send(&url, "POST", "/v1/admin/pause", &[("authorization", header)], b"");
        assert_eq!(answer.error(401), "bad_admin_token", "{header}");
    }
    assert_eq!(get(&url, "/v1/admin").error(401), "bad_admin_token");
    assert_eq!(get(&url, "/v1/tasks").status, 401, "nothing else is there");
    assert_eq!(get(network.url(), "/v1/admin").error(404), "no_such_route");
    let status = network.order("GET", "", &Value::Null).expect(200);
    assert_eq!((&status["paused"], &status["asks_for_keys"]), (&json!(false), &json!(false)));
    assert_eq!(network.order("POST", "/pause/x", &Value::Null).error(404), "no_such_route");
}

#[test]
fn the_operators_listener_can_be_off_and_says_where_it_cannot_be() {
    let network = Network::start(&["--admin", "off"]);
    assert!(!network.path("data/admin.url").exists());
    let refused = network.command(&["status"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("admin.url"));
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_violet-proxy"));
    let taken = network.url().strip_prefix("http://").unwrap();
    let command =
        command.args(["--metagraph", "m.json", "--port", "0", "--admin", taken, "--data-dir"]).arg(dir.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--admin"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn keys_are_made_listed_and_revoked_while_the_proxy_runs_and_survive_it() {
    let mut network = Network::start(&[]);
    get(network.url(), "/v1/tasks").expect(200);
    let made = said(&network.command(&["create-key", "ann"]));
    let (id, key) = (made["id"].as_str().unwrap(), format!("Bearer {}", made["key"].as_str().unwrap()));
    let reader = said(&network.command(&["create-key", "ann", "--scopes", "read"]));
    let reader = format!("Bearer {}", reader["key"].as_str().unwrap());
    assert_eq!(get(network.url(), "/v1/tasks").error(401), "missing_api_key", "from now on keys are asked for");
    network.crash_and_restart();
    let listed = network.order("GET", "/keys", &Value::Null).expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(made["key"].as_str().unwrap()), "the key itself is nowhere");
    let with = |key: &str, method: &str, path: &str| send(network.url(), method, path, &[("authorization", key)], b"");
    let upload = json!({"kind": "synthesis", "input": {"text": "hello"}});
    let task = post_json(network.url(), "/v1/tasks", &[("authorization", &key)], &upload).expect(201);
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    // Another key of the same name sees the same tasks, as far as its scopes go.
    with(&reader, "GET", &path).expect(200);
    assert_eq!(with(&reader, "POST", &format!("{path}/cancel")).error(403), "scope_missing");
    assert_eq!(with(&reader, "DELETE", &path).error(403), "scope_missing");
    assert_eq!(
        post_json(network.url(), "/v1/tasks", &[("authorization", &reader)], &upload).error(403),
        "scope_missing"
    );
    assert_eq!(network.command(&["revoke-key", id]).status.code(), Some(0));
    assert_eq!(with(&key, "GET", &path).error(401), "invalid_api_key");
    assert_eq!(network.order("DELETE", &format!("/keys/{id}"), &Value::Null).error(404), "no_such_key");
    for key in listed["data"].as_array().unwrap() {
        network.order("DELETE", &format!("/keys/{}", key["id"].as_str().unwrap()), &Value::Null);
    }
    assert_eq!(get(network.url(), "/v1/tasks").error(401), "missing_api_key", "without a key left nobody gets in");
    assert_eq!(network.order("POST", "/keys", &json!({"name": "a b"})).error(422), "invalid_value");
    assert_eq!(network.order("POST", "/keys", &json!({"name": "a", "scopes": ["all"]})).error(422), "invalid_body");
    assert_eq!(network.order("POST", "/keys", &json!({"name": "a", "scopes": []})).error(422), "invalid_value");
    assert_eq!(network.command(&["create-key", "a b"]).status.code(), Some(1));
}

#[test]
fn a_banned_hotkey_is_out_until_it_is_let_in() {
    let network = Network::start(&["--redundancy", "1"]);
    let miner = &network.miners[0];
    let claim = json!({"claim_id": "c", "kinds": ["transcription"], "capacity": 1});
    said(&network.command(&["ban", &miner.hotkey, "--reason", "copied answers"]));
    let answer = miner.try_post(&network.peer, "/v1/miner/claim", &claim).unwrap();
    assert!(answer.text().contains("copied answers"), "{}", answer.text());
    assert_eq!(answer.error(403), "banned");
    let bans = said(&network.command(&["bans"]));
    assert_eq!((&bans["data"][0]["hotkey"], bans["data"].as_array().unwrap().len()), (&json!(miner.hotkey), 1));
    assert_eq!(network.miners[1].try_post(&network.peer, "/v1/miner/claim", &claim).unwrap().status, 200);
    said(&network.command(&["unban", &miner.hotkey]));
    assert_eq!(miner.try_post(&network.peer, "/v1/miner/claim", &claim).unwrap().status, 200);
    assert_eq!(network.order("DELETE", &format!("/bans/{}", miner.hotkey), &Value::Null).error(404), "not_banned");
    assert_eq!(network.order("PUT", "/bans/nobody", &json!({})).error(422), "invalid_value");
    // A validator that is out does not belong to the committee.
    said(&network.command(&["ban", &network.validators[2].hotkey]));
    let id = network.create_task(&[])["id"].as_str().unwrap().to_owned();
    let lease = network.miners[1].claim_one(&network.peer, "c");
    network.miners[1].submit(&network.peer, &lease, &transcript("hello")).expect(200);
    for validator in &network.validators[..2] {
        let evaluation = validator.lease_evaluation(&network.peer, "v");
        let response = evaluation["responses"][0]["response_id"].as_str().unwrap().to_owned();
        validator.commit(&network.peer, &id, &json!({response: {"score": 0.9, "error_rate": 0.0}})).expect(200);
    }
    let view = network.validators[0].get(&network.peer, &format!("/v1/validator/tasks/{id}")).expect(200);
    assert_eq!(view["phase"], "reveal", "two are the whole committee");
}

#[test]
fn nothing_is_lent_while_claims_are_paused() {
    let network = Network::start(&["--redundancy", "2"]);
    network.create_task(&[]);
    let held = network.miners[0].claim_one(&network.peer, "held");
    said(&network.command(&["pause"]));
    let claim = json!({"claim_id": "c", "kinds": ["transcription"], "capacity": 1, "wait_s": 0.05});
    let empty = network.miners[1].try_post(&network.peer, "/v1/miner/claim", &claim).unwrap().expect(200);
    assert_eq!(empty, json!({"leases": []}));
    assert_eq!(said(&network.command(&["status"]))["paused"], true);
    // What is lent goes on.
    assert_eq!(network.miners[0].claim_one(&network.peer, "held")["token"], held["token"]);
    network.miners[0].submit(&network.peer, &held, &transcript("hello")).expect(200);
    // A miner that waits is woken.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| network.miners[1].claim_one(&network.peer, "waits"));
        said(&network.command(&["resume"]));
        assert_eq!(waiting.join().unwrap()["task_id"], held["task_id"]);
    });
}

#[test]
fn a_task_is_requeued_or_ended_by_the_operator() {
    let network = Network::start(&["--redundancy", "1"]);
    let id = network.create_task(&[])["id"].as_str().unwrap().to_owned();
    let lease = network.miners[0].claim_one(&network.peer, "c");
    let queued = said(&network.command(&["requeue", &id]));
    assert_eq!((queued["state"].as_str(), queued["slots"][0]["attempts"].as_u64()), (Some("queued"), Some(0)));
    let late = network.miners[0].submit(&network.peer, &lease, &transcript("late"));
    assert_eq!(late.error(410), "lease_ended", "the lease was taken back");
    let again = network.miners[0].claim_one(&network.peer, "d");
    assert!(again["token"].as_u64() > lease["token"].as_u64());
    let killed = said(&network.command(&["kill", &id, "--reason", "against the rules"]));
    assert_eq!(killed["state"], "failed");
    assert!(network.task(&id)["reason"].as_str().unwrap().contains("against the rules"));
    assert_eq!(network.miners[0].submit(&network.peer, &again, &transcript("x")).error(410), "task_ended");
    assert_eq!(network.order("POST", &format!("/tasks/{id}/requeue"), &Value::Null).error(409), "task_ended");
    assert_eq!(network.order("POST", &format!("/tasks/{id}/kill"), &Value::Null).error(409), "task_ended");
    assert_eq!(network.order("POST", "/tasks/task_x/kill", &Value::Null).error(404), "no_such_task");
    let answered = network.create_task(&[])["id"].as_str().unwrap().to_owned();
    let lease = network.miners[0].claim_one(&network.peer, "e");
    network.miners[0].submit(&network.peer, &lease, &transcript("hello")).expect(200);
    assert_eq!(network.order("POST", &format!("/tasks/{answered}/requeue"), &Value::Null).error(409), "task_answered");
    assert_eq!(said(&network.command(&["task", &answered]))["owner"], "");
}
