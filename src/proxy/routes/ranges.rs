//! Bytes with `Range`, `ETag` and conditional requests.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};

/// What is served.
pub(super) enum Source {
    /// A stored file, as another type than it was stored with if one is named.
    Blob { sha256: String, media_type: Option<&'static str> },
    /// Bytes that were made for this answer.
    Bytes { bytes: Vec<u8>, media_type: &'static str },
}

/// The bytes, or the part of them that the request asks for.
pub(super) async fn serve(app: &App, source: Source, headers: &HeaderMap) -> ApiResult<Response> {
    let missing = |sha256: &str| ApiError::not_found("no_such_blob", format!("there is no blob {sha256:.64}"));
    let (sha256, media_type, total) = match &source {
        Source::Blob { sha256, media_type } => {
            let meta = app.blobs.store().meta(sha256).await?.ok_or_else(|| missing(sha256))?;
            (sha256.clone(), media_type.map_or(meta.media_type, str::to_owned), meta.bytes)
        }
        Source::Bytes { bytes, media_type } => {
            (hex::encode(Sha256::digest(bytes)), (*media_type).to_owned(), bytes.len() as u64)
        }
    };
    let etag = format!("\"{sha256}\"");
    let common = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    let asks = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if asks(header::IF_MATCH).is_some_and(|wanted| !names(wanted, &etag)) {
        let message = "these are not the bytes of If-Match";
        return Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message).at("if-match"));
    }
    if asks(header::IF_NONE_MATCH).is_some_and(|known| names(known, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    // A range of another file than this one is none (RFC 9110, 13.1.5).
    let range = asks(header::RANGE).filter(|_| asks(header::IF_RANGE).is_none_or(|known| known.trim() == etag));
    let (status, start, len) = match range.map(|range| parse_range(range, total)) {
        Some(Range::Part { start, len }) => (StatusCode::PARTIAL_CONTENT, start, len),
        Some(Range::Outside) => {
            let message = format!("the range starts behind the blob's {total} bytes");
            let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_outside", message).at("range");
            return Ok(([(header::CONTENT_RANGE, format!("bytes */{total}"))], error).into_response());
        }
        Some(Range::Ignored) | None => (StatusCode::OK, 0, total),
    };
    let body = match source {
        Source::Blob { sha256, .. } => {
            let part = app.blobs.store().read(&sha256, start, len).await?.ok_or_else(|| missing(&sha256))?;
            Body::from_stream(part)
        }
        Source::Bytes { bytes, .. } => {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(bytes.len()).min(bytes.len());
            let (from, to) = (at(start), at(start + len));
            Body::from(bytes::Bytes::from(bytes).slice(from..to))
        }
    };
    let sizes = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_LENGTH, len.to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let mut response = (status, sizes, common, body).into_response();
    // A page must not be made of somebody's audio, whatever a browser thinks that it sees.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{total}", start + len - 1);
        response.headers_mut().insert(header::CONTENT_RANGE, range.parse().map_err(ApiError::internal)?);
    }
    Ok(response)
}

/// Whether a list of entity tags names this one.
pub(super) fn names(list: &str, etag: &str) -> bool {
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
