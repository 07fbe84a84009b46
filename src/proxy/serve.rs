//! The listening socket: a bounded number of connections, timeouts, and an end that does not wait for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tower_http::timeout::TimeoutBody;

use super::door::Peer;

/// Connections at the same time; others wait in the system's queue.
const MAX_CONNECTIONS: usize = 4_096;

/// Time for the head of a request, and for a connection to stay idle before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Time in which a body must bring its next bytes.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest head of a request, bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Time that running requests have when the proxy ends.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Pause after the system could not give a connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then lets running requests end for at most [`DRAIN`].
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
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
                () = connection(stream, peer, router, shutdown) => {}
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

async fn connection(stream: TcpStream, peer: Peer, router: Router, shutdown: CancellationToken) {
    // Answers are small and waited for; a failure only makes them slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(|body| Body::new(TimeoutBody::new(BODY_TIMEOUT, body)));
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
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
