//! The load of `benches/load/run.py`: one scenario against one server; figures as one line of JSON on stdout.
//!
//! A thread for each connection, each with one request in flight, no async runtime: the server gets the processor.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, reason = "a program of the benches")]
#![allow(missing_docs, reason = "a program of the benches")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use blake2::{Blake2b512, Digest as _};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
use serde_json::{Value, json};
use sha2::Sha256;

const USAGE: &str = "load hotkeys N
load requests URL METHOD PATH N CONNECTIONS [CONTENT_TYPE BODY_FILE]   the same request N times
load work URL RECEIVER N MINERS                                       N times claim and submit
load streams URL PATH N                                               N event streams, open until stdin is closed";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let n = |text: &str| text.parse::<usize>().unwrap();
    let said = match arguments.as_slice() {
        ["hotkeys", count] => json!((0..n(count)).map(|seed| Miner::new(seed).hotkey).collect::<Vec<_>>()),
        ["requests", url, method, path, count, connections, body @ ..] => {
            let (kind, body) = match body {
                [kind, file] => (*kind, std::fs::read(file).unwrap()),
                _ => ("", Vec::new()),
            };
            requests(&Request { url, method, path, kind, body: &body }, n(count), n(connections))
        }
        ["work", url, receiver, count, miners] => work(url, receiver, n(count), n(miners)),
        ["streams", url, path, count] => return streams(url, path, n(count)),
        _ => return println!("{USAGE}"),
    };
    println!("{said}");
}

/// A connection that is kept open.
struct Connection {
    host: String,
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(url: &str) -> Self {
        let host = url.strip_prefix("http://").unwrap().to_owned();
        let stream = TcpStream::connect(&host).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
        Self { host, reader: BufReader::new(stream) }
    }

    fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n{headers}\r\n",
            self.host,
            body.len()
        );
        // One segment where it is small: a server should not have to wake up twice.
        let stream = self.reader.get_mut();
        if body.len() < 16 << 10 {
            stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        } else {
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
        }
        self.answer()
    }

    fn answer(&mut self) -> (u16, Vec<u8>) {
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            assert!(self.reader.read_line(&mut line).unwrap() > 0, "the server closed the connection");
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some(_) => {}
                None if line.starts_with("HTTP/") => status = line.split(' ').nth(1).unwrap().parse().unwrap(),
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        (status, body)
    }
}

struct Request<'a> {
    url: &'a str,
    method: &'a str,
    path: &'a str,
    kind: &'a str,
    body: &'a [u8],
}

fn requests(request: &Request<'_>, n: usize, connections: usize) -> Value {
    let headers = if request.kind.is_empty() { String::new() } else { format!("content-type: {}\r\n", request.kind) };
    let (left, started) = (AtomicUsize::new(n), Instant::now());
    let timed: Vec<(u16, f64)> = together(connections, |_| {
        let mut connection = Connection::open(request.url);
        let mut timed = Vec::new();
        while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            let sent = Instant::now();
            let (status, _) = connection.send(request.method, request.path, &headers, request.body);
            timed.push((status, ms(sent)));
        }
        timed
    });
    let mut statuses = BTreeMap::new();
    for (status, _) in &timed {
        *statuses.entry(status.to_string()).or_insert(0) += 1;
    }
    let times = timed.iter().map(|&(_, ms)| ms).collect();
    json!({"n": timed.len(), "seconds": started.elapsed().as_secs_f64(), "statuses": statuses, "ms": spread(times)})
}

/// A miner's key.
struct Miner {
    key: Keypair,
    hotkey: String,
}

impl Miner {
    fn new(seed: usize) -> Self {
        let seed: [u8; 32] = Sha256::digest(format!("violet bench miner {seed}")).into();
        let key = MiniSecretKey::from_bytes(&seed).unwrap().expand_to_keypair(ExpansionMode::Ed25519);
        let address = [&[42], key.public.to_bytes().as_slice()].concat();
        let checksum = Blake2b512::new().chain_update(b"SS58PRE").chain_update(&address).finalize();
        Self { key, hotkey: bs58::encode([&address, &checksum[..2]].concat()).into_string() }
    }

    fn sign(&self, text: &str) -> String {
        format!("0x{}", hex::encode(self.key.sign_simple(b"substrate", text.as_bytes()).to_bytes()))
    }

