//! OpenAI's routes over the native ones; its official client is their conformance test.

mod models;
mod speech;
mod transcript_stream;
mod transcriptions;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::Instrument;

pub(super) use models::{model, models, voices};
pub(super) use speech::speak;
pub(super) use transcriptions::{transcribe, translate};

use super::events::keep_alive;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::{clock, tasks as work};
use crate::subnet::task::{Task, TaskId};

/// How often a waiting request looks at its task even if nothing woke it.
const LOOK: Duration = Duration::from_secs(30);

/// Events that a slow reader may be behind before the feed waits for it.
const EVENT_BUFFER: usize = 16;

/// Waits for the first answer; ends the task if the client goes away before.
async fn first_answer(app: &Arc<App>, id: &TaskId, deadline_ms: i64) -> ApiResult<Arc<Task>> {
    let mut guard = CancelOnDrop::new(app, id);
    loop {
        let task = work::wait(app, id, LOOK, |task| task.answer.is_some() || task.state.is_final()).await?;
        if let Some(done) = guard.settled(app, task, deadline_ms)? {
            return Ok(done);
        }
    }
}

/// Ends a task whose client went away: nobody would read the answer.
struct CancelOnDrop {
    app: Arc<App>,
    id: Option<TaskId>,
}

impl CancelOnDrop {
    fn new(app: &Arc<App>, id: &TaskId) -> Self {
        Self { app: Arc::clone(app), id: Some(id.clone()) }
    }

    /// The task if it has an answer, `None` while one may come; why none will, else.
    fn settled(&mut self, app: &App, task: Arc<Task>, deadline_ms: i64) -> ApiResult<Option<Arc<Task>>> {
        let id = &task.id;
        if task.answer.is_some() {
            self.id = None;
            return Ok(Some(task));
        }
        if task.state.is_final() {
            self.id = None;
            let reason = task.reason.as_deref().unwrap_or("it was cancelled");
            return Err(ApiError::unavailable("task_failed", format!("the task {id} failed: {reason}")));
        }
        if app.shutdown.is_cancelled() {
            // The task lives on and is taken up at the next start; only this client has to ask again.
            self.id = None;
            let message = format!("the proxy is shutting down; the task {id} goes on");
            return Err(ApiError::unavailable("shutting_down", message));
        }
        if clock::now_ms() > deadline_ms + 60_000 {
            return Err(ApiError::internal(format!("{id} is open past its deadline")));
        }
        Ok(None)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let app = Arc::clone(&self.app);
            let cancel = async move {
                if let Err(error) = work::cancel(&app, &id).await {
                    tracing::debug!(task = %id, ?error, "a task that nobody waits for could not be cancelled");
                }
            };
            tokio::spawn(cancel.in_current_span());
        }
    }
}

/// Takes the events of a stream; an error when the reader is gone.
struct Events(mpsc::Sender<Result<Event, Infallible>>);

impl Events {
    /// Sends an event whose data is `value`, as OpenAI does: the type is in the data.
    async fn send(&self, value: &Value) -> Result<(), ()> {
        let event = Event::default().json_data(value).map_err(|_| ())?;
        self.0.send(Ok(event)).await.map_err(|_| ())
    }

    /// Sends what went wrong; OpenAI's clients raise it.
    async fn fail(&self, error: ApiError) {
        // Nobody to tell is no further error.
        let _ = self.send(&error.body()).await;
    }
}

/// A stream of server-sent events, and where they are put in.
fn event_stream(app: &App) -> (Events, Response) {
    let (sender, receiver) = mpsc::channel(EVENT_BUFFER);
    let stream = Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive(app));
    let headers = [(header::CACHE_CONTROL, "no-cache"), (HeaderName::from_static("x-accel-buffering"), "no")];
    (Events(sender), (headers, stream).into_response())
}

fn missing(param: &'static str, message: &str) -> ApiError {
    ApiError::malformed("missing_field", message).at(param)
}
