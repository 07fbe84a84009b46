//! Analyses and syntheses, from the request to the answer.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use violet::analysis::{Analyzer, Options};
use violet::audio::{EncodeOptions, Format, encode};

use crate::http::{Answer, get, post_json, send, until};
use crate::network::{Network, wav};
use crate::neuron::{Neuron, Peer, transcript};

pub(crate) const TEXT: &str = "Well, hello there, my friend.";

fn id(task: &Value) -> String {
    task["id"].as_str().unwrap().to_owned()
}

fn claim(miner: &Neuron, peer: &Peer, kind: &str, wait_s: f64) -> Option<Value> {
    let body = json!({"claim_id": format!("{kind}-{}", miner.hotkey), "kinds": [kind], "voices": ["joe"], "capacity": 2, "wait_s": wait_s});
    miner.post(peer, "/v1/miner/claim", &body).expect(200)["leases"].as_array().unwrap().first().cloned()
}

/// Two seconds of noise under a slow envelope, as a miner's FLAC; other seeds are other recordings.
pub(crate) fn speech(seed: u32, gain: f32) -> Vec<u8> {
    let mut state = seed;
    let samples: Vec<f32> = (0..44_100_u16)
        .map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f32::from(u16::try_from(state >> 16).unwrap()) / 32_768.0 - 1.0;
            gain * noise * (0.6 + 0.4 * (f32::from(n) / 2_000.0).sin())
        })
        .collect();
    encode(&samples, 22_050, 1, &EncodeOptions { format: Format::Flac, ..EncodeOptions::default() }).unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The answer to a declared file: where to put it.
fn declare(miner: &Neuron, peer: &Peer, lease: &Value, sha256: &str, bytes: usize) -> Answer {
    let body = json!({"task_id": lease["task_id"], "slot": lease["slot"], "token": lease["token"], "sha256": sha256, "bytes": bytes});
    miner.post(peer, "/v1/miner/output", &body)
}

fn put(peer: &Peer, url: &str, bytes: &[u8]) -> Answer {
    send(&peer.url, "PUT", url.strip_prefix(peer.url.as_str()).unwrap(), &[], bytes)
}

pub(crate) fn result(audio: &[u8]) -> String {
    json!({"audio": {"sha256": sha256(audio), "bytes": audio.len()}, "duration_s": 2.0, "sample_rate": 22_050,
        "voice": "joe", "words": [], "skipped": []})
    .to_string()
}

/// Stores the audio and submits the result.
fn answer(miner: &Neuron, peer: &Peer, lease: &Value, audio: &[u8]) -> Value {
    let declared = declare(miner, peer, lease, &sha256(audio), audio.len()).expect(200);
    put(peer, declared["url"].as_str().unwrap(), audio).expect(201);
    miner.submit(peer, lease, &result(audio)).expect(200)
}

#[test]
fn an_analysis_goes_to_miners_of_its_kind_and_comes_back_as_signed() {
    let network = Network::start(&["--redundancy", "1"]);
    let [hearing, measuring, ..] = network.miners.as_slice() else { panic!() };
    let task = network.create_task(&[("kind", "analysis"), ("fields", "level,loudness")]);
    assert_eq!(task["options"]["fields"], json!(["level", "loudness"]));
    assert!(claim(hearing, &network.peer, "transcription", 0.0).is_none(), "another kind of miner does not see it");
    let lease = claim(measuring, &network.peer, "analysis", 20.0).unwrap();
    assert_eq!(
        (lease["kind"].as_str(), &lease["options"]["fields"]),
        (Some("analysis"), &json!(["level", "loudness"]))
    );

    let receipt = measuring.submit(&network.peer, &lease, &transcript("hello")).expect(200);
    assert_eq!(
        (receipt["state"].as_str(), receipt["reason"].as_str().unwrap()),
        (Some("rejected"), "the analysis lacks the field level")
    );
    let mut analyzer = Analyzer::new(8_000, 1, Options::default()).unwrap();
    analyzer.push(&vec![0.25; 8_000]);
    let analysis = serde_json::to_string(&analyzer.finish().unwrap().0).unwrap();
    let lease = claim(hearing, &network.peer, "analysis", 20.0).unwrap();
    assert_eq!(hearing.submit(&network.peer, &lease, &analysis).expect(200)["state"], "submitted");

    network.judge(0.9, "integrated_lufs");
    let ended = network.ended(&id(&task));
    assert_eq!(ended["state"], "verified", "{ended}");
    let of = |format: &str| get(network.url(), &format!("/v1/tasks/{}/result?format={format}", id(&task)));
    assert_eq!(of("json").text(), analysis, "the very text that the miner signed");
    assert_eq!(of("srt").error(422), "invalid_value");
    let input = get(network.url(), &format!("/v1/tasks/{}/audio", id(&task)));
    assert_eq!((input.status, input.body.as_slice()), (200, wav(1.0).as_slice()), "its audio is its input");
}

