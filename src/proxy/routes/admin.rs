//! The operator's own routes, on a listener of their own. Every request needs the token of the data directory, so that
//! neither another user of the machine nor a page in its browser can make one.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::{no_route, wrong_method};
use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::auth::Scope;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::{self, Name, SMALL_BODY_BYTES};
use crate::proxy::{clock, operator, ss58, views};
use crate::subnet::task::TaskId;

/// Longest reason, bytes.
const MAX_REASON_BYTES: usize = 300;

/// The operator's routes.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/admin", get(show))
        .route("/v1/admin/keys", get(list_keys).post(create_key))
        .route("/v1/admin/keys/{id}", delete(revoke_key))
        .route("/v1/admin/bans", get(list_bans))
        .route("/v1/admin/bans/{hotkey}", put(ban).delete(unban))
        .route("/v1/admin/pause", post(pause))
        .route("/v1/admin/resume", post(resume))
        .route("/v1/admin/tasks/{id}", get(show_task))
        .route("/v1/admin/tasks/{id}/requeue", post(requeue))
        .route("/v1/admin/tasks/{id}/kill", post(kill))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .layer(from_fn_with_state(Arc::clone(&app), check_token))
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES))
        .with_state(app)
}

async fn check_token(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().trim();
    if bool::from(given.as_bytes().ct_eq(app.identity.admin_token.as_bytes())) {
        return next.run(request).await;
    }
    let message = "send Authorization: Bearer TOKEN with the token of admin.token in the proxy's data directory";
    ApiError::unauthenticated("bad_admin_token", message).at("authorization").into_response()
}

async fn body<T: DeserializeOwned>(request: Request) -> ApiResult<T> {
    let (parts, body) = request.into_parts();
    let bytes = request::read_body(&parts.headers, body, SMALL_BODY_BYTES).await?;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    request::json(text)
}

/// How things stand.
async fn show(State(app): State<Arc<App>>) -> ApiResult<Json<Value>> {
    let said = app.operator.said();
    let n_keys = operator::keys(app.store.records()).await?.len();
    Ok(Json(json!({
        "paused": said.is_paused, "asks_for_keys": said.keys.is_some(), "keys": n_keys, "bans": said.bans.len(),
        "open_tasks": app.store.board().len(),
    })))
}

async fn list_keys(State(app): State<Arc<App>>) -> ApiResult<Json<Value>> {
    let keys = operator::keys(app.store.records()).await?;
    let view = |(id, key): &(String, operator::KeyRecord)| json!({"id": id, "name": key.name, "scopes": key.scopes, "created_at_ms": key.created_at_ms});
    Ok(Json(json!({"data": keys.iter().map(view).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    #[serde(default = "all_scopes")]
    scopes: BTreeSet<Scope>,
}

fn all_scopes() -> BTreeSet<Scope> {
    Scope::ALL.into_iter().collect()
}

async fn create_key(State(app): State<Arc<App>>, request: Request) -> ApiResult<(StatusCode, Json<Value>)> {
    let new: NewKey = body(request).await?;
    let (id, key) = app.operator.create_key(&app.store, &new.name, new.scopes.clone()).await?;
    Ok((StatusCode::CREATED, Json(json!({"id": id, "name": new.name, "scopes": new.scopes, "key": key}))))
}

async fn revoke_key(State(app): State<Arc<App>>, Name(id): Name) -> ApiResult<StatusCode> {
    if app.operator.revoke_key(&app.store, &id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(
        "no_such_key",
        format!("there is no key {id:.80}; keys of --api-keys are lines of that file"),
    ))
}

async fn list_bans(State(app): State<Arc<App>>) -> Json<Value> {
    let said = app.operator.said();
    let bans =
        said.bans.iter().map(|(hotkey, ban)| json!({"hotkey": hotkey, "reason": ban.reason, "since_ms": ban.since_ms}));
    Json(json!({"data": bans.collect::<Vec<_>>()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: Option<String>,
}

impl Why {
    fn text(self) -> ApiResult<String> {
        let reason = self.reason.unwrap_or_else(|| "no reason was given".to_owned());
        if (1..=MAX_REASON_BYTES).contains(&reason.len()) {
            return Ok(reason);
        }
        let message = format!("reason has {} bytes; expected 1 to {MAX_REASON_BYTES}", reason.len());
        Err(ApiError::invalid("invalid_value", message).at("reason"))
    }
}

async fn ban(State(app): State<Arc<App>>, Name(hotkey): Name, request: Request) -> ApiResult<StatusCode> {
    let why: Why = body(request).await?;
    if ss58::decode(&hotkey).is_none() {
        let message = format!("{hotkey:.80} is no hotkey; expected an SS58 address");
        return Err(ApiError::invalid("invalid_value", message).at("hotkey"));
    }
    app.operator.ban(&app.store, &hotkey, &why.text()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unban(State(app): State<Arc<App>>, Name(hotkey): Name) -> ApiResult<StatusCode> {
    if app.operator.unban(&app.store, &hotkey).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found("not_banned", format!("hotkey {hotkey:.80} is not shut out")))
}

async fn pause(State(app): State<Arc<App>>) -> ApiResult<StatusCode> {
    app.operator.pause(&app.store, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn resume(State(app): State<Arc<App>>) -> ApiResult<StatusCode> {
    app.operator.pause(&app.store, false).await?;
    app.hub.work.notify_waiters();
    Ok(StatusCode::NO_CONTENT)
}

/// A task of any owner.
async fn show_task(State(app): State<Arc<App>>, Name(id): Name) -> ApiResult<Response> {
    let task = app.task(&TaskId::from(id)).await?;
    let mut view = views::task(&app, &task).await?;
    view.owner = Some(&task.owner);
    Ok(Json(view).into_response())
}

/// Takes the leases of an unanswered task back and lets it begin anew.
async fn requeue(State(app): State<Arc<App>>, Name(id): Name) -> ApiResult<Response> {
    let id = TaskId::from(id);
    let requeued = app.change(&id, |task, _| {
        if task.answer.is_some() && !task.state.is_final() {
            return Err(ApiError::conflict("task_answered", "the task has an answer; there is nothing to do again"));
        }
        task.requeue(clock::now_ms()).map_err(|refusal| {
            ApiError::conflict("task_ended", format!("{refusal}; its user can retry it as a new task"))
        })
    });
    Ok(Json(views::task(&app, &requeued.await?.0).await?).into_response())
}

/// Ends a task as failed.
async fn kill(State(app): State<Arc<App>>, Name(id): Name, request: Request) -> ApiResult<Response> {
    let reason = body::<Why>(request).await?.text()?;
    let id = TaskId::from(id);
    let killed = app.change(&id, |task, _| {
        let said = format!("the operator of the proxy ended it: {reason}");
        task.kill(&said, clock::now_ms()).map_err(|refusal| ApiError::conflict("task_ended", refusal.to_string()))
    });
    Ok(Json(views::task(&app, &killed.await?.0).await?).into_response())
}
