//! `/healthz`, `/readyz`, `/metrics`: for those who run the proxy.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::clock;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::metrics as counters;

/// The process lives.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// The proxy can do its work: metagraph fresh, store answering, not shutting down.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> ApiResult<Json<Value>> {
    if app.shutdown.is_cancelled() {
        return Err(ApiError::unavailable("shutting_down", "the proxy is shutting down"));
    }
    let metagraph = app.metagraph()?;
    app.store.records().pulse(clock::now_ms()).await?;
    Ok(Json(json!({"status": "ready", "block": metagraph.block})))
}

/// Prometheus text.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], counters::render(&app))
}
