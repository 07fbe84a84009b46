//! What the router refuses, and that one command's failure is its own.

#[cfg(feature = "firebase")]
#[path = "../../tests/proxy/emulators.rs"]
pub(super) mod emulators;
mod health;
mod kinds;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Parser;
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tower::ServiceExt;

use super::app::App;
use super::config::Cli;
use super::sweep::Swept;
use super::{clock, routes, ss58};
use crate::subnet::task::TaskId;

/// A proxy without a socket.
struct Bench {
    app: Arc<App>,
    router: Router,
    dir: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Status and code of an error, whose shape is checked.
    fn error(&self) -> (u16, String) {
        let body = self.json();
        let error = &body["error"];
        for member in ["message", "type", "param", "code"] {
            assert!(error.get(member).is_some(), "{member} is missing: {body}");
        }
        (self.status.as_u16(), error["code"].as_str().unwrap().to_owned())
    }
}

impl Bench {
    async fn new(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metagraph = dir.path().join("metagraph.json");
        std::fs::write(&metagraph, metagraph_json(clock::now_ms())).unwrap();
        let paths = [metagraph, dir.path().join("data")].map(|path| path.to_str().unwrap().to_owned());
        // Inputs are looked at as they came; what miners hear instead is in `tests/proxy/variants.rs`.
        let few = ["--max-upload-bytes", "100000", "--variants", "off"];
        let args = ["violet-proxy", "--metagraph", &paths[0], "--data-dir", &paths[1]];
        let args: Vec<&str> = args.into_iter().chain(few).collect();
        let config = Cli::try_parse_from(args.iter().chain(flags)).unwrap().config.unwrap();
        let app = App::open(config, "http://proxy.example".to_owned()).await.unwrap();
        Self { router: routes::router(Arc::clone(&app)), app, dir }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Answer { status, headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).header("content-type", content_type).body(body.into()).unwrap()).await
    }

    async fn form(&self, path: &str, parts: &[(&str, Option<&str>, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, file, bytes) in parts {
            let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
            body.extend_from_slice(
                format!("--e\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--e--\r\n");
        self.post(path, "multipart/form-data; boundary=e", body).await
    }

    async fn task(&self) -> Value {
        let answer = self.form("/v1/tasks", &[("file", Some("a.wav"), &wav())]).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        answer.json()
    }

    async fn signed(&self, key: &Keypair, path: &str, body: Vec<u8>) -> Answer {
        let (hotkey, receiver, nonce) = (address(key), &self.app.identity.hotkey, clock::now_ns());
        let hash = hex::encode(Sha256::digest(&body));
        let message = format!("btauth/1\nsr25519\nPOST\n{path}\n{hash}\n{nonce}\n{hotkey}\n{receiver}");
        let signature = hex::encode(key.sign_simple(b"substrate", message.as_bytes()).to_bytes());
        let request = Request::post(path)
            .header("x-bittensor-version", "1")
            .header("x-bittensor-hotkey", hotkey)
            .header("x-bittensor-receiver", receiver)
            .header("x-bittensor-nonce", nonce.to_string())
            .header("x-bittensor-signature", format!("0x{signature}"));
        self.send(request.body(Body::from(body)).unwrap()).await
    }
}

/// A miner, a validator with a permit and stake 2000, and one with a permit and stake 1.
fn keys() -> [Keypair; 3] {
    [1, 2, 3].map(|seed| MiniSecretKey::from_bytes(&[seed; 32]).unwrap().expand_to_keypair(ExpansionMode::Ed25519))
}

fn address(key: &Keypair) -> String {
    ss58::encode(&key.public.to_bytes())
}

fn metagraph_json(synced_at_ms: i64) -> String {
    let neurons: Vec<Value> = keys()
        .iter()
        .zip([(0.0, false), (2_000.0, true), (1.0, true)])
        .enumerate()
        .map(|(uid, (key, (stake, permit)))| {
            json!({"uid": uid, "hotkey": address(key), "coldkey": format!("c{uid}"), "stake": stake, "validator_permit": permit})
        })
        .collect();
    json!({"netuid": 49, "network": "localnet", "block": 1, "synced_at_ms": synced_at_ms, "neurons": neurons})
        .to_string()
}

/// A tenth of a second of a tone, 8 kHz mono.
fn wav() -> Vec<u8> {
    wav_of(800)
}

fn wav_of(n_samples: u32) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend_from_slice(&(36 + 2 * n_samples).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    bytes.extend_from_slice(&(2 * n_samples).to_le_bytes());
    (0..n_samples).for_each(|n| bytes.extend_from_slice(&(i16::from(n % 20 < 10) * 9_000).to_le_bytes()));
    bytes
}

fn code(code: &str, status: u16) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn what_is_no_audio_is_refused_in_a_way_that_helps() {
    let bench = Bench::new(&["--max-duration-s", "1"]).await;
    let upload = async |bytes: Vec<u8>| bench.form("/v1/tasks", &[("file", Some("a.wav"), &bytes)]).await;
    assert_eq!(upload(Vec::new()).await.error(), code("empty_file", 400));
    assert_eq!(upload(b"this is no audio at all, not even a little".to_vec()).await.error(), code("not_audio", 400));
    assert_eq!(upload(wav_of(0)).await.error().0, 400, "audio of zero length");
    assert_eq!(upload(wav_of(8_001)).await.error(), code("audio_too_long", 413));
    assert_eq!(upload(wav_of(60_000)).await.error(), code("file_too_large", 413));
    let message = upload(Vec::new()).await.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "file is empty; send the bytes of an audio file");
    let parts = std::fs::read_dir(bench.dir.path().join("data/blobs.part")).unwrap().count();
    let blobs = std::fs::read_dir(bench.dir.path().join("data/blobs")).unwrap().count();
    assert_eq!((parts, blobs), (0, 0), "nothing of it stays on disk");
}

#[tokio::test]
async fn forms_that_are_wrong_are_refused_by_name() {
    let bench = Bench::new(&[]).await;
    let sound = wav();
    let with = async |name: &str, value: &str| {
        let answer = bench.form("/v1/tasks", &[(name, None, value.as_bytes()), ("file", Some("a"), &sound)]).await;
        let param = answer.json()["error"]["param"].clone();
        (answer.error(), param)
    };
    for (name, value) in [
        ("priority", "10"),
        ("priority", "-1"),
        ("priority", "high"),
        ("redundancy", "0"),
        ("redundancy", "9"),
        ("temperature", "1.5"),
        ("temperature", "NaN"),
        ("deadline_s", "9"),
        ("deadline_s", "3601"),
        ("language", "English"),
        ("kind", "singing"),
        ("voice", "joe"),
        ("word_timestamps", "perhaps"),
    ] {
        assert_eq!(with(name, value).await, (code("invalid_value", 422), Value::from(name)), "{name}={value}");
    }
    assert_eq!(with("colour", "red").await.0, code("unknown_field", 422));
    let long = "x".repeat(70_000);
    assert_eq!(with("prompt", &long).await.0, code("field_too_large", 413));
    assert_eq!(bench.form("/v1/tasks", &[("priority", None, b"1")]).await.error(), code("missing_file", 400));
    let two = [("file", Some("a"), sound.as_slice()), ("file", Some("b"), sound.as_slice())];
    assert_eq!(bench.form("/v1/tasks", &two).await.error(), code("two_files", 400));
    let cut = bench.post("/v1/tasks", "multipart/form-data; boundary=e", "--e\r\ncontent-disp").await;
    assert_eq!(cut.error(), code("malformed_multipart", 400));
    let unbounded = bench.post("/v1/tasks", "multipart/form-data", "x").await;
    assert_eq!(unbounded.error(), code("malformed_multipart", 400));
    assert_eq!(bench.post("/v1/tasks", "text/plain", "x").await.error(), code("unsupported_media_type", 415));
    assert_eq!(bench.get("/v1/tasks").await.json()["data"], json!([]), "nothing was made of all this");
}

#[tokio::test]
async fn json_bodies_are_read_strictly() {
    let bench = Bench::new(&[]).await;
    let post = async |body: &str| bench.post("/v1/tasks", "application/json", body.to_owned()).await;
    assert_eq!(post("{").await.error(), code("malformed_json", 400));
    assert_eq!(post("{}").await.error(), code("invalid_body", 422));
    assert_eq!(post(r#"{"input": {"base64": ""}, "colour": 1}"#).await.error(), code("invalid_body", 422));
    assert_eq!(post(r#"{"input": {"base64": "", "upload_id": ""}}"#).await.error(), code("invalid_value", 422));
    assert_eq!(post(r#"{"input": {"base64": "*"}}"#).await.error(), code("not_base64", 422));
    assert_eq!(post(r#"{"input": {"base64": ""}}"#).await.error(), code("empty_file", 400));
    assert_eq!(post(r#"{"input": {"upload_id": "upload_x"}}"#).await.error(), code("no_such_upload", 404));
    let too_long = format!(r#"{{"input": {{"base64": "{}"}}}}"#, "A".repeat(12 << 20));
    assert_eq!(post(&too_long).await.error(), code("body_too_large", 413));
    let inline = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, wav());
    let made = post(&format!(r#"{{"input": {{"base64": "{inline}"}}, "priority": 9}}"#)).await;
    assert_eq!((made.status, made.json()["priority"].clone()), (StatusCode::CREATED, Value::from(9)));
}

#[tokio::test]
async fn an_upload_serves_many_tasks() {
    let bench = Bench::new(&[]).await;
    let upload = bench.post("/v1/uploads?name=../x/a.wav", "application/octet-stream", wav()).await;
    assert_eq!(upload.status, StatusCode::CREATED);
    assert_eq!(upload.json()["audio"]["sample_rate"], 8_000);
    let body = json!({"input": {"upload_id": upload.json()["id"]}}).to_string();
    for _ in 0..2 {
        let task = bench.post("/v1/tasks", "application/json", body.clone()).await.json();
        assert_eq!(
            (task["input"]["name"].as_str(), &task["input"]["sha256"]),
            (Some("a.wav"), &upload.json()["sha256"])
        );
    }
    assert_eq!(bench.form("/v1/uploads", &[("file", None, b"x")]).await.error(), code("unsupported_media_type", 415));
    assert_eq!(bench.post("/v1/uploads?colour=1", "audio/wav", wav()).await.error(), code("invalid_query", 422));
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let bench = Bench::new(&["--max-open-tasks", "2"]).await;
    let first = bench.task().await;
    bench.task().await;
    let full = bench.form("/v1/tasks", &[("file", Some("a.wav"), &wav())]).await;
    assert_eq!(full.error(), code("queue_full", 429));
    assert!(full.headers.contains_key("retry-after"));
    let path = format!("/v1/tasks/{}/cancel", first["id"].as_str().unwrap());
    assert_eq!(bench.post(&path, "application/json", "").await.json()["state"], "cancelled");
    bench.task().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_same_shape() {
    let bench = Bench::new(&[]).await;
    assert_eq!(bench.get("/v2/tasks").await.error(), code("no_such_route", 404));
    assert_eq!(bench.get("/v1/tasks/task_x").await.error(), code("no_such_task", 404));
    assert_eq!(bench.get("/v1/tasks/task_x/events").await.error(), code("no_such_task", 404));
    assert_eq!(bench.get("/v1/tasks?limit=0").await.error(), code("invalid_value", 422));
    assert_eq!(bench.get("/v1/tasks?limit=x").await.error(), code("invalid_query", 422));
    assert_eq!(bench.get("/v1/tasks/%FF").await.error(), code("malformed_path", 400));
    assert_eq!(bench.get("/v1/models/gpt").await.error(), code("model_not_found", 404));
    let wrong = bench.send(Request::delete("/v1/tasks").body(Body::empty()).unwrap()).await;
    assert_eq!(wrong.error(), code("wrong_method", 405));
}

#[tokio::test]
async fn an_answer_that_is_not_there_yet_is_a_conflict() {
    let bench = Bench::new(&[]).await;
    let path = format!("/v1/tasks/{}", bench.task().await["id"].as_str().unwrap());
    assert_eq!(bench.get(&format!("{path}/result")).await.error(), code("not_answered", 409));
    assert_eq!(bench.get(&format!("{path}?wait=61")).await.error(), code("invalid_value", 422));
    assert_eq!(bench.get(&format!("{path}?wait=-1")).await.error(), code("invalid_value", 422));
    let waited = bench.get(&format!("{path}?wait=0.05")).await;
    assert_eq!(waited.json()["state"], "queued", "the wait is over before the task");
}

#[tokio::test]
async fn openais_errors_name_the_field() {
    let bench = Bench::new(&[]).await;
    let sound = wav();
    let with = async |parts: &[(&str, Option<&str>, &[u8])]| bench.form("/v1/audio/transcriptions", parts).await;
    let file: (&str, Option<&str>, &[u8]) = ("file", Some("a.wav"), &sound);
    assert_eq!(with(&[file]).await.error(), code("missing_field", 400));
    assert_eq!(with(&[("model", None, b"whisper-1")]).await.error(), code("missing_field", 400));
    assert_eq!(with(&[file, ("model", None, b"gpt")]).await.error(), code("model_not_found", 404));
    let model: (&str, Option<&str>, &[u8]) = ("model", None, b"whisper-1");
    assert_eq!(with(&[file, model, ("response_format", None, b"xml")]).await.error(), code("invalid_value", 422));
    let words = ("timestamp_granularities[]", None, b"word".as_slice());
    assert_eq!(with(&[file, model, words]).await.error(), code("invalid_value", 422), "json has no place for them");
    assert_eq!(with(&[file, model, ("timestamp_granularities[]", None, b"phone")]).await.error().0, 422);
    let streamed: (&str, Option<&str>, &[u8]) = ("stream", None, b"true");
    assert_eq!(with(&[file, model, streamed, ("response_format", None, b"srt")]).await.error().0, 422);
    assert_eq!(with(&[file, model, ("stream", None, b"perhaps")]).await.error().0, 422);
    let answer = with(&[file, model, ("temperature", None, b"2")]).await;
    assert_eq!(answer.json()["error"]["param"], "temperature");
    assert_eq!(bench.post("/v1/audio/transcriptions", "application/json", "{}").await.error().0, 415);
}

#[tokio::test]
async fn only_whoever_may_judge_is_lent_responses() {
    let bench = Bench::new(&[]).await;
    let [miner, validator, poor] = keys();
    let lease = || br#"{"claim_id": "c", "kinds": ["transcription"]}"#.to_vec();
    let path = "/v1/validator/lease";
    assert_eq!(bench.signed(&miner, path, lease()).await.error(), code("no_validator_permit", 403));
    assert_eq!(bench.signed(&poor, path, lease()).await.error(), code("stake_too_low", 403));
    assert_eq!(bench.signed(&validator, path, lease()).await.json(), json!({"evaluations": []}));
}

#[tokio::test]
async fn signed_bodies_are_bounded_and_strict() {
    let bench = Bench::new(&[]).await;
    let [miner, ..] = keys();
    let claim = async |body: &str| bench.signed(&miner, "/v1/miner/claim", body.as_bytes().to_vec()).await;
    assert_eq!(claim(&" ".repeat(300_000)).await.error(), code("body_too_large", 413));
    assert_eq!(
        claim(r#"{"claim_id": "c", "kinds": [], "capacity": 1, "colour": 1}"#).await.error(),
        code("invalid_body", 422)
    );
    assert_eq!(claim(r#"{"claim_id": "", "kinds": [], "capacity": 1}"#).await.error(), code("invalid_value", 422));
    assert_eq!(claim(r#"{"claim_id": "c", "kinds": [], "capacity": 0}"#).await.error(), code("invalid_value", 422));
    assert_eq!(
        claim(r#"{"claim_id": "c", "kinds": [], "capacity": 1, "wait_s": 31}"#).await.error(),
        code("invalid_value", 422)
    );
    assert_eq!(claim(r#"{"claim_id": "c", "kinds": ["singing"], "capacity": 1}"#).await.json(), json!({"leases": []}));
    let submit = json!({"task_id": "task_x", "slot": 0, "token": 1, "result": "", "digest": "", "signature": ""});
    let answer = bench.signed(&miner, "/v1/miner/submit", submit.to_string().into_bytes()).await;
    assert_eq!(answer.error(), code("no_such_task", 404));
}

#[tokio::test]
async fn an_old_metagraph_closes_the_doors_for_neurons_and_not_for_users() {
    let bench = Bench::new(&["--metagraph-max-age-s", "60"]).await;
    let [miner, ..] = keys();
    assert_eq!(bench.get("/readyz").await.status, StatusCode::OK);
    std::fs::write(bench.dir.path().join("metagraph.json"), metagraph_json(clock::now_ms() - 61_000) + " ").unwrap();
    bench.app.metagraph.refresh();
    assert_eq!(bench.get("/readyz").await.error(), code("metagraph_stale", 503));
    assert_eq!(bench.signed(&miner, "/v1/miner/claim", b"{}".to_vec()).await.error(), code("metagraph_stale", 503));
    bench.task().await;
    assert_eq!(bench.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_blob_opens_only_with_the_proxys_signature() {
    let bench = Bench::new(&[]).await;
    let sha256 = bench.task().await["input"]["sha256"].as_str().unwrap().to_owned();
    let url = |expires_ms| format!("/v1/blobs/{sha256}?{}", bench.app.blobs.query(&sha256, "5F", expires_ms));
    let good = url(clock::now_ms() + 60_000);
    assert_eq!(bench.get(&good).await.body, wav());
    assert_eq!(bench.get(&url(clock::now_ms() - 1)).await.error(), code("expired", 403));
    assert_eq!(bench.get(&good.replace("5F", "5G")).await.error(), code("bad_signature", 403));
    assert_eq!(bench.get(&format!("/v1/blobs/{sha256}")).await.error(), code("missing_signature", 403));
    let head = bench.send(Request::head(&good).body(Body::empty()).unwrap()).await;
    assert_eq!(head.status, StatusCode::FORBIDDEN, "the signature is for GET");
    let range =
        async |range: &str| bench.send(Request::get(&good).header("range", range).body(Body::empty()).unwrap()).await;
    let part = range("bytes=4-7").await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &wav()[4..8]));
    assert_eq!(part.headers["content-range"], format!("bytes 4-7/{}", wav().len()));
    assert_eq!(range("bytes=99999-").await.status, StatusCode::RANGE_NOT_SATISFIABLE);
    let (etag, other) = (format!("\"{sha256}\""), format!("\"{}\"", "0".repeat(64)));
    let whole = bench.get(&good).await;
    assert_eq!(whole.headers["etag"], etag.as_str());
    assert_eq!(whole.headers["content-type"], "audio/wav");
    assert_eq!(whole.headers["cache-control"], "private, max-age=600, immutable");
    let with = async |pairs: &[(&str, &str)]| {
        let request = pairs.iter().fold(Request::get(&good), |request, (name, value)| request.header(*name, *value));
        bench.send(request.body(Body::empty()).unwrap()).await
    };
    let known = with(&[("if-none-match", &format!("{other}, W/{etag}"))]).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(with(&[("if-none-match", &other)]).await.status, StatusCode::OK);
    assert_eq!(with(&[("if-match", &other)]).await.error(), code("precondition_failed", 412));
    assert_eq!(with(&[("if-match", "*")]).await.status, StatusCode::OK);
    assert_eq!(with(&[("range", "bytes=0-3"), ("if-range", &etag)]).await.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(with(&[("range", "bytes=0-3"), ("if-range", &other)]).await.body, wav(), "other bytes: all of these");
}

#[tokio::test]
async fn every_answer_carries_a_request_id_and_a_clients_own_is_kept_if_short() {
    let bench = Bench::new(&[]).await;
    assert!(!bench.get("/healthz").await.headers["x-request-id"].is_empty());
    let with = async |id: &str| {
        let request = Request::get("/nope").header("x-request-id", id).body(Body::empty()).unwrap();
        bench.send(request).await.headers["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(with("mine").await, "mine");
    assert_ne!(with(&"x".repeat(65)).await, "x".repeat(65));
}

#[tokio::test]
async fn metrics_are_in_prometheus_form() {
    let bench = Bench::new(&[]).await;
    bench.task().await;
    let text = String::from_utf8(bench.get("/metrics").await.body).unwrap();
    for line in [
        "violet_tasks_open{state=\"queued\"} 1",
        "# TYPE violet_http_request_seconds histogram",
        "violet_http_requests_total{method=\"POST\",route=\"/v1/tasks\",status=\"201\"}",
        "violet_metagraph_age_seconds",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}

#[tokio::test]
async fn what_is_over_is_deleted_and_nothing_else() {
    let bench = Bench::new(&["--retention-s", "3600"]).await;
    let hour_ms = 3_600_000;
    let now_ms = clock::now_ms();
    let ended = bench.task().await;
    let cancel = format!("/v1/tasks/{}/cancel", ended["id"].as_str().unwrap());
    let open = bench.form("/v1/tasks", &[("file", Some("b.wav"), &wav_of(900))]).await.json();
    let upload = bench.post("/v1/uploads", "audio/wav", wav_of(1_000)).await.json();
    bench.post(&cancel, "application/json", "").await;
    let sweep = async |at_ms| super::sweep::sweep(&bench.app, at_ms).await.unwrap();
    assert_eq!(sweep(now_ms + hour_ms / 2).await, Swept::default(), "nothing is old");
    // Just past the time: the records go, the blobs are condemned and stay for requests that may still have read a record.
    let later = now_ms + hour_ms + 60_000;
    assert_eq!(sweep(later).await, Swept { tasks: 1, uploads: 1, blobs: 0 });
    assert_eq!(bench.get(&cancel.replace("/cancel", "")).await.error(), code("no_such_task", 404));
    let body = json!({"input": {"upload_id": upload["id"]}}).to_string();
    assert_eq!(bench.post("/v1/tasks", "application/json", body).await.error(), code("no_such_upload", 404));
    assert_eq!(sweep(later + 299_000).await, Swept::default(), "not yet");
    assert_eq!(sweep(later + 301_000).await, Swept { tasks: 0, uploads: 0, blobs: 2 });
    let blobs = |name: &Value| bench.dir.path().join("data/blobs").join(name.as_str().unwrap()).exists();
    assert!(!blobs(&ended["input"]["sha256"]) && !blobs(&upload["sha256"]));
    assert!(blobs(&open["input"]["sha256"]), "an open task keeps its input, however old");
    let path = format!("/v1/tasks/{}", open["id"].as_str().unwrap());
    assert_eq!(bench.get(&path).await.json()["state"], "queued");
}

#[tokio::test]
async fn a_blob_that_is_named_again_before_it_goes_stays() {
    let bench = Bench::new(&["--retention-s", "3600"]).await;
    let ended = bench.task().await;
    let id = TaskId::from(ended["id"].as_str().unwrap());
    bench.post(&format!("/v1/tasks/{id}/cancel"), "application/json", "").await;
    // A retry that has read the task, and stores its own after the sweep deleted that.
    let read = bench.app.task(&id).await.unwrap();
    let later = clock::now_ms() + 3_660_000;
    let sweep = async |at_ms| super::sweep::sweep(&bench.app, at_ms).await.unwrap();
    assert_eq!(sweep(later).await, Swept { tasks: 1, uploads: 0, blobs: 0 });
    let again = super::tasks::retry(&bench.app, &read).await.unwrap();
    assert_eq!(sweep(later + 301_000).await, Swept::default());
    let blob = bench.dir.path().join("data/blobs").join(&again.input.sha256);
    assert!(blob.exists());
    // Once the retry is over too it goes the same way: condemned first, deleted later.
    bench.post(&format!("/v1/tasks/{}/cancel", again.id), "application/json", "").await;
    assert_eq!(sweep(later + 7_200_000).await, Swept { tasks: 1, uploads: 0, blobs: 0 });
    assert_eq!(sweep(later + 7_600_000).await, Swept { tasks: 0, uploads: 0, blobs: 1 });
    assert!(!blob.exists());
}

#[tokio::test]
async fn an_erased_task_leaves_nothing_and_what_others_have_stays() {
    let bench = Bench::new(&[]).await;
    let upload = bench.post("/v1/uploads", "audio/wav", wav()).await.json();
    let body = json!({"input": {"upload_id": upload["id"]}}).to_string();
    let with_key = |key: &str| {
        let request = Request::post("/v1/tasks").header("content-type", "application/json");
        bench.send(request.header("idempotency-key", key).body(Body::from(body.clone())).unwrap())
    };
    let task = with_key("k").await.json();
    let other = bench.form("/v1/tasks", &[("file", Some("b.wav"), &wav_of(900))]).await.json();
    let path = |task: &Value| format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let delete = async |path: &str| bench.send(Request::delete(path).body(Body::empty()).unwrap()).await;
    let gone = delete(&path(&task)).await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0), "an open task ends and goes");
    assert_eq!(delete(&path(&task)).await.error(), code("no_such_task", 404));
    assert_eq!(bench.get(&path(&task)).await.error(), code("no_such_task", 404));
    assert_eq!(bench.app.store.board().len(), 1);
    assert_eq!(with_key("k").await.error(), code("no_such_upload", 404), "the upload went with it");
    let sweep = async |at_ms| super::sweep::sweep(&bench.app, at_ms).await.unwrap();
    let now_ms = clock::now_ms();
    assert_eq!(sweep(now_ms + 310_000).await, Swept { tasks: 0, uploads: 0, blobs: 1 }, "its bytes minutes later");
    assert_eq!(bench.get(&path(&other)).await.json()["state"], "queued");
    // Two tasks of the same sound: the bytes go with the last.
    let [one, two] = [bench.task().await, bench.task().await];
    delete(&path(&one)).await;
    assert_eq!(sweep(now_ms + 700_000).await, Swept::default());
    delete(&path(&two)).await;
    assert_eq!(sweep(now_ms + 700_000).await, Swept { tasks: 0, uploads: 0, blobs: 1 });
}

#[tokio::test]
async fn lists_are_filtered_by_state_kind_and_time() {
    let bench = Bench::new(&[]).await;
    let sound = bench.task().await;
    let text = bench.form("/v1/tasks", &[("kind", None, b"synthesis"), ("text", None, b"hello")]).await.json();
    let path = format!("/v1/tasks/{}/cancel", sound["id"].as_str().unwrap());
    bench.post(&path, "application/json", "").await;
    let list = async |query: &str| {
        let page = bench.get(&format!("/v1/tasks?{query}")).await.json();
        page["data"].as_array().unwrap().iter().map(|task| task["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(list("state=cancelled").await, [sound["id"].clone()]);
    assert_eq!(list("state=queued").await, [text["id"].clone()]);
    assert_eq!(list("kind=synthesis").await, [text["id"].clone()]);
    assert_eq!(list("kind=synthesis&state=cancelled").await, Vec::<Value>::new());
    let at_ms = |task: &Value| task["created_at_ms"].as_i64().unwrap();
    assert_eq!(list(&format!("created_after_ms={}", at_ms(&text))).await, Vec::<Value>::new(), "not the moment itself");
    assert_eq!(list(&format!("created_after_ms={}&kind=synthesis", at_ms(&text) - 1)).await, [text["id"].clone()]);
    assert_eq!(list(&format!("created_before_ms={}", at_ms(&sound))).await, Vec::<Value>::new());
    assert!(list(&format!("created_before_ms={}", at_ms(&sound) + 1)).await.contains(&sound["id"]));
    assert_eq!(list(&format!("created_after_ms=-5&created_before_ms={}", i64::MAX)).await.len(), 2);
    let refused = async |query: &str| {
        let answer = bench.get(&format!("/v1/tasks?{query}")).await;
        (answer.error(), answer.json()["error"]["param"].clone())
    };
    assert_eq!(refused("state=happy").await, (code("invalid_value", 422), Value::from("state")));
    assert_eq!(refused("kind=singing").await, (code("invalid_value", 422), Value::from("kind")));
    assert_eq!(refused("created_after_ms=yesterday").await.0, code("invalid_query", 422));
}

#[tokio::test]
async fn an_upload_under_way_ends_with_its_time_and_its_parts_go() {
    let bench = Bench::new(&[]).await;
    let sound = wav();
    let request = Request::post("/v1/uploads").header("upload-length", sound.len().to_string());
    let begun = bench.send(request.body(Body::empty()).unwrap()).await.json();
    let path = format!("/v1/uploads/{}", begun["id"].as_str().unwrap());
    let part =
        Request::patch(&path).header("upload-offset", "0").header("content-type", "application/offset+octet-stream");
    let answer = bench.send(part.body(Body::from(sound[..100].to_vec())).unwrap()).await;
    assert_eq!(
        (answer.status, &answer.headers["upload-offset"]),
        (StatusCode::NO_CONTENT, &HeaderValue::from_static("100"))
    );
    let expires_at_ms = begun["expires_at_ms"].as_i64().unwrap();
    let sweep = async |at_ms| super::sweep::sweep(&bench.app, at_ms).await.unwrap();
    assert_eq!(sweep(expires_at_ms - 1_000).await, Swept::default());
    assert_eq!(bench.get(&path).await.json()["offset"], 100);
    // Its part is condemned now and deleted then.
    assert_eq!(sweep(expires_at_ms + 1_000).await, Swept { tasks: 0, uploads: 1, blobs: 1 });
    assert_eq!(bench.get(&path).await.error(), code("no_such_upload", 404));
}
