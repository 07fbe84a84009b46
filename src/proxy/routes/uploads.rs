//! `/v1/uploads`: audio first, tasks about it later.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::Params;
use crate::proxy::store::{Records, UploadRow};
use crate::proxy::{clock, form, inputs, request};

/// What may be said about an upload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// The user's name for the file.
    name: Option<String>,
}

/// Stores a raw body that is audio.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Params(about): Params<About>,
    request: Request,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let owner = request::owner(&app, request.headers())?;
    if request::media_type(request.headers()).starts_with("multipart/") {
        let message = "this route takes the bytes of the file as the body; send multipart to /v1/tasks";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let incoming = app.blobs.receive(request.into_body().into_data_stream()).await?;
    let name = about.name.as_deref().and_then(form::clean_name);
    let (stored, audio) = inputs::keep_audio(&app, &owner, incoming, name.as_deref()).await?;
    let row = UploadRow {
        id: format!("upload_{}", ulid::Ulid::new().to_string().to_ascii_lowercase()),
        owner,
        sha256: stored.sha256,
        bytes: stored.bytes,
        name,
        audio,
        created_at_ms: clock::now_ms(),
    };
    let view = json!({"id": row.id, "sha256": row.sha256, "bytes": row.bytes, "audio": row.audio});
    app.store.put(Records { upload: Some(row), ..Records::default() }).await?;
    Ok((StatusCode::CREATED, Json(view)))
}
