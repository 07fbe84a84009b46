//! What tasks of each kind take, and what they refuse.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;

async fn json_task(bench: &Bench, body: Value) -> Answer {
    bench.post("/v1/tasks", "application/json", body.to_string()).await
}

#[tokio::test]
async fn texts_that_cannot_be_spoken_are_refused_with_the_reason() {
    let bench = Bench::new(&[]).await;
    let speak = async |text: &str| json_task(&bench, json!({"kind": "synthesis", "input": {"text": text}})).await;
    assert_eq!(speak("").await.error(), code("empty_text", 422));
    assert_eq!(speak(" \n\t ").await.error(), code("empty_text", 422));
    assert_eq!(speak("?!... --").await.error(), code("nothing_to_say", 422));
    assert_eq!(speak("bell \u{7}").await.error(), code("invalid_value", 422));
    let long = speak(&"word ".repeat(10_000)).await;
    assert!(long.json()["error"]["message"].as_str().unwrap().contains("the limit is 32768"), "{}", long.json());
    assert_eq!(long.error(), code("text_too_long", 413));
    assert_eq!(speak(&"9".repeat(300)).await.status, StatusCode::CREATED, "300 digits are a text");
    let form = bench.form("/v1/tasks", &[("kind", None, b"synthesis"), ("text", None, b"Hello.")]).await;
    assert_eq!((form.status, &form.json()["input"]["characters"]), (StatusCode::CREATED, &json!(6)));
    let both = [("text", None, b"Hello.".as_slice()), ("file", Some("a.wav"), &wav())];
    assert_eq!(bench.form("/v1/tasks", &both).await.error(), code("two_inputs", 400));
}

#[tokio::test]
async fn an_input_of_another_kind_is_refused() {
    let bench = Bench::new(&[]).await;
    let text = json!({"text": "Hello."});
    for kind in ["transcription", "analysis"] {
        let answer = json_task(&bench, json!({"kind": kind, "input": text})).await;
        assert_eq!(answer.error(), code("invalid_value", 422), "{kind}");
    }
    let audio = bench.form("/v1/tasks", &[("kind", None, b"synthesis"), ("file", Some("a.wav"), &wav())]).await;
    assert_eq!(audio.error(), code("invalid_value", 422));
    assert_eq!(json_task(&bench, json!({"kind": "singing", "input": text})).await.error(), code("invalid_value", 422));
    assert_eq!(json_task(&bench, json!({"kind": "synthesis"})).await.error(), code("invalid_body", 422));
}

#[tokio::test]
async fn options_of_another_kind_are_refused_by_name() {
    let bench = Bench::new(&[]).await;
    let refused = async |body: Value| {
        let answer = json_task(&bench, body).await;
        assert_eq!(answer.error(), code("invalid_value", 422));
        answer.json()["error"]["param"].as_str().unwrap().to_owned()
    };
    let speech = |name: &str, value: Value| json!({"kind": "synthesis", "input": {"text": "Hello."}, name: value});
    for (name, value) in [
        ("prompt", json!("x")),
        ("temperature", json!(0.5)),
        ("task", json!("translate")),
        ("word_timestamps", json!(true)),
        ("fields", json!(["level"])),
        ("speed", json!(0.2)),
        ("speed", json!(4.1)),
        ("format", json!("amr")),
        ("voice", json!("")),
        ("voice", json!("x".repeat(65))),
    ] {
        assert_eq!(refused(speech(name, value.clone())).await, name, "{name}={value}");
    }
    let sound = BASE64_STANDARD.encode(wav());
    let heard = |kind: &str, name: &str, value: Value| json!({"kind": kind, "input": {"base64": sound}, name: value});
    for (kind, name, value) in [
        ("transcription", "voice", json!("joe")),
        ("transcription", "task", json!("sing")),
        ("transcription", "fields", json!([])),
        ("analysis", "language", json!("en")),
        ("analysis", "fields", json!(["volume"])),
    ] {
        assert_eq!(refused(heard(kind, name, value.clone())).await, name, "{kind} {name}={value}");
    }
}

#[tokio::test]
async fn an_analysis_without_fields_has_all_that_need_no_model() {
    let bench = Bench::new(&[]).await;
    let fields = async |value: Option<&[u8]>| {
        let sound = wav();
        let mut parts = vec![("kind", None, b"analysis".as_slice()), ("file", Some("a.wav"), &sound)];
        parts.extend(value.map(|value| ("fields", None, value)));
        bench.form("/v1/tasks", &parts).await.json()["options"]["fields"].clone()
    };
    assert_eq!(fields(None).await.as_array().unwrap().len(), 13);
    assert_eq!(fields(Some(b"level, speech,level")).await, json!(["level", "speech"]));
}

