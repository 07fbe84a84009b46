//! Uploads in parts: whatever breaks off goes on where it ended, in both homes of audio.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::http::{Answer, get, post_json, send, try_send, until};
use crate::network::{FAULT, Network, wav};

const PART: (&str, &str) = ("content-type", "application/offset+octet-stream");

fn begin(network: &Network, bytes: usize) -> String {
    let answer = send(network.url(), "POST", "/v1/uploads?name=a.wav", &[("upload-length", &bytes.to_string())], b"");
    let path = answer.header("location").unwrap().to_owned();
    assert_eq!(answer.header("upload-offset"), Some("0"));
    let begun = answer.expect(201);
    assert_eq!((&begun["state"], begun["bytes"].as_u64()), (&json!("open"), Some(bytes as u64)));
    path
}

fn patch(network: &Network, path: &str, offset: usize, bytes: &[u8]) -> Answer {
    send(network.url(), "PATCH", path, &[PART, ("upload-offset", &offset.to_string())], bytes)
}

fn offset(network: &Network, path: &str) -> usize {
    let answer = send(network.url(), "HEAD", path, &[], b"");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    answer.header("upload-offset").unwrap().parse().unwrap()
}

/// The audio of a task of the upload.
fn heard(network: &Network, path: &str) -> Vec<u8> {
    let id = path.rsplit('/').next().unwrap();
    let task = post_json(network.url(), "/v1/tasks", &[], &json!({"input": {"upload_id": id}})).expect(201);
    assert_eq!(task["input"]["name"], "a.wav");
    get(network.url(), &format!("/v1/tasks/{}/audio", task["id"].as_str().unwrap())).body
}

fn parts_make_a_file(network: &Network) {
    let sound = wav(3.0);
    let path = begin(network, sound.len());
    let whole = send(network.url(), "POST", "/v1/uploads", &[], &sound).expect(201);
    for (start, end) in [(0, 1_000), (1_000, 1_001), (1_001, 40_000)] {
        let answer = patch(network, &path, start, &sound[start..end]);
        assert_eq!((answer.status, answer.header("upload-offset")), (204, Some(end.to_string().as_str())));
        assert_eq!(offset(network, &path), end);
    }
    // The same again, and what leaves a gap, change nothing.
    for wrong in [0, 39_999, 40_001] {
        let answer = patch(network, &path, wrong, b"xx");
        assert_eq!(answer.header("upload-offset"), Some("40000"));
        assert_eq!(answer.error(409), "wrong_offset");
    }
    let last = patch(network, &path, 40_000, &sound[40_000..]).expect(200);
    assert_eq!((&last["state"], &last["sha256"]), (&json!("complete"), &whole["sha256"]));
    assert_eq!(last["audio"]["sample_rate"], 8_000);
    assert_eq!(offset(network, &path), sound.len());
    assert_eq!(patch(network, &path, sound.len(), b"").error(409), "upload_complete");
    assert_eq!(heard(network, &path), sound);
    assert_eq!(send(network.url(), "DELETE", &path, &[], b"").status, 204);
    assert_eq!(get(network.url(), &path).error(404), "no_such_upload");
}

#[test]
fn parts_by_their_offset_make_a_file() {
    parts_make_a_file(&Network::start(&[]));
}

#[cfg(feature = "firebase")]
#[test]
fn parts_through_two_proxies_make_a_file_in_a_bucket() {
    let (Some(firestore), Some(storage)) = (crate::emulators::firestore(), crate::emulators::storage()) else { return };
    crate::emulators::make_bucket(storage, "resumed");
    let flags = ["--store", "firestore:resumed", "--blobs", "gs://resumed"];
    let variables = [("FIRESTORE_EMULATOR_HOST", firestore), ("STORAGE_EMULATOR_HOST", storage)];
    let [one, two] = [0, 1].map(|_| Network::start_with(&flags, &variables));
    parts_make_a_file(&one);
    let sound = wav(0.5);
    let path = begin(&one, sound.len());
    assert_eq!(patch(&one, &path, 0, &sound[..100]).status, 204);
    assert_eq!(offset(&two, &path), 100);
    assert_eq!(patch(&two, &path, 100, &sound[100..]).expect(200)["state"], "complete");
    assert_eq!(heard(&one, &path), sound);
}

