//! `/v1/tasks/{id}/events`: a task as it goes, for whoever watches.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::Instrument;

use super::tasks::owned;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::Name;
use crate::proxy::views;
use crate::subnet::task::{TaskId, TaskState};

/// Events that a slow reader may be behind before the feed waits for it.
const EVENT_BUFFER: usize = 16;

/// How often a waiting task's place in the queue is looked at.
const QUEUE_LOOK: Duration = Duration::from_secs(1);

/// Stored events that are read at a time.
const EVENT_PAGE: usize = 64;

/// Server-sent events of the task until it ended.
pub(super) async fn watch(
    State(app): State<Arc<App>>,
    Name(id): Name,
    headers: HeaderMap,
) -> ApiResult<impl IntoResponse> {
    let task = owned(&app, &headers, id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let last = last.unwrap_or_else(|| task.last_event.saturating_sub(1));
    let (sender, receiver) = mpsc::channel(EVENT_BUFFER);
    let keep_alive = keep_alive(&app);
    tokio::spawn(feed(app, task.id.clone(), last, sender).in_current_span());
    let stream = ReceiverStream::new(receiver);
    Ok((
        [(header::CACHE_CONTROL, "no-cache"), (HeaderName::from_static("x-accel-buffering"), "no")],
        Sse::new(stream).keep_alive(keep_alive),
    ))
}

/// Comments that keep a stream open which has nothing to say.
pub(super) fn keep_alive(app: &App) -> KeepAlive {
    KeepAlive::new().interval(Duration::from_secs_f64(app.config.event_heartbeat_s))
}

type Sender = mpsc::Sender<Result<Event, Infallible>>;

/// Sends events until the task ended, the reader left or the proxy ends.
async fn feed(app: Arc<App>, id: TaskId, mut last: u64, sender: Sender) {
    let mut changes = app.hub.subscribe(&id);
    let mut look = tokio::time::interval(QUEUE_LOOK);
    loop {
        match send_states(&app, &id, &mut last, &sender).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(task = %id, ?error, "an event stream broke off");
                return;
            }
        }
        let mut position = app.store.board().get(&id).and_then(|task| app.store.board().queue_position(&task));
        // Inner loop: everything that is not a new state.
        loop {
            let task = tokio::select! {
                () = app.shutdown.cancelled() => return,
                () = sender.closed() => return,
                change = changes.next() => match change {
                    Some(change) if !change.has_event => change.task,
                    _ => break,
                },
                _ = look.tick() => match app.store.board().get(&id) {
                    Some(task) if task.state == TaskState::Queued => {
                        if app.store.board().queue_position(&task) == position {
                            continue;
                        }
                        task
                    }
                    _ => continue,
                },
            };
            position = app.store.board().queue_position(&task);
            let Ok(event) = Event::default().event("progress").json_data(views::progress(&app, &task)) else { return };
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
        }
    }
}

/// Sends the stored events after `last`; false when the stream is to end.
async fn send_states(app: &App, id: &TaskId, last: &mut u64, sender: &Sender) -> ApiResult<bool> {
    loop {
        let then = app.store.records().events(id, *last, EVENT_PAGE).await?;
        if then.is_empty() {
            // Resumed behind the last event of a task that ended.
            return Ok(!app.task(id).await?.state.is_final());
        }
        for task in then {
            *last = task.last_event;
            let view = views::task(app, &task).await?;
            let event = Event::default().event("state").id(task.last_event.to_string());
            let event = event.json_data(view).map_err(ApiError::internal)?;
            if sender.send(Ok(event)).await.is_err() || task.state.is_final() {
                return Ok(false);
            }
        }
    }
}
