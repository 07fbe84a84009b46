//! `/v1/validator/health`: what validators see of miners themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::clock;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::health::Report;
use crate::proxy::request;
use crate::subnet::task::Hotkey;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthBody {
    miners: BTreeMap<Hotkey, Report>,
}

/// Takes a validator's report, of registered miners; the body's limit bounds their number.
pub(super) async fn report(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed_by_validator(&app, request).await?;
    let HealthBody { mut miners } = signed.json()?;
    if let Some((miner, report)) = miners.iter().find(|(_, report)| report.answered > report.asked) {
        let message = format!("{miner} answered {} of {} questions", report.answered, report.asked);
        return Err(ApiError::invalid("invalid_value", message).at("miners"));
    }
    let metagraph = app.metagraph()?;
    miners.retain(|miner, _| metagraph.neuron(miner.as_str()).is_some());
    let noted = miners.len();
    app.notices.report(&app.store, &signed.hotkey, &miners, clock::now_ms()).await?;
    Ok(Json(json!({"miners": noted})))
}
