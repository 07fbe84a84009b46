//! Deletes what is over: ended tasks with all that belongs to them, uploads, and blobs to which nothing refers any more.
//!
//! Every proxy of a store does it; to delete something twice is to delete it. A blob goes only after its own time, which
//! every upload of the same bytes renews, and only if neither a task nor an upload names it, now and some minutes ago.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;

use super::app::App;
use super::blobs::Meta;
use super::config::ms;
use super::error::ApiResult;
use super::{clock, notices, uploads};

/// How often it is looked for what is over.
const EVERY: Duration = Duration::from_mins(1);

/// Records that one transaction deletes at the most, and blobs that are looked at together.
const PAGE: usize = 100;

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Swept {
    pub(crate) tasks: usize,
    pub(crate) uploads: usize,
    pub(crate) blobs: usize,
}

/// Runs until the proxy ends.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match sweep(&app, clock::now_ms()).await {
            Ok(swept) if swept == Swept::default() => {}
            Ok(Swept { tasks, uploads, blobs }) => tracing::info!(tasks, uploads, blobs, "deleted what was over"),
            Err(error) => tracing::warn!(?error, "cannot delete what is over; trying again"),
        }
    }
}

/// Deletes all that is over by now.
pub(crate) async fn sweep(app: &App, now_ms: i64) -> ApiResult<Swept> {
    let mut swept = Swept::default();
    let before_ms = now_ms - ms(app.config.retention_s);
    while !app.shutdown.is_cancelled() {
        let expired = app.store.records().expired(before_ms, now_ms, PAGE).await?;
        if expired.len() == 0 {
            break;
        }
        swept.tasks += expired.tasks.len();
        swept.uploads += expired.uploads.len();
        app.store.records().erase(expired).await?;
    }
    while !app.shutdown.is_cancelled() {
        let n = uploads::sweep(app, now_ms, PAGE).await?;
        swept.uploads += n;
        if n < PAGE {
            break;
        }
    }
    notices::sweep(&app.store, now_ms, PAGE).await?;
    let (store, mut after) = (app.blobs.store(), String::new());
    while !app.shutdown.is_cancelled() {
        let page = store.list(&after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.sha256);
        for meta in page.iter().filter(|meta| meta.keep_until_ms < now_ms) {
            swept.blobs += usize::from(judge_blob(app, meta, now_ms).await?);
        }
    }
    counter!("violet_swept_total", "kind" => "task").increment(swept.tasks as u64);
    counter!("violet_swept_total", "kind" => "upload").increment(swept.uploads as u64);
    counter!("violet_swept_total", "kind" => "blob").increment(swept.blobs as u64);
    Ok(swept)
}

/// Condemns a blob past its time that nothing refers to, or deletes it if it was condemned before; whether it is gone.
///
/// In one step it could go under the eyes of a request that has read a record which names it, that is deleted now, and is
/// about to store another one.
async fn judge_blob(app: &App, meta: &Meta, now_ms: i64) -> ApiResult<bool> {
    let (store, is_condemned) = (app.blobs.store(), meta.is_condemned);
    if app.store.records().is_referenced(&meta.sha256).await? {
        if is_condemned {
            store.describe(meta, &Meta { is_condemned: false, ..meta.clone() }).await?;
        }
        return Ok(false);
    }
    if is_condemned {
        return Ok(store.delete(meta).await?);
    }
    app.blobs.condemn(&meta.sha256, now_ms).await?;
    Ok(false)
}
