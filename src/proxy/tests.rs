//! The router without a socket.

#[cfg(feature = "firebase")]
#[path = "../../tests/proxy/emulators.rs"]
pub(super) mod emulators;

mod answers;
mod bodies;
mod health;
mod keeping;
mod kinds;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use clap::Parser;
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tower::ServiceExt;

use super::app::App;
use super::config::Cli;
use super::{clock, routes, ss58};

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
        let mut args =
            vec!["violet-proxy", "--metagraph", &paths[0], "--data-dir", &paths[1], "--max-upload-bytes", "100000"];
        // Most tests look at inputs as they came.
        if !flags.contains(&"--variants") {
            args.extend(["--variants", "off"]);
        }
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
