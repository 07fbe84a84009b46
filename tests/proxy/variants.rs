//! What miners hear instead of the recording, and that nobody else notices.

use std::io::Cursor;

use serde_json::{Value, json};
use violet::audio::{EncodeOptions, Limits, decode, encode};

use crate::http::{get, post_form, post_json, send};
use crate::network::{FAULT, Network};
use crate::neuron::Neuron;

/// When the recording has a click, seconds.
const CLICKS: [f64; 4] = [1.0, 10.0, 20.0, 28.0];

/// Sample rate of the recording, Hz.
const RATE: u32 = 22_050;

/// A recording of half a minute in which nothing is heard but [`CLICKS`].
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times within the recording")]
fn recording() -> Vec<u8> {
    let mut samples = vec![0.0; 30 * RATE as usize];
    for at_s in CLICKS {
        samples[(at_s * f64::from(RATE)) as usize] = 0.9;
    }
    encode(&samples, RATE, 1, &EncodeOptions::default()).unwrap()
}

fn create(network: &Network, options: &[(&str, &str)]) -> String {
    let sound = recording();
    let mut parts: Vec<(&str, Option<&str>, &[u8])> = vec![("file", Some("clicks.wav"), &sound)];
    parts.extend(options.iter().map(|&(name, value)| (name, None, value.as_bytes())));
    let task = post_form(network.url(), "/v1/tasks", &[], &parts).expect(201);
    task["id"].as_str().unwrap().to_owned()
}

/// The bytes that a miner hears.
fn fetched(network: &Network, lease: &Value) -> Vec<u8> {
    let url = lease["input"]["url"].as_str().unwrap();
    let answer = get(network.url(), &url[network.url().len()..]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("audio/flac")));
    assert_eq!(answer.body.len() as u64, lease["input"]["bytes"].as_u64().unwrap());
    assert_eq!(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&answer.body)), lease["input"]["sha256"]);
    answer.body
}

/// When the clicks are heard in a file, seconds; and how long it lasts.
fn heard(file: &[u8]) -> (Vec<f64>, f64) {
    let waveform = decode(Cursor::new(file), "the variant", Some(16_000), &Limits::default()).unwrap().waveform;
    let seconds = |samples: usize| f64::from(u32::try_from(samples).unwrap()) / 16_000.0;
    let loud = waveform.samples().iter().enumerate().filter(|(_, sample)| sample.abs() > 0.1);
    let mut clicks: Vec<f64> = loud.map(|(at, _)| seconds(at)).collect();
    // A resampled click is loud for a few samples.
    clicks.dedup_by(|later, earlier| *later - *earlier < 0.01);
    (clicks, seconds(waveform.n_samples()))
}

