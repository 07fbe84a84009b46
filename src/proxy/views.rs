//! Tasks as users see them: structures that are written as they are, for a JSON value of every member would cost more than
//! all else that a small request does.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::app::App;
use super::error::ApiResult;
use crate::subnet::consensus::Verdict;
use crate::subnet::task::{
    Hotkey, Input, Kind, Options, Output, ResponseId, Slot, SlotState, Task, TaskId, TaskState, seconds,
};

/// A task, with the text or the audio of its answer.
#[derive(Serialize)]
pub(crate) struct TaskView<'a> {
    id: &'a TaskId,
    kind: Kind,
    state: TaskState,
    reason: Option<&'a str>,
    version: u64,
    created_at_ms: i64,
    updated_at_ms: i64,
    deadline_ms: i64,
    priority: u8,
    redundancy: usize,
    options: &'a Options,
    input: &'a Input,
    metadata: &'a BTreeMap<String, String>,
    webhook_url: Option<&'a str>,
    progress: f64,
    partial: Option<&'a str>,
    queue_position: Option<usize>,
    slots: Vec<SlotView<'a>>,
    answer: Option<Answer<'a>>,
    verdict: Option<&'a Verdict>,
    /// For the operator alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<&'a str>,
}

#[derive(Serialize)]
struct SlotView<'a> {
    index: u8,
    state: SlotState,
    miner: Option<&'a Hotkey>,
    response_id: Option<&'a ResponseId>,
    progress: f64,
    latency_s: Option<f64>,
    attempts: u32,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Answer<'a> {
    response_id: &'a ResponseId,
    miner: Option<&'a Hotkey>,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Transcription { text: String },
    Synthesis { audio: Option<&'a Output> },
    Analysis {},
}

/// The task as its user sees it.
pub(crate) async fn task<'a>(app: &App, task: &'a Task) -> ApiResult<TaskView<'a>> {
    let answer = match &task.answer {
        Some(id) => Some(answer(app, task, id).await?),
        None => None,
    };
    Ok(TaskView {
        id: &task.id,
        kind: task.kind,
        state: task.state,
        reason: task.reason.as_deref(),
        version: task.version,
        created_at_ms: task.created_at_ms,
        updated_at_ms: task.updated_at_ms,
        deadline_ms: task.deadline_ms,
        priority: task.priority,
        redundancy: task.slots.len(),
        options: &task.options,
        input: &task.input,
        metadata: &task.metadata,
        webhook_url: task.webhook.as_ref().map(|webhook| webhook.url.as_str()),
        progress: task.progress(),
        partial: task.partial(),
        queue_position: app.store.board().queue_position(task),
        slots: task.slots.iter().map(slot).collect(),
        answer,
        verdict: task.verdict.as_ref(),
        owner: None,
    })
}

async fn answer<'a>(app: &App, task: &'a Task, id: &'a ResponseId) -> ApiResult<Answer<'a>> {
    let submission = task.submissions().find(|submission| &submission.response_id == id);
    let content = match task.kind {
        Kind::Transcription => {
            let text = app.store.records().response_text(id).await?.unwrap_or_default();
            Content::Transcription { text: text.trim().to_owned() }
        }
        Kind::Synthesis => Content::Synthesis { audio: submission.and_then(|s| s.output.as_ref()) },
        Kind::Analysis => Content::Analysis {},
    };
    Ok(Answer { response_id: id, miner: submission.map(|s| &s.miner), content })
}

/// What a `progress` event says.
pub(crate) fn progress(app: &App, task: &Task) -> Value {
    let queue_position = app.store.board().queue_position(task);
    json!({"progress": task.progress(), "partial": task.partial(), "queue_position": queue_position})
}

fn slot(slot: &Slot) -> SlotView<'_> {
    let lease = slot.lease.as_ref().filter(|_| slot.state == SlotState::Leased).map(|lease| &lease.miner);
    let submission = slot.submission.as_ref();
    SlotView {
        index: slot.index,
        state: slot.state,
        miner: submission.map(|s| &s.miner).or(lease),
        response_id: submission.map(|s| &s.response_id),
        progress: slot.progress,
        latency_s: submission.map(|s| seconds(s.latency_ms)),
        attempts: slot.attempts,
        reason: slot.reason.as_deref(),
    }
}
