//! Random histories, drawn with a fixed seed, that go the same ways in every store of blobs as in a map.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use sha2::{Digest, Sha256};

use super::conformance::read;
use super::{BlobStore, LocalBlobs, Meta, Source};

/// One step of a history; `is_stale` is of somebody who saw the blob as it is no more.
#[derive(Debug, Clone)]
enum Step {
    Put { content: u8, owner: u8 },
    Condemn { content: u8, is_stale: bool },
    Delete { content: u8, is_stale: bool },
    Read { content: u8, start: u64, len: u64 },
    List { after: u8, limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (content, is_stale) = (0..4u8, prop::bool::weighted(0.3));
    prop_oneof![
        4 => (content.clone(), 0..2u8).prop_map(|(content, owner)| Step::Put { content, owner }),
        2 => (content.clone(), is_stale).prop_map(|(content, is_stale)| Step::Condemn { content, is_stale }),
        2 => (content.clone(), is_stale).prop_map(|(content, is_stale)| Step::Delete { content, is_stale }),
        2 => (content.clone(), 0..30u64, 1..70u64).prop_map(|(content, start, len)| Step::Read { content, start, len }),
        1 => (content, 1..4usize).prop_map(|(after, limit)| Step::List { after, limit }),
    ]
}

/// What the n-th content is: bytes, and their name.
fn content(n: u8) -> (Vec<u8>, String) {
    let bytes: Vec<u8> = (0..40 + n).map(|at| at.wrapping_mul(n + 1)).collect();
    let name = hex::encode(Sha256::digest(&bytes));
    (bytes, name)
}

async fn same_as_a_map(store: &dyn BlobStore, dir: &Path, steps: &[Step]) {
    let mut map: BTreeMap<String, Meta> = BTreeMap::new();
    for (step, now_ms) in steps.iter().zip(1..) {
        // As it is, or as it was before anybody could have seen it.
        let seen = |name: &str, is_stale: bool| {
            let meta = map.get(name).cloned();
            meta.map(|meta| if is_stale { Meta { keep_until_ms: -1, ..meta } } else { meta })
        };
        match *step {
            Step::Put { content: n, owner } => {
                let (bytes, sha256) = content(n);
                let file = dir.join("spool");
                std::fs::write(&file, &bytes).unwrap();
                let meta = Meta {
                    sha256: sha256.clone(),
                    bytes: bytes.len() as u64,
                    media_type: "audio/wav".to_owned(),
                    name: (owner == 0).then(|| "a.wav".to_owned()),
                    owner: format!("owner {owner}"),
                    stored_at_ms: now_ms,
                    keep_until_ms: now_ms + 10,
                    is_condemned: false,
                };
                // Half of the contents are short ones.
                let source = if n % 2 == 0 { Source::File(&file) } else { Source::Bytes(bytes) };
                store.put(source, &meta).await.unwrap();
                map.insert(sha256, meta);
            }
            Step::Condemn { content: n, is_stale } => {
                let Some(seen) = seen(&content(n).1, is_stale) else { continue };
                let condemned = Meta { keep_until_ms: now_ms + 5, is_condemned: true, ..seen.clone() };
                assert_eq!(store.describe(&seen, &condemned).await.unwrap(), !is_stale, "{step:?}");
                if !is_stale {
                    map.insert(seen.sha256, condemned);
                }
            }
            Step::Delete { content: n, is_stale } => {
                let Some(seen) = seen(&content(n).1, is_stale) else { continue };
                assert_eq!(store.delete(&seen).await.unwrap(), !is_stale, "{step:?}");
                if !is_stale {
                    map.remove(&seen.sha256);
                }
            }
            Step::Read { content: n, start, len } => {
                let (bytes, sha256) = content(n);
                let expected = map.contains_key(&sha256).then(|| {
                    let from = usize::try_from(start).unwrap();
                    let to = usize::try_from(start + len).unwrap().min(bytes.len());
                    bytes[from..to].to_vec()
                });
                assert_eq!(read(store, &sha256, start, len).await, expected, "{step:?}");
            }
            Step::List { after, limit } => {
                let after = content(after).1;
                let behind = map.values().filter(|meta| meta.sha256 > after).take(limit).cloned();
                assert_eq!(store.list(&after, limit).await.unwrap(), behind.collect::<Vec<_>>(), "{step:?}");
            }
        }
    }
    assert_eq!(store.list("", 100).await.unwrap(), map.values().cloned().collect::<Vec<_>>());
    for n in 0..4 {
        let (bytes, sha256) = content(n);
        assert_eq!(store.meta(&sha256).await.unwrap().as_ref(), map.get(&sha256));
        let whole = read(store, &sha256, 0, bytes.len() as u64).await;
        assert_eq!(whole, map.contains_key(&sha256).then_some(bytes));
    }
}

/// Runs the same histories against stores that `open` makes.
fn histories(n: u32, open: impl FnMut() -> Arc<dyn BlobStore>) {
    let (open, dir) = (RefCell::new(open), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: n, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let run = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        let _entered = runtime.enter();
        let store = (open.borrow_mut())();
        runtime.block_on(same_as_a_map(store.as_ref(), dir.path(), &steps));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn local_files_go_the_ways_of_a_map() {
    let (dir, mut n) = (tempfile::tempdir().unwrap(), 0);
    histories(48, || {
        n += 1;
        Arc::new(LocalBlobs::open(&dir.path().join(n.to_string())).unwrap())
    });
}

#[cfg(feature = "firebase")]
#[test]
fn a_bucket_goes_the_ways_of_a_map() {
    use super::conformance::bucket::bucket;
    use crate::proxy::tests::emulators;

    let Some(url) = emulators::storage() else { return };
    let mut n = 0;
    histories(8, || {
        n += 1;
        let name = format!("history-{n}");
        emulators::make_bucket(url, &name);
        Arc::new(bucket(url, &name))
    });
}
