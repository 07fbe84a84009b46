//! Two proxies over one Firestore and one bucket, in Google's emulator and in fake-gcs-server.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::emulators;
use crate::http::{Events, get, try_send, until};
use crate::network::{Network, wav};
use crate::neuron::{Neuron, Peer, transcript};

/// Tasks that are made while proxies die; `VIOLET_CHAOS_TASKS` asks for more.
const TASKS: usize = 40;

/// Longest run, whatever the machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Proxies of one project and bucket of their own; none where the emulators are not here.
fn proxies(n: usize, project: &str, flags: &[&str]) -> Option<Vec<Network>> {
    let (firestore, storage) = (emulators::firestore()?, emulators::storage()?);
    emulators::make_bucket(storage, project);
    let (store, blobs) = (format!("firestore:{project}"), format!("gs://{project}"));
    let flags: Vec<&str> = ["--store", &store, "--blobs", &blobs].into_iter().chain(flags.iter().copied()).collect();
    let variables = [("FIRESTORE_EMULATOR_HOST", firestore), ("STORAGE_EMULATOR_HOST", storage)];
    Some((0..n).map(|_| Network::start_with(&flags, &variables)).collect())
}

#[test]
fn a_task_goes_its_way_through_two_proxies_that_share_nothing_but_the_store() {
    let Some(proxies) = proxies(2, "way", &["--redundancy", "1"]) else { return };
    let [one, two] = proxies.as_slice() else { unreachable!() };
    assert_eq!(one.peer.hotkey, two.peer.hotkey, "to miners they are the same proxy");
    let task = one.create_task(&[]);
    let id = task["id"].as_str().unwrap();
    let mut events = Events::open(two.url(), &format!("/v1/tasks/{id}/events"), Some(0));
    assert_eq!(events.next().unwrap().data["state"], "queued");
    // Lent by one, kept alive and answered through the other.
    let miner = &one.miners[0];
    let lease = miner.claim_one(&two.peer, "c");
    assert_eq!(miner.claim_one(&one.peer, "c")["token"], lease["token"], "the same claim gets the same anywhere");
    let url = lease["input"]["url"].as_str().unwrap();
    let (host, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    assert_eq!(get(&format!("http://{host}"), &format!("/{path}")).body, wav(1.0), "from the bucket itself");
    miner.heartbeat(&one.peer, &lease, 0.5, "and so").expect(200);
    let receipt = miner.submit(&two.peer, &lease, &transcript("and so on")).expect(200);
    assert_eq!(miner.submit(&one.peer, &lease, &transcript("and so on")).expect(200), receipt);
    let validators = &one.validators;
    let evaluation = validators[0].lease_evaluation(&one.peer, "v");
    let response_id = evaluation["responses"][0]["response_id"].as_str().unwrap().to_owned();
    let scores = json!({response_id: {"score": 0.9, "error_rate": 0.0}});
    for (n, validator) in validators.iter().enumerate() {
        validator.commit(&proxies[n % 2].peer, id, &scores).expect(200);
    }
    for (n, validator) in validators.iter().enumerate() {
        validator.reveal(&proxies[(n + 1) % 2].peer, id, &scores).expect(200);
    }
    assert_eq!(two.ended(id)["state"], "verified");
    assert_eq!(one.ended(id)["verdict"], two.ended(id)["verdict"]);
    let rest = events.rest();
    let states: Vec<&str> =
        rest.iter().filter(|e| e.kind == "state").filter_map(|e| e.data["state"].as_str()).collect();
    assert_eq!(states, ["running", "answered", "verified"], "the other proxy's listener missed nothing");
    assert_eq!(get(two.url(), &format!("/v1/tasks/{id}/result?format=text")).text(), "and so on\n");
    // What a miner said to one, the other knows.
    assert_eq!(miner.get(&two.peer, "/v1/miner/me").expect(200)["draining"], false);
    miner.post(&one.peer, "/v1/miner/drain", &json!({})).expect(200);
    until("the other proxy to know", || {
        let is_draining = miner.get(&two.peer, "/v1/miner/me").expect(200)["draining"] == true;
        is_draining.then_some(())
    });
    // One of them saw the verdict come about; what it says of the validators, both know.
    let trusts = |proxy: &Network| -> Vec<f64> {
        let network = get(proxy.url(), "/v1/network").expect(200);
        network["validators"].as_array().unwrap().iter().map(|validator| validator["trust"].as_f64().unwrap()).collect()
    };
    until("both proxies to trust alike those who agreed", || {
        let (of_one, of_two) = (trusts(one), trusts(two));
        (of_one == of_two && of_two.iter().all(|trust| *trust > 0.5)).then_some(())
    });
}

/// What the threads of the test share.
struct Chaos {
    peers: RwLock<Vec<Peer>>,
    is_over: AtomicBool,
    made: Mutex<Vec<String>>,
    n_answered: AtomicUsize,
    turn: AtomicUsize,
}

impl Chaos {
    /// One of the proxies, each in its turn.
    fn peer(&self) -> Peer {
        let peers = self.peers.read().unwrap();
        peers[self.turn.fetch_add(1, Ordering::Relaxed) % peers.len()].clone()
    }

    /// A user: every task is asked for until a proxy says that it is there.
    fn make(&self, n: usize) {
        let mut body = b"--e\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".to_vec();
        // Each its own sound: fake-gcs-server has been seen to crash when one object was written by many at once.
        let n_ms = u32::try_from(100 + n).unwrap();
        body.extend_from_slice(&wav(f64::from(n_ms) / 1_000.0));
        body.extend_from_slice(b"\r\n--e--\r\n");
        let key = format!("task-{n}");
        let headers = [("content-type", "multipart/form-data; boundary=e"), ("idempotency-key", key.as_str())];
        let mut id: Option<String> = None;
        // Acknowledged twice, by whichever proxy: it must be the same task.
        for _ in 0..2 {
            let answer = self.ask(|peer| try_send(&peer.url, "POST", "/v1/tasks", &headers, &body));
            let said = answer["id"].as_str().unwrap().to_owned();
            assert!(id.as_ref().is_none_or(|id| *id == said), "a key names one task");
            id = Some(said);
        }
        self.made.lock().unwrap().extend(id);
    }

    /// A miner: claims and answers until it is over.
    fn mine(&self, miner: &Neuron) {
        for n in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let claim = json!({"claim_id": format!("c{n}"), "kinds": ["transcription"], "capacity": 2, "wait_s": 1});
            let Some(answer) = miner.try_post(&self.peer(), "/v1/miner/claim", &claim).filter(|a| a.status == 200)
            else {
                continue;
            };
            let Ok(leases) = serde_json::from_slice::<Value>(&answer.body) else { continue };
            for lease in leases["leases"].as_array().unwrap() {
                let result = transcript("hello").replace("\"duration_s\":1.0", "\"duration_s\":0.1");
                // Until somebody takes it or says that it is too late.
                loop {
                    let answer = miner.try_post(&self.peer(), "/v1/miner/submit", &miner.submission(lease, &result));
                    match answer.map(|answer| answer.status) {
                        Some(200) => {
                            self.n_answered.fetch_add(1, Ordering::Relaxed);
                            break;
                        }
                        Some(409 | 410) => break,
                        // Signed just before the proxy that got it began.
                        Some(401) => {}
                        Some(status) if status < 500 => panic!("a submit got {status}"),
                        _ if self.is_over.load(Ordering::Relaxed) => return,
                        _ => {}
                    }
                }
            }
        }
    }

    fn ask(&self, send: impl Fn(&Peer) -> Option<crate::http::Answer>) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no answer in {PATIENCE:?}");
            match send(&self.peer()) {
                Some(answer) if answer.status < 300 => {
                    if let Ok(body) = serde_json::from_slice(&answer.body) {
                        return body;
                    }
                }
                Some(answer) if answer.status < 500 => panic!("{}", answer.text()),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

#[test]
fn one_of_two_proxies_is_killed_every_second_and_every_task_ends_once() {
    let flags = ["--redundancy", "1", "--commit-s", "0.5", "--reveal-s", "0.2", "--lease-s", "20"];
    let Some(mut proxies) = proxies(2, "chaos", &flags) else { return };
    let n_tasks = std::env::var("VIOLET_CHAOS_TASKS").ok().and_then(|n| n.parse().ok()).unwrap_or(TASKS);
    let chaos = Chaos {
        peers: RwLock::new(proxies.iter().map(|proxy| proxy.peer.clone()).collect()),
        is_over: AtomicBool::new(false),
        made: Mutex::new(Vec::new()),
        n_answered: AtomicUsize::new(0),
        turn: AtomicUsize::new(0),
    };
    let miners: Vec<Neuron> = (1..=4).map(Neuron::new).collect();
    let deadline = Instant::now() + PATIENCE;
    let mut n_killed = 0;
    std::thread::scope(|scope| {
        let chaos = &chaos;
        for miner in &miners {
            scope.spawn(move || chaos.mine(miner));
        }
        for user in 0..2 {
            scope.spawn(move || (0..n_tasks).filter(|n| n % 2 == user).for_each(|n| chaos.make(n)));
        }
        let is_done =
            || chaos.n_answered.load(Ordering::Relaxed) >= n_tasks && chaos.made.lock().unwrap().len() == n_tasks;
        while !is_done() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_secs(1));
            let victim = n_killed % 2;
            proxies[victim].crash_and_restart();
            chaos.peers.write().unwrap()[victim] = proxies[victim].peer.clone();
            n_killed += 1;
        }
        chaos.is_over.store(true, Ordering::Relaxed);
        assert!(
            is_done(),
            "{} of {n_tasks} answered after {n_killed} deaths",
            chaos.n_answered.load(Ordering::Relaxed)
        );
    });
    assert!(n_killed > 0);
    let made = chaos.made.into_inner().unwrap();
    for id in &made {
        let ended = proxies[0].ended(id);
        assert_eq!(ended["state"], "unverified", "{ended}");
        assert_eq!(ended["answer"]["text"], "hello");
        let accepted = ended["slots"].as_array().unwrap().iter().filter(|slot| !slot["response_id"].is_null()).count();
        assert_eq!(accepted, 1, "one response a slot");
        let events = Events::open(proxies[1].url(), &format!("/v1/tasks/{id}/events"), Some(0)).rest();
        let numbers: Vec<u64> = events.iter().filter_map(|event| event.id).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "events without gaps");
        assert_eq!(events.last().unwrap().data["version"], ended["version"], "the state is the last event");
    }
    let distinct: std::collections::BTreeSet<&String> = made.iter().collect();
    assert_eq!(distinct.len(), n_tasks);
}
