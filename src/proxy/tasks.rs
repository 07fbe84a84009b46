//! Making tasks, and waiting for what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::app::App;
use super::error::{ApiError, ApiResult};
use super::inputs::Probed;
use super::options::TaskOptions;
use super::store::{self, Expired, IdempotencyKey, Room};
use super::{clock, fault, webhooks};
use crate::subnet::task::{NewTask, Task, TaskId, TaskState};

/// Time in which an answer is due unless the user says otherwise, seconds.
const DEFAULT_DEADLINE_S: u32 = 600;

/// Tasks about the same input among which it is looked for one that will do.
const LOOKED_BACK: usize = 32;

/// Makes a task; with a key that this owner used for the same request before, the task of then. The flag says whether it
/// is new.
pub(crate) async fn create(
    app: &App,
    owner: String,
    options: TaskOptions,
    probed: Probed,
    key: Option<String>,
) -> ApiResult<(Arc<Task>, bool)> {
    let (kind, wanted) = (options.kind()?, options.checked()?);
    let now_ms = clock::now_ms();
    if let Some(voice) = &wanted.voice {
        check_voice(app, voice, now_ms)?;
    }
    let key = key.map(|key| {
        let body = serde_json::json!({"options": options, "sha256": probed.stored.sha256});
        IdempotencyKey { owner: owner.clone(), key, body_sha256: hex::encode(Sha256::digest(body.to_string())) }
    });
    let addresses = app.config.webhook_addresses;
    let webhook = webhooks::wanted(options.webhook_url.as_deref(), options.webhook_secret.as_deref(), addresses)?;
    let mut task = Task::new(
        NewTask {
            id: new_id(now_ms),
            owner,
            kind,
            options: wanted,
            input: probed.into_input(kind)?,
            metadata: options.metadata,
            priority: options.priority.unwrap_or(5),
            redundancy: options.redundancy.unwrap_or(app.config.redundancy),
            deadline_ms: now_ms + i64::from(options.deadline_s.unwrap_or(DEFAULT_DEADLINE_S)) * 1_000,
        },
        now_ms,
    );
    task.webhook = webhook;
    if let Some(key) = &key
        && let Some(earlier) = earlier(app, key).await?
    {
        return Ok((earlier, false));
    }
    if options.reuse == Some(true)
        && let Some(earlier) = same_work(app, &task).await?
    {
        return Ok((earlier, false));
    }
    stored(app, task, key).await
}