#[test]
fn a_text_becomes_audio_in_the_format_that_the_user_wants() {
    let network = Network::start(&[]);
    let [first, second, third, ..] = network.miners.as_slice() else { panic!() };
    let body = json!({"kind": "synthesis", "input": {"text": TEXT}, "voice": "joe", "format": "wav", "redundancy": 3});
    let task = post_json(network.url(), "/v1/tasks", &[], &body).expect(201);
    assert_eq!(task["input"]["characters"], TEXT.len());
    let path = format!("/v1/tasks/{}", id(&task));
    assert_eq!(get(network.url(), &format!("{path}/audio")).error(409), "not_answered");

    let lease = claim(first, &network.peer, "synthesis", 20.0).unwrap();
    let url = lease["input"]["url"].as_str().unwrap();
    assert_eq!(get(network.url(), url.strip_prefix(network.url()).unwrap()).text(), TEXT);
    let audio = speech(1, 0.5);
    assert_eq!(answer(first, &network.peer, &lease, &audio)["state"], "submitted");

    // A copy of it, softer, is nobody's own work; another rendering is.
    let lease = claim(second, &network.peer, "synthesis", 20.0).unwrap();
    let copied = answer(second, &network.peer, &lease, &speech(1, 0.3));
    assert_eq!(
        (copied["state"].as_str(), copied["reason"].as_str()),
        (Some("rejected"), Some("the same audio was handed in before"))
    );
    let lease = claim(third, &network.peer, "synthesis", 20.0).unwrap();
    assert_eq!(answer(third, &network.peer, &lease, &speech(2, 0.5))["state"], "submitted");

    let shown = network.task(&id(&task));
    assert_eq!(shown["answer"]["audio"]["sha256"], sha256(&audio).as_str());
    assert_eq!(shown["answer"]["audio"]["duration_s"], 2.0);
    let with = |query: &str, headers: &[(&str, &str)]| {
        send(network.url(), "GET", &format!("{path}/audio{query}"), headers, b"")
    };
    let flac = with("?format=flac", &[]);
    assert_eq!((flac.body.as_slice(), flac.header("content-type")), (audio.as_slice(), Some("audio/flac")));
    let etag = flac.header("etag").unwrap().to_owned();
    assert_eq!(with("?format=flac", &[("if-none-match", &etag)]).status, 304);
    let part = with("?format=flac", &[("range", "bytes=0-3")]);
    assert_eq!((part.status, part.body.as_slice()), (206, b"fLaC".as_slice()));
    let other = with("?format=flac", &[("range", "bytes=0-3"), ("if-range", "\"another\"")]);
    assert_eq!((other.status, other.body.len()), (200, audio.len()), "a range of another file is none");
    let result = get(network.url(), &format!("{path}/result?format=audio"));
    assert_eq!(
        (&result.body[..4], result.header("content-type")),
        (b"RIFF".as_slice(), Some("audio/wav")),
        "the task's format"
    );
    assert_eq!(result.body.len(), 44 + 2 * 44_100);
    assert_eq!(&with("?format=opus", &[]).body[..4], b"OggS");
    assert_eq!(with("?format=pcm", &[]).body.len(), 2 * 48_000, "bare samples are at 24 kHz");
    let aac = with("?format=aac", &[]);
    assert_eq!((&aac.body[..2], aac.header("content-type")), (b"\xff\xf1".as_slice(), Some("audio/aac")));
    assert_eq!(with("?format=amr", &[]).error(422), "invalid_value");
    assert_eq!(get(network.url(), &format!("{path}/result?format=text")).error(422), "invalid_value");

    // Validators hear what the miners made.
    let evaluation = until("the evaluation", || {
        let body = json!({"claim_id": "e", "kinds": ["synthesis"], "wait_s": 20});
        let leased = network.validators[0].post(&network.peer, "/v1/validator/lease", &body).expect(200);
        leased["evaluations"].as_array().unwrap().first().cloned()
    });
    let heard = evaluation["responses"][0]["audio"]["url"].as_str().unwrap();
    assert_eq!(get(network.url(), heard.strip_prefix(network.url()).unwrap()).body, audio);
}

