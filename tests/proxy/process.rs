//! The program: its exit codes, its one-line errors, its end.

use std::process::{Command, Output};

use serde_json::Value;

use crate::http::{get, send, until};
use crate::network::{Network, wav};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_violet-proxy")).args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_usage_is_2_and_names_the_flag() {
    let output = run(&["--metagraph", "m.json", "--redundancy", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--redundancy"), "{}", stderr(&output));
    assert_eq!(run(&["--metagraph", "m.json", "--no-such-flag"]).status.code(), Some(2));
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("--metagraph <FILE>"));
}

#[test]
fn a_taken_port_is_1_and_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_violet-proxy"));
    let output =
        command.args(["--metagraph", "m.json", "--port", &port, "--data-dir"]).arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(&port) && text.contains("--port"), "{text}");
}

#[test]
fn the_log_is_json_where_asked_names_requests_and_holds_no_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let key = String::from_utf8(run(&["new-key", "ann", "--api-keys", &path("keys")]).stdout).unwrap();
    let flags = ["--port", "0", "--metagraph", &path("none"), "--data-dir", &path("data"), "--api-keys", &path("keys")];
    let mut command = Command::new(env!("CARGO_BIN_EXE_violet-proxy"));
    command.args(flags).args(["--ready-file", &path("ready"), "--log-format", "json"]);
    // Only what goes wrong, and of requests everything: their ids do not hang on the first.
    command.args(["--log", "warn,requests=debug"]).stderr(std::fs::File::create(path("log")).unwrap());
    let mut proxy = command.spawn().unwrap();
    let url = until("the proxy to listen", || {
        assert!(proxy.try_wait().unwrap().is_none(), "the proxy ended");
        std::fs::read_to_string(path("ready")).ok()
    });
    let bearer = format!("Bearer {}", key.trim());
    let headers = [("authorization", bearer.as_str()), ("x-request-id", "the-first")];
    assert_eq!(send(&url, "GET", "/v1/tasks/none?token=of-the-url", &headers, b"").error(422), "invalid_query");

    // What ends a proxy at its start is a line of the log as well, also where a variable asks for it.
    let mut second = Command::new(env!("CARGO_BIN_EXE_violet-proxy"));
    let second = second.args(flags).args(["--log", "off"]).env("VIOLET_PROXY_LOG_FORMAT", "json").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let why: Value = serde_json::from_str(&stderr(&second)).unwrap();
    assert!(why["message"].as_str().unwrap().contains("used by another proxy"), "{why}");

    assert!(Command::new("kill").args(["-TERM", &proxy.id().to_string()]).status().unwrap().success());
    assert_eq!(proxy.wait().unwrap().code(), Some(0));
    let log = std::fs::read_to_string(path("log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).chain([why]).collect();
    for line in &lines {
        assert!(["timestamp", "level", "target", "message"].iter().all(|name| line[name].is_string()), "{line}");
    }
    assert!(lines.iter().any(|line| line["level"] == "WARN" && line["path"] == path("none")), "{log}");
    let of_the_first: Vec<&Value> = lines.iter().filter(|line| line["span"]["request_id"] == "the-first").collect();
    assert!(!of_the_first.is_empty() && of_the_first.iter().all(|line| line["span"]["path"] == "/v1/tasks/none"));
    let token = std::fs::read_to_string(path("data/admin.token")).unwrap();
    for secret in [key.trim(), token.trim(), "of-the-url"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn two_proxies_do_not_share_a_data_directory() {
    let network = Network::start(&[]);
    let mut second = Command::new(env!("CARGO_BIN_EXE_violet-proxy"));
    let output = second
        .args(["--metagraph", "m.json", "--port", "0", "--log", "error", "--data-dir"])
        .arg(network.path("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("used by another proxy"), "{}", stderr(&output));
}

#[test]
fn keys_are_made_shown_once_and_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let keys = keys.to_str().unwrap();
    let made = run(&["new-key", "ann", "--api-keys", keys]);
    assert_eq!(made.status.code(), Some(0));
    let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let other = String::from_utf8(run(&["new-key", "bob", "--api-keys", keys]).stdout).unwrap().trim().to_owned();
    assert_eq!(run(&["new-key", "ann", "--api-keys", keys]).status.code(), Some(1), "a name has one key");

    let network = Network::start(&["--api-keys", keys]);
    assert_eq!(get(network.url(), "/v1/tasks").error(401), "missing_api_key");
    assert_eq!(get(network.url(), "/v1/models").error(401), "missing_api_key");
    let (ann, bob) = (format!("Bearer {key}"), format!("Bearer {other}"));
    let sound = wav(1.0);
    let parts: [(&str, Option<&str>, &[u8]); 1] = [("file", Some("a.wav"), &sound)];
    let task = crate::http::post_form(network.url(), "/v1/tasks", &[("authorization", &ann)], &parts).expect(201);
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let with = |key: &str, path: &str| send(network.url(), "GET", path, &[("authorization", key)], b"");
    with(&ann, &path).expect(200);
    assert_eq!(with(&bob, &path).error(404), "no_such_task", "others do not see it");
    assert_eq!(with(&bob, "/v1/tasks").expect(200)["data"].as_array().unwrap().len(), 0);
    assert_eq!(with("Bearer vk_x", &path).error(401), "invalid_api_key");
}

#[test]
fn the_url_is_written_once_it_listens_and_sigterm_ends_it_well() {
    let mut network = Network::start(&[]);
    assert!(network.url().starts_with("http://127.0.0.1:"));
    assert_eq!(get(network.url(), "/healthz").status, 200);
    assert_eq!(get(network.url(), "/readyz").status, 200);
    assert_eq!(network.terminate(), Some(0));
}

#[test]
fn check_config_says_what_is_set_from_where_and_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).to_str().unwrap().to_owned()
    };
    let config = file("proxy.toml", "port = 1\nredundancy = 2\nlease-s = 5");
    let check = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_violet-proxy"));
        let data = dir.path().join("data").to_str().unwrap().to_owned();
        command.args(["check-config", "--config", &config, "--data-dir", &data]).args(flags);
        command
            .env("VIOLET_PROXY_REDUNDANCY", "4")
            .env("VIOLET_PROXY_TICK_MS", "")
            .env_remove("FIRESTORE_EMULATOR_HOST")
            .output()
            .unwrap()
    };
    let good = check(&["--lease-s", "6"]);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert_eq!(good.status.code(), Some(0), "{said}");
    for line in [
        "port = \"1\" # file",
        "redundancy = \"4\" # variable",
        "lease-s = \"6\" # flag",
        "tick-ms = \"250\" # default",
    ] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
    assert!(!dir.path().join("data").exists(), "it makes nothing");
    let key = file(
        "key.json",
        r#"{"client_email": "a@b", "private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END"}"#,
    );
    let bad = check(&["--store", "firestore:p", "--credentials", &key, "--api-keys", "/nowhere"]);
    let said = format!("{}{}", String::from_utf8_lossy(&bad.stdout), stderr(&bad));
    assert_eq!(bad.status.code(), Some(1), "{said}");
    assert!(said.contains("problem: --api-keys: /nowhere") && !said.contains("c2VjcmV0"), "{said}");
}

#[test]
fn a_new_store_needs_no_migration_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").to_str().unwrap().to_owned();
    let output = run(&["migrate", "--data-dir", &data]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("sqlite:") && said.contains("schema 0 -> 3"), "{said}");
    let again = run(&["migrate", "--data-dir", &data]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("is at schema 3"));
}
