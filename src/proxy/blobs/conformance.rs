//! What every blob store must do; each store's own tests run it.

use std::path::Path;

use futures::TryStreamExt;
use sha2::{Digest, Sha256};

use super::{BlobStore, LocalBlobs, Meta};

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
    };
    (file, meta)
}

async fn read(store: &dyn BlobStore, sha256: &str, start: u64, len: u64) -> Option<Vec<u8>> {
    let stream = store.read(sha256, start, len).await.unwrap()?;
    Some(stream.try_fold(Vec::new(), async |mut all, part| { all.extend_from_slice(&part); Ok(all) }).await.unwrap())
}

/// The suite; the store is empty.
pub(crate) async fn conforms(store: &dyn BlobStore) {
    let dir = tempfile::tempdir().unwrap();
    // Larger than any chunk of any store.
    let large: Vec<u8> = (0..700_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let contents: [&[u8]; 3] = [b"", b"hello", &large];
    let mut metas = Vec::new();
    for (n, content) in contents.iter().enumerate() {
        let (file, meta) = spooled(dir.path(), content, i64::try_from(n).unwrap());
        assert_eq!(store.meta(&meta.sha256).await.unwrap(), None, "not there yet");
        assert!(store.read(&meta.sha256, 0, 1).await.unwrap().is_none());
        store.put(&file, &meta).await.unwrap();
        assert_eq!(store.meta(&meta.sha256).await.unwrap().as_ref(), Some(&meta));
        metas.push(meta);
    }
    let [empty, hello, big] = &metas[..] else { unreachable!() };
    assert_eq!(read(store, &hello.sha256, 0, 5).await.unwrap(), b"hello");
    assert_eq!(read(store, &hello.sha256, 1, 3).await.unwrap(), b"ell");
    assert_eq!(read(store, &big.sha256, 0, big.bytes).await.unwrap(), large);
    assert_eq!(read(store, &big.sha256, 299_999, 300_001).await.unwrap(), large[299_999..600_000]);
    assert_eq!(read(store, &empty.sha256, 0, 0).await.unwrap(), b"");

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
    store.put(&file, &renewed).await.unwrap();
    assert_eq!(store.meta(&hello.sha256).await.unwrap().unwrap().keep_until_ms, 60);
    assert!(!store.delete(hello).await.unwrap(), "it was renewed");
    assert_eq!(read(store, &hello.sha256, 0, 5).await.unwrap(), b"hello");
    assert!(store.delete(&renewed).await.unwrap());
    assert!(!store.delete(&renewed).await.unwrap(), "it is gone");
    assert!(read(store, &hello.sha256, 0, 5).await.is_none());
    assert_eq!(store.list("", 10).await.unwrap().len(), 2);
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
