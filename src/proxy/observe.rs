//! What every listener does about a request: an id, which its answer and its lines in the log have too.
//!
//! One function and not a stack of layers, each of which allocates: of a small request little else is left.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tracing::{Instrument, Span};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id of a client that is taken over, bytes.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// Serves a request; its end is in the log under the target `requests`.
pub(crate) async fn observe<F>(request: Request, serve: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let (id, began) = (request_id(request.headers()), Instant::now());
    // The query is left out: it may hold a signature. As severe as can be: a filter that leaves warnings alone must not
    // take the id from them.
    let span = tracing::error_span!(
        "request",
        request_id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path()
    );
    let response = serve(request).instrument(span.clone()).await;
    let (status, seconds) = (response.status(), began.elapsed().as_secs_f64());
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::error!(target: "requests", status = status.as_u16(), seconds, "a request failed");
        } else {
            tracing::debug!(target: "requests", status = status.as_u16(), seconds, "answered");
        }
    });
    // A body that is all there has nothing more to say to the log.
    let is_stream = |body: &Body| body.size_hint().exact().is_none();
    let mut response = response.map(|body| if is_stream(&body) { Body::new(InSpan { body, span }) } else { body });
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// A client's own id if it is short and can be written to a log, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_fit = |id: &&HeaderValue| (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.to_str().is_ok();
    let new = || HeaderValue::from_str(&ulid::Ulid::new().to_string()).unwrap_or(HeaderValue::from_static("none"));
    headers.get(REQUEST_ID).filter(is_fit).cloned().unwrap_or_else(new)
}

/// A body that is made while it is sent, in the span of its request.
struct InSpan {
    body: Body,
    span: Span,
}

impl HttpBody for InSpan {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Self { body, span } = self.get_mut();
        let _inside = span.enter();
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
