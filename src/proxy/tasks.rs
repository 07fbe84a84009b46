//! Making tasks: the user's options, the input's header, and waiting for what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::app::App;
use super::blobs::{self, About, Incoming, Stored};
use super::error::{ApiError, ApiResult};
use super::store::{self, IdempotencyKey};
use super::{clock, fault};
use crate::audio;
use crate::subnet::task::{Input, Kind, NewTask, Options, Task, TaskId};

/// Time in which an answer is due unless the user says otherwise, seconds.
const DEFAULT_DEADLINE_S: u32 = 600;

/// Longest prompt, characters: Whisper reads the last 224 tokens of it.
const MAX_PROMPT_CHARS: usize = 4_000;

/// What a user may say about a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskOptions {
    pub(crate) kind: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) temperature: Option<f64>,
    pub(crate) priority: Option<u8>,
    pub(crate) redundancy: Option<u8>,
    pub(crate) deadline_s: Option<u32>,
}

impl TaskOptions {
    /// Sets one option from a text field; an empty one is as good as none.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> ApiResult<()> {
        if text.is_empty() {
            return Ok(());
        }
        match name {
            "kind" => self.kind = Some(text.to_owned()),
            "language" => self.language = Some(text.to_owned()),
            "prompt" => self.prompt = Some(text.to_owned()),
            "temperature" => self.temperature = Some(number("temperature", text, "a number from 0 to 1")?),
            "priority" => self.priority = Some(number("priority", text, "a whole number from 0 to 9")?),
            "redundancy" => self.redundancy = Some(number("redundancy", text, "a whole number from 1 to 8")?),
            "deadline_s" => self.deadline_s = Some(number("deadline_s", text, "a whole number from 10 to 3600")?),
            _ => return Err(ApiError::invalid("unknown_field", format!("field {name:.40} is not known here"))),
        }
        Ok(())
    }

    /// Refuses values out of range.
    fn check(&self) -> ApiResult<()> {
        let refuse = |param, message: String| Err(ApiError::invalid("invalid_value", message).at(param));
        if let Some(kind) = self.kind.as_deref().filter(|kind| *kind != "transcription") {
            return refuse("kind", format!("kind is {kind:.40}; expected transcription"));
        }
        let is_code =
            |code: &str| (2..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if let Some(language) = self.language.as_deref().filter(|language| !is_code(language)) {
            return refuse("language", format!("language is {language:.40}; expected a code such as en"));
        }
        if self.prompt.as_ref().is_some_and(|prompt| prompt.chars().count() > MAX_PROMPT_CHARS) {
            return refuse("prompt", format!("prompt has more than {MAX_PROMPT_CHARS} characters"));
        }
        if let Some(temperature) = self.temperature.filter(|t| !(0.0..=1.0).contains(t)) {
            return refuse("temperature", format!("temperature is {temperature}; expected 0 to 1"));
        }
        if let Some(priority) = self.priority.filter(|&priority| priority > 9) {
            return refuse("priority", format!("priority is {priority}; expected 0 to 9"));
        }
        if let Some(redundancy) = self.redundancy.filter(|n| !(1..=8).contains(n)) {
            return refuse("redundancy", format!("redundancy is {redundancy}; expected 1 to 8"));
        }
        if let Some(deadline_s) = self.deadline_s.filter(|s| !(10..=3600).contains(s)) {
            return refuse("deadline_s", format!("deadline_s is {deadline_s}; expected 10 to 3600"));
        }
        Ok(())
    }
}

/// An input that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    pub(crate) stored: Stored,
    pub(crate) name: Option<String>,
    pub(crate) audio: audio::Info,
}

