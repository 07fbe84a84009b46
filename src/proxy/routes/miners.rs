//! `/v1/miner/heartbeat`, `submit` and `fail`: what becomes of a lease.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use metrics::counter;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proxy::app::{App, no_task};
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::quality::{self, Claimed, MAX_RESULT_BYTES, Usable};
use crate::proxy::request::{self, SMALL_BODY_BYTES, Signed};
use crate::proxy::store::{ResponseRow, Tx};
use crate::proxy::{clock, reaper};
use crate::subnet::task::{Holding, ResponseId, Submit, TaskId};

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
    let (now_ms, terms) = (clock::now_ms(), app.terms);
    let beat = app.store.write(move |tx| {
        let before = tx.task(&body.task_id)?.ok_or_else(|| no_task(&body.task_id))?;
        let mut after = (*before).clone();
        let holding = Holding { slot: body.slot, token: body.token, miner: &signed.hotkey };
        let beat = after.heartbeat(&holding, body.progress, body.partial.as_deref(), now_ms, &terms)?;
        tx.update(&before, after, now_ms)?;
        Ok::<_, ApiError>(beat)
    });
    let beat = beat.await?;
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
    let miner = signed.hotkey.clone();
    let body = app
        .on_cpu(move || {
            let (task_id, slot) = (body.task_id.as_str(), body.slot);
            let claimed =
                Claimed { task_id, slot, result: &body.result, digest: &body.digest, signature: &body.signature };
            quality::check_signature(miner.as_str(), &claimed)?;
            Ok::<_, ApiError>(body)
        })
        .await??;
    let checked = quality::check_result(&app, task, body.slot, body.result.as_str().into()).await?;
    let (committee, terms) = (app.committee(), app.terms);
    let store = app.store.clone();
    let receipt = store.write(move |tx| {
        let now_ms = clock::now_ms();
        let receipt = take_result(tx, &signed, body, checked, now_ms)?;
        if let Some(task_id) = &receipt.settles {
            // The last slot may be settled by it: validators need not wait for the next tick.
            reaper::tick(tx, task_id, now_ms, &terms, &committee)?;
        }
        Ok::<_, ApiError>(receipt)
    });
    let receipt = receipt.await?;
    counter!("violet_submits_total", "outcome" => receipt.outcome).increment(1);
    let state = if receipt.rejected.is_some() { "rejected" } else { "submitted" };
    let mut view = json!({"response_id": receipt.response_id, "state": state});
    if let Some(reason) = receipt.rejected {
        view["reason"] = Value::from(reason);
    }
    Ok(Json(view))
}

/// What became of a result.
struct Receipt {
    response_id: ResponseId,
    rejected: Option<String>,
    settles: Option<TaskId>,
    outcome: &'static str,
}

fn take_result(
    tx: &mut Tx<'_>,
    signed: &Signed,
    body: SubmitBody,
    checked: Result<Usable, String>,
    now_ms: i64,
) -> ApiResult<Receipt> {
    let before = tx.task(&body.task_id)?.ok_or_else(|| no_task(&body.task_id))?;
    let mut after = (*before).clone();
    let holding = Holding { slot: body.slot, token: body.token, miner: &signed.hotkey };
    let (verdict, text) = match checked {
        Ok(Usable { text, output }) => (Ok(output), text),
        Err(reason) => (Err(reason), String::new()),
    };
    let response_id = ResponseId::from(format!("resp_{}", ulid::Ulid::new().to_string().to_ascii_lowercase()));
    let submit = Submit { response_id, digest: body.digest.clone(), checked: verdict };
    let receipt = after.submit(&holding, submit, now_ms)?;
    let outcome = match (receipt.is_new, &receipt.rejected) {
        (false, _) => "repeated",
        (true, Some(_)) => "rejected",
        (true, None) => "submitted",
    };
    let settles = receipt.is_new.then(|| before.id.clone());
    let latency_ms = after.submissions().find(|s| s.response_id == receipt.response_id).map(|s| s.latency_ms);
    if receipt.is_new {
        if let Some(latency_ms) = latency_ms {
            tx.put_response(&ResponseRow {
                id: receipt.response_id.clone(),
                task_id: body.task_id,
                slot: body.slot,
                miner: signed.hotkey.clone(),
                digest: body.digest,
                signature: body.signature,
                latency_ms,
                text,
                result: body.result,
            })?;
        } else {
            tx.score_miner(&signed.hotkey, 0.0)?;
        }
        tx.update(&before, after, now_ms)?;
    }
    Ok(Receipt { response_id: receipt.response_id, rejected: receipt.rejected, settles, outcome })
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
    let (committee, terms, store) = (app.committee(), app.terms, app.store.clone());
    let failed = store.write(move |tx| {
        let now_ms = clock::now_ms();
        let before = tx.task(&body.task_id)?.ok_or_else(|| no_task(&body.task_id))?;
        let mut after = (*before).clone();
        let holding = Holding { slot: body.slot, token: body.token, miner: &signed.hotkey };
        after.fail(&holding, &body.reason, now_ms)?;
        tx.update(&before, after, now_ms)?;
        reaper::tick(tx, &body.task_id, now_ms, &terms, &committee).map(|_| ())
    });
    failed.await?;
    counter!("violet_fails_total").increment(1);
    Ok(Json(json!({})))
}
