//! What the proxy counts, for Prometheus.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use super::app::App;
use super::clock;
use crate::subnet::task::{Phase, Task, TaskState, seconds};

/// Upper ends of the latency classes, seconds; the last ones are for long polls.
const LATENCY_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0];

/// The process's recorder; made once, since a process has only one.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
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

/// The series of one route, and by method and status those that count its requests.
struct Series {
    seconds: Histogram,
    requests: Vec<((&'static str, u16), Counter)>,
}

/// The series of the routes that were asked for so far: the recorder would make a text of each label to find one.
static SERIES: LazyLock<RwLock<HashMap<String, Series>>> = LazyLock::new(RwLock::default);

/// Counts a request and its time.
pub(crate) async fn track(request: Request, serve: impl AsyncFnOnce(Request) -> Response) -> Response {
    let (began, route) = (Instant::now(), request.extensions().get::<MatchedPath>().cloned());
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
    let response = serve(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    count_request(route, (method, response.status().as_u16()), began.elapsed().as_secs_f64());
    response
}

fn count_request(route: &str, what: (&'static str, u16), seconds: f64) {
    let counted = |series: &Series| {
        let (_, requests) = series.requests.iter().find(|(known, _)| *known == what)?;
        series.seconds.record(seconds);
        requests.increment(1);
        Some(())
    };
    let known = SERIES.read().unwrap_or_else(PoisonError::into_inner);
    if known.get(route).and_then(counted).is_some() {
        return;
    }
    drop(known);
    let mut known = SERIES.write().unwrap_or_else(PoisonError::into_inner);
    let series = known.entry(route.to_owned()).or_insert_with(|| {
        let seconds = histogram!("violet_http_request_seconds", "route" => route.to_owned());
        Series { seconds, requests: Vec::new() }
    });
    let (method, status) = what;
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
    let requests = counter!("violet_http_requests_total", &labels);
    requests.increment(1);
    series.seconds.record(seconds);
    // Another may have been as fast, and have the same counter.
    series.requests.push((what, requests));
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
