//! From an upload to a verified transcript.

use serde_json::json;

use crate::http::{Answer, get, post_form, post_json, send, until};
use crate::network::{Network, wav};
use crate::neuron::{Neuron, transcript};

fn id(task: &serde_json::Value) -> String {
    task["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_upload_becomes_a_verified_transcript() {
    let network = Network::start(&[]);
    let created = network.create_task(&[("redundancy", "3"), ("priority", "7"), ("language", "en")]);
    let task_id = id(&created);
    assert_eq!((created["state"].as_str(), created["queue_position"].as_u64()), (Some("queued"), Some(1)));
    assert_eq!(created["input"]["duration_s"], 1.0);

    // Three miners fetch the input and answer; two well, one badly.
    let texts = ["and so my fellow americans", "and so my fellow americans", "and fellow"];
    for (miner, text) in network.miners.iter().zip(texts) {
        let lease = miner.claim_one(&network.peer, "claim");
        assert_eq!(lease["task_id"].as_str(), Some(task_id.as_str()));
        assert_eq!(lease["options"]["language"], "en");
        let url = lease["input"]["url"].as_str().unwrap();
        let (base, path) = url.split_at(network.url().len());
        assert_eq!(base, network.url());
        assert_eq!(get(base, path).body, wav(1.0), "the blob is the upload");
        let part = send(base, "GET", path, &[("range", "bytes=0-3")], b"");
        assert_eq!((part.status, part.body.as_slice()), (206, b"RIFF".as_slice()));
        assert!(!miner.heartbeat(&network.peer, &lease, 0.5, "and so").expect(200)["cancel"].as_bool().unwrap());
        let receipt = miner.submit(&network.peer, &lease, &transcript(text)).expect(200);
        assert_eq!(receipt["state"], "submitted");
    }
    let answered = network.task(&task_id);
    assert_eq!(answered["state"], "answered");
    assert_eq!(answered["answer"]["text"], texts[0]);
    assert!(answered["verdict"].is_null(), "nobody's scores are shown before the reveal");

    network.judge(0.95, "americans");
    let task = network.ended(&task_id);
    assert_eq!(task["state"], "verified", "{task}");
    assert_eq!(task["verdict"]["quorum"], true);
    assert_eq!(task["verdict"]["evaluations"].as_array().unwrap().len(), 3);
    assert_eq!(task["verdict"]["best"], task["answer"]["response_id"]);
    let states: Vec<&str> = task["slots"].as_array().unwrap().iter().map(|s| s["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["accepted", "accepted", "rejected"]);

    let result = |format: &str| get(network.url(), &format!("/v1/tasks/{task_id}/result?format={format}"));
    assert_eq!(result("json").text(), transcript(texts[0]), "the very text that the miner signed");
    assert_eq!(result("text").text(), format!("{}\n", texts[0]));
    assert!(result("srt").text().starts_with("1\n00:00:00,000 --> 00:00:01,000\n"));
    assert!(result("vtt").text().starts_with("WEBVTT\n\n00:00.000 --> 00:01.000\n"));
    assert_eq!(result("doc").error(422), "invalid_value");

    // What was learnt shows: the good miner is above a newcomer, the bad one below.
    let seen = get(network.url(), "/v1/network").expect(200);
    let quality = |miner: &Neuron| {
        let miners = seen["miners"].as_array().unwrap();
        miners.iter().find(|m| m["hotkey"] == miner.hotkey.as_str()).unwrap()["quality"].as_f64().unwrap()
    };
    assert!(quality(&network.miners[0]) > 0.5 && quality(&network.miners[2]) < 0.5);
    let first = seen["miners"].as_array().unwrap().iter().find(|m| m["hotkey"] == network.miners[0].hotkey.as_str());
    assert_eq!(first.unwrap()["account"], json!({"answered": 1, "silent": 0}));
    for validator in seen["validators"].as_array().unwrap() {
        // A newcomer's half, and 2 % of the way to full agreement.
        assert!((validator["trust"].as_f64().unwrap() - 0.51).abs() < 1e-9, "{validator}");
    }
    assert!(network.metric("violet_tasks_ended_total{state=\"verified\"}") >= 1.0);
    assert!(network.metric("violet_submits_total{outcome=\"submitted\"}") >= 3.0);
}

#[test]
fn scores_stay_secret_until_commits_are_closed() {
    let network = Network::start(&[]);
    let task_id = id(&network.create_task(&[("redundancy", "1")]));
    let [miner, ..] = network.miners.as_slice() else { panic!() };
    let lease = miner.claim_one(&network.peer, "c");
    miner.submit(&network.peer, &lease, &transcript("hello there")).expect(200);
    let [a, b, c] = network.validators.as_slice() else { panic!() };
    let evaluation = a.lease_evaluation(&network.peer, "one");
    let same = a.lease_evaluation(&network.peer, "one");
    assert_eq!(same["task_id"], evaluation["task_id"], "the same claim gets the same");
    let response_id = evaluation["responses"][0]["response_id"].as_str().unwrap();
    let scores = json!({response_id: {"score": 0.9, "error_rate": null}});

    assert_eq!(a.reveal(&network.peer, &task_id, &scores).error(409), "not_committed");
    assert_eq!(a.commit(&network.peer, &task_id, &scores).expect(200)["phase"], "commit");
    assert_eq!(a.commit(&network.peer, &task_id, &scores).expect(200)["phase"], "commit", "the same again");
    assert_eq!(a.commit(&network.peer, &task_id, &json!({})).error(409), "already_committed");
    let early = a.reveal(&network.peer, &task_id, &scores);
    assert!(early.header("retry-after").is_some());
    assert_eq!(early.error(409), "commits_open");
    assert_eq!(b.commit(&network.peer, &task_id, &scores).expect(200)["phase"], "commit");
    assert_eq!(c.commit(&network.peer, &task_id, &scores).expect(200)["phase"], "reveal");

    let lie = json!({response_id: {"score": 0.1, "error_rate": null}});
    assert_eq!(a.reveal(&network.peer, &task_id, &lie).error(422), "commitment_mismatch");
    assert_eq!(a.reveal(&network.peer, &task_id, &scores).expect(200)["phase"], "reveal");
    let view = b.get(&network.peer, &format!("/v1/validator/tasks/{task_id}")).expect(200);
    assert_eq!((view["phase"].as_str(), view["verdict"].is_null()), (Some("reveal"), true));
    assert_eq!(view["reveals"], json!([]));
    assert!(!network.task(&task_id).to_string().contains("0.9"), "users do not see it either");
    b.reveal(&network.peer, &task_id, &scores).expect(200);
    assert_eq!(c.reveal(&network.peer, &task_id, &scores).expect(200)["phase"], "done");
    assert_eq!(c.reveal(&network.peer, &task_id, &scores).expect(200)["phase"], "done", "the same again");
    let view = b.get(&network.peer, &format!("/v1/validator/tasks/{task_id}")).expect(200);
    assert_eq!(view["verdict"]["scores"][response_id], 0.9);
    let reveals = view["reveals"].as_array().unwrap();
    assert_eq!(reveals.len(), 3);
    let of_a = reveals.iter().find(|reveal| reveal["validator"] == a.hotkey.as_str()).unwrap();
    let (commitment, salt, text) = a.commitment(&task_id, &scores);
    assert_eq!([&of_a["commitment"], &of_a["salt"], &of_a["scores"]], [commitment.as_str(), &salt, &text]);
}

#[test]
fn an_answer_that_nobody_judges_is_delivered_and_flagged() {
    let network = Network::start(&["--commit-s", "0.3", "--reveal-s", "0.2"]);
    let task_id = id(&network.create_task(&[("redundancy", "1")]));
    let lease = network.miners[0].claim_one(&network.peer, "c");
    network.miners[0].submit(&network.peer, &lease, &transcript("hello there")).expect(200);
    let task = network.ended(&task_id);
    assert_eq!(task["state"], "unverified");
    assert!(task["reason"].as_str().unwrap().contains("0 of 3 validators"), "{task}");
    assert_eq!(task["answer"]["text"], "hello there");
}

#[test]
fn openais_route_answers_as_soon_as_a_miner_did() {
    let network = Network::start(&["--redundancy", "1"]);
    let ask = |format: &'static str| {
        let url = network.url().to_owned();
        std::thread::spawn(move || {
            let sound = wav(1.0);
            post_form(
                &url,
                "/v1/audio/transcriptions",
                &[],
                &[
                    ("model", None, b"whisper-1"),
                    ("file", Some("a.wav"), &sound),
                    ("response_format", None, format.as_bytes()),
                    ("timestamp_granularities[]", None, b"segment"),
                ],
            )
        })
    };
    let answered = |format| -> Answer {
        let asked = ask(format);
        let lease = network.miners[0].claim_one(&network.peer, format);
        network.miners[0].submit(&network.peer, &lease, &transcript("hello there")).expect(200);
        asked.join().unwrap()
    };
    assert_eq!(answered("json").expect(200)["text"], "hello there");
    assert_eq!(answered("text").text(), "hello there\n");
    assert!(answered("srt").text().contains("-->"));
    assert!(answered("vtt").text().starts_with("WEBVTT"));
    let verbose = answered("verbose_json").expect(200);
    assert_eq!((verbose["language"].as_str(), verbose["duration"].as_f64()), (Some("english"), Some(1.0)));
    assert_eq!(verbose["segments"][0]["avg_logprob"], -0.1);
    let models = get(network.url(), "/v1/models").expect(200);
    let ids: Vec<&str> = models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["tiny.en", "tts-1", "whisper-1"], "what the miners run is listed");
}

#[test]
fn a_client_that_leaves_takes_its_task_along() {
    let network = Network::start(&["--redundancy", "1"]);
    let sound = wav(1.0);
    let host = network.url().strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let mut body = b"--e\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--e\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".to_vec();
    body.extend_from_slice(&sound);
    body.extend_from_slice(b"\r\n--e--\r\n");
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=e\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    std::io::Write::write_all(&mut stream, &[head.as_bytes(), &body].concat()).unwrap();
    let task_id = until("the task", || {
        let tasks = get(network.url(), "/v1/tasks").expect(200);
        tasks["data"][0]["id"].as_str().map(str::to_owned)
    });
    drop(stream);
    assert_eq!(network.ended(&task_id)["state"], "cancelled");
}

#[test]
fn lists_go_back_page_by_page() {
    let network = Network::start(&[]);
    let mut made: Vec<String> = (0..5).map(|_| id(&network.create_task(&[]))).collect();
    made.reverse();
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(network.url(), &format!("/v1/tasks?limit=2{after}")).expect(200);
        listed.extend(page["data"].as_array().unwrap().iter().map(id));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    listed.sort_by(|a, b| b.cmp(a));
    made.sort_by(|a, b| b.cmp(a));
    assert_eq!(listed, made);
}

#[test]
fn the_same_key_gets_the_same_task_and_another_body_is_refused() {
    let network = Network::start(&[]);
    let sound = wav(1.0);
    let send = |key: &str, priority: &[u8]| {
        let parts: [(&str, Option<&str>, &[u8]); 2] = [("priority", None, priority), ("file", Some("a.wav"), &sound)];
        post_form(network.url(), "/v1/tasks", &[("idempotency-key", key)], &parts)
    };
    let first = id(&send("k", b"3").expect(201));
    assert_eq!(id(&send("k", b"3").expect(200)), first);
    assert_eq!(send("k", b"4").error(422), "idempotency_mismatch");
    assert_ne!(id(&send("other", b"3").expect(201)), first);
    let upload = crate::http::send(network.url(), "POST", "/v1/uploads", &[], &sound).expect(201);
    let body = json!({"input": {"upload_id": upload["id"]}, "priority": 3});
    let by_upload = post_json(network.url(), "/v1/tasks", &[("idempotency-key", "k")], &body).expect(200);
    assert_eq!(id(&by_upload), first, "the same content under the same key");
}
