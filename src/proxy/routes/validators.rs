//! `/v1/validator`: responses out, judgements in.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use metrics::counter;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::claims::{blob_url, check_claim, check_hash, input_view};
use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::{self, Name};
use crate::proxy::store::{EvaluationRow, ResponseRow};
use crate::proxy::{clock, fault};
use crate::subnet::task::{Hotkey, Kind, Phase, ResponseId, Scores, Standing, Task, TaskId, seconds};

/// Evaluations that one claim may get.
const MAX_EVALUATIONS: usize = 8;

/// Longest salt, bytes.
const MAX_SALT_BYTES: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseBody {
    claim_id: String,
    kinds: Vec<String>,
    #[serde(default = "one")]
    max: usize,
    #[serde(default)]
    wait_s: f64,
}

fn one() -> usize {
    1
}

/// Lends responses to judge, or waits for some.
pub(super) async fn lease(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed_by_validator(&app, request).await?;
    let body: LeaseBody = signed.json()?;
    check_claim(&body.claim_id, body.wait_s)?;
    if !(1..=MAX_EVALUATIONS).contains(&body.max) {
        let message = format!("max is {}; expected 1 to {MAX_EVALUATIONS}", body.max);
        return Err(ApiError::invalid("invalid_value", message).at("max"));
    }
    let until = Instant::now() + Duration::from_secs_f64(body.wait_s);
    let kinds: Vec<Kind> = body.kinds.iter().filter_map(|kind| Kind::from_name(kind)).collect();
    loop {
        let woken = app.hub.evaluations.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let lent = take_evaluations(&app, &signed.hotkey, &body, &kinds).await?;
        if !lent.is_empty() || Instant::now() >= until {
            let mut evaluations = Vec::with_capacity(lent.len());
            for task in &lent {
                evaluations.push(evaluation_view(&app, task, &signed.hotkey).await?);
            }
            return Ok(Json(json!({"evaluations": evaluations})));
        }
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep_until(until.min(Instant::now() + LOOK_AGAIN)) => {}
            () = app.shutdown.cancelled() => return Ok(Json(json!({"evaluations": []}))),
        }
    }
}

/// How often a waiting validator looks for evaluations whose lease ran out; that wakes nobody.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

async fn take_evaluations(
    app: &App,
    validator: &Hotkey,
    body: &LeaseBody,
    kinds: &[Kind],
) -> ApiResult<Vec<Arc<Task>>> {
    let now_ms = clock::now_ms();
    let is_free = |task: &Arc<Task>| {
        kinds.contains(&task.kind) && task.standing(validator, &body.claim_id, now_ms) == Standing::Judge
    };
    let mut free: Vec<Arc<Task>> = app.store.board().active().into_iter().filter(is_free).collect();
    // What this claim has already comes first: the same claim gets the same.
    let has = |task: &Task| {
        let lease = task.evaluation.as_ref().and_then(|e| e.member(validator)).and_then(|m| m.lease.as_ref());
        lease.is_some_and(|lease| lease.claim_id == body.claim_id)
    };
    let commit_by_ms = |task: &Task| task.evaluation.as_ref().map_or(i64::MAX, |e| e.commit_by_ms);
    free.sort_by_key(|task| (!has(task), commit_by_ms(task)));
    let mut lent = Vec::new();
    for task in free {
        if lent.len() == body.max {
            break;
        }
        let lease = app.store.change(&task.id, |task, _| {
            // Taken by another process of the validator since: the next one, then.
            Ok::<_, ApiError>(task.lease_evaluation(validator, &body.claim_id, clock::now_ms(), &app.terms).is_ok())
        });
        lent.extend(lease.await?.filter(|(_, is_lent)| *is_lent).map(|(task, _)| task));
    }
    Ok(lent)
}

