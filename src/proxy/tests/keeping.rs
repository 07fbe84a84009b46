//! How long things are kept, and what goes with them.

use axum::http::HeaderValue;

use super::*;
use crate::proxy::sweep::{self, Swept};
use crate::proxy::tasks;
use crate::subnet::task::TaskId;

#[tokio::test]
async fn what_is_over_is_deleted_and_nothing_else() {
    let bench = Bench::new(&["--retention-s", "3600"]).await;
    let hour_ms = 3_600_000;
    let now_ms = clock::now_ms();
    let ended = bench.task().await;
    let cancel = format!("/v1/tasks/{}/cancel", ended["id"].as_str().unwrap());
    let open = bench.form("/v1/tasks", &[("file", Some("b.wav"), &wav_of(900))]).await.json();
    let upload = bench.post("/v1/uploads", "audio/wav", wav_of(1_000)).await.json();
    bench.post(&cancel, "application/json", "").await;
    let sweep = async |at_ms| sweep::sweep(&bench.app, at_ms).await.unwrap();
    assert_eq!(sweep(now_ms + hour_ms / 2).await, Swept::default(), "nothing is old");
    // Just past the time: the records go, the blobs are condemned and stay for requests that may still have read a record.
    let later = now_ms + hour_ms + 60_000;
    assert_eq!(sweep(later).await, Swept { tasks: 1, uploads: 1, blobs: 0 });
    assert_eq!(bench.get(&cancel.replace("/cancel", "")).await.error(), code("no_such_task", 404));
    let body = json!({"input": {"upload_id": upload["id"]}}).to_string();
    assert_eq!(bench.post("/v1/tasks", "application/json", body).await.error(), code("no_such_upload", 404));
    assert_eq!(sweep(later + 299_000).await, Swept::default(), "not yet");
    assert_eq!(sweep(later + 301_000).await, Swept { tasks: 0, uploads: 0, blobs: 2 });
    let blobs = |name: &Value| bench.dir.path().join("data/blobs").join(name.as_str().unwrap()).exists();
    assert!(!blobs(&ended["input"]["sha256"]) && !blobs(&upload["sha256"]));
    assert!(blobs(&open["input"]["sha256"]), "an open task keeps its input, however old");
    let path = format!("/v1/tasks/{}", open["id"].as_str().unwrap());
    assert_eq!(bench.get(&path).await.json()["state"], "queued");
}

#[tokio::test]
async fn a_blob_that_is_named_again_before_it_goes_stays() {
    let bench = Bench::new(&["--retention-s", "3600"]).await;
    let ended = bench.task().await;
    let id = TaskId::from(ended["id"].as_str().unwrap());
    bench.post(&format!("/v1/tasks/{id}/cancel"), "application/json", "").await;
    // A retry that has read the task, and stores its own after the sweep deleted that.
    let read = bench.app.task(&id).await.unwrap();
    let later = clock::now_ms() + 3_660_000;
    let sweep = async |at_ms| sweep::sweep(&bench.app, at_ms).await.unwrap();
    assert_eq!(sweep(later).await, Swept { tasks: 1, uploads: 0, blobs: 0 });
    let (again, _) = tasks::retry(&bench.app, &read, None).await.unwrap();
    assert_eq!(sweep(later + 301_000).await, Swept::default());
    let blob = bench.dir.path().join("data/blobs").join(&again.input.sha256);
    assert!(blob.exists());
    // Once the retry is over too it goes the same way: condemned first, deleted later.
    bench.post(&format!("/v1/tasks/{}/cancel", again.id), "application/json", "").await;
    assert_eq!(sweep(later + 7_200_000).await, Swept { tasks: 1, uploads: 0, blobs: 0 });
    assert_eq!(sweep(later + 7_600_000).await, Swept { tasks: 0, uploads: 0, blobs: 1 });
    assert!(!blob.exists());
}