    fn post(&self, connection: &mut Connection, receiver: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let nonce = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let hash = hex::encode(Sha256::digest(&body));
        let hotkey = &self.hotkey;
        let signature = self.sign(&format!("btauth/1\nsr25519\nPOST\n{path}\n{hash}\n{nonce}\n{hotkey}\n{receiver}"));
        let headers = format!(
            "content-type: application/json\r\nx-bittensor-version: 1\r\nx-bittensor-hotkey: {hotkey}\r\n\
             x-bittensor-receiver: {receiver}\r\nx-bittensor-nonce: {nonce}\r\nx-bittensor-signature: {signature}\r\n"
        );
        let (status, answer) = connection.send("POST", path, &headers, body.as_bytes());
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }
}

/// Miners that claim one task and submit a transcript, again and again.
fn work(url: &str, receiver: &str, n: usize, miners: usize) -> Value {
    let (left, started) = (AtomicUsize::new(n), Instant::now());
    let done: Vec<(f64, f64)> = together(miners, |seed| {
        let (miner, mut connection) = (Miner::new(seed), Connection::open(url));
        let mut done = Vec::new();
        while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            let sent = Instant::now();
            let claim_id = format!("{seed}-{}", done.len());
            let claim = json!({"claim_id": claim_id, "kinds": ["transcription"], "capacity": 1, "wait_s": 10});
            let leases = miner.post(&mut connection, receiver, "/v1/miner/claim", &claim);
            let (lease, claim_ms) = (&leases["leases"][0], ms(sent));
            assert!(lease.is_object(), "there was no work: {leases}");
            let result = transcript(lease["input"]["duration_s"].as_f64().unwrap());
            let digest = hex::encode(Sha256::digest(&result));
            let (task_id, slot) = (lease["task_id"].as_str().unwrap(), &lease["slot"]);
            let signature = miner.sign(&format!("violet/response/1\n{task_id}\n{slot}\n{digest}"));
            let submit = json!({"task_id": task_id, "slot": slot, "token": lease["token"], "result": result,
                "digest": digest, "signature": signature});
            let sent = Instant::now();
            let receipt = miner.post(&mut connection, receiver, "/v1/miner/submit", &submit);
            assert_eq!(receipt["state"], "submitted", "{receipt}");
            done.push((claim_ms, ms(sent)));
        }
        done
    });
    let (claims, submits): (Vec<f64>, Vec<f64>) = done.into_iter().unzip();
    let n = claims.len();
    json!({"n": n, "seconds": started.elapsed().as_secs_f64(), "claim_ms": spread(claims), "submit_ms": spread(submits)})
}

fn transcript(duration_s: f64) -> String {
    let text = "and so my fellow americans ask not what your country can do for you";
    json!({"text": text, "language": "en", "duration_s": duration_s, "segments": [{"id": 0, "seek": 0, "start": 0.0,
        "end": duration_s, "text": text, "tokens": [1, 2], "temperature": 0.0, "avg_logprob": -0.1,
        "compression_ratio": 1.0, "no_speech_prob": 0.01}]})
    .to_string()
}

/// Opens streams, waits for the first event of each, says so, and keeps them open until stdin ends.
fn streams(url: &str, path: &str, n: usize) {
    let open: Vec<Connection> = (0..n)
        .map(|_| {
            let mut connection = Connection::open(url);
            let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", connection.host);
            connection.reader.get_mut().write_all(head.as_bytes()).unwrap();
            let mut line = String::new();
            while !line.starts_with("data:") {
                line.clear();
                assert!(connection.reader.read_line(&mut line).unwrap() > 0, "a stream was closed");
            }
            connection
        })
        .collect();
    println!("{}", json!({"open": open.len()}));
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Runs `work` in `n` threads that begin together; all that they return.
fn together<T: Send>(n: usize, work: impl Fn(usize) -> Vec<T> + Sync) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(n));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n)
            .map(|at| {
                let (work, barrier) = (&work, Arc::clone(&barrier));
                scope.spawn(move || {
                    barrier.wait();
                    work(at)
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
fn spread(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    json!({"p50": at(0.5), "p99": at(0.99), "max": at(1.0)})
}
