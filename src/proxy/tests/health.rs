//! What validators report of the miners that they ask themselves, and what comes of it.

use super::*;

async fn report(bench: &Bench, key: &Keypair, body: Value) -> Answer {
    bench.signed(key, "/v1/validator/health", body.to_string().into_bytes()).await
}

#[tokio::test]
async fn a_miner_gets_no_more_work_than_validators_saw_it_do() {
    let bench = Bench::new(&["--redundancy", "1"]).await;
    let [miner, validator, _] = keys();
    let (hotkey, seen) = (address(&miner), json!({"asked": 10, "answered": 9, "capacity": 2}));
    let noted = report(&bench, &validator, json!({"miners": {(hotkey.as_str()): seen, "a stranger": seen}})).await;
    assert_eq!(noted.json(), json!({"miners": 1}), "{}", noted.json());
    for _ in 0..3 {
        bench.task().await;
    }
    let claim = async |id: &str, wait_s: u32| {
        let body = json!({"claim_id": id, "kinds": ["transcription"], "capacity": 8, "wait_s": wait_s});
        let answer = bench.signed(&miner, "/v1/miner/claim", body.to_string().into_bytes()).await;
        answer.json()["leases"].as_array().unwrap().len()
    };
    // The second task may be shown to a newcomer a moment after the first one.
    let first = claim("first", 20).await;
    let second = if first == 2 { 0 } else { claim("second", 20).await };
    assert_eq!(first + second, 2);
    assert_eq!(claim("third", 1).await, 0, "it declares 8 and does 2");
    let network = bench.get("/v1/network").await;
    assert_eq!(network.headers["cache-control"], "public, max-age=1");
    let network = network.json();
    assert_eq!(network["miners"][0]["checked"], json!({"answers": 0.9, "capacity": 2}));
    let about = json!({"kinds": ["transcription"], "capacity": 8}).to_string().into_bytes();
    let me = bench.signed(&miner, "/v1/miner/register", about).await.json();
    assert_eq!(me["capacity"], 2, "it is told so");
    report(&bench, &validator, json!({"miners": {(hotkey.as_str()): {"asked": 11, "answered": 10}}})).await;
    assert_eq!(claim("fourth", 20).await, 1, "of what was not tried, its word counts");
    assert_eq!(bench.get("/v1/network").await.json()["miners"][0]["checked"]["capacity"], Value::Null);
}

#[tokio::test]
async fn reports_are_validators_and_possible() {
    let bench = Bench::new(&[]).await;
    let [miner, validator, poor] = keys();
    let empty = json!({"miners": {}});
    assert_eq!(report(&bench, &miner, empty.clone()).await.error(), code("no_validator_permit", 403));
    assert_eq!(report(&bench, &poor, empty.clone()).await.error(), code("stake_too_low", 403));
    assert_eq!(report(&bench, &validator, empty).await.json(), json!({"miners": 0}));
    let of = |seen: Value| json!({"miners": {(address(&miner)): seen}});
    let more = report(&bench, &validator, of(json!({"asked": 1, "answered": 2}))).await;
    assert_eq!((more.error(), &more.json()["error"]["param"]), (code("invalid_value", 422), &json!("miners")));
    for wrong in
        [json!({"asked": 1}), json!({"asked": -1, "answered": 0}), json!({"asked": 1, "answered": 1, "mood": 3})]
    {
        assert_eq!(report(&bench, &validator, of(wrong)).await.error(), code("invalid_body", 422));
    }
}
