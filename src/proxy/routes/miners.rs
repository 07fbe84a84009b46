//! `/v1/miner/heartbeat`, `submit` and `fail`: what becomes of a lease.

use std::sync::Arc;

use axum::extract::{Request, State};
use metrics::counter;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::quality::{self, Claimed, MAX_RESULT_BYTES, Usable};
use crate::proxy::request::{self, SMALL_BODY_BYTES, Signed};
use crate::proxy::store::{Records, ResponseRow};
use crate::proxy::{clock, fault, reaper};
use crate::subnet::task::{Holding, Member, Receipt, ResponseId, Submit, Task, TaskId, Terms};

/// Largest body of a submit: a result's text may double when its quotes and line ends are escaped, and more.
const SUBMIT_BODY_BYTES: usize = 3 * MAX_RESULT_BYTES;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeartbeatBody {
    task_id: TaskId,
    slot: u8,
    token: u64,
    #[serde(default)]
    progress: f64,
    #[serde(default)]
    partial: Option<String>,
}

/// Extends a lease.
pub(super) async fn heartbeat(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed(&app, request, SMALL_BODY_BYTES).await?;
    let body: HeartbeatBody = signed.json()?;
    if !(0.0..=1.0).contains(&body.progress) {
        return Err(ApiError::invalid("invalid_value", format!("progress is {}; expected 0 to 1", body.progress))
            .at("progress"));
    }
    app.presence.touch(&signed.hotkey, clock::now_ms());
    let holding = Holding { slot: body.slot, token: body.token, miner: &signed.hotkey };
    let beat = app.change(&body.task_id, |task, _| {
        Ok(task.heartbeat(&holding, body.progress, body.partial.as_deref(), clock::now_ms(), &app.terms)?)
    });
    let (_, beat) = beat.await?;
    Ok(Json(json!({"expires_at_ms": beat.expires_at_ms, "cancel": beat.cancel})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmitBody {
    task_id: TaskId,
    slot: u8,
    token: u64,
    result: String,
    digest: String,
    signature: String,
}

/// Takes a result.
pub(super) async fn submit(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed(&app, request, SUBMIT_BODY_BYTES).await?;
    let body: SubmitBody = signed.json()?;
    let task = app.task(&body.task_id).await?;
    app.presence.touch(&signed.hotkey, clock::now_ms());
    let (task_id, slot) = (body.task_id.as_str(), body.slot);
    let claimed = Claimed { task_id, slot, result: &body.result, digest: &body.digest, signature: &body.signature };
    quality::check_signature(signed.hotkey.as_str(), &claimed)?;
    let checked = quality::check_result(&app, task, body.slot, body.result.as_str().into()).await?;
    fault::point("before_submit");
    let committee = app.committee();
    let taken = app.change(&body.task_id, |task, records| {
        let now_ms = clock::now_ms();
        let receipt = take_result(task, records, &signed, &body, &checked, now_ms)?;
        Ok((receipt.is_new && !has_passed(task, now_ms, &app.terms, &committee), receipt))
    });
    let (_, (is_due, receipt)) = taken.await?;
    fault::point("before_submit_reply");
    if is_due {
        reaper::tick(&app, &body.task_id, clock::now_ms()).await?;
    }
    let outcome = match (receipt.is_new, &receipt.rejected) {
        (false, _) => "repeated",
        (true, Some(_)) => "rejected",
        (true, None) => "submitted",
    };
    counter!("violet_submits_total", "outcome" => outcome).increment(1);
    if receipt.is_new {
        app.presence.count(&signed.hotkey, true);
    }
    let state = if receipt.rejected.is_some() { "rejected" } else { "submitted" };
    let mut view = json!({"response_id": receipt.response_id, "state": state});
    if let Some(reason) = receipt.rejected {
        view["reason"] = Value::from(reason);
    }
    Ok(Json(view))
}

/// Lets time pass for a task whose last slot may be settled, so that validators need not wait for the next tick: in the
/// same change, unless there is more to note about it or it is the task's end, which users are told by itself. Whether it
/// did.
fn has_passed(task: &mut Task, now_ms: i64, terms: &Terms, committee: &[Member]) -> bool {
    let mut later = task.clone();
    match later.tick(now_ms, terms, committee) {
        None => true,
        Some(expired) if expired.is_empty() && !later.state.is_final() => {
            *task = later;
            true
        }
        Some(_) => false,
    }
}

fn take_result(
    task: &mut Task,
    records: &mut Records,
    signed: &Signed,
    body: &SubmitBody,
    checked: &Result<Usable, String>,
    now_ms: i64,
) -> ApiResult<Receipt> {
    let holding = Holding { slot: body.slot, token: body.token, miner: &signed.hotkey };
    let response_id = ResponseId::from(format!("resp_{}", ulid::Ulid::new().to_string().to_ascii_lowercase()));
    let verdict = checked.as_ref().map(|usable| usable.output.clone()).map_err(Clone::clone);
    let receipt =
        task.submit(&holding, Submit { response_id, digest: body.digest.clone(), checked: verdict }, now_ms)?;
    if !receipt.is_new {
        return Ok(receipt);
    }
    let submission = task.submissions().find(|submission| submission.response_id == receipt.response_id);
    match (submission, checked) {
        (Some(submission), Ok(Usable { text, .. })) => {
            records.response = Some(ResponseRow {
                id: receipt.response_id.clone(),
                task_id: body.task_id.clone(),
                slot: body.slot,
                miner: signed.hotkey.clone(),
                digest: body.digest.clone(),
                signature: body.signature.clone(),
                latency_ms: submission.latency_ms,
                text: text.clone(),
                result: body.result.clone(),
            });
        }
        _ => records.scores.push((signed.hotkey.clone(), 0.0)),
    }
    Ok(receipt)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailBody {
    task_id: TaskId,
    slot: u8,
    token: u64,
    reason: String,
}

/// Takes a slot back.
pub(super) async fn fail(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed(&app, request, SMALL_BODY_BYTES).await?;
    let body: FailBody = signed.json()?;
    let holding = Holding { slot: body.slot, token: body.token, miner: &signed.hotkey };
    app.change(&body.task_id, |task, _| Ok(task.fail(&holding, &body.reason, clock::now_ms())?)).await?;
    reaper::tick(&app, &body.task_id, clock::now_ms()).await?;
    counter!("violet_fails_total").increment(1);
    Ok(Json(json!({})))
}
