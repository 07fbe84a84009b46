//! `/openapi.json` and `/docs`: the routes as a document, and a page to read and try them.

use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};

/// The document; `tests/proxy/openapi.rs` holds it against the router.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

/// What the page may do: load its own two files and call this proxy.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// OpenAPI 3.1.
pub(super) async fn openapi() -> Response {
    file("application/json", OPENAPI)
}

/// The page.
pub(super) async fn page() -> Response {
    file("text/html; charset=utf-8", include_str!("../web/docs.html"))
}

/// What the page does.
pub(super) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../web/docs.js"))
}

/// What the page looks like.
pub(super) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("../web/docs.css"))
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ];
    (headers, text).into_response()
}
