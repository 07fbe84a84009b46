//! Tasks as users see them.

use serde_json::{Value, json};

use super::app::App;
use super::error::ApiResult;
use crate::subnet::consensus::Verdict;
use crate::subnet::task::{Kind, Slot, SlotState, Task, seconds};

/// The task, with the text or the audio of its answer.
pub(crate) async fn task(app: &App, task: &Task) -> ApiResult<Value> {
    let mut view = json!({
        "id": task.id, "kind": task.kind, "state": task.state, "reason": task.reason, "version": task.version,
        "created_at_ms": task.created_at_ms, "updated_at_ms": task.updated_at_ms, "deadline_ms": task.deadline_ms,
        "priority": task.priority, "redundancy": task.slots.len(), "options": task.options, "input": task.input, "metadata": task.metadata,
        "webhook_url": task.webhook.as_ref().map(|webhook| &webhook.url),
        "progress": task.progress(), "partial": task.partial(), "queue_position": app.store.board().queue_position(task),
        "slots": task.slots.iter().map(slot).collect::<Vec<_>>(),
        "answer": null, "verdict": task.verdict.as_ref().map(verdict),
    });
    if let Some(id) = &task.answer {
        let submission = task.submissions().find(|submission| &submission.response_id == id);
        view["answer"] = json!({"response_id": id, "miner": submission.map(|s| &s.miner)});
        match task.kind {
            Kind::Transcription => {
                let text = app.store.records().response_text(id).await?;
                view["answer"]["text"] = Value::from(text.unwrap_or_default().trim());
            }
            Kind::Synthesis => view["answer"]["audio"] = json!(submission.and_then(|s| s.output.as_ref())),
            Kind::Analysis => {}
        }
    }
    Ok(view)
}

/// What a `progress` event says.
pub(crate) fn progress(app: &App, task: &Task) -> Value {
    let queue_position = app.store.board().queue_position(task);
    json!({"progress": task.progress(), "partial": task.partial(), "queue_position": queue_position})
}

/// A verdict.
pub(crate) fn verdict(verdict: &Verdict) -> Value {
    json!({
        "quorum": verdict.quorum, "scores": verdict.scores, "best": verdict.best, "evaluations": verdict.evaluations,
    })
}

fn slot(slot: &Slot) -> Value {
    let lease = slot.lease.as_ref().filter(|_| slot.state == SlotState::Leased).map(|lease| &lease.miner);
    let submission = slot.submission.as_ref();
    json!({
        "index": slot.index, "state": slot.state, "miner": submission.map(|s| &s.miner).or(lease),
        "response_id": submission.map(|s| &s.response_id), "progress": slot.progress,
        "latency_s": submission.map(|s| seconds(s.latency_ms)), "attempts": slot.attempts, "reason": slot.reason,
    })
}
