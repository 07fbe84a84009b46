//! `/v1/models` and `/v1/audio/voices`: what may be named in a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use serde_json::{Value, json};

use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::Name;
use crate::proxy::{clock, request};
use crate::subnet::task::seconds;

/// The models that are always there: whatever the miners run.
pub(super) const HEARING_MODEL: &str = "whisper-1";
pub(super) const SPEAKING_MODEL: &str = "tts-1";

/// OpenAI's list of models: the defaults, and those that the miners here run.
pub(in crate::proxy::routes) async fn models(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    request::owner(&app, request.headers())?;
    let ids = hearing(&app).into_iter().chain([SPEAKING_MODEL.to_owned()]).collect::<BTreeSet<_>>();
    let data: Vec<Value> = ids.iter().map(|id| model_view(&app, id)).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// One model.
pub(in crate::proxy::routes) async fn model(
    State(app): State<Arc<App>>,
    Name(id): Name,
    request: Request,
) -> ApiResult<Json<Value>> {
    request::owner(&app, request.headers())?;
    if id != SPEAKING_MODEL {
        check_hearing(&app, &id)?;
    }
    Ok(Json(model_view(&app, &id)))
}

/// The voices that miners here speak with.
pub(in crate::proxy::routes) async fn voices(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    request::owner(&app, request.headers())?;
    let voices = app.presence.voices(clock::now_ms()).unwrap_or_default();
    let data: Vec<Value> = voices.iter().map(|id| json!({"id": id, "object": "audio.voice", "name": id})).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// Refuses a model of speech recognition that is not listed.
pub(super) fn check_hearing(app: &App, id: &str) -> ApiResult<()> {
    if hearing(app).contains(id) { Ok(()) } else { Err(not_found(id, HEARING_MODEL)) }
}

/// 404 for a model.
pub(super) fn not_found(id: &str, default: &str) -> ApiError {
    let message = format!("the model {id:.60} is not listed by GET /v1/models for this; {default} always is");
    ApiError::not_found("model_not_found", message).at("model")
}

fn hearing(app: &App) -> BTreeSet<String> {
    let present = app.presence.present(clock::now_ms()).into_iter();
    present.filter_map(|(_, seen)| seen.model).chain([HEARING_MODEL.to_owned()]).collect()
}

fn model_view(app: &App, id: &str) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "seconds since the epoch fit in an i64")]
    let created = seconds(i64::try_from(app.started_ns / 1_000_000).unwrap_or_default()) as i64;
    json!({"id": id, "object": "model", "created": created, "owned_by": "violet"})
}
