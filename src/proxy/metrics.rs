//! What the proxy counts, for Prometheus.

use std::sync::Mutex;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use super::app::App;
use super::clock;
use crate::subnet::task::{Phase, Task, TaskState, seconds};

/// Upper ends of the latency classes, seconds; the last ones are for long polls.
const LATENCY_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0];

/// The process's recorder; made once, since a process has only one.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(handle) = handle.as_ref() {
        return Ok(handle.clone());
    }
    let made = PrometheusBuilder::new().set_buckets(&LATENCY_S)?.install_recorder()?;
    describe();
    Ok(handle.insert(made).clone())
}

fn describe() {
    describe_counter!("violet_http_requests_total", "Requests by route and status");
    describe_histogram!("violet_http_request_seconds", "Time to the head of the answer; long polls wait on purpose");
    describe_gauge!("violet_tasks_open", "Open tasks by state");
    describe_counter!("violet_tasks_ended_total", "Tasks by the state that they ended in");
    describe_gauge!("violet_evaluations_open", "Tasks under evaluation by phase");
    describe_counter!("violet_claims_total", "Miners' claims by outcome");
    describe_counter!("violet_leases_total", "Leases granted");
    describe_counter!("violet_lease_expiries_total", "Leases that ended without a word of their miner");
    describe_counter!("violet_submits_total", "Miners' results by outcome");
    describe_counter!("violet_fails_total", "Leases that miners gave back");
    describe_counter!("violet_commits_total", "Commitments of validators");
    describe_counter!("violet_reveals_total", "Revealed scores of validators");
    describe_counter!("violet_rate_limited_total", "Requests that were too many of a key, hotkey or address");
    describe_counter!("violet_webhook_attempts_total", "Deliveries of messages to webhooks by outcome");
    describe_counter!("violet_swept_total", "Tasks, uploads and blobs that were deleted because their time was over");
    describe_gauge!("violet_metagraph_age_seconds", "Age of the metagraph");
    describe_gauge!("violet_miners_present", "Miners that asked for work lately");
}

/// Counts a request and its time.
pub(crate) async fn track(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    // A client may invent methods; each would be another series.
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    histogram!("violet_http_request_seconds", "route" => route.clone()).record(started.elapsed().as_secs_f64());
    counter!("violet_http_requests_total", "method" => method, "route" => route, "status" => status).increment(1);
    response
}

/// Counts a task that ended by a change of this proxy's.
pub(crate) fn count(changed: &Task) {
    if changed.state.is_final() {
        counter!("violet_tasks_ended_total", "state" => changed.state.as_str()).increment(1);
    }
}

/// The text of `/metrics`, with what is measured when it is asked for.
#[allow(clippy::cast_precision_loss, reason = "counts of open tasks and miners are small")]
pub(crate) fn render(app: &App) -> String {
    let now_ms = clock::now_ms();
    for state in TaskState::ALL.into_iter().filter(|state| !state.is_final()) {
        gauge!("violet_tasks_open", "state" => state.as_str()).set(app.store.board().count(state) as f64);
    }
    let tasks = app.store.board().tasks();
    for (phase, name) in [(Phase::Commit, "commit"), (Phase::Reveal, "reveal")] {
        let is_in =
            |phase| tasks.iter().filter(|task| task.evaluation.as_ref().is_some_and(|e| e.phase == phase)).count();
        gauge!("violet_evaluations_open", "phase" => name).set(is_in(phase) as f64);
    }
    let age_s = app.metagraph.last().map_or(f64::INFINITY, |metagraph| seconds(now_ms - metagraph.synced_at_ms));
    gauge!("violet_metagraph_age_seconds").set(age_s);
    gauge!("violet_miners_present").set(app.presence.present(now_ms).len() as f64);
    app.metrics.run_upkeep();
    app.metrics.render()
}
