//! A miner or validator: a key, and what it says to the proxy.

use std::time::{SystemTime, UNIX_EPOCH};

use blake2::{Blake2b512, Digest as _};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::http::{Answer, Headers, send, try_send};

/// A neuron with its hotkey.
pub(crate) struct Neuron {
    key: Keypair,
    pub(crate) hotkey: String,
}

impl Neuron {
    pub(crate) fn new(seed: u8) -> Self {
        let key = MiniSecretKey::from_bytes(&[seed; 32]).unwrap().expand_to_keypair(ExpansionMode::Ed25519);
        let mut address = vec![42];
        address.extend_from_slice(&key.public.to_bytes());
        let checksum = Blake2b512::new().chain_update(b"SS58PRE").chain_update(&address).finalize();
        address.extend_from_slice(&checksum[..2]);
        Self { key, hotkey: bs58::encode(address).into_string() }
    }

    fn sign(&self, text: &str) -> String {
        format!("0x{}", hex::encode(self.key.sign_simple(b"substrate", text.as_bytes()).to_bytes()))
    }

    /// The headers of a signed request.
    pub(crate) fn headers(&self, receiver: &str, method: &str, path: &str, body: &[u8]) -> Headers {
        let nonce = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().to_string();
        let hash = hex::encode(Sha256::digest(body));
        let message = format!("btauth/1\nsr25519\n{method}\n{path}\n{hash}\n{nonce}\n{}\n{receiver}", self.hotkey);
        let pairs = [
            ("x-bittensor-version", "1".to_owned()),
            ("x-bittensor-hotkey", self.hotkey.clone()),
            ("x-bittensor-receiver", receiver.to_owned()),
            ("x-bittensor-nonce", nonce),
            ("x-bittensor-signature", self.sign(&message)),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Sends a signed request; `None` when the connection broke off.
    pub(crate) fn try_post(&self, proxy: &Peer, path: &str, body: &Value) -> Option<Answer> {
        let body = body.to_string();
        let headers = self.headers(&proxy.hotkey, "POST", path, body.as_bytes());
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        try_send(&proxy.url, "POST", path, &headers, body.as_bytes())
    }

    pub(crate) fn post(&self, proxy: &Peer, path: &str, body: &Value) -> Answer {
        self.try_post(proxy, path, body).unwrap_or_else(|| panic!("{path}: the connection broke off"))
    }

    pub(crate) fn get(&self, proxy: &Peer, path: &str) -> Answer {
        let headers = self.headers(&proxy.hotkey, "GET", path, b"");
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        send(&proxy.url, "GET", path, &headers, b"")
    }

    /// Asks for work.
    pub(crate) fn claim(&self, proxy: &Peer, claim_id: &str, capacity: u32, wait_s: f64) -> Vec<Value> {
        let body = json!({"claim_id": claim_id, "kinds": ["transcription"], "capacity": capacity, "model": "tiny.en", "wait_s": wait_s});
        let leases = self.post(proxy, "/v1/miner/claim", &body).expect(200);
        leases["leases"].as_array().unwrap().clone()
    }

    /// Asks for work until there is some.
    pub(crate) fn claim_one(&self, proxy: &Peer, claim_id: &str) -> Value {
        self.claim(proxy, claim_id, 1, 20.0).into_iter().next().expect("no work within 20 s")
    }

    /// A heartbeat for a lease.
    pub(crate) fn heartbeat(&self, proxy: &Peer, lease: &Value, progress: f64, partial: &str) -> Answer {
        let body = json!({"task_id": lease["task_id"], "slot": lease["slot"], "token": lease["token"],
            "progress": progress, "partial": partial});
        self.post(proxy, "/v1/miner/heartbeat", &body)
    }

    /// The body of a submit.
    pub(crate) fn submission(&self, lease: &Value, result: &str) -> Value {
        let (task_id, slot) = (lease["task_id"].as_str().unwrap(), lease["slot"].as_u64().unwrap());
        let digest = hex::encode(Sha256::digest(result));
        let signature = self.sign(&format!("violet/response/1\n{task_id}\n{slot}\n{digest}"));
        json!({"task_id": task_id, "slot": slot, "token": lease["token"], "result": result, "digest": digest,
            "signature": signature})
    }

    pub(crate) fn submit(&self, proxy: &Peer, lease: &Value, result: &str) -> Answer {
        self.post(proxy, "/v1/miner/submit", &self.submission(lease, result))
    }

    /// Asks for responses to judge until there are some.
    pub(crate) fn lease_evaluation(&self, proxy: &Peer, claim_id: &str) -> Value {
        let body =
            json!({"claim_id": claim_id, "kinds": ["transcription", "analysis", "synthesis"], "max": 1, "wait_s": 20});
        let answer = self.post(proxy, "/v1/validator/lease", &body).expect(200);
        answer["evaluations"][0].clone()
    }

    /// Scores as text and their commitment.
    pub(crate) fn commitment(&self, task_id: &str, scores: &Value) -> (String, String, String) {
        let (salt, scores) = ("5a".repeat(16), scores.to_string());
        let text = format!("violet/commit/1\n{task_id}\n{}\n{salt}\n{scores}", self.hotkey);
        (hex::encode(Sha256::digest(text)), salt, scores)
    }

    pub(crate) fn commit(&self, proxy: &Peer, task_id: &str, scores: &Value) -> Answer {
        let (commitment, ..) = self.commitment(task_id, scores);
        self.post(proxy, "/v1/validator/commit", &json!({"task_id": task_id, "commitment": commitment}))
    }

    pub(crate) fn reveal(&self, proxy: &Peer, task_id: &str, scores: &Value) -> Answer {
        let (_, salt, scores) = self.commitment(task_id, scores);
        self.post(proxy, "/v1/validator/reveal", &json!({"task_id": task_id, "salt": salt, "scores": scores}))
    }
}

/// The proxy as neurons see it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) url: String,
    pub(crate) hotkey: String,
}

/// A transcript of one second of audio.
pub(crate) fn transcript(text: &str) -> String {
    json!({"text": text, "language": "en", "duration_s": 1.0, "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": 1.0,
        "text": text, "tokens": [1, 2], "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0,
        "no_speech_prob": 0.01}]})
    .to_string()
}
