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
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::ServiceBuilder;

use super::app::App;
use super::error::ApiError;
use super::observe::observe;
use super::{door, metrics};

/// The operator's routes, with the same ids and logs.
pub(crate) fn admin_router(app: Arc<App>) -> Router {
    admin::router(app).layer(from_fn(|request, next: Next| observe(request, |request| next.run(request))))
}

/// The whole service.
pub(crate) fn router(app: Arc<App>) -> Router {
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(&app), enter))
        // Routes bound their bodies themselves, each by its own limit.
        .layer(DefaultBodyLimit::disable());
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
        .layer(layers)
        .with_state(app)
}

/// Lets a request in, or not; counts it either way.
async fn enter(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let serve = async |request| match door::check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    observe(request, |request| metrics::track(request, serve)).await
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
    ApiError::not_found("no_such_route", format!("there is no {method} {:.100} here", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{:.100} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
}
