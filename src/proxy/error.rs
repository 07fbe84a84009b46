//! The one table from what went wrong to what the client sees.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::Json;
use super::{blobs, store};
use crate::Error;
use crate::subnet::task::Refusal;

/// Seconds after which a client may try again when the proxy is full.
pub(crate) const RETRY_AFTER_S: u64 = 5;

/// What the client sees instead of an answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: &'static str,
    retry_after_s: Option<u64>,
}

/// A result of a route.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code, retry_after_s: None }
    }

    /// 400: the bytes cannot be read.
    pub(crate) fn malformed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: who asks is not known.
    pub(crate) fn unauthenticated(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 403: who asks may not.
    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404.
    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 409: not in this state.
    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 413.
    pub(crate) fn too_large(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    /// 422: readable, but not a value that is taken.
    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 429 with `Retry-After`.
    pub(crate) fn busy(code: &'static str, message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, message) }
    }

    /// 503 with `Retry-After`.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message) }
    }

    /// 500: the details go to the log, not to the client.
    pub(crate) fn internal(details: impl std::fmt::Display) -> Self {
        tracing::error!(%details, "a fault of the proxy's");
        let message = "the proxy failed; its log has the details under the X-Request-Id of this reply";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// Names the field or header that was wrong.
    #[must_use]
    pub(crate) fn at(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    /// Says when to try again.
    #[must_use]
    pub(crate) fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Whether the request itself was wrong, so that it would be again.
    pub(crate) fn is_of_the_client(&self) -> bool {
        self.status.is_client_error()
    }

    /// What the client reads.
    pub(crate) fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind(), "param": self.param, "code": self.code}})
    }

    /// The stable word for what went wrong.
    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The `type` of the error; the classes of OpenAI's API.
    fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            409 => "conflict_error",
            410 => "gone_error",
            413 => "too_large_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Decode { .. } => Self::malformed("not_audio", message).at("file"),
            Error::Unsupported(_) => Self::malformed("unsupported_audio", message).at("file"),
            Error::TooLong { .. } => Self::too_large("audio_too_long", message).at("file"),
            Error::TooLarge { .. } => Self::too_large("too_large", message).at("file"),
            Error::InvalidInput(_) => Self::invalid("invalid_value", message),
            Error::NotFound(_) => Self::not_found("not_found", message),
            Error::Conflict(_) => Self::conflict("conflict", message),
            Error::Busy(_) => Self::unavailable("busy", message),
            Error::Cancelled => Self::unavailable("cancelled", message),
            Error::OutOfMemory { .. } => Self::unavailable("out_of_memory", message),
            Error::Io { .. } | Error::Network { .. } | Error::Weights { .. } | Error::Model { .. } => {
                Self::internal(message)
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let gone = |code| Self::new(StatusCode::GONE, code, message.clone());
        match refusal {
            Refusal::TaskEnded(_) => gone("task_ended"),
            Refusal::LeaseEnded => gone("lease_ended"),
            Refusal::NoSuchSlot(_) => Self::not_found("no_such_slot", message).at("slot"),
            Refusal::NotYourLease => Self::forbidden("not_your_lease", message).at("token"),
            Refusal::NotOnCommittee => Self::forbidden("not_on_committee", message),
            Refusal::SlotTaken => Self::conflict("slot_taken", message),
            Refusal::SameColdkey => Self::conflict("same_coldkey", message),
            Refusal::Deferred { .. } => Self::conflict("deferred", message),
            Refusal::AlreadySubmitted => Self::conflict("already_submitted", message),
            Refusal::NotEvaluating => Self::conflict("not_evaluating", message),
            Refusal::CommitsOpen { .. } => Self::conflict("commits_open", message).retry_after_s(1),
            Refusal::CommitsClosed => Self::conflict("commits_closed", message),
            Refusal::AlreadyCommitted => Self::conflict("already_committed", message),
            Refusal::NotCommitted => Self::conflict("not_committed", message),
            Refusal::RevealsClosed => Self::conflict("reveals_closed", message),
            Refusal::CommitmentMismatch => Self::invalid("commitment_mismatch", message).at("scores"),
            Refusal::BadScores(_) => Self::invalid("bad_scores", message).at("scores"),
        }
    }
}

impl From<blobs::Error> for ApiError {
    fn from(error: blobs::Error) -> Self {
        match error {
            blobs::Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                storage_full(&source)
            }
            blobs::Error::Unavailable(reason) => {
                tracing::warn!(%reason, "the store of the blobs does not answer");
                Self::unavailable("blobs_unavailable", "the store of the audio does not answer now; try again")
            }
            blobs::Error::Rows(error) => error.into(),
            blobs::Error::Io { .. } | blobs::Error::Refused(_) => Self::internal(error),
        }
    }
}

/// 507: the disk is full; nothing of the request was kept.
fn storage_full(details: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%details, "the disk is full");
    let message = "the proxy's disk is full; nothing of this request was kept: try again later";
    ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", message).retry_after_s(60)
}

/// 507: there is less free space than the operator wants to keep.
pub(crate) fn storage_low(free_bytes: u64, min_free_bytes: u64) -> ApiError {
    tracing::error!(free_bytes, min_free_bytes, "too little free space on the disk of the data directory");
    let message = "the proxy's disk is nearly full; nothing of this request was kept: try again later";
    ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", message).retry_after_s(60)
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Busy => Self::unavailable("store_busy", "the store is busy; try again"),
            store::Error::Closed => Self::unavailable("shutting_down", "the proxy is shutting down"),
            store::Error::Full(details) => storage_full(&details),
            store::Error::Unavailable(reason) => {
                tracing::warn!(%reason, "the store does not answer");
                Self::unavailable("store_unavailable", "the store does not answer now; try again")
            }
            store::Error::Sql(_)
            | store::Error::Record(_)
            | store::Error::Stale(_)
            | store::Error::Exists(_)
            | store::Error::Fault(_)
            | store::Error::Schema { .. } => Self::internal(error),
        }
    }
}
