//! The listening socket: a bounded number of connections, timeouts, and an end that does not wait for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tower_http::timeout::TimeoutBody;

use super::door::Peer;

/// Connections at the same time; others wait in the system's queue.
const MAX_CONNECTIONS: usize = 4_096;

/// How long a client may keep the proxy waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the head of a request, and for a connection to stay idle before it.
    pub(crate) head: Duration,
    /// For the next bytes of a body.
    pub(crate) body: Duration,
    /// For the client to take any bytes of an answer, where some wait for it. A stream of events that has nothing to say
    /// waits for nobody; its heartbeats do, so that whoever reads no more is cut off by the second or third of them.
    pub(crate) write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let long = Duration::from_secs(30);
        Self { head: long, body: long, write: long }
    }
}

/// Longest head of a request, bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Time that running requests have when the proxy ends.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Pause after the system could not give a connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then lets running requests end for at most [`DRAIN`].
pub(crate) async fn serve(listener: TcpListener, router: Router, patience: Patience, shutdown: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    // Cut off what is left after the drain.
    let abort = CancellationToken::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let (stream, peer) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, Peer(peer.ip())),
                Err(error) => {
                    if !is_of_the_client(&error) {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    continue;
                }
            },
        };
        let (router, shutdown, abort) = (router.clone(), shutdown.clone(), abort.clone());
        connections.spawn(async move {
            tokio::select! {
                () = connection(stream, peer, router, patience, shutdown) => {}
                () = abort.cancelled() => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting off what did not end in time");
        abort.cancel();
        connections.wait().await;
    }
}

async fn connection(stream: TcpStream, peer: Peer, router: Router, patience: Patience, shutdown: CancellationToken) {
    // Answers are small and waited for; a failure only makes them slower.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.write));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        // What has no body waits for none.
        let timed = |body: Incoming| Body::new(TimeoutBody::new(patience.body, body));
        let mut request = request.map(|body| if body.is_end_stream() { Body::empty() } else { timed(body) });
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::routing::get;
    use bytes::Bytes;
    use futures::{Stream, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;

    use super::*;

    /// Time that the clients of these tests have to take bytes: far above a pause of a loaded machine's.
    const WRITE: Duration = Duration::from_secs(2);

    /// Bytes of an answer: more than the system keeps for a client that does not read, on either side.
    const N_BYTES: usize = 64 << 20;

    /// Parts of an answer; the sender is dropped with it.
    fn parts(guard: mpsc::Sender<()>) -> impl Stream<Item = Result<Bytes, Infallible>> {
        let part = Bytes::from(vec![7; 64 << 10]);
        futures::stream::iter(0..N_BYTES / part.len()).map(move |_| {
            let _ = &guard;
            Ok(part.clone())
        })
    }

    /// Something at once, and something after a pause longer than the time to write.
    fn seldom() -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures::stream::iter([Duration::ZERO, WRITE + WRITE / 2]).then(|pause| async move {
            tokio::time::sleep(pause).await;
            Ok(Bytes::from_static(b"event"))
        })
    }

    async fn ask(address: std::net::SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_begins_a_request_and_does_not_go_on_is_cut_off() {
        let read = |body: Body| async move { axum::body::to_bytes(body, 100).await.map(|_| ()).map_err(|_| "cut off") };
        let router = Router::new().route("/", axum::routing::post(read));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let short = Duration::from_millis(100);
        let patience = Patience { head: short, body: short, ..Patience::default() };
        let served = tokio::spawn(serve(listener, router, patience, shutdown.clone()));
        for (sent, answer) in [
            ("", ""),
            ("POST / HTTP/1.1\r\nhost: x\r\n", ""),
            ("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\nabc", "cut off"),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut got = String::new();
            // Ends when the server closes; nothing of it is waited for on this side.
            let ended = tokio::time::timeout(Duration::from_mins(1), stream.read_to_string(&mut got)).await;
            assert!(ended.is_ok() && got.ends_with(answer), "{sent:?}: {ended:?} {got:?}");
        }
        shutdown.cancel();
        served.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_reads_nothing_is_cut_off_and_who_reads_slowly_or_waits_is_not() {
        let (guard, mut dropped) = mpsc::channel::<()>(1);
        // Every answer holds a clone until it ends; the one here is moved into the first.
        let only = Arc::new(std::sync::Mutex::new(Some(guard)));
        let unread = move || {
            let guard = only.lock().unwrap().take().unwrap();
            async move { Body::from_stream(parts(guard)) }
        };
        let router = Router::new()
            .route("/unread", get(unread))
            .route("/slow", get(|| async { Body::from_stream(parts(mpsc::channel(1).0)) }))
            .route("/seldom", get(|| async { Body::from_stream(seldom()) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let patience = Patience { write: WRITE, ..Patience::default() };
        let served = tokio::spawn(serve(listener, router, patience, shutdown.clone()));

        let unread = ask(address, "/unread").await;
        let slow = tokio::spawn(async move {
            let mut stream = ask(address, "/slow").await;
            let (mut n, mut buffer) = (0, vec![0; 1 << 20]);
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => return n,
                    got => n += got,
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut waiting = ask(address, "/seldom").await;
        let mut text = String::new();
        waiting.read_to_string(&mut text).await.unwrap();
        assert_eq!(text.matches("event").count(), 2, "a stream with nothing to say stays open: {text}");
        assert!(slow.await.unwrap() > N_BYTES, "all of it and its head came");
        // Its answer is dropped, with the connection that it was for.
        let is_dropped = tokio::time::timeout(Duration::from_mins(1), dropped.recv()).await;
        assert_eq!(is_dropped, Ok(None), "who reads nothing holds its answer for ever");
        drop(unread);
        shutdown.cancel();
        served.await.unwrap();
    }
}