#[test]
fn only_the_declared_file_is_stored_and_only_under_a_live_lease() {
    let network = Network::start(&["--redundancy", "1", "--lease-s", "3"]);
    let [miner, other, ..] = network.miners.as_slice() else { panic!() };
    let peer = &network.peer;
    post_json(network.url(), "/v1/tasks", &[], &json!({"kind": "synthesis", "input": {"text": TEXT}})).expect(201);
    let lease = claim(miner, peer, "synthesis", 20.0).unwrap();
    let audio = speech(1, 0.5);
    let (hash, n) = (sha256(&audio), audio.len());

    assert_eq!(declare(miner, peer, &lease, "ab", n).error(422), "invalid_value");
    assert_eq!(declare(miner, peer, &lease, &hash, 0).error(413), "output_too_large");
    assert_eq!(declare(miner, peer, &lease, &hash, 1 << 40).error(413), "output_too_large");
    assert_eq!(declare(other, peer, &lease, &hash, n).error(403), "not_your_lease");
    let url = declare(miner, peer, &lease, &hash, n).expect(200)["url"].as_str().unwrap().to_owned();
    assert_eq!(put(peer, &url.replace(&hash, &sha256(b"else")), &audio).error(403), "bad_signature");
    assert_eq!(put(peer, &url.replace(&format!("bytes={n}"), "bytes=9"), &audio[..9]).error(403), "bad_signature");
    assert_eq!(put(peer, &url.replace("slot=0", "slot=1"), &audio).error(403), "bad_signature");
    assert_eq!(put(peer, &url[..url.find('?').unwrap()], &audio).error(403), "missing_signature");
    assert_eq!(put(peer, &url, &audio[1..]).error(422), "size_mismatch");
    let mut tampered = audio.clone();
    tampered[n / 2] ^= 1;
    assert_eq!(put(peer, &url, &tampered).error(422), "hash_mismatch");
    assert_eq!(
        send(&peer.url, "GET", url.strip_prefix(peer.url.as_str()).unwrap(), &[], b"").error(403),
        "bad_signature",
        "it is for PUT"
    );
    let receipt = miner.submit(peer, &lease, &result(&audio)).expect(200);
    assert_eq!(receipt["state"], "rejected", "what was never stored is no answer");
    assert_eq!(put(peer, &url, &audio).error(410), "lease_ended");

    let lease = claim(other, peer, "synthesis", 20.0).unwrap();
    let sound = wav(1.0);
    let declared = declare(other, peer, &lease, &sha256(&sound), sound.len()).expect(200);
    assert_eq!(put(peer, declared["url"].as_str().unwrap(), &sound).error(422), "wrong_output_format");
    let silence =
        encode(&vec![0.0; 44_100], 22_050, 1, &EncodeOptions { format: Format::Flac, ..EncodeOptions::default() })
            .unwrap();
    let receipt = answer(other, peer, &lease, &silence);
    assert!(receipt["reason"].as_str().unwrap().contains("below full scale"), "{receipt}");
}

