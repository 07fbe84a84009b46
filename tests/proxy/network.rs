//! The real program with a metagraph of keys that the test made.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{self, Answer, get, until};
use crate::neuron::{Neuron, Peer};

/// Where the proxy is to die.
pub(crate) const FAULT: &str = "VIOLET_PROXY_FAULT";

/// A running proxy, eight miners and three validators. Everything ends with it.
pub(crate) struct Network {
    dir: TempDir,
    child: Child,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    pub(crate) peer: Peer,
    pub(crate) miners: Vec<Neuron>,
    pub(crate) validators: Vec<Neuron>,
}

impl Network {
    /// Starts a proxy with these flags besides those of [`command`].
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, &[])
    }

    /// The same, with these environment variables, until the first restart for a fault's.
    pub(crate) fn start_with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let miners: Vec<Neuron> = (1..=8).map(Neuron::new).collect();
        let validators: Vec<Neuron> = (101..=103).map(Neuron::new).collect();
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        write_metagraph(&dir.path().join("metagraph.json"), &miners, &validators);
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = spawn(&dir, &flags, &variables);
        let peer = Peer { url: String::new(), hotkey: String::new() };
        let mut network = Self { dir, child, flags, variables, peer, miners, validators };
        network.peer = network.wait_ready();
        network
    }

    pub(crate) fn url(&self) -> &str {
        &self.peer.url
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `kill -9`, and the same proxy again.
    pub(crate) fn crash_and_restart(&mut self) {
        // It may have died by its own hand.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        self.variables.retain(|(name, _)| name != FAULT);
        std::fs::remove_file(self.path("ready")).unwrap();
        self.child = spawn(&self.dir, &self.flags, &self.variables);
        self.peer = self.wait_ready();
    }

    /// `kill -9`, and the proxy again with these flags besides its own.
    pub(crate) fn restart_with(&mut self, flags: &[&str]) {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self.crash_and_restart();
    }

    /// Whether the process ended by itself.
    pub(crate) fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Makes a task of one second of sound.
    pub(crate) fn create_task(&self, options: &[(&str, &str)]) -> Value {
        let sound = wav(1.0);
        let mut parts: Vec<(&str, Option<&str>, &[u8])> = vec![("file", Some("beep.wav"), &sound)];
        parts.extend(options.iter().map(|&(name, value)| (name, None, value.as_bytes())));
        http::post_form(self.url(), "/v1/tasks", &[], &parts).expect(201)
    }

    pub(crate) fn task(&self, id: &str) -> Value {
        get(self.url(), &format!("/v1/tasks/{id}")).expect(200)
    }

    /// Waits for the end of a task.
    pub(crate) fn ended(&self, id: &str) -> Value {
        until("the task's end", || {
            let task = get(self.url(), &format!("/v1/tasks/{id}?wait=10")).expect(200);
            ["verified", "unverified", "failed", "cancelled"].contains(&task["state"].as_str().unwrap()).then_some(task)
        })
    }

    /// All validators judge a task: the response with `good` in it gets `score`, others 0.1.
    pub(crate) fn judge(&self, score: f64, good: &str) {
        let said: Vec<(String, Value)> = self
            .validators
            .iter()
            .map(|validator| {
                let evaluation = validator.lease_evaluation(&self.peer, "judge");
                let task_id = evaluation["task_id"].as_str().unwrap().to_owned();
                let scores: serde_json::Map<String, Value> = evaluation["responses"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|response| {
                        let is_good = response["result"].as_str().unwrap().contains(good);
                        let score = if is_good { score } else { 0.1 };
                        (
                            response["response_id"].as_str().unwrap().to_owned(),
                            json!({"score": score, "error_rate": 0.25}),
                        )
                    })
                    .collect();
                (task_id, Value::Object(scores))
            })
            .collect();
        for (validator, (task_id, scores)) in self.validators.iter().zip(&said) {
            validator.commit(&self.peer, task_id, scores).expect(200);
        }
        for (validator, (task_id, scores)) in self.validators.iter().zip(&said) {
            validator.reveal(&self.peer, task_id, scores).expect(200);
        }
    }

    /// The number behind a metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = get(self.url(), "/metrics").text();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0.0, |value| value.parse().unwrap())
    }

    fn wait_ready(&mut self) -> Peer {
        let ready = self.path("ready");
        let url = until("the proxy to listen", || {
            assert!(self.child.try_wait().unwrap().is_none(), "the proxy ended");
            std::fs::read_to_string(&ready).ok()
        });
        let network: Answer = get(&url, "/v1/network");
        let hotkey = network.expect(200)["proxy"]["hotkey"].as_str().unwrap().to_owned();
        Peer { url, hotkey }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_violet-proxy"));
    let path = |name: &str| dir.path().join(name).into_os_string();
    command.args(["--port", "0", "--tick-ms", "20", "--min-stake", "10", "--log", "warn"]);
    // Most tests say what miners say without listening; the flag of those about variants wins over it.
    command.env("VIOLET_PROXY_VARIANTS", "off");
    command.arg("--metagraph").arg(path("metagraph.json"));
    command.arg("--data-dir").arg(path("data")).arg("--ready-file").arg(path("ready"));
    command.stdin(Stdio::null());
    command
}

fn spawn(dir: &TempDir, flags: &[String], variables: &[(String, String)]) -> Child {
    let variables = variables.iter().map(|(name, value)| (name, value));
    command(dir).args(flags).envs(variables).spawn().unwrap()
}

fn write_metagraph(path: &std::path::Path, miners: &[Neuron], validators: &[Neuron]) {
    let neuron = |uid: usize, hotkey: &str, stake: f64, permit: bool| {
        json!({"uid": uid, "hotkey": hotkey, "coldkey": format!("cold{uid}"), "stake": stake, "validator_permit": permit,
            "ip": "0.0.0.0", "port": 0, "incentive": 0.0, "dividends": 0.0, "emission": 0.0, "consensus": 0.0})
    };
    let miners = miners.iter().enumerate().map(|(uid, miner)| neuron(uid, &miner.hotkey, 0.0, false));
    let validators = validators.iter().enumerate().map(|(at, v)| neuron(100 + at, &v.hotkey, 100.0, true));
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let metagraph = json!({"netuid": 49, "network": "localnet", "block": 1, "synced_at_ms": now_ms, "tempo": 360,
        "neurons": miners.chain(validators).collect::<Vec<_>>()});
    std::fs::write(path, metagraph.to_string()).unwrap();
}

/// A tone as WAV: mono, 8 kHz, 16 bit.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a second of sound at 10000 of 32767")]
pub(crate) fn wav(seconds: f64) -> Vec<u8> {
    let n_samples = (seconds * 8_000.0) as u32;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(36 + 2 * n_samples).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend_from_slice(&8_000u32.to_le_bytes());
    bytes.extend_from_slice(&16_000u32.to_le_bytes());
    bytes.extend_from_slice(b"\x02\0\x10\0data");
    bytes.extend_from_slice(&(2 * n_samples).to_le_bytes());
    for n in 0..n_samples {
        let sample = (f64::from(n) * 0.3).sin() * 10_000.0;
        bytes.extend_from_slice(&(sample as i16).to_le_bytes());
    }
    bytes
}
