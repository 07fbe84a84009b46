//! Reading requests: bodies with a bound, JSON without unknown fields, signatures, API keys.

use axum::body::Body;
use axum::extract::{FromRequestParts, OriginalUri, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::app::App;
use super::auth::btauth::Claims;
use super::auth::{NOTE_LIFE_MS, replayed};
use super::clock;
use super::error::{ApiError, ApiResult};
use super::metagraph::Neuron;
use crate::subnet::task::Hotkey;

/// Largest body of a request that carries no result and no audio, bytes.
pub(crate) const SMALL_BODY_BYTES: usize = 256 << 10;

/// A neuron's request whose signature holds.
pub(crate) struct Signed {
    pub(crate) hotkey: Hotkey,
    pub(crate) neuron: Neuron,
    body: Bytes,
}

impl Signed {
    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> ApiResult<T> {
        json(&self.body)
    }
}

/// Reads a signed request of a registered neuron.
///
/// What costs nothing is checked first: a stranger cannot make the proxy read a body or verify a signature.
pub(crate) async fn signed(app: &App, request: Request, limit_bytes: usize) -> ApiResult<Signed> {
    let (parts, body) = request.into_parts();
    let claims = Claims::from_headers(&parts.headers)?;
    claims.check(&app.identity.hotkey, clock::now_ns(), app.started_ns)?;
    let metagraph = app.metagraph()?;
    let neuron = metagraph.neuron(&claims.hotkey).cloned().ok_or_else(|| {
        let message =
            format!("hotkey {:.60} is not registered on subnet {}; register it first", claims.hotkey, metagraph.netuid);
        ApiError::forbidden("not_registered", message).at("x-bittensor-hotkey")
    })?;
    app.operator.said().refuse_banned(&claims.hotkey)?;
    let body = read_body(&parts.headers, body, limit_bytes).await?;
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let path_and_query = uri.path_and_query().map_or("/", |sent| sent.as_str());
    let message = claims.message(&parts.method, path_and_query, &body);
    claims.verify(&message)?;
    // Only now: nobody may use up what is another's.
    app.door.ask_hotkey(&claims.hotkey)?;
    let note = app.replays.accept(&claims.hotkey, &message, clock::now_ns())?;
    if !app.store.records().note_once(&note, clock::now_ms() + NOTE_LIFE_MS).await? {
        return Err(replayed());
    }
    Ok(Signed { hotkey: Hotkey::from(claims.hotkey), neuron, body })
}

/// Reads a signed request of a validator with a permit and enough stake.
pub(crate) async fn signed_by_validator(app: &App, request: Request) -> ApiResult<Signed> {
    let signed = signed(app, request, SMALL_BODY_BYTES).await?;
    let (neuron, min_stake) = (&signed.neuron, app.config.min_stake);
    if !neuron.validator_permit {
        return Err(ApiError::forbidden(
            "no_validator_permit",
            format!("hotkey {} has no validator permit", signed.hotkey),
        ));
    }
    if neuron.stake < min_stake {
        let message = format!("hotkey {} has stake {}; this proxy asks for {min_stake}", signed.hotkey, neuron.stake);
        return Err(ApiError::forbidden("stake_too_low", message));
    }
    Ok(signed)
}

/// The user who asks: a name of the list of API keys, or empty where none are asked for.
pub(crate) fn owner(app: &App, headers: &HeaderMap) -> ApiResult<String> {
    let said = app.operator.said();
    said.keys.as_ref().map_or_else(|| Ok(String::new()), |keys| keys.find(headers).map(|key| key.name.clone()))
}

/// A whole body of at most `limit_bytes`.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body, limit_bytes: usize) -> ApiResult<Bytes> {
    let too_large = || ApiError::too_large("body_too_large", format!("the body has more than {limit_bytes} bytes"));
    if content_length(headers).is_some_and(|n| n > limit_bytes as u64) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| ApiError::malformed("body_broken_off", format!("the body broke off: {error}")))?;
        if bytes.len() + chunk.len() > limit_bytes {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// The number of bytes that a body is said to have.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// JSON as a type that refuses unknown fields.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            ApiError::invalid("invalid_body", format!("the body is not what this route takes: {error}"))
        }
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            ApiError::malformed("malformed_json", format!("the body is not JSON: {error}"))
        }
    })
}

/// A JSON value as a type that refuses unknown fields.
pub(crate) fn json_value<T: DeserializeOwned>(value: serde_json::Value) -> ApiResult<T> {
    serde_json::from_value(value)
        .map_err(|error| ApiError::invalid("invalid_body", format!("the body is not what this route takes: {error}")))
}

/// The media type of a body without its parameters, in lower case; empty when there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The query of a URL as a type that refuses unknown parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|error| ApiError::invalid("invalid_query", error.body_text()))
    }
}

/// The name in a path such as `/v1/tasks/{id}`.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|error| ApiError::malformed("malformed_path", error.body_text()))
    }
}