#[test]
fn openais_speech_route_speaks_with_a_voice_that_is_here() {
    let network = Network::start(&["--redundancy", "1"]);
    let miner = &network.miners[0];
    assert!(claim(miner, &network.peer, "synthesis", 0.0).is_none());
    let voices = get(network.url(), "/v1/audio/voices").expect(200);
    assert_eq!(voices["data"], json!([{"id": "joe", "object": "audio.voice", "name": "joe"}]));
    let audio = speech(3, 0.5);
    let speak = |body: Value| {
        let url = network.url().to_owned();
        let asked = std::thread::spawn(move || post_json(&url, "/v1/audio/speech", &[], &body));
        let lease = claim(miner, &network.peer, "synthesis", 20.0).unwrap();
        assert_eq!((lease["options"]["voice"].as_str(), lease["options"]["speed"].as_f64()), (Some("joe"), Some(1.25)));
        assert_eq!(answer(miner, &network.peer, &lease, &audio)["state"], "submitted");
        asked.join().unwrap()
    };
    let body = |format: &str, stream: &str| {
        json!({"model": "tts-1", "input": TEXT, "voice": "alloy", "speed": 1.25, "response_format": format,
            "stream_format": stream, "instructions": "cheerfully"})
    };
    for (format, media_type, start) in [
        ("flac", "audio/flac", b"fLaC".as_slice()),
        ("wav", "audio/wav", b"RIFF"),
        ("mp3", "audio/mpeg", b"\xff"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("opus", "audio/ogg", b"OggS"),
        ("pcm", "audio/pcm", b""),
    ] {
        let spoken = speak(body(format, "audio"));
        assert_eq!(spoken.header("content-type"), Some(media_type), "{format}");
        assert!(spoken.body.starts_with(start), "{format}");
    }
    let streamed = speak(body("wav", "sse")).text();
    let events: Vec<Value> = streamed
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let (done, deltas) = events.split_last().unwrap();
    assert_eq!((done["type"].as_str(), done["usage"]["input_tokens"].as_u64()), (Some("speech.audio.done"), Some(29)));
    assert!(deltas.len() > 1 && deltas.iter().all(|event| event["type"] == "speech.audio.delta"));
}

#[test]
fn a_streamed_transcription_tells_the_words_as_they_are_heard() {
    let network = Network::start(&["--redundancy", "1"]);
    let (url, sound) = (network.url().to_owned(), wav(1.0));
    let asked = std::thread::spawn(move || {
        let parts: [(&str, Option<&str>, &[u8]); 3] =
            [("model", None, b"whisper-1"), ("stream", None, b"true"), ("file", Some("a.wav"), &sound)];
        crate::http::post_form(&url, "/v1/audio/transcriptions", &[], &parts).text()
    });
    let miner = &network.miners[0];
    let lease = miner.claim_one(&network.peer, "c");
    miner.heartbeat(&network.peer, &lease, 0.3, " Well, hello").expect(200);
    miner.heartbeat(&network.peer, &lease, 0.6, " Well, hello there,").expect(200);
    miner.submit(&network.peer, &lease, &transcript(" Well, hello there, friend.")).expect(200);
    let text = asked.join().unwrap();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let (done, deltas) = events.split_last().unwrap();
    assert_eq!(
        (done["type"].as_str(), done["text"].as_str()),
        (Some("transcript.text.done"), Some("Well, hello there, friend."))
    );
    let told: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(told, "Well, hello there, friend.");
}

#[test]
fn words_and_translations_are_asked_of_the_miner() {
    let network = Network::start(&["--redundancy", "1"]);
    let miner = &network.miners[0];
    let ask = |path: &'static str, more: Vec<(&'static str, &'static [u8])>| {
        let (url, sound) = (network.url().to_owned(), wav(1.0));
        std::thread::spawn(move || {
            let mut parts: Vec<(&str, Option<&str>, &[u8])> = vec![
                ("model", None, b"whisper-1"),
                ("response_format", None, b"verbose_json"),
                ("file", Some("a.wav"), &sound),
            ];
            parts.extend(more.into_iter().map(|(name, value)| (name, None, value)));
            crate::http::post_form(&url, path, &[], &parts).expect(200)
        })
    };
    let asked = ask("/v1/audio/transcriptions", vec![("timestamp_granularities[]", b"word")]);
    let lease = miner.claim_one(&network.peer, "words");
    assert_eq!(lease["options"]["word_timestamps"], true);
    let mut timed: Value = serde_json::from_str(&transcript(" hello there")).unwrap();
    timed["segments"][0]["words"] = json!([{"word": " hello", "start": 0.1, "end": 0.4, "probability": 0.9},
        {"word": " there", "start": 0.4, "end": 0.9, "probability": 0.8}]);
    miner.submit(&network.peer, &lease, &timed.to_string()).expect(200);
    let answer = asked.join().unwrap();
    assert_eq!(
        answer["words"],
        json!([{"word": "hello", "start": 0.1, "end": 0.4}, {"word": "there", "start": 0.4, "end": 0.9}])
    );
    assert!(answer.get("segments").is_none(), "only what was asked for");

    let asked = ask("/v1/audio/translations", vec![]);
    let lease = miner.claim_one(&network.peer, "translation");
    assert_eq!(lease["options"]["task"], "translate");
    miner.submit(&network.peer, &lease, &transcript("good day")).expect(200);
    let answer = asked.join().unwrap();
    assert_eq!((answer["task"].as_str(), answer["language"].as_str()), (Some("translate"), Some("english")));
    assert_eq!((answer["text"].as_str(), answer["segments"].as_array().map(Vec::len)), (Some("good day"), Some(1)));
}
