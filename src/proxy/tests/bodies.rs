//! Bodies that are wrong, and what is said of them.

use super::*;

#[tokio::test]
async fn what_is_no_audio_is_refused_in_a_way_that_helps() {
    let bench = Bench::new(&["--max-duration-s", "1"]).await;
    let upload = async |bytes: Vec<u8>| bench.form("/v1/tasks", &[("file", Some("a.wav"), &bytes)]).await;
    assert_eq!(upload(Vec::new()).await.error(), code("empty_file", 400));
    assert_eq!(upload(b"this is no audio at all, not even a little".to_vec()).await.error(), code("not_audio", 400));
    assert_eq!(upload(wav_of(0)).await.error().0, 400, "audio of zero length");
    assert_eq!(upload(wav_of(8_001)).await.error(), code("audio_too_long", 413));
    assert_eq!(upload(wav_of(60_000)).await.error(), code("file_too_large", 413));
    let message = upload(Vec::new()).await.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "file is empty; send the bytes of an audio file");
    let parts = std::fs::read_dir(bench.dir.path().join("data/blobs.part")).unwrap().count();
    let kept = bench.app.blobs.store().list("", 1).await.unwrap();
    assert_eq!((parts, kept.len()), (0, 0), "nothing of it stays");
}

#[tokio::test]
async fn forms_that_are_wrong_are_refused_by_name() {
    let bench = Bench::new(&[]).await;
    let sound = wav();
    let with = async |name: &str, value: &str| {
        let answer = bench.form("/v1/tasks", &[(name, None, value.as_bytes()), ("file", Some("a"), &sound)]).await;
        let param = answer.json()["error"]["param"].clone();
        (answer.error(), param)
    };
    for (name, value) in [
        ("priority", "10"),
        ("priority", "-1"),
        ("priority", "high"),
        ("redundancy", "0"),
        ("redundancy", "9"),
        ("temperature", "1.5"),
        ("temperature", "NaN"),
        ("deadline_s", "9"),
        ("deadline_s", "3601"),
        ("language", "English"),
        ("kind", "singing"),
        ("voice", "joe"),
        ("word_timestamps", "perhaps"),
    ] {
        assert_eq!(with(name, value).await, (code("invalid_value", 422), Value::from(name)), "{name}={value}");
    }
    assert_eq!(with("colour", "red").await.0, code("unknown_field", 422));
    let long = "x".repeat(70_000);
    assert_eq!(with("prompt", &long).await.0, code("field_too_large", 413));
    assert_eq!(bench.form("/v1/tasks", &[("priority", None, b"1")]).await.error(), code("missing_file", 400));
    let two = [("file", Some("a"), sound.as_slice()), ("file", Some("b"), sound.as_slice())];
    assert_eq!(bench.form("/v1/tasks", &two).await.error(), code("two_files", 400));
    let cut = bench.post("/v1/tasks", "multipart/form-data; boundary=e", "--e\r\ncontent-disp").await;
    assert_eq!(cut.error(), code("malformed_multipart", 400));
    let unbounded = bench.post("/v1/tasks", "multipart/form-data", "x").await;
    assert_eq!(unbounded.error(), code("malformed_multipart", 400));
    assert_eq!(bench.post("/v1/tasks", "text/plain", "x").await.error(), code("unsupported_media_type", 415));
    assert_eq!(bench.get("/v1/tasks").await.json()["data"], json!([]), "nothing was made of all this");
}