/// Looks at an input's header and keeps it if it is audio.
pub(crate) async fn probe(app: &App, owner: &str, mut incoming: Incoming, name: Option<String>) -> ApiResult<Probed> {
    if incoming.n_bytes() == 0 {
        return Err(ApiError::malformed("empty_file", "file is empty; send the bytes of an audio file").at("file"));
    }
    incoming.flush().await?;
    let limits = audio::Limits {
        max_duration_s: app.config.max_duration_s,
        max_bytes: app.config.max_upload_bytes,
        ..audio::Limits::default()
    };
    let (path, label) = (incoming.path().to_owned(), name.clone().unwrap_or_else(|| "file".to_owned()));
    let audio = app.on_cpu(move || {
        let file = std::fs::File::open(&path).map_err(|source| crate::Error::Io { path, source })?;
        audio::probe_reader(file, &label, &limits)
    });
    let audio = audio.await??;
    if audio.duration_s.is_some_and(|duration_s| duration_s <= 0.0) {
        return Err(ApiError::malformed("no_audio", "file holds audio of zero length; send some sound").at("file"));
    }
    let media_type = blobs::media_type(&audio.container).to_owned();
    let about = About { owner: owner.to_owned(), name: name.clone(), media_type };
    let stored = app.blobs.keep(incoming, about).await?;
    Ok(Probed { stored, name, audio })
}

/// Makes a task; with a key that this owner used for the same request before, the task of then. The flag says whether it
/// is new.
pub(crate) async fn create(
    app: &App,
    owner: String,
    options: TaskOptions,
    probed: Probed,
    key: Option<String>,
) -> ApiResult<(Arc<Task>, bool)> {
    options.check()?;
    let now_ms = clock::now_ms();
    let body = serde_json::json!({"options": options, "sha256": probed.stored.sha256});
    let body_sha256 = hex::encode(Sha256::digest(body.to_string()));
    let key = key.map(|key| IdempotencyKey { owner: owner.clone(), key, body_sha256 });
    let task = Task::new(
        NewTask {
            id: TaskId::from(format!("task_{}", ulid::Ulid::new().to_string().to_ascii_lowercase())),
            owner,
            kind: Kind::Transcription,
            options: Options {
                language: options.language,
                prompt: options.prompt,
                temperature: options.temperature.unwrap_or(0.0),
            },
            input: Input {
                sha256: probed.stored.sha256,
                bytes: probed.stored.bytes,
                duration_s: probed.audio.duration_s,
                name: probed.name,
            },
            priority: options.priority.unwrap_or(5),
            redundancy: options.redundancy.unwrap_or(app.config.redundancy),
            deadline_ms: now_ms + i64::from(options.deadline_s.unwrap_or(DEFAULT_DEADLINE_S)) * 1_000,
        },
        now_ms,
    );
    if let Some(key) = &key
        && let Some(earlier) = earlier(app, key).await?
    {
        return Ok((earlier, false));
    }
    fault::point("before_insert");
    let max_open = app.config.max_open_tasks as usize;
    match (app.store.create(task, key.clone(), max_open).await, &key) {
        (Ok(Some(task)), _) => Ok((task, true)),
        (Ok(None), _) => Err(queue_full(max_open)),
        // The same request came twice at the same time; the other was first.
        (Err(store::Error::Exists(_)), Some(key)) => {
            let earlier = earlier(app, key).await?;
            Ok((earlier.ok_or_else(|| ApiError::internal("a key is there and is not"))?, false))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Refuses before an upload what would be refused after it.
pub(crate) fn refuse_if_full(app: &App) -> ApiResult<()> {
    let max_open = app.config.max_open_tasks as usize;
    if app.store.board().len() >= max_open { Err(queue_full(max_open)) } else { Ok(()) }
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

/// Ends a task for its user.
pub(crate) async fn cancel(app: &App, id: &TaskId) -> ApiResult<Arc<Task>> {
    let cancelled = app.change(id, |task, _| {
        task.cancel(clock::now_ms()).map_err(|refusal| ApiError::conflict("task_ended", refusal.to_string()))
    });
    Ok(cancelled.await?.0)
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

fn queue_full(max_open: usize) -> ApiError {
    ApiError::busy("queue_full", format!("{max_open} tasks are open, the limit of this proxy; try again later"))
}

fn number<T: std::str::FromStr>(name: &'static str, text: &str, expected: &str) -> ApiResult<T> {
    text.trim()
        .parse()
        .map_err(|_| ApiError::invalid("invalid_value", format!("{name} is {text:.40}; expected {expected}")).at(name))
}
