//! A transcription as it goes: `transcript.text.delta` events, and `transcript.text.done` with the whole text.

use std::sync::Arc;

use axum::response::Response;
use serde_json::json;
use tracing::Instrument;

use super::transcriptions::Usage;
use super::{CancelOnDrop, Events, LOOK, event_stream};
use crate::proxy::app::App;
use crate::proxy::error::ApiResult;
use crate::proxy::routes::results::answer;
use crate::subnet::task::{MAX_PARTIAL_BYTES, Task, TaskId};
use crate::text::transcript::Transcript;

/// The events of a task until its first answer.
pub(super) fn stream(app: Arc<App>, task: &Task) -> Response {
    let (events, response) = event_stream(&app);
    let (id, deadline_ms) = (task.id.clone(), task.deadline_ms);
    let feeding = async move {
        let mut guard = CancelOnDrop::new(&app, &id);
        tokio::select! {
            fed = feed(&app, &id, deadline_ms, &events, &mut guard) => if let Err(error) = fed {
                events.fail(error).await;
            },
            // The guard ends the task: nobody reads its text.
            () = events.0.closed() => {}
        }
    };
    tokio::spawn(feeding.in_current_span());
    response
}

async fn feed(app: &App, id: &TaskId, deadline_ms: i64, events: &Events, guard: &mut CancelOnDrop) -> ApiResult<()> {
    let mut changes = app.hub.subscribe(id);
    let mut told = Told::default();
    let delta = |text: &str| json!({"type": "transcript.text.delta", "delta": text});
    loop {
        let task = app.task(id).await?;
        if let Some(more) = told.more_of(&task)
            && events.send(&delta(&more)).await.is_err()
        {
            return Ok(());
        }
        if let Some(task) = guard.settled(app, task, deadline_ms)? {
            let transcript = Transcript::from_json(&answer(app, &task).await?.result)?;
            let text = transcript.text.trim();
            if let Some(rest) = text.strip_prefix(told.text.as_str()).filter(|rest| !rest.is_empty())
                && events.send(&delta(rest)).await.is_err()
            {
                return Ok(());
            }
            let done = json!({"type": "transcript.text.done", "text": text, "usage": Usage::of(&transcript)});
            // The last word: whoever left meanwhile needs no more.
            let _ = events.send(&done).await;
            return Ok(());
        }
        tokio::select! {
            _ = changes.next() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = app.shutdown.cancelled() => {}
        }
    }
}

/// What the reader was told of one miner's text; nothing is taken back.
#[derive(Default)]
struct Told {
    slot: Option<u8>,
    text: String,
}

impl Told {
    /// What a miner's text has more than was told; always of the same miner, for two never write the same.
    fn more_of(&mut self, task: &Task) -> Option<String> {
        let mut slots = task.slots.iter().filter(|slot| self.slot.is_none_or(|known| slot.index == known));
        let (slot, partial) = slots.find_map(|slot| Some((slot.index, slot.partial.as_deref()?.trim())))?;
        // Of a longer text only the end is kept: the answer brings the rest.
        let more = partial.strip_prefix(self.text.as_str()).filter(|_| partial.len() < MAX_PARTIAL_BYTES - 4)?;
        if more.is_empty() {
            return None;
        }
        let more = more.to_owned();
        self.slot = Some(slot);
        self.text.push_str(&more);
        Some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnet::task::NewTask;

    fn task(partials: [Option<&str>; 2]) -> Task {
        let new = NewTask { redundancy: 2, ..NewTask::sample("t", 0) };
        let mut task = Task::new(new, 0);
        for (slot, partial) in task.slots.iter_mut().zip(partials) {
            slot.partial = partial.map(str::to_owned);
        }
        task
    }

    #[test]
    fn the_text_of_one_miner_is_told_once_and_never_taken_back() {
        let mut told = Told::default();
        let mut tell = |first, second| told.more_of(&task([first, second])).unwrap_or_default();
        assert_eq!(tell(None, None), "");
        assert_eq!(tell(None, Some(" And so,")), "And so,");
        assert_eq!(tell(Some("And now, my"), Some(" And so,")), "", "another miner's words do not continue these");
        assert_eq!(tell(None, Some(" And so, my fellow")), " my fellow");
        assert_eq!(tell(None, Some(" And thus, my fellow men")), "", "a second thought waits for the answer");
    }

    #[test]
    fn of_a_long_text_the_beginning_is_told() {
        let mut told = Told::default();
        assert_eq!(told.more_of(&task([Some("a b"), None])).as_deref(), Some("a b"));
        let long = format!("a b{}", "c".repeat(MAX_PARTIAL_BYTES));
        assert_eq!(told.more_of(&task([Some(&long), None])), None, "what is kept of it may not be its beginning");
    }
}