#[tokio::test]
async fn a_voice_that_no_miner_has_is_refused_with_those_that_they_have() {
    let bench = Bench::new(&[]).await;
    let [miner, ..] = keys();
    let speak = async |voice: &str| {
        json_task(&bench, json!({"kind": "synthesis", "input": {"text": "Hello."}, "voice": voice})).await
    };
    assert_eq!(speak("amy").await.status, StatusCode::CREATED, "while nobody speaks here, nobody knows");
    let claim = json!({"claim_id": "c", "kinds": ["synthesis"], "voices": ["joe", "kathleen"], "capacity": 1});
    bench.signed(&miner, "/v1/miner/claim", claim.to_string().into_bytes()).await;
    let refused = speak("amy").await;
    assert!(
        refused.json()["error"]["message"].as_str().unwrap().ends_with("have: joe, kathleen"),
        "{}",
        refused.json()
    );
    assert_eq!(refused.error(), code("unknown_voice", 422));
    assert_eq!(speak("joe").await.status, StatusCode::CREATED);
    let network = bench.get("/v1/network").await.json();
    assert_eq!(
        (&network["miners"][0]["kinds"], &network["miners"][0]["voices"]),
        (&json!(["synthesis"]), &json!(["joe", "kathleen"]))
    );
}

#[tokio::test]
async fn openais_speech_errors_name_the_member() {
    let bench = Bench::new(&[]).await;
    let speak = async |body: Value| {
        let answer = bench.post("/v1/audio/speech", "application/json", body.to_string()).await;
        let param = answer.json()["error"]["param"].as_str().unwrap_or_default().to_owned();
        (answer.error(), param)
    };
    let with = |name: &str, value: Value| {
        let mut body = json!({"model": "tts-1", "input": "Hello.", "voice": "alloy"});
        body[name] = value;
        body
    };
    for (name, value, expected) in [
        ("model", Value::Null, code("missing_field", 400)),
        ("input", Value::Null, code("missing_field", 400)),
        ("voice", Value::Null, code("missing_field", 400)),
        ("model", json!("gpt"), code("model_not_found", 404)),
        ("response_format", json!("amr"), code("invalid_value", 422)),
        ("stream_format", json!("tape"), code("invalid_value", 422)),
        ("speed", json!(5.0), code("invalid_value", 422)),
        ("input", json!(""), code("empty_text", 422)),
        ("input", json!("a".repeat(40_000)), code("text_too_long", 413)),
    ] {
        assert_eq!(speak(with(name, value.clone())).await, (expected, name.to_owned()), "{name}={value:.40}");
    }
    assert_eq!(speak(with("colour", json!("red"))).await.0, code("invalid_body", 422));
    assert_eq!(bench.post("/v1/audio/speech", "text/plain", "x").await.error(), code("unsupported_media_type", 415));
}

#[tokio::test]
async fn what_a_user_notes_stays_with_the_task_and_its_retry() {
    let bench = Bench::new(&[]).await;
    let body = json!({"kind": "synthesis", "input": {"text": "Hello."}, "metadata": {"call": "17"}, "priority": 7});
    let task = json_task(&bench, body).await.json();
    assert_eq!(task["metadata"], json!({"call": "17"}));
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let post = async |route: &str| bench.post(&format!("{path}/{route}"), "application/json", "").await;
    assert_eq!(post("retry").await.error(), code("task_open", 409));
    assert_eq!(post("cancel").await.status, StatusCode::OK);
    let again = post("retry").await;
    assert_eq!(again.status, StatusCode::CREATED);
    // Asked for twice under one key, it is one task; the key of a retry is that of nothing else.
    let retry = async |key: &str, of: &str| {
        let request = Request::post(format!("/v1/tasks/{of}/retry")).header("idempotency-key", key);
        bench.send(request.body(Body::empty()).unwrap()).await
    };
    let (of, id) = (task["id"].as_str().unwrap(), |answer: &Answer| answer.json()["id"].clone());
    let (once, twice) = (retry("k", of).await, retry("k", of).await);
    assert_eq!((once.status, twice.status), (StatusCode::CREATED, StatusCode::OK));
    assert!(id(&once) == id(&twice) && id(&once) != id(&again));
    assert_ne!(id(&retry("other", of).await), id(&once));
    let other = json_task(&bench, json!({"kind": "synthesis", "input": {"text": "Other."}})).await.json();
    assert_eq!(retry("k", other["id"].as_str().unwrap()).await.error(), code("idempotency_mismatch", 422));
    let again = again.json();
    assert_ne!(again["id"], task["id"]);
    for member in ["kind", "options", "input", "metadata", "priority", "redundancy"] {
        assert_eq!(again[member], task[member], "{member}");
    }
    assert_eq!(bench.get(&path).await.json()["state"], "cancelled", "the old one stays as it ended");
    let form = [("metadata", None, br#"{"a": "b"}"#.as_slice()), ("file", Some("a.wav"), &wav())];
    assert_eq!(bench.form("/v1/tasks", &form).await.json()["metadata"], json!({"a": "b"}));
    for metadata in [json!({"": "x"}), json!({"x": "y".repeat(513)}), json!({"n".repeat(65): "x"})] {
        let answer =
            json_task(&bench, json!({"kind": "synthesis", "input": {"text": "a"}, "metadata": metadata})).await;
        assert_eq!(answer.error(), code("invalid_value", 422), "{metadata}");
    }
    let form = [("metadata", None, b"[]".as_slice()), ("file", Some("a.wav"), &wav())];
    assert_eq!(bench.form("/v1/tasks", &form).await.error(), code("invalid_value", 422));
}