async fn evaluation_view(app: &App, task: &Task, validator: &Hotkey) -> ApiResult<Value> {
    let rows = app.store.records().responses(&task.id).await?;
    let evaluation =
        task.evaluation.as_ref().ok_or_else(|| ApiError::internal(format!("{} lost its evaluation", task.id)))?;
    let audio = |id: &ResponseId| {
        let submission = task.submissions().find(|submission| &submission.response_id == id);
        let Some(output) = submission.and_then(|submission| submission.output.as_ref()) else { return Ok(None) };
        let url = blob_url(app, &output.sha256, validator)?;
        let (sha256, bytes, duration_s) = (&output.sha256, output.bytes, output.duration_s);
        Ok::<_, ApiError>(Some(json!({"url": url, "sha256": sha256, "bytes": bytes, "duration_s": duration_s})))
    };
    // What was signed stays as it is; with this its times become the recording's.
    let variant = |id: &ResponseId| {
        let variant = task.submissions().find(|submission| &submission.response_id == id)?.variant.as_ref()?;
        Some(json!({"lead_s": variant.lead_s, "speed": variant.speed}))
    };
    let response = |row: ResponseRow| {
        Ok(json!({
            "response_id": row.id, "miner": row.miner, "slot": row.slot, "result": row.result, "digest": row.digest,
            "signature": row.signature, "latency_s": seconds(row.latency_ms), "audio": audio(&row.id)?,
            "variant": variant(&row.id),
        }))
    };
    Ok(json!({
        "task_id": task.id, "kind": task.kind, "options": task.options, "input": input_view(app, task, validator)?,
        "commit_by_ms": evaluation.commit_by_ms, "reveal_by_ms": evaluation.reveal_by_ms,
        "responses": rows.into_iter().map(response).collect::<ApiResult<Vec<_>>>()?,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitBody {
    task_id: TaskId,
    commitment: String,
}

/// Takes the hash of a validator's scores.
pub(super) async fn commit(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed_by_validator(&app, request).await?;
    let body: CommitBody = signed.json()?;
    check_hash("commitment", &body.commitment)?;
    let committed =
        app.change(&body.task_id, |task, _| Ok(task.commit(&signed.hotkey, &body.commitment, clock::now_ms())?));
    let (_, phase) = committed.await?;
    counter!("violet_commits_total").increment(1);
    Ok(Json(json!({"phase": phase})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevealBody {
    task_id: TaskId,
    salt: String,
    scores: String,
}

/// Takes a validator's scores.
pub(super) async fn reveal(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed_by_validator(&app, request).await?;
    let body: RevealBody = signed.json()?;
    let is_salt = (32..=MAX_SALT_BYTES).contains(&body.salt.len()) && body.salt.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_salt {
        let message = format!("salt must be 32 to {MAX_SALT_BYTES} hex characters");
        return Err(ApiError::invalid("invalid_value", message).at("salt"));
    }
    let scores: Scores = serde_json::from_str(&body.scores).map_err(|error| {
        ApiError::invalid("bad_scores", format!("scores is not a JSON text of scores by response: {error}"))
            .at("scores")
    })?;
    let RevealBody { task_id, salt, scores: text } = body;
    let commitment =
        hex::encode(Sha256::digest(format!("violet/commit/1\n{task_id}\n{}\n{salt}\n{text}", signed.hotkey)));
    let revealed = app.change(&task_id, |task, records| {
        let (now_ms, version) = (clock::now_ms(), task.version);
        let had_verdict = task.verdict.is_some();
        let phase = task.reveal(&signed.hotkey, &commitment, scores.clone(), now_ms)?;
        if phase == Phase::Done {
            fault::point("before_verdict");
        }
        records.evaluation = (task.version != version).then(|| EvaluationRow {
            task_id: task_id.clone(),
            validator: signed.hotkey.clone(),
            commitment: commitment.clone(),
            salt: salt.clone(),
            scores: text.clone(),
            revealed_at_ms: now_ms,
        });
        Ok((phase, had_verdict))
    });
    let (task, (phase, had_verdict)) = revealed.await?;
    if phase == Phase::Done {
        fault::point("before_verdict_reply");
    }
    counter!("violet_reveals_total").increment(1);
    if !had_verdict {
        app.trusts.learn(&task);
    }
    Ok(Json(json!({"phase": if phase == Phase::Done { Phase::Done } else { Phase::Reveal }})))
}

/// Where an evaluation stands.
pub(super) async fn show(State(app): State<Arc<App>>, Name(id): Name, request: Request) -> ApiResult<Json<Value>> {
    request::signed_by_validator(&app, request).await?;
    let task = app.task(&TaskId::from(id)).await?;
    let phase = match &task.evaluation {
        _ if task.state.is_final() => Phase::Done,
        Some(evaluation) => evaluation.phase,
        None => return Err(crate::subnet::task::Refusal::NotEvaluating.into()),
    };
    // With these anybody can see that the scores are those that were committed; not before all are open.
    let rows = if phase == Phase::Done { app.store.records().evaluations(&task.id).await? } else { Vec::new() };
    let reveal = |row: &EvaluationRow| {
        json!({
            "validator": row.validator, "commitment": row.commitment, "salt": row.salt, "scores": row.scores,
            "revealed_at_ms": row.revealed_at_ms,
        })
    };
    Ok(Json(json!({
        "task_id": task.id, "phase": phase, "verdict": task.verdict,
        "reveals": rows.iter().map(reveal).collect::<Vec<_>>(),
    })))
}