#[tokio::test]
async fn json_bodies_are_read_strictly() {
    let bench = Bench::new(&[]).await;
    let post = async |body: &str| bench.post("/v1/tasks", "application/json", body.to_owned()).await;
    assert_eq!(post("{").await.error(), code("malformed_json", 400));
    assert_eq!(post("{}").await.error(), code("invalid_body", 422));
    assert_eq!(post(r#"{"input": {"base64": ""}, "colour": 1}"#).await.error(), code("invalid_body", 422));
    assert_eq!(post(r#"{"input": {"base64": "", "upload_id": ""}}"#).await.error(), code("invalid_value", 422));
    assert_eq!(post(r#"{"input": {"base64": "*"}}"#).await.error(), code("not_base64", 422));
    assert_eq!(post(r#"{"input": {"base64": ""}}"#).await.error(), code("empty_file", 400));
    assert_eq!(post(r#"{"input": {"upload_id": "upload_x"}}"#).await.error(), code("no_such_upload", 404));
    let too_long = format!(r#"{{"input": {{"base64": "{}"}}}}"#, "A".repeat(12 << 20));
    assert_eq!(post(&too_long).await.error(), code("body_too_large", 413));
    let inline = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, wav());
    let made = post(&format!(r#"{{"input": {{"base64": "{inline}"}}, "priority": 9}}"#)).await;
    assert_eq!((made.status, made.json()["priority"].clone()), (StatusCode::CREATED, Value::from(9)));
}

#[tokio::test]
async fn signed_bodies_are_bounded_and_strict() {
    let bench = Bench::new(&[]).await;
    let [miner, ..] = keys();
    let claim = async |body: &str| bench.signed(&miner, "/v1/miner/claim", body.as_bytes().to_vec()).await;
    assert_eq!(claim(&" ".repeat(300_000)).await.error(), code("body_too_large", 413));
    assert_eq!(
        claim(r#"{"claim_id": "c", "kinds": [], "capacity": 1, "colour": 1}"#).await.error(),
        code("invalid_body", 422)
    );
    assert_eq!(claim(r#"{"claim_id": "", "kinds": [], "capacity": 1}"#).await.error(), code("invalid_value", 422));
    assert_eq!(claim(r#"{"claim_id": "c", "kinds": [], "capacity": 0}"#).await.error(), code("invalid_value", 422));
    assert_eq!(
        claim(r#"{"claim_id": "c", "kinds": [], "capacity": 1, "wait_s": 31}"#).await.error(),
        code("invalid_value", 422)
    );
    assert_eq!(claim(r#"{"claim_id": "c", "kinds": ["singing"], "capacity": 1}"#).await.json(), json!({"leases": []}));
    let submit = json!({"task_id": "task_x", "slot": 0, "token": 1, "result": "", "digest": "", "signature": ""});
    let answer = bench.signed(&miner, "/v1/miner/submit", submit.to_string().into_bytes()).await;
    assert_eq!(answer.error(), code("no_such_task", 404));
}

#[tokio::test]
async fn openais_errors_name_the_field() {
    let bench = Bench::new(&[]).await;
    let sound = wav();
    let with = async |parts: &[(&str, Option<&str>, &[u8])]| bench.form("/v1/audio/transcriptions", parts).await;
    let file: (&str, Option<&str>, &[u8]) = ("file", Some("a.wav"), &sound);
    assert_eq!(with(&[file]).await.error(), code("missing_field", 400));
    assert_eq!(with(&[("model", None, b"whisper-1")]).await.error(), code("missing_field", 400));
    assert_eq!(with(&[file, ("model", None, b"gpt")]).await.error(), code("model_not_found", 404));
    let model: (&str, Option<&str>, &[u8]) = ("model", None, b"whisper-1");
    assert_eq!(with(&[file, model, ("response_format", None, b"xml")]).await.error(), code("invalid_value", 422));
    let words = ("timestamp_granularities[]", None, b"word".as_slice());
    assert_eq!(with(&[file, model, words]).await.error(), code("invalid_value", 422), "json has no place for them");
    assert_eq!(with(&[file, model, ("timestamp_granularities[]", None, b"phone")]).await.error().0, 422);
    let streamed: (&str, Option<&str>, &[u8]) = ("stream", None, b"true");
    assert_eq!(with(&[file, model, streamed, ("response_format", None, b"srt")]).await.error().0, 422);
    assert_eq!(with(&[file, model, ("stream", None, b"perhaps")]).await.error().0, 422);
    let answer = with(&[file, model, ("temperature", None, b"2")]).await;
    assert_eq!(answer.json()["error"]["param"], "temperature");
    assert_eq!(bench.post("/v1/audio/transcriptions", "application/json", "{}").await.error().0, 415);
}
