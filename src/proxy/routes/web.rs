//! The page for people: `/` and what it is made of, compiled in.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::no_route;
use super::ranges::names;

/// What the page may do: its own scripts and styles, this proxy's routes, audio that it holds itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self' blob:; manifest-src 'self'; worker-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// A file that is compiled in.
struct File {
    bytes: &'static [u8],
    /// Its hash, from when it was first asked for.
    etag: OnceLock<String>,
}

impl File {
    const fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, etag: OnceLock::new() }
    }

    fn etag(&self) -> &str {
        self.etag.get_or_init(|| format!("\"{}\"", hex::encode(Sha256::digest(self.bytes))))
    }
}

static INDEX: File = File::new(include_bytes!("../web/index.html"));
static DOCS: File = File::new(include_bytes!("../web/docs.html"));
static WORKER: File = File::new(include_bytes!("../web/sw.js"));
static OPENAPI: File = File::new(include_bytes!("../../../docs/openapi.json"));

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, File::new(include_bytes!(concat!("../web/", $name))))),*]
    };
}

/// The files below `/web/`.
static FILES: [(&str, File); 31] = files![
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
pub(super) async fn index(headers: HeaderMap) -> Response {
    document(&headers, HTML, &INDEX)
}

/// The page of the API.
pub(super) async fn docs(headers: HeaderMap) -> Response {
    document(&headers, HTML, &DOCS)
}

/// The worker that keeps the page's shell; it lies at the root because it may serve only what lies below it.
pub(super) async fn worker(headers: HeaderMap) -> Response {
    document(&headers, JAVASCRIPT, &WORKER)
}

/// One of the page's files.
pub(super) async fn asset(method: Method, uri: Uri, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((_, found)) = FILES.iter().find(|(known, _)| *known == name) else {
        return no_route(method, uri).await.into_response();
    };
    let media_type = match name.rsplit('.').next() {
        Some("js") => JAVASCRIPT,
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/manifest+json",
    };
    answer(&headers, media_type, found)
}

/// The routes as `OpenAPI` 3.1; `tests/proxy/openapi.rs` holds the document against the router.
pub(super) async fn openapi(headers: HeaderMap) -> Response {
    answer(&headers, "application/json", &OPENAPI)
}

/// What a browser opens or runs by itself, with what it may do; what a page loads is ruled by that page.
fn document(asked: &HeaderMap, media_type: &'static str, file: &'static File) -> Response {
    let rules = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=()"),
    ];
    (rules, answer(asked, media_type, file)).into_response()
}

/// A file, unless the browser has it: the page and then its worker ask for the same ones.
fn answer(asked: &HeaderMap, media_type: &'static str, file: &'static File) -> Response {
    let etag = file.etag();
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let is_known = known.is_some_and(|tags| names(tags, etag));
    // Asked for at every visit: a new version of the proxy has a new page, and its files belong together.
    let common = [(header::ETAG, etag), (header::CACHE_CONTROL, "no-cache")];
    if is_known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let own = [(header::CONTENT_TYPE, media_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (common, own, file.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_comes_once_and_a_page_says_what_it_may_do_each_time() {
        let none = HeaderMap::new();
        let (page, script) = (index(none.clone()).await, self::script(none).await);
        assert_eq!((page.status(), script.status()), (StatusCode::OK, StatusCode::OK));
        assert!(page.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        assert!(!script.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        assert_ne!(page.headers()[header::ETAG], script.headers()[header::ETAG]);
        let known = |response: &Response| {
            HeaderMap::from_iter([(header::IF_NONE_MATCH, response.headers()[header::ETAG].clone())])
        };
        let (page_again, script_again) = (index(known(&page)).await, self::script(known(&script)).await);
        assert_eq!((page_again.status(), script_again.status()), (StatusCode::NOT_MODIFIED, StatusCode::NOT_MODIFIED));
        assert!(page_again.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        assert_eq!(self::script(known(&page)).await.status(), StatusCode::OK, "the page's tag is not the script's");
    }

    async fn script(headers: HeaderMap) -> Response {
        asset(Method::GET, Uri::from_static("/web/app.js"), Path("app.js".to_owned()), headers).await
    }
}