#[test]
fn what_came_before_the_connection_broke_off_is_kept() {
    let network = Network::start(&[]);
    let sound = wav(2.0);
    let path = begin(&network, sound.len());
    let host = network.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {}\r\nupload-offset: 0\r\ncontent-length: {}\r\n\r\n",
        PART.1,
        sound.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&sound[..20_000]).unwrap();
    drop(stream);
    let there = until("the part", || Some(offset(&network, &path)).filter(|&there| there > 0));
    assert!(there <= 20_000);
    assert_eq!(patch(&network, &path, there, &sound[there..]).expect(200)["state"], "complete");
    assert_eq!(heard(&network, &path), sound);
}

#[test]
fn an_upload_survives_the_death_of_the_proxy_at_every_step() {
    for point in ["blob_part_written", "upload_part_kept:1", "upload_part_kept:2", "upload_joined", "upload_completed"]
    {
        let mut network = Network::start_with(&[], &[(FAULT, point)]);
        let sound = wav(1.0);
        let path = begin(&network, sound.len());
        let complete: Value = loop {
            let Some(there) = try_send(network.url(), "HEAD", &path, &[], b"")
                .map(|answer| answer.header("upload-offset").map(|offset| offset.parse::<usize>().unwrap()).unwrap())
            else {
                until("its death", || network.is_dead().then_some(()));
                network.crash_and_restart();
                continue;
            };
            let next = if there < 5_000 { 5_000 } else { sound.len() };
            let text = there.to_string();
            let headers = [PART, ("upload-offset", text.as_str())];
            match try_send(network.url(), "PATCH", &path, &headers, &sound[there..next]) {
                Some(answer) if answer.status == 204 => {}
                Some(answer) if answer.status == 200 && answer.json()["state"] == "complete" => break answer.json(),
                // Completed before it died: what it is, is shown.
                Some(answer) if answer.status == 409 => break get(network.url(), &path).expect(200),
                Some(answer) => panic!("{point}: {} {}", answer.status, answer.text()),
                None => {
                    until("its death", || network.is_dead().then_some(()));
                    network.crash_and_restart();
                }
            }
        };
        assert_eq!(complete["bytes"].as_u64(), Some(sound.len() as u64), "{point}");
        assert_eq!(heard(&network, &path), sound, "{point}");
    }
}

#[test]
fn what_is_wrong_about_an_upload_is_said() {
    let network = Network::start(&["--max-upload-bytes", "100000"]);
    let start = |bytes: &str| send(network.url(), "POST", "/v1/uploads", &[("upload-length", bytes)], b"");
    assert_eq!(start("x").error(400), "bad_header");
    assert_eq!(start("-1").error(400), "bad_header");
    assert_eq!(start("0").error(422), "invalid_value");
    assert_eq!(start("100001").error(413), "file_too_large");
    let path = begin(&network, 1_000);
    assert_eq!(
        send(network.url(), "PATCH", &path, &[("upload-offset", "0")], b"x").error(415),
        "unsupported_media_type"
    );
    assert_eq!(send(network.url(), "PATCH", &path, &[PART], b"x").error(400), "missing_offset");
    assert_eq!(patch(&network, "/v1/uploads/upload_x", 0, b"x").error(404), "no_such_upload");
    assert_eq!(patch(&network, &path, 0, &[7; 1_001]).error(413), "beyond_the_end");
    assert_eq!(offset(&network, &path), 0, "nothing of it is kept");
    // A task cannot be made of what is not whole; what is whole and no audio is deleted.
    let id = path.rsplit('/').next().unwrap();
    let task = || post_json(network.url(), "/v1/tasks", &[], &json!({"input": {"upload_id": id}}));
    assert_eq!(task().error(404), "no_such_upload");
    assert_eq!(patch(&network, &path, 0, &[7; 1_000]).error(400), "not_audio");
    assert_eq!(get(network.url(), &path).error(404), "no_such_upload");
    // Four times the largest file, in all.
    let begun: Vec<String> = (0..4).map(|_| begin(&network, 100_000)).collect();
    assert_eq!(start("1").error(429), "too_many_uploads");
    assert_eq!(send(network.url(), "DELETE", &begun[0], &[], b"").status, 204);
    assert_eq!(send(network.url(), "DELETE", &begun[0], &[], b"").error(404), "no_such_upload");
    (0..29).for_each(|_| drop(begin(&network, 1)));
    assert_eq!(start("1").error(429), "too_many_uploads", "and so many at once");
}
