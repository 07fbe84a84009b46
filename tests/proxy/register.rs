//! What miners say about themselves, and what validators say about miners.

use serde_json::{Value, json};

use crate::http::{get, until};
use crate::network::Network;
use crate::neuron::{Neuron, transcript};

/// A miner as `/v1/network` shows it.
fn shown(network: &Network, miner: &Neuron) -> Value {
    let seen = get(network.url(), "/v1/network").expect(200);
    let miners = seen["miners"].as_array().unwrap();
    miners.iter().find(|shown| shown["hotkey"] == miner.hotkey.as_str()).cloned().unwrap_or_default()
}

#[test]
fn a_miner_that_drains_gets_no_more_work_and_keeps_what_it_holds() {
    let mut network = Network::start(&["--redundancy", "1"]);
    let about = json!({"kinds": ["transcription"], "voices": ["joe"], "capacity": 16, "model": "tiny.en"});
    let register = |network: &Network| network.miners[0].post(&network.peer, "/v1/miner/register", &about);
    let me = register(&network).expect(200);
    assert_eq!((&me["uid"], &me["draining"], &me["leases"]), (&json!(0), &json!(false), &json!([])));
    assert_eq!((&me["capacity"], &me["quality"]), (&json!(4), &json!(0.5)), "as much as a newcomer's word is worth");
    assert_eq!(shown(&network, &network.miners[0])["voices"], json!(["joe"]), "seen without a claim");

    network.create_task(&[]);
    let lease = network.miners[0].claim_one(&network.peer, "held");
    let last_seen_ms = || shown(&network, &network.miners[0])["last_seen_ms"].as_i64();
    let before_ms = last_seen_ms();
    // The next claim is of a later millisecond.
    std::thread::sleep(std::time::Duration::from_millis(2));
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        let (miner, peer) = (&network.miners[0], &network.peer);
        let waiting = scope.spawn(|| miner.claim(peer, "waits", 2, 30.0));
        until("the claim to wait", || (last_seen_ms() > before_ms).then_some(()));
        let drained = miner.post(peer, "/v1/miner/drain", &json!({})).expect(200);
        assert_eq!((&drained["draining"], &drained["leases"][0]["token"]), (&json!(true), &lease["token"]));
        assert!(waiting.join().unwrap().is_empty());
    });
    assert!(started.elapsed().as_secs() < 25, "it did not wait for work that it will not get");
    let second = network.create_task(&[]);
    assert!(network.miners[0].claim(&network.peer, "more", 4, 1.0).is_empty());
    // Every proxy of the store knows, after a death too.
    network.crash_and_restart();
    assert!(network.miners[0].claim(&network.peer, "more", 4, 0.5).is_empty());
    let same = network.miners[0].claim(&network.peer, "held", 4, 0.5);
    assert_eq!(same[0]["token"], lease["token"], "the same claim still gets its lease");
    assert_eq!(shown(&network, &network.miners[0])["draining"], true);
    network.miners[0].submit(&network.peer, &lease, &transcript("hello")).expect(200);

    assert_eq!(register(&network).expect(200)["draining"], false);
    assert_eq!(network.miners[0].claim_one(&network.peer, "again")["task_id"], second["id"]);
    let me = network.miners[0].get(&network.peer, "/v1/miner/me").expect(200);
    assert_eq!((&me["leases"][0]["task_id"], &me["answered"]), (&second["id"], &json!(1)));
    assert_eq!(Neuron::new(200).get(&network.peer, "/v1/miner/me").error(403), "not_registered");
    let nothing = json!({"kinds": [], "capacity": 0});
    assert_eq!(network.miners[0].post(&network.peer, "/v1/miner/register", &nothing).error(422), "invalid_value");
}

#[test]
fn what_validators_find_of_miners_is_shown_to_everybody_and_outlives_a_death() {
    let mut network = Network::start(&[]);
    let about = json!({"kinds": ["transcription"], "capacity": 1});
    let register = |network: &Network| network.miners[0].post(&network.peer, "/v1/miner/register", &about).expect(200);
    register(&network);
    let unknown = json!({"answers": null, "capacity": null});
    assert_eq!(shown(&network, &network.miners[0])["checked"], unknown);
    let report = |network: &Network, validator: usize, answered: u32| {
        let seen = json!({"asked": 4, "answered": answered, "capacity": 3});
        let stranger = Neuron::new(200);
        let miners = json!({network.miners[0].hotkey.as_str(): seen, stranger.hotkey.as_str(): seen});
        let body = json!({"miners": miners});
        network.validators[validator].post(&network.peer, "/v1/validator/health", &body).expect(200)
    };
    for validator in 0..network.validators.len() {
        assert_eq!(report(&network, validator, 4)["miners"], 1, "nobody that is not registered");
    }
    let found = json!({"answers": 1.0, "capacity": 3});
    assert_eq!(shown(&network, &network.miners[0])["checked"], found);
    network.crash_and_restart();
    register(&network);
    assert_eq!(shown(&network, &network.miners[0])["checked"], found);
    for validator in 0..network.validators.len() {
        report(&network, validator, 2);
    }
    assert_eq!(shown(&network, &network.miners[0])["checked"]["answers"], 0.5, "the last word counts");
    let said = json!({"miners": {}});
    let refused = network.miners[0].post(&network.peer, "/v1/validator/health", &said);
    assert_eq!(refused.error(403), "no_validator_permit");
}
