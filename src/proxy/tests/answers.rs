//! What routes answer.

use super::*;
use crate::subnet::task::{Claim, Holding, Hotkey, ResponseId, Submit, TaskId};

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
async fn an_answer_is_given_again_to_its_own_user_who_asks_for_that() {
    let bench = Bench::new(&[]).await;
    let make = async |more: &[(&str, Option<&str>, &[u8])]| {
        let sound = wav();
        let mut parts: Vec<(&str, Option<&str>, &[u8])> =
            vec![("redundancy", None, b"1"), ("file", Some("a.wav"), &sound)];
        parts.extend_from_slice(more);
        let answer = bench.form("/v1/tasks", &parts).await;
        (answer.status.as_u16(), answer.json()["id"].as_str().unwrap().to_owned())
    };
    let (_, first) = make(&[]).await;
    let again: (&str, Option<&str>, &[u8]) = ("reuse", None, b"true");
    let (status, second) = make(&[again]).await;
    assert!(status == 201 && second != first, "it has no answer yet");
    bench
        .app
        .change(&TaskId::from(first.as_str()), |task, _| {
            let miner = Hotkey::from("m");
            let claim = Claim { slot: 0, miner: miner.clone(), coldkey: "c".into(), claim_id: "c".to_owned() };
            let token = task.claim(claim, clock::now_ms(), &bench.app.terms)?;
            let submit = Submit { response_id: ResponseId::from("r"), digest: "d".to_owned(), checked: Ok(None) };
            task.submit(&Holding { slot: 0, token, miner: &miner }, submit, clock::now_ms())?;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(make(&[again]).await, (200, first.clone()));
    assert_eq!(make(&[]).await.0, 201, "only who asks for it");
    assert_eq!(make(&[again, ("language", None, b"en")]).await.0, 201, "other options are other work");
    assert_eq!(make(&[again, ("kind", None, b"analysis")]).await.0, 201);
    let of_others = bench.app.store.records().tasks_about("bob", &hex::encode(Sha256::digest(wav())), 9).await.unwrap();
    assert!(of_others.is_empty(), "what was done for one is not given to another");
    let wrong = bench.form("/v1/tasks", &[("reuse", None, b"perhaps"), ("file", Some("a"), &wav())]).await;
    assert_eq!((wrong.error(), &wrong.json()["error"]["param"]), (code("invalid_value", 422), &Value::from("reuse")));
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
