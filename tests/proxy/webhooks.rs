//! Messages to users' servers: signed, delivered at least once whatever dies, and never into a private network.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::http::{Headers, post_form, until};
use crate::network::{FAULT, Network, wav};
use crate::neuron::transcript;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A message as it came.
#[derive(Clone)]
struct Message {
    headers: Headers,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether the signature is that of the secret over id, time and body.
    fn is_signed(&self) -> bool {
        let key = BASE64_STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let signed = [self.header("webhook-id"), self.header("webhook-timestamp"), &self.body].join(".");
        mac.update(signed.as_bytes());
        self.header("webhook-signature") == format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// A user's server: answers with these heads, one after the other and then the last for ever.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let (theirs, answers) = (Arc::clone(&got), answers.iter().map(|&answer| answer.to_owned()).collect::<Vec<_>>());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let Some(message) = read(&mut reader) else { continue };
                let mut got = theirs.lock().unwrap();
                let answer = &answers[got.len().min(answers.len() - 1)];
                got.push(message);
                let _ = stream.write_all(
                    format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes(),
                );
            }
        });
        Self { url, got }
    }

    fn got(&self) -> Vec<Message> {
        self.got.lock().unwrap().clone()
    }

    /// Waits for so many messages.
    fn wait(&self, n: usize) -> Vec<Message> {
        until(&format!("{n} messages"), || Some(self.got()).filter(|got| got.len() >= n))
    }
}

fn read(reader: &mut impl BufRead) -> Option<Message> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
    let mut headers = Headers::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Message { headers, body: String::from_utf8(body).ok()? })
}

const FLAGS: [&str; 10] = [
    "--redundancy",
    "1",
    "--commit-s",
    "0.1",
    "--reveal-s",
    "0.1",
    "--webhook-addresses",
    "any",
    "--webhook-retry-s",
    "0.05",
];

fn make(network: &Network, url: &str) -> String {
    let task = network.create_task(&[("webhook_url", url), ("webhook_secret", SECRET)]);
    assert_eq!(task["webhook_url"], url);
    assert!(!task.to_string().contains("whsec_"), "the secret is not shown");
    task["id"].as_str().unwrap().to_owned()
}

fn answer(network: &Network) {
    let lease = network.miners[0].claim_one(&network.peer, "c");
    assert!(!lease.to_string().contains("hook"), "miners see nothing of it");
    network.miners[0].submit(&network.peer, &lease, &transcript("hello")).expect(200);
}

fn kinds(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.json()["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_becomes_of_a_task_is_told_and_signed() {
    let (network, receiver) = (Network::start(&FLAGS), Receiver::start(&["204 No Content"]));
    let id = make(&network, &receiver.url);
    answer(&network);
    let mut got = receiver.wait(2);
    assert!(got.iter().all(Message::is_signed));
    got.sort_by_key(|message| message.json()["at_ms"].as_i64());
    assert_eq!(kinds(&got), ["task.answered", "task.unverified"]);
    assert!(got.iter().all(|message| message.json()["data"]["id"] == id.as_str()));
    assert_eq!(got[0].json()["data"]["answer"]["text"], "hello");
    assert_ne!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    assert!(got.iter().all(|message| !message.body.contains("whsec_")));
    until("both confirmed", || {
        (network.metric("violet_webhook_attempts_total{outcome=\"delivered\"}") >= 2.0).then_some(())
    });
    assert_eq!(receiver.got().len(), 2, "once each");
}

#[test]
fn what_is_not_taken_is_sent_again_under_its_id() {
    let receiver = Receiver::start(&["500 Oops", "302 Found\r\nlocation: /elsewhere", "200 OK"]);
    let network = Network::start(&FLAGS);
    make(&network, &receiver.url);
    let id = network.miners[0].claim_one(&network.peer, "c")["task_id"].as_str().unwrap().to_owned();
    crate::http::send(network.url(), "POST", &format!("/v1/tasks/{id}/cancel"), &[], b"").expect(200);
    let got = receiver.wait(3);
    assert_eq!(kinds(&got), ["task.cancelled", "task.cancelled", "task.cancelled"], "a redirect leads nowhere");
    assert!(
        got.iter().all(|message| message.is_signed() && message.header("webhook-id") == got[0].header("webhook-id"))
    );
    // One that wants no more gets no more.
    let gone = Receiver::start(&["410 Gone"]);
    let id = make(&network, &gone.url);
    crate::http::send(network.url(), "POST", &format!("/v1/tasks/{id}/cancel"), &[], b"").expect(200);
    until("it is gone", || (network.metric("violet_webhook_attempts_total{outcome=\"gone\"}") >= 1.0).then_some(()));
    assert_eq!(gone.got().len(), 1);
}

#[test]
fn no_death_of_the_proxy_loses_a_message() {
    // Dead after the receiver said yes, before that was noted: the same again.
    let receiver = Receiver::start(&["204 No Content"]);
    let mut network = Network::start_with(&FLAGS, &[(FAULT, "before_webhook_ack")]);
    let id = make(&network, &receiver.url);
    let path = format!("/v1/tasks/{id}/cancel");
    // Its answer may be lost with the process.
    let _ = crate::http::try_send(network.url(), "POST", &path, &[], b"");
    receiver.wait(1);
    until("its death", || network.is_dead().then_some(()));
    network.crash_and_restart();
    let got = receiver.wait(2);
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    // Dead while the receiver was away: told once it is there again.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", free.local_addr().unwrap());
    let port = free.local_addr().unwrap();
    drop(free);
    let id = make(&network, &url);
    crate::http::send(network.url(), "POST", &format!("/v1/tasks/{id}/cancel"), &[], b"").expect(200);
    until("a try", || (network.metric("violet_webhook_attempts_total{outcome=\"failed\"}") >= 1.0).then_some(()));
    network.crash_and_restart();
    let listener = TcpListener::bind(port).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let message = read(&mut BufReader::new(stream)).unwrap();
    assert_eq!((message.json()["data"]["id"].as_str(), message.is_signed()), (Some(id.as_str()), true));
}

#[test]
fn a_webhook_never_leads_into_a_private_network() {
    let receiver = Receiver::start(&["204 No Content"]);
    let network = Network::start(&["--webhook-retry-s", "0.05"]);
    let refused = |url: &str, secret: &str| {
        let sound = wav(0.1);
        let parts: [(&str, Option<&str>, &[u8]); 3] = [
            ("webhook_url", None, url.as_bytes()),
            ("webhook_secret", None, secret.as_bytes()),
            ("file", Some("a.wav"), &sound),
        ];
        post_form(network.url(), "/v1/tasks", &[], &parts).error(422)
    };
    assert_eq!(refused(&receiver.url, SECRET), "invalid_value");
    assert_eq!(refused("http://[::ffff:127.0.0.1]/", SECRET), "invalid_value");
    assert_eq!(refused("https://example.com/", "secret"), "invalid_value");
    // A name is looked at when it is called.
    let id = make(&network, &receiver.url.replace("127.0.0.1", "localhost"));
    crate::http::send(network.url(), "POST", &format!("/v1/tasks/{id}/cancel"), &[], b"").expect(200);
    until("two tries", || (network.metric("violet_webhook_attempts_total{outcome=\"failed\"}") >= 2.0).then_some(()));
    assert!(receiver.got().is_empty());
}
