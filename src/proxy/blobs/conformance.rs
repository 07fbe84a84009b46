//! What every blob store must do; each store's own tests run it.

use std::path::Path;

use futures::TryStreamExt;
use sha2::{Digest, Sha256};

use super::{BlobStore, LocalBlobs, Meta, Source};

/// A spool file with these bytes, and its metadata.
fn spooled(dir: &Path, bytes: &[u8], stored_at_ms: i64) -> (std::path::PathBuf, Meta) {
    let file = dir.join(format!("spool{stored_at_ms}"));
    std::fs::write(&file, bytes).unwrap();
    let meta = Meta {
        sha256: hex::encode(Sha256::digest(bytes)),
        bytes: bytes.len() as u64,
        media_type: "audio/wav".to_owned(),
        name: Some("ä \"quoted\".wav".to_owned()),
        owner: "ann".to_owned(),
        stored_at_ms,
        keep_until_ms: stored_at_ms + 10,
        is_condemned: false,
    };
    (file, meta)
}

pub(super) async fn read(store: &dyn BlobStore, sha256: &str, start: u64, len: u64) -> Option<Vec<u8>> {
    let stream = store.read(sha256, start, len).await.unwrap()?;
    Some(
        stream
            .try_fold(Vec::new(), async |mut all, part| {
                all.extend_from_slice(&part);
                Ok(all)
            })
            .await
            .unwrap(),
    )
}

/// The suite; the store is empty.
pub(crate) async fn conforms(store: &dyn BlobStore) {
    let dir = tempfile::tempdir().unwrap();
    // Larger than any chunk of any store.
    let large: Vec<u8> = (0..700_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let contents: [&[u8]; 4] = [b"", b"hello", "short, with an ü".as_bytes(), &large];
    let mut metas = Vec::new();
    for (n, content) in contents.iter().enumerate() {
        let (file, meta) = spooled(dir.path(), content, i64::try_from(n).unwrap());
        assert_eq!(store.meta(&meta.sha256).await.unwrap(), None, "not there yet");
        assert!(store.read(&meta.sha256, 0, 1).await.unwrap().is_none());
        let is_short = n == 2;
        let source = if is_short { Source::Bytes(content.to_vec()) } else { Source::File(&file) };
        store.put(source, &meta).await.unwrap();
        assert_eq!(store.meta(&meta.sha256).await.unwrap().as_ref(), Some(&meta));
        metas.push(meta);
    }
    let [empty, hello, short, big] = &metas[..] else { unreachable!() };
    assert_eq!(read(store, &hello.sha256, 0, 5).await.unwrap(), b"hello");
    assert_eq!(read(store, &hello.sha256, 1, 3).await.unwrap(), b"ell");
    assert_eq!(read(store, &big.sha256, 0, big.bytes).await.unwrap(), large);
    assert_eq!(read(store, &big.sha256, 299_999, 300_001).await.unwrap(), large[299_999..600_000]);
    assert_eq!(read(store, &empty.sha256, 0, 0).await.unwrap(), b"");
    assert_eq!(read(store, &short.sha256, 0, 100).await.unwrap(), contents[2], "no more than there is");
    assert_eq!(read(store, &short.sha256, 15, 1).await.unwrap(), contents[2][15..16]);

    for name in ["../hotkey.seed", "", "BA", &"z".repeat(64), &"A".repeat(64)] {
        assert!(store.read(name, 0, 1).await.unwrap().is_none(), "{name}");
        assert!(store.meta(name).await.unwrap().is_none(), "{name}");
    }

    // Page by page, in order, all of them.
    let mut listed = Vec::new();
    let mut after = String::new();
    loop {
        let page = store.list(&after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after.clone_from(&last.sha256);
        listed.extend(page);
    }
    let mut sorted = metas.clone();
    sorted.sort_by(|a, b| a.sha256.cmp(&b.sha256));
    assert_eq!(listed, sorted);

    // The same bytes again renew the metadata, and what was seen before that deletes nothing.
    let (file, renewed) = spooled(dir.path(), b"hello", 50);
    store.put(Source::File(&file), &renewed).await.unwrap();
    assert_eq!(store.meta(&hello.sha256).await.unwrap().unwrap().keep_until_ms, 60);
    assert!(!store.delete(hello).await.unwrap(), "it was renewed");
    let condemned = Meta { keep_until_ms: 70, is_condemned: true, ..renewed.clone() };
    assert!(!store.describe(hello, &condemned).await.unwrap(), "it was renewed");
    assert!(store.describe(&renewed, &condemned).await.unwrap());
    assert_eq!(store.meta(&hello.sha256).await.unwrap().as_ref(), Some(&condemned));
    assert!(!store.delete(&renewed).await.unwrap(), "something else is known about it now");
    // The same bytes once more, and it is somebody's again.
    let (file, renewed) = spooled(dir.path(), b"hello", 60);
    store.put(Source::File(&file), &renewed).await.unwrap();
    assert_eq!(store.meta(&hello.sha256).await.unwrap().as_ref(), Some(&renewed));
    assert_eq!(read(store, &hello.sha256, 0, 5).await.unwrap(), b"hello");
    assert!(store.delete(&renewed).await.unwrap());
    assert!(!store.delete(&renewed).await.unwrap(), "it is gone");
    assert!(!store.describe(&renewed, &condemned).await.unwrap());
    assert!(read(store, &hello.sha256, 0, 5).await.is_none());
    assert_eq!(store.list("", 10).await.unwrap().len(), 3);

    // A short one that comes as a file is the same blob.
    let (file, again) = spooled(dir.path(), contents[2], 70);
    store.put(Source::File(&file), &again).await.unwrap();
    assert_eq!(store.meta(&short.sha256).await.unwrap().as_ref(), Some(&again));
    assert_eq!(store.list("", 10).await.unwrap().len(), 3);
    assert!(!store.delete(short).await.unwrap(), "it was renewed");
}

#[tokio::test]
async fn local_files_conform() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&LocalBlobs::open(dir.path()).unwrap()).await;
}