#[tokio::test]
async fn an_erased_task_leaves_nothing_and_what_others_have_stays() {
    let bench = Bench::new(&[]).await;
    let upload = bench.post("/v1/uploads", "audio/wav", wav()).await.json();
    let body = json!({"input": {"upload_id": upload["id"]}}).to_string();
    let with_key = |key: &str| {
        let request = Request::post("/v1/tasks").header("content-type", "application/json");
        bench.send(request.header("idempotency-key", key).body(Body::from(body.clone())).unwrap())
    };
    let task = with_key("k").await.json();
    let other = bench.form("/v1/tasks", &[("file", Some("b.wav"), &wav_of(900))]).await.json();
    let path = |task: &Value| format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let delete = async |path: &str| bench.send(Request::delete(path).body(Body::empty()).unwrap()).await;
    let gone = delete(&path(&task)).await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0), "an open task ends and goes");
    assert_eq!(delete(&path(&task)).await.error(), code("no_such_task", 404));
    assert_eq!(bench.get(&path(&task)).await.error(), code("no_such_task", 404));
    assert_eq!(bench.app.store.board().len(), 1);
    assert_eq!(with_key("k").await.error(), code("no_such_upload", 404), "the upload went with it");
    let sweep = async |at_ms| sweep::sweep(&bench.app, at_ms).await.unwrap();
    let now_ms = clock::now_ms();
    assert_eq!(sweep(now_ms + 310_000).await, Swept { tasks: 0, uploads: 0, blobs: 1 }, "its bytes minutes later");
    assert_eq!(bench.get(&path(&other)).await.json()["state"], "queued");
    // Two tasks of the same sound: the bytes go with the last.
    let [one, two] = [bench.task().await, bench.task().await];
    delete(&path(&one)).await;
    assert_eq!(sweep(now_ms + 700_000).await, Swept::default());
    delete(&path(&two)).await;
    assert_eq!(sweep(now_ms + 700_000).await, Swept { tasks: 0, uploads: 0, blobs: 1 });
}

#[tokio::test]
async fn an_upload_under_way_ends_with_its_time_and_its_parts_go() {
    let bench = Bench::new(&[]).await;
    let sound = wav();
    let request = Request::post("/v1/uploads").header("upload-length", sound.len().to_string());
    let begun = bench.send(request.body(Body::empty()).unwrap()).await.json();
    let path = format!("/v1/uploads/{}", begun["id"].as_str().unwrap());
    let part =
        Request::patch(&path).header("upload-offset", "0").header("content-type", "application/offset+octet-stream");
    let answer = bench.send(part.body(Body::from(sound[..100].to_vec())).unwrap()).await;
    assert_eq!(
        (answer.status, &answer.headers["upload-offset"]),
        (StatusCode::NO_CONTENT, &HeaderValue::from_static("100"))
    );
    let expires_at_ms = begun["expires_at_ms"].as_i64().unwrap();
    let sweep = async |at_ms| sweep::sweep(&bench.app, at_ms).await.unwrap();
    assert_eq!(sweep(expires_at_ms - 1_000).await, Swept::default());
    assert_eq!(bench.get(&path).await.json()["offset"], 100);
    // Its part is condemned now and deleted then.
    assert_eq!(sweep(expires_at_ms + 1_000).await, Swept { tasks: 0, uploads: 1, blobs: 1 });
    assert_eq!(bench.get(&path).await.error(), code("no_such_upload", 404));
}

#[tokio::test]
async fn what_miners_heard_of_an_erased_task_goes_too() {
    let bench = Bench::new(&["--variants", "on"]).await;
    let form = [("redundancy", None, b"1".as_slice()), ("file", Some("a.wav"), &wav())];
    let task = bench.form("/v1/tasks", &form).await.json();
    let [one, two, _] = keys();
    let blobs = bench.dir.path().join("data/blobs");
    let claimed = async |key: &Keypair| {
        let claim = json!({"claim_id": "c", "kinds": ["transcription"], "capacity": 1, "wait_s": 20}).to_string();
        let lease = bench.signed(key, "/v1/miner/claim", claim.into_bytes()).await.json()["leases"][0].clone();
        let heard = blobs.join(lease["input"]["sha256"].as_str().unwrap());
        assert!(heard.exists() && lease["input"]["sha256"] != task["input"]["sha256"]);
        (lease, heard)
    };
    // The first lease is given back, so that no slot remembers what its miner heard; the second lives.
    let (lease, first) = claimed(&one).await;
    let fail = json!({"task_id": lease["task_id"], "slot": 0, "token": lease["token"], "reason": "no memory"});
    let given_back = bench.signed(&one, "/v1/miner/fail", fail.to_string().into_bytes()).await;
    assert_eq!(given_back.status, StatusCode::OK, "{}", given_back.json());
    let (_, second) = claimed(&two).await;
    assert_ne!(first, second);
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let erased = bench.send(Request::delete(&path).body(Body::empty()).unwrap()).await;
    assert_eq!(erased.status, StatusCode::NO_CONTENT);
    let sweep = async |at_ms| sweep::sweep(&bench.app, at_ms).await.unwrap();
    let now_ms = clock::now_ms();
    // Long before the deadline of the task, until when they would have stayed for the miners.
    assert_eq!(sweep(now_ms + 290_000).await, Swept::default(), "whoever reads one now can end");
    assert_eq!(sweep(now_ms + 310_000).await, Swept { tasks: 0, uploads: 0, blobs: 3 }, "with the input");
    assert!(!first.exists() && !second.exists());
}
