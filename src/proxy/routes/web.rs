//! The page for people: `/` and what it is made of, compiled in.

use axum::extract::Path;
use axum::http::{HeaderName, Uri, header};
use axum::response::{IntoResponse, Response};

use super::no_route;

/// What the page may do: its own scripts and styles, this proxy's routes, audio that it holds itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self' blob:; manifest-src 'self'; worker-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../web/", $name)).as_slice())),*]
    };
}

/// The files below `/web/`.
const FILES: [(&str, &[u8]); 31] = files![
    "api.js",
    "app.css",
    "app.js",
    "chart.js",
    "docs.css",
    "docs.js",
    "dom.js",
    "edits.js",
    "history.js",
    "icon-192.png",
    "icon-512.png",
    "icon.svg",
    "job.js",
    "manifest.webmanifest",
    "measurements.js",
    "network.js",
    "neurons.js",
    "pages.js",
    "pictures.js",
    "player.js",
    "queue.js",
    "recorder.js",
    "search.js",
    "snippets.js",
    "sortable.js",
    "sound.js",
    "speakers.js",
    "stream.js",
    "subtitles.js",
    "transcript.js",
    "verdict.js",
];

/// The page.
pub(super) async fn index() -> Response {
    file("text/html; charset=utf-8", include_bytes!("../web/index.html"))
}

/// The page of the API.
pub(super) async fn docs() -> Response {
    file("text/html; charset=utf-8", include_bytes!("../web/docs.html"))
}

/// The worker that keeps the page's shell; it lies at the root because it may serve only what lies below it.
pub(super) async fn worker() -> Response {
    file("text/javascript; charset=utf-8", include_bytes!("../web/sw.js"))
}

/// One of the page's files.
pub(super) async fn asset(method: axum::http::Method, uri: Uri, Path(name): Path<String>) -> Response {
    let Some((_, bytes)) = FILES.iter().find(|(known, _)| *known == name) else {
        return no_route(method, uri).await.into_response();
    };
    let media_type = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/manifest+json",
    };
    file(media_type, bytes)
}

/// The routes as `OpenAPI` 3.1; `tests/proxy/openapi.rs` holds the document against the router.
pub(super) async fn openapi() -> Response {
    file("application/json", include_bytes!("../../../docs/openapi.json"))
}

fn file(media_type: &'static str, bytes: &'static [u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        // Short: a new version of the proxy has a new page, and its files belong together.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=()"),
    ];
    (headers, bytes).into_response()
}