/// A transcript with a word at each of these times.
fn transcript(starts: &[f64], duration_s: f64) -> String {
    let words = ["one", "two", "three", "four"];
    let timed: Vec<Value> = starts
        .iter()
        .zip(words)
        .map(
            |(start, word)| json!({"word": format!(" {word}"), "start": start, "end": start + 0.2, "probability": 0.9}),
        )
        .collect();
    json!({"text": "one two three four", "language": "en", "duration_s": duration_s, "segments": [{"id": 0, "seek": 0,
        "start": starts[0], "end": starts[3] + 0.2, "text": " one two three four", "tokens": [1, 2], "temperature": 0.0,
        "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.01, "words": timed}]})
    .to_string()
}

fn starts(transcript: &Value) -> Vec<f64> {
    let words = transcript["segments"][0]["words"].as_array().unwrap();
    words.iter().map(|word| word["start"].as_f64().unwrap()).collect()
}

/// How far times are from the truth at the most, seconds.
fn error(starts: &[f64]) -> f64 {
    starts.iter().zip(CLICKS).map(|(start, truth)| (start - truth).abs()).fold(0.0, f64::max)
}

#[test]
fn each_miner_hears_its_own_and_everybody_else_sees_the_recordings_times() {
    let network = Network::start(&["--variants", "on"]);
    let task_id = create(&network, &[("redundancy", "3"), ("word_timestamps", "true")]);
    let leases: Vec<Value> = network.miners[..3].iter().map(|miner| miner.claim_one(&network.peer, "claim")).collect();
    let files: Vec<Vec<u8>> = leases.iter().map(|lease| fetched(&network, lease)).collect();
    assert!(files[0] != files[1] && files[0] != files[2] && files[1] != files[2]);
    let again = network.miners[0].claim_one(&network.peer, "claim");
    assert_eq!(again["input"]["sha256"], leases[0]["input"]["sha256"], "the same claim hears the same");
    let (said, duration_s) = heard(&files[0]);
    assert_eq!(said.len(), CLICKS.len());
    assert_eq!(leases[0]["input"]["duration_s"], duration_s);

    // Two listen; the third hands in what the first heard. Nothing on the wire tells it what would fit.
    let own = |file: &[u8]| {
        let (clicks, duration_s) = heard(file);
        transcript(&clicks, duration_s)
    };
    let results = [own(&files[0]), own(&files[1]), own(&files[0])];
    for ((miner, lease), result) in network.miners.iter().zip(&leases).zip(&results) {
        assert_eq!(miner.submit(&network.peer, lease, result).expect(200)["state"], "submitted");
    }

    // The user.
    let result = |format: &str| get(network.url(), &format!("/v1/tasks/{task_id}/result?format={format}"));
    let seen = result("json").expect(200);
    assert!(error(&starts(&seen)) < 0.002, "{seen}");
    assert_eq!(seen["duration_s"], 30.0);
    assert!(error(&starts(&result("verbose_json").expect(200))) < 0.002);
    assert!(result("srt").text().contains("00:00:01,000 --> 00:00:28,"), "{}", result("srt").text());
    assert!(!network.task(&task_id).to_string().contains("lead_s"), "what was heard is nobody's business");

    // A validator: the recording itself, and what was signed with what was heard.
    let evaluation = network.validators[0].lease_evaluation(&network.peer, "judge");
    let url = evaluation["input"]["url"].as_str().unwrap();
    assert_eq!(get(network.url(), &url[network.url().len()..]).body, recording());
    let errors: Vec<f64> = evaluation["responses"].as_array().unwrap().iter().map(original_error).collect();
    let of = |miner: &Neuron| {
        let responses = evaluation["responses"].as_array().unwrap();
        errors[responses.iter().position(|response| response["miner"] == miner.hotkey.as_str()).unwrap()]
    };
    assert!(of(&network.miners[0]) < 0.002 && of(&network.miners[1]) < 0.002, "{errors:?}");
    let differ = heard(&files[0]).0.iter().zip(heard(&files[2]).0).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let off = of(&network.miners[2]);
    assert!((off - differ).abs() < 0.002 + 0.05 * differ, "the copy is off by what the files differ: {off} {differ}");
}

/// How far the times of a response are from the truth when they are taken back to the recording's.
fn original_error(response: &Value) -> f64 {
    let transcript: Value = serde_json::from_str(response["result"].as_str().unwrap()).unwrap();
    let number = |name: &str| response["variant"][name].as_f64().unwrap();
    let original: Vec<f64> =
        starts(&transcript).iter().map(|at_s| (at_s - number("lead_s")) * number("speed")).collect();
    error(&original)
}

#[test]
fn a_url_is_for_one_variant_and_the_recording_is_for_nobody_who_mines() {
    let network = Network::start(&["--variants", "on"]);
    let task_id = create(&network, &[("redundancy", "2")]);
    let lease = network.miners[0].claim_one(&network.peer, "claim");
    let input = network.task(&task_id)["input"]["sha256"].as_str().unwrap().to_owned();
    let url = lease["input"]["url"].as_str().unwrap()[network.url().len()..].to_owned();
    let of_the_recording = url.replace(lease["input"]["sha256"].as_str().unwrap(), &input);
    assert_eq!(get(network.url(), &of_the_recording).error(403), "bad_signature");
    let part = send(network.url(), "GET", &url, &[("range", "bytes=0-3")], b"");
    assert_eq!((part.status, part.body.as_slice()), (206, b"fLaC".as_slice()));
    // As long as the input, or it is not of it.
    let short = transcript(&[0.5, 1.0, 1.5, 2.0], 20.0);
    let refused = network.miners[0].submit(&network.peer, &lease, &short).expect(200);
    assert!(refused["reason"].as_str().unwrap().contains("the input has 30.0 s"), "{refused}");
}

#[test]
fn the_same_lease_hears_the_same_after_a_crash() {
    let mut network = Network::start(&["--variants", "on"]);
    create(&network, &[("redundancy", "1")]);
    let before = network.miners[0].claim_one(&network.peer, "claim");
    network.crash_and_restart();
    let after = network.miners[0].claim_one(&network.peer, "claim");
    assert_eq!(after["input"]["sha256"], before["input"]["sha256"]);
    assert_eq!(after["token"], before["token"]);
    fetched(&network, &after);
}

#[test]
fn a_proxy_that_dies_before_it_handed_the_variant_over_does_so_after() {
    let mut network = Network::start_with(&["--variants", "on"], &[(FAULT, "variant_rendered")]);
    create(&network, &[("redundancy", "1")]);
    let claim = json!({"claim_id": "c", "kinds": ["transcription"], "capacity": 1, "wait_s": 20});
    assert!(network.miners[0].try_post(&network.peer, "/v1/miner/claim", &claim).is_none());
    crate::http::until("the proxy's death", || network.is_dead().then_some(()));
    network.crash_and_restart();
    let lease = network.miners[0].claim_one(&network.peer, "c");
    assert_eq!(lease["token"], 1, "the lease of before");
    fetched(&network, &lease);
}

#[test]
fn an_analysis_is_of_the_recording_itself() {
    let network = Network::start(&["--variants", "on"]);
    let body =
        json!({"kind": "analysis", "redundancy": 1, "fields": ["level"], "input": {"base64": base64(&recording())}});
    let task = post_json(network.url(), "/v1/tasks", &[], &body).expect(201);
    let claim = json!({"claim_id": "c", "kinds": ["analysis"], "capacity": 1, "wait_s": 20});
    let leases = network.miners[0].post(&network.peer, "/v1/miner/claim", &claim).expect(200);
    assert_eq!(leases["leases"][0]["input"]["sha256"], task["input"]["sha256"]);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}
