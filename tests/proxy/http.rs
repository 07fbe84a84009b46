//! A small HTTP/1.1 client over a socket: one request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for bytes of an answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Headers by name.
pub(crate) type Headers = Vec<(String, String)>;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The body of an answer that must have this status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// The code of an answer that must be this error.
    pub(crate) fn error(self, status: u16) -> String {
        let body = self.expect(status);
        body["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {body}")).to_owned()
    }
}

/// Sends a request and reads the whole answer; `None` when the connection broke off.
pub(crate) fn try_send(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
    let mut reader = BufReader::new(open(base, method, path, headers, body)?);
    let (status, headers) = read_head(&mut reader)?;
    let mut body = Vec::new();
    reader.read_to_end(&mut body).ok()?;
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    Some(Answer { status, headers, body: if is_chunked { unchunk(&body) } else { body } })
}

/// Sends a request and reads the whole answer.
pub(crate) fn send(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_send(base, method, path, headers, body).unwrap_or_else(|| panic!("{method} {path}: the connection broke off"))
}

pub(crate) fn get(base: &str, path: &str) -> Answer {
    send(base, "GET", path, &[], b"")
}

pub(crate) fn post_json(base: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    send(base, "POST", path, &all, body.to_string().as_bytes())
}

/// Sends a multipart body; a part with a file name is the file.
pub(crate) fn post_form(
    base: &str,
    path: &str,
    headers: &[(&str, &str)],
    parts: &[(&str, Option<&str>, &[u8])],
) -> Answer {
    let mut body = Vec::new();
    for (name, file_name, bytes) in parts {
        let file_name = file_name.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
        body.extend_from_slice(
            format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    let mut all = vec![("content-type", "multipart/form-data; boundary=edge")];
    all.extend_from_slice(headers);
    send(base, "POST", path, &all, &body)
}

/// A server-sent event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
}

/// An open stream of events.
pub(crate) struct Events {
    reader: BufReader<TcpStream>,
}

impl Events {
    pub(crate) fn open(base: &str, path: &str, last: Option<u64>) -> Self {
        let last = last.map(|last| last.to_string());
        let headers: Vec<(&str, &str)> = last.iter().map(|last| ("last-event-id", last.as_str())).collect();
        let mut reader = BufReader::new(open(base, "GET", path, &headers, b"").unwrap());
        let (status, headers) = read_head(&mut reader).unwrap();
        assert_eq!(status, 200);
        assert!(headers.iter().any(|(_, value)| value.starts_with("text/event-stream")), "{headers:?}");
        Self { reader }
    }

    /// The next event; `None` when the stream ended.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut event = Event { kind: String::new(), id: None, data: Value::Null };
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            // Sizes of chunks stand on lines of their own and look like no field.
            match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
                Some(("event", kind)) => kind.clone_into(&mut event.kind),
                Some(("id", id)) => event.id = Some(id.parse().unwrap()),
                Some(("data", data)) => {
                    event.data = serde_json::from_str(data).unwrap();
                    return Some(event).map(|event| self.with_id(event));
                }
                _ => {}
            }
        }
    }

    /// Whether a comment comes next, as often as a stream without news has to say that it is there.
    pub(crate) fn is_kept_open(&mut self) -> bool {
        let lines = std::iter::from_fn(|| {
            let mut line = String::new();
            (self.reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
        });
        // Sizes of chunks and blank lines are no field.
        let fields: Vec<String> = lines.filter(|line| line.contains(':')).take(2).collect();
        fields.len() == 2 && fields.iter().all(|line| line.starts_with(':'))
    }

    /// The id stands behind the data in some servers and before it in others: take what comes until the blank line.
    fn with_id(&mut self, mut event: Event) -> Event {
        let mut line = String::new();
        while self.reader.read_line(&mut line).unwrap_or(0) > 0 && !line.trim_end().is_empty() {
            if let Some(id) = line.trim_end().strip_prefix("id:") {
                event.id = Some(id.trim().parse().unwrap());
            }
            if let Some(kind) = line.trim_end().strip_prefix("event:") {
                kind.trim().clone_into(&mut event.kind);
            }
            line.clear();
        }
        event
    }

    /// The events until the stream ends.
    pub(crate) fn rest(mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// Looks until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn open(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<TcpStream> {
    let host = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n"]);
    stream.write_all(head.as_bytes()).ok()?;
    // The proxy may refuse before it has read everything; its answer is what counts.
    let _ = stream.write_all(body);
    Some(stream)
}

fn read_head(reader: &mut BufReader<TcpStream>) -> Option<(u16, Headers)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => return Some((status, headers)),
        }
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    body
}
