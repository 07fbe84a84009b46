//! One request to the hub: a thread that reads, and the parts of the answer that it hands over.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use hf_hub::api::sync::ApiRepo;

use super::HubConfig;

/// Bytes that the reading thread hands over at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// How many such pieces may wait to be written.
const MAX_WAITING_CHUNKS: usize = 16;

/// What the reading thread sees, in order: a head, chunks, the end; or a failure at any point.
pub(super) enum Part {
    Head { status: u16, total: Option<u64> },
    Chunk(Vec<u8>),
    End,
    Failed(String),
}

/// Start a thread that sends one GET with the hub client's headers; it ends by itself when nobody listens.
pub(super) fn request(repo: ApiRepo, file: Option<&str>, config: &HubConfig) -> Receiver<Part> {
    let (sender, receiver) = sync_channel(MAX_WAITING_CHUNKS);
    let (answer, stall) = (config.answer_timeout, config.stall_timeout);
    let url = file.map(|file| repo.url(file));
    thread::spawn(move || {
        // hf-hub's one request that can still be changed: it has the user agent, the token and the redirect rules.
        let request = repo.info_request();
        let request = match url {
            Some(url) => request.uri(url),
            None => request.query("blobs", "true"),
        };
        let request = request.config();
        let request = request.timeout_resolve(Some(answer)).timeout_connect(Some(answer)).timeout_per_read(Some(stall));
        // The length must be that of the bytes that arrive here.
        let request = request.accept_encoding("identity").http_status_as_error(false).build();
        let last = match request.call() {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let head = Part::Head { status: head.status.as_u16(), total: body.content_length() };
                if sender.send(head).is_err() {
                    return;
                }
                forward(body.into_reader(), &sender)
            }
            Err(error) => Part::Failed(error.to_string()),
        };
        // Nobody may be listening any more.
        let _ = sender.send(last);
    });
    receiver
}

/// Read to the end; the part that tells how it ended.
fn forward(mut reader: impl Read, sender: &SyncSender<Part>) -> Part {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Part::End,
            Ok(n) => {
                if sender.send(Part::Chunk(buffer[..n].to_vec())).is_err() {
                    return Part::End;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Part::Failed(error.to_string()),
        }
    }
}
