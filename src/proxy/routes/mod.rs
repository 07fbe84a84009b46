//! The routes of `docs/protocol.md`.

mod admin;
mod blobs;
mod claims;
mod events;
mod health;
mod miners;
mod network;
mod openai;
mod operations;
mod ranges;
mod register;
mod results;
mod tasks;
mod uploads;
mod validators;
mod web;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use super::app::App;
use super::error::ApiError;
use super::{door, metrics};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id of a client that is taken over, bytes.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// What every listener does about a request: an id, which its answer and its lines in the log have too.
macro_rules! observed {
    () => {
        tower::ServiceBuilder::new()
            .map_request(drop_long_id)
            .layer(SetRequestIdLayer::new(REQUEST_ID, NewRequestId))
            .layer(TraceLayer::new_for_http().make_span_with(span))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
    };
}

/// The operator's routes, with the same ids and logs.
pub(crate) fn admin_router(app: Arc<App>) -> Router {
    admin::router(app).layer(observed!())
}

/// The whole service.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/uploads", post(uploads::create))
        .route("/v1/uploads/{id}", get(uploads::show).patch(uploads::append).delete(uploads::delete))
        .route("/v1/tasks", post(tasks::create).get(tasks::list))
        .route("/v1/tasks/{id}", get(tasks::show).delete(tasks::delete))
        .route("/v1/tasks/{id}/cancel", post(tasks::cancel))
        .route("/v1/tasks/{id}/retry", post(tasks::retry))
        .route("/v1/tasks/{id}/result", get(results::result))
        .route("/v1/tasks/{id}/audio", get(results::listen))
        .route("/v1/tasks/{id}/events", get(events::watch))
        .route("/v1/audio/transcriptions", post(openai::transcribe))
        .route("/v1/audio/translations", post(openai::translate))
        .route("/v1/audio/speech", post(openai::speak))
        .route("/v1/audio/voices", get(openai::voices))
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{id}", get(openai::model))
        .route("/v1/miner/register", post(register::register))
        .route("/v1/miner/drain", post(register::drain))
        .route("/v1/miner/me", get(register::me))
        .route("/v1/miner/claim", post(claims::claim))
        .route("/v1/miner/heartbeat", post(miners::heartbeat))
        .route("/v1/miner/output", post(blobs::declare))
        .route("/v1/miner/submit", post(miners::submit))
        .route("/v1/miner/fail", post(miners::fail))
        .route("/v1/validator/lease", post(validators::lease))
        .route("/v1/validator/commit", post(validators::commit))
        .route("/v1/validator/reveal", post(validators::reveal))
        .route("/v1/validator/health", post(health::report))
        .route("/v1/validator/tasks/{id}", get(validators::show))
        .route("/v1/blobs/{sha256}", get(blobs::fetch).put(blobs::store))
        .route("/v1/network", get(network::show))
        .route("/", get(web::index))
        .route("/docs", get(web::docs))
        .route("/sw.js", get(web::worker))
        .route("/web/{name}", get(web::asset))
        .route("/openapi.json", get(web::openapi))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .layer(from_fn_with_state(Arc::clone(&app), door::enter))
        .layer(from_fn(metrics::track))
        // Routes bound their bodies themselves, each by its own limit.
        .layer(DefaultBodyLimit::disable())
        .layer(observed!())
        .with_state(app)
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
    ApiError::not_found("no_such_route", format!("there is no {method} {:.100} here", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{:.100} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
}

/// A client's own id is kept if it is short; the layer behind makes one where there is none.
fn drop_long_id<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    if request.headers().get(REQUEST_ID).is_some_and(|id| id.len() > MAX_REQUEST_ID_BYTES || id.is_empty()) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

fn span<B>(request: &axum::http::Request<B>) -> tracing::Span {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    // The query is left out: it may hold a signature. As severe as can be: a filter that leaves warnings alone must not
    // take the id from them.
    tracing::error_span!("request", request_id = id, method = %request.method(), path = request.uri().path())
}

#[derive(Clone)]
struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        ulid::Ulid::new().to_string().parse().ok().map(RequestId::new)
    }
}