/// Stores a new task, unless the same request came at the same time and was first: then the task of that.
async fn stored(app: &App, task: Task, key: Option<IdempotencyKey>) -> ApiResult<(Arc<Task>, bool)> {
    fault::point("before_insert");
    let owner = task.owner.clone();
    match (app.store.create(task, key.clone(), room(app)).await, &key) {
        (Ok(Some(task)), _) => Ok((task, true)),
        (Ok(None), _) => Err(queue_full(app, &owner)),
        // The same request came twice at the same time; the other was first.
        (Err(store::Error::Exists(_)), Some(key)) => {
            let earlier = earlier(app, key).await?;
            Ok((earlier.ok_or_else(|| ApiError::internal("a key is there and is not"))?, false))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// The newest task of the same owner that has an answer to the same work: nobody gets what was done for another.
async fn same_work(app: &App, task: &Task) -> ApiResult<Option<Arc<Task>>> {
    let earlier = app.store.records().tasks_about(&task.owner, &task.input.sha256, LOOKED_BACK).await?;
    let is_same = |earlier: &Task| {
        matches!(earlier.state, TaskState::Answered | TaskState::Verified)
            && (earlier.kind, &earlier.options) == (task.kind, &task.options)
    };
    Ok(earlier.into_iter().find(is_same).map(Arc::new))
}

/// Refuses before an upload what would be refused after it.
pub(crate) fn refuse_if_full(app: &App, owner: &str) -> ApiResult<()> {
    let (board, room) = (app.store.board(), room(app));
    if board.len() >= room.all || board.open_of(owner) >= room.of_owner { Err(queue_full(app, owner)) } else { Ok(()) }
}

/// How many tasks may be open. Those of everybody who has no key are nobody's in particular.
fn room(app: &App) -> Room {
    let all = app.config.max_open_tasks as usize;
    let of_owner = app.config.open_tasks_per_key as usize;
    Room { all, of_owner: if app.operator.said().keys.is_some() { of_owner } else { all } }
}

/// Waits until `is_done` says so or `wait` is over; returns the task as it is then.
pub(crate) async fn wait(
    app: &App,
    id: &TaskId,
    wait: Duration,
    is_done: impl Fn(&Task) -> bool,
) -> ApiResult<Arc<Task>> {
    let until = tokio::time::Instant::now() + wait;
    let mut changes = app.hub.subscribe(id);
    loop {
        let task = app.task(id).await?;
        if is_done(&task) {
            return Ok(task);
        }
        tokio::select! {
            _ = changes.next() => {}
            () = tokio::time::sleep_until(until) => return Ok(task),
            () = app.shutdown.cancelled() => return Ok(task),
        }
    }
}

/// Makes a new task of one that ended: the same work on the same input, with as much time. With a key that this owner used
/// for the same before, the task of then. The flag says whether it is new.
pub(crate) async fn retry(app: &App, ended: &Task, key: Option<String>) -> ApiResult<(Arc<Task>, bool)> {
    let body_sha256 = hex::encode(Sha256::digest(format!("retry {}", ended.id)));
    let key = key.map(|key| IdempotencyKey { owner: ended.owner.clone(), key, body_sha256 });
    if let Some(key) = &key
        && let Some(earlier) = earlier(app, key).await?
    {
        return Ok((earlier, false));
    }
    if !ended.state.is_final() {
        let message = format!("the task is {}; it can be retried once it ended", ended.state.as_str());
        return Err(ApiError::conflict("task_open", message));
    }
    let now_ms = clock::now_ms();
    let mut task = Task::new(
        NewTask {
            id: new_id(now_ms),
            owner: ended.owner.clone(),
            kind: ended.kind,
            options: ended.options.clone(),
            input: ended.input.clone(),
            metadata: ended.metadata.clone(),
            priority: ended.priority,
            redundancy: u8::try_from(ended.slots.len()).unwrap_or(u8::MAX),
            deadline_ms: now_ms + ended.deadline_ms - ended.created_at_ms,
        },
        now_ms,
    );
    task.webhook.clone_from(&ended.webhook);
    stored(app, task, key).await
}

/// Ends a task for its user.
pub(crate) async fn cancel(app: &App, id: &TaskId) -> ApiResult<Arc<Task>> {
    let cancelled = app.change(id, |task, _| {
        task.cancel(clock::now_ms()).map_err(|refusal| ApiError::conflict("task_ended", refusal.to_string()))
    });
    Ok(cancelled.await?.0)
}

/// Erases a task with all that belongs to it, the uploads and bytes that it was made of, and what miners heard instead of
/// them; an open one ends first.
///
/// The records are gone when this returns. The bytes are condemned, unless another task or another user has the same: the
/// sweep deletes them some minutes later.
pub(crate) async fn erase(app: &App, task: &Task) -> ApiResult<()> {
    let ended = app.change(&task.id, |task, _| {
        // It may have ended by itself meanwhile, which is as good.
        Ok::<_, ApiError>(task.state.is_final() || task.cancel(clock::now_ms()).is_ok())
    });
    let (task, _) = ended.await?;
    fault::point("before_erase");
    let records = app.store.records();
    let uploads = records.uploads_of(&task.owner, &task.input.sha256).await?;
    app.store.erase(Expired { tasks: vec![task.id.clone()], uploads, ..Expired::default() }).await?;
    fault::point("after_erase");
    for sha256 in task.blobs().chain(task.variants.iter().map(String::as_str)) {
        if !records.is_referenced(sha256).await? {
            app.blobs.condemn(sha256, clock::now_ms()).await?;
        }
    }
    Ok(())
}

/// A name for a task that is made now; names are in the order of their times.
fn new_id(now_ms: i64) -> TaskId {
    TaskId::from(format!("task_{}", ulid_at(now_ms, rand::random())))
}

/// Before the names of all tasks that are made from then on, and behind those of all that were made before.
pub(crate) fn first_id_of(at_ms: i64) -> String {
    format!("task_{}", ulid_at(at_ms, 0))
}

fn ulid_at(at_ms: i64, random: u128) -> String {
    ulid::Ulid::from_parts(u64::try_from(at_ms).unwrap_or_default(), random).to_string().to_ascii_lowercase()
}

async fn earlier(app: &App, key: &IdempotencyKey) -> ApiResult<Option<Arc<Task>>> {
    let Some((body_sha256, id)) = app.store.records().key(&key.owner, &key.key).await? else { return Ok(None) };
    let refused = |message: &str| Err(ApiError::invalid("idempotency_mismatch", message).at("idempotency-key"));
    if body_sha256 != key.body_sha256 {
        return refused("this Idempotency-Key was used for another request; use a new key");
    }
    match app.store.task(&id).await? {
        Some(task) => Ok(Some(task)),
        None => refused("the task of this Idempotency-Key was deleted; use a new key"),
    }
}

/// Refuses a voice that no miner here has; while none is here that speaks, nobody knows.
fn check_voice(app: &App, voice: &str, now_ms: i64) -> ApiResult<()> {
    match app.presence.voices(now_ms) {
        Some(known) if !known.contains(voice) => {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("voice is {voice:.64}; the miners here have: {known}");
            Err(ApiError::invalid("unknown_voice", message).at("voice"))
        }
        _ => Ok(()),
    }
}

fn queue_full(app: &App, owner: &str) -> ApiError {
    let (room, n_own) = (room(app), app.store.board().open_of(owner));
    if n_own >= room.of_owner && room.of_owner < room.all {
        let message =
            format!("{n_own} tasks of this key are open, the most that this proxy takes; wait for some to end");
        return ApiError::busy("too_many_open_tasks", message);
    }
    let max_open = room.all;
    ApiError::busy("queue_full", format!("{max_open} tasks are open, the limit of this proxy; try again later"))
}
