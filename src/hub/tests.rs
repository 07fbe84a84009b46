//! The hub's client against a server of the test's own on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Hub, HubConfig, RemoteFile};
use crate::Error;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Serve connections one by one with `answer`; the address, and the heads of the requests that arrive.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, heads) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while lines.read_line(&mut head).unwrap() > 2 {}
            answer(&head, &mut stream);
            if sender.send(head).is_err() {
                return;
            }
        }
    });
    (address, heads)
}

fn reply(stream: &mut TcpStream, status: &str, body: &[u8]) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
}

fn hub(endpoint: String) -> Hub {
    let timeout = Duration::from_millis(400);
    let token = Some("secret".to_owned());
    Hub::new(HubConfig { endpoint: Some(endpoint), token, answer_timeout: timeout, stall_timeout: timeout }).unwrap()
}

fn go_on(_: u64, _: Option<u64>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn a_snapshot_is_a_commit_and_its_files() {
    let listing = format!(
        r#"{{"sha": "{COMMIT}", "siblings": [{{"rfilename": "config.json", "size": 12}},
            {{"rfilename": "model.bin", "size": 3, "lfs": {{"sha256": "ABCD", "size": 3}}}}]}}"#
    );
    let (address, heads) = serve(move |_, stream| reply(stream, "200 OK", listing.as_bytes()));
    let snapshot = hub(address).snapshot("org/name", "main", &mut go_on).unwrap();
    assert_eq!(snapshot.commit, COMMIT);
    let config = RemoteFile { name: "config.json".into(), bytes: Some(12), sha256: None };
    let model = RemoteFile { name: "model.bin".into(), bytes: Some(3), sha256: Some("abcd".into()) };
    assert_eq!(snapshot.files, [config, model]);
    let head = heads.recv().unwrap();
    assert!(head.starts_with("GET /api/models/org/name/revision/main?blobs=true "), "{head}");
    assert!(head.to_ascii_lowercase().contains("authorization: bearer secret"), "{head}");
}

#[test]
fn a_download_is_written_and_hashed() {
    let (address, heads) = serve(|_, stream| reply(stream, "200 OK", b"abc"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let mut seen = Vec::new();
    let downloaded = hub(address)
        .download("org/name", COMMIT, "sub/model.bin", &path, &mut |done, total| {
            seen.push((done, total));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"abc");
    // FIPS 180-2, appendix B.1.
    assert_eq!(downloaded.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(downloaded.bytes, 3);
    assert_eq!(seen.last(), Some(&(3, Some(3))));
    assert!(heads.recv().unwrap().starts_with(&format!("GET /org/name/resolve/{COMMIT}/sub/model.bin ")));
}

#[test]
fn the_token_does_not_follow_a_redirect_to_another_host() {
    let (other, other_heads) = serve(|_, stream| reply(stream, "200 OK", b"x"));
    // The same machine under another name is another host.
    let other = other.replace("127.0.0.1", "localhost");
    let (address, _heads) = serve(move |_, stream| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {other}/blob\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    hub(address).download("org/name", "main", "a", &folder.path().join("a"), &mut go_on).unwrap();
    let head = other_heads.recv().unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /blob "), "{head}");
    assert!(!head.contains("authorization"), "{head}");
}

#[test]
fn what_the_hub_refuses_is_not_found() {
    for status in ["404 Not Found", "401 Unauthorized", "403 Forbidden"] {
        let (address, _heads) = serve(move |_, stream| reply(stream, status, b"{}"));
        let error = hub(address).snapshot("org/name", "main", &mut go_on).unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{status}: {error}");
    }
}

#[test]
fn a_server_error_and_a_page_that_is_no_listing_are_network_errors() {
    for (status, body) in [("500 Oops", "{}"), ("200 OK", "<html>"), ("200 OK", r#"{"sha": "main", "siblings": []}"#)] {
        let (address, _heads) = serve(move |_, stream| reply(stream, status, body.as_bytes()));
        let error = hub(address).snapshot("org/name", "main", &mut go_on).unwrap_err();
        assert!(matches!(error, Error::Network { .. }), "{status} {body}: {error}");
    }
}

#[test]
fn a_silent_server_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    let error =
        hub(format!("http://{}", listener.local_addr().unwrap())).snapshot("org/name", "main", &mut go_on).unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error}");
    assert!(error.to_string().ends_with("no answer within 0.4 s"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_file_cut_short_or_stalled_leaves_nothing_behind() {
    for stays_open in [false, true] {
        let (address, _heads) = serve(move |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
            if stays_open {
                thread::sleep(Duration::from_secs(5));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        let error = hub(address).download("org/name", "main", "model.bin", &path, &mut go_on).unwrap_err();
        assert!(matches!(error, Error::Network { .. }), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn a_download_stops_when_the_caller_says_so() {
    let (address, _heads) = serve(|_, stream| reply(stream, "200 OK", &vec![0; 4 << 20]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let mut stop = |done: u64, _| if done > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let error = hub(address).download("org/name", "main", "model.bin", &path, &mut stop).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(!path.exists());
}

#[test]
fn names_that_leave_the_repository_are_refused_before_anything_is_sent() {
    let hub = hub("http://127.0.0.1:1".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    for (id, revision, file) in [
        ("name", "main", "a"),
        ("a/b/c", "main", "a"),
        ("../b", "main", "a"),
        ("a/..", "main", "a"),
        ("a/b", "../x", "a"),
        ("a/b", "", "a"),
        ("a/b", "main", "../a"),
        ("a/b", "main", "/a"),
        ("a/b", "main", "a?b"),
        ("a/b", "main", ""),
    ] {
        let error = hub.download(id, revision, file, &path, &mut go_on).unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{id} {revision} {file}: {error}");
    }
    assert!(Hub::new(HubConfig { endpoint: Some("ftp://x".into()), ..HubConfig::default() }).is_err());
}
