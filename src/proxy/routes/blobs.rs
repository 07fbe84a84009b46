//! `/v1/blobs`: inputs under signed URLs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::proxy::app::App;
use crate::proxy::blobs::{Meta, URL_LIFE_MS};
use crate::proxy::clock;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::{Name, Params};

/// The signature of a URL.
#[derive(Deserialize)]
pub(super) struct Grant {
    expires: i64,
    holder: String,
    signature: String,
}

/// The bytes of one input, or a part of them.
pub(super) async fn fetch(
    State(app): State<Arc<App>>,
    Name(sha256): Name,
    query: Result<Params<Grant>, ApiError>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let refused = |code, message| Err(ApiError::forbidden(code, message));
    let Ok(Params(signed)) = query else {
        return refused("missing_signature", "this URL is not signed; take the one of your lease");
    };
    if !app.blobs.is_signed(method.as_str(), &sha256, &signed.holder, signed.expires, &signed.signature) {
        return refused("bad_signature", "the signature is not the proxy's for this blob, holder, method and time");
    }
    if signed.expires <= clock::now_ms() {
        return refused("expired", "this URL expired; claim again for a new one");
    }
    let meta = app.blobs.store().meta(&sha256).await?;
    let meta = meta.ok_or_else(|| ApiError::not_found("no_such_blob", format!("there is no blob {sha256:.64}")))?;
    serve(&app, &meta, &headers).await
}

/// The bytes of a blob as these headers ask for them: whole, a range, or nothing new.
pub(super) async fn serve(app: &App, meta: &Meta, headers: &HeaderMap) -> ApiResult<Response> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let etag = meta.etag();
    let cache = [
        (header::ETAG, etag.clone()),
        // The bytes of a hash never change; whoever holds the URL may keep them, caches between may not.
        (header::CACHE_CONTROL, format!("private, max-age={}, immutable", URL_LIFE_MS / 1_000)),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    if text(header::IF_MATCH).is_some_and(|wanted| !names(wanted, &etag)) {
        let message = "the blob is not the one of If-Match";
        return Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message).at("if-match"));
    }
    if text(header::IF_NONE_MATCH).is_some_and(|known| names(known, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, cache).into_response());
    }
    let total = meta.bytes;
    // A part is of use only to whoever has the rest of the same bytes (RFC 9110, 13.1.5).
    let is_same = text(header::IF_RANGE).is_none_or(|known| known.trim() == etag);
    let wanted = text(header::RANGE).filter(|_| is_same);
    let (status, start, len) = match wanted.map(|range| parse_range(range, total)) {
        Some(Range::Part { start, len }) => (StatusCode::PARTIAL_CONTENT, start, len),
        Some(Range::Outside) => {
            let message = format!("the range starts behind the blob's {total} bytes");
            let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_outside", message).at("range");
            return Ok(([(header::CONTENT_RANGE, format!("bytes */{total}"))], error).into_response());
        }
        Some(Range::Ignored) | None => (StatusCode::OK, 0, total),
    };
    let gone = || ApiError::not_found("no_such_blob", format!("there is no blob {}", meta.sha256));
    let part = app.blobs.store().read(&meta.sha256, start, len).await?.ok_or_else(gone)?;
    let about = [(header::CONTENT_TYPE, meta.media_type.clone()), (header::CONTENT_LENGTH, len.to_string())];
    let mut response = (status, about, cache, Body::from_stream(part)).into_response();
    // A page must not be made of somebody's audio, whatever a browser thinks that it sees.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{total}", start + len - 1);
        response.headers_mut().insert(header::CONTENT_RANGE, range.parse().map_err(ApiError::internal)?);
    }
    Ok(response)
}

/// Whether a list of entity tags names this one.
fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// These bytes; at least one.
    Part { start: u64, len: u64 },
    /// Nothing of the blob.
    Outside,
    /// Several ranges, another unit, or no range at all: all of it is a valid answer (RFC 9110, 14.2).
    Ignored,
}

fn parse_range(range: &str, total: u64) -> Range {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Range::Ignored;
    };
    let (start, end) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end.saturating_add(1).min(total)),
        (Ok(start), Err(_)) if last.trim().is_empty() => (start, total),
        (Err(_), Ok(0)) if first.trim().is_empty() => return Range::Outside,
        (Err(_), Ok(suffix)) if first.trim().is_empty() => (total.saturating_sub(suffix), total),
        _ => return Range::Ignored,
    };
    if start >= total { Range::Outside } else { Range::Part { start, len: end - start } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        for (range, expected) in [
            ("bytes=0-3", Range::Part { start: 0, len: 4 }),
            ("bytes=4-", Range::Part { start: 4, len: 6 }),
            ("bytes=-3", Range::Part { start: 7, len: 3 }),
            ("bytes=-30", Range::Part { start: 0, len: 10 }),
            ("bytes=8-99", Range::Part { start: 8, len: 2 }),
            ("bytes=0-18446744073709551615", Range::Part { start: 0, len: 10 }),
            ("bytes=10-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=3-1", Range::Ignored),
            ("bytes=0-1,3-4", Range::Ignored),
            ("lines=0-1", Range::Ignored),
            ("bytes=-", Range::Ignored),
        ] {
            assert_eq!(parse_range(range, 10), expected, "{range}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Range::Outside);
    }
}