#[tokio::test]
async fn a_file_of_an_older_version_has_its_times_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(dir.path()).unwrap();
    let sha256 = hex::encode(Sha256::digest(b"old"));
    std::fs::write(dir.path().join(&sha256), "old").unwrap();
    let meta = store.meta(&sha256).await.unwrap().unwrap();
    assert_eq!((meta.bytes, meta.media_type.as_str()), (3, "application/octet-stream"));
    assert!(meta.stored_at_ms > 1_600_000_000_000 && meta.keep_until_ms > meta.stored_at_ms);
    assert!(store.delete(&meta).await.unwrap());
}

#[cfg(feature = "firebase")]
pub(super) mod bucket {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::any;
    use serde_json::json;

    use super::*;
    use crate::proxy::blobs::Bucket;
    use crate::proxy::google::{Caller, Google};
    use crate::proxy::tests::emulators;

    pub(in crate::proxy::blobs) fn bucket(url: &str, name: &str) -> Bucket {
        Bucket::new(Arc::new(Google::new(Caller::Emulator).unwrap()), name, Some(url))
    }

    #[tokio::test]
    async fn cloud_storage_conforms() {
        let Some(url) = emulators::storage() else { return };
        emulators::make_bucket(url, "conformance");
        let store = bucket(url, "conformance");
        store.check().await.unwrap();
        conforms(&store).await;
        assert!(bucket(url, "not-there").check().await.unwrap_err().to_string().contains("gs://not-there"));
    }

    #[tokio::test]
    async fn a_url_of_the_stores_own_gives_the_bytes() {
        let Some(url) = emulators::storage() else { return };
        emulators::make_bucket(url, "urls");
        let (store, dir) = (bucket(url, "urls"), tempfile::tempdir().unwrap());
        let (file, meta) = spooled(dir.path(), b"hello", 1);
        store.put(Source::File(&file), &meta).await.unwrap();
        let signed = store.url("GET", &meta.sha256, 0, 60_000).unwrap().unwrap();
        assert_eq!(reqwest::get(signed).await.unwrap().text().await.unwrap(), "hello");
    }

    /// An upload's protocol as Google documents it, by a server that drops every other part half taken.
    #[derive(Default)]
    struct Flaky {
        taken: Vec<u8>,
        n_parts: u32,
    }

    type Shared = Arc<std::sync::Mutex<Flaky>>;

    async fn upload(State(flaky): State<Shared>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
        const QUARTER_MIB: usize = 256 << 10;
        let mut flaky = flaky.lock().unwrap();
        let range = headers["content-range"].to_str().unwrap().strip_prefix("bytes ").unwrap();
        let (part, total) = range.split_once('/').unwrap();
        let total: usize = total.parse().unwrap();
        let mut answer = HeaderMap::new();
        if let Some((first, last)) = part.split_once('-') {
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            assert_eq!((first, last + 1 - first), (flaky.taken.len(), body.len()), "parts follow one another");
            assert!(
                last + 1 == total || body.len().is_multiple_of(QUARTER_MIB),
                "a part that is not the last is whole quarters"
            );
            flaky.n_parts += 1;
            if flaky.n_parts % 2 == 1 {
                let half = body.len() / 2 / QUARTER_MIB * QUARTER_MIB;
                flaky.taken.extend_from_slice(&body[..half]);
                return (StatusCode::SERVICE_UNAVAILABLE, answer);
            }
            flaky.taken.extend_from_slice(&body);
        }
        if flaky.taken.len() == total {
            return (StatusCode::OK, answer);
        }
        if !flaky.taken.is_empty() {
            answer.insert("range", format!("bytes=0-{}", flaky.taken.len() - 1).parse().unwrap());
        }
        (StatusCode::PERMANENT_REDIRECT, answer)
    }

    #[tokio::test]
    async fn an_upload_goes_on_where_it_broke_off() {
        let flaky = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let session = format!("{url}/session");
        let begin = move || async move { ([("location", session)], json!({}).to_string()) };
        let router = Router::new()
            .route("/upload/storage/v1/b/flaky/o", any(begin))
            .route("/session", any(upload))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&flaky));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..20_000_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let (file, meta) = spooled(dir.path(), &content, 1);
        bucket(&url, "flaky").put(Source::File(&file), &meta).await.unwrap();
        let flaky = flaky.lock().unwrap();
        assert!(flaky.taken == content && flaky.n_parts >= 4);
    }
}
