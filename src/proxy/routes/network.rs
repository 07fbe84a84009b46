//! `/v1/network`: who is here, for everybody.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::clock;
use crate::proxy::error::ApiResult;
use crate::proxy::store::MinerRow;
use crate::subnet::assign::NEWCOMER_QUALITY;
use crate::subnet::task::{Hotkey, TaskState};

/// How long anybody may keep it: many who look at one moment ask once.
const KEEP: &str = "public, max-age=1";

/// The proxy, its queue, and the neurons.
pub(super) async fn show(State(app): State<Arc<App>>) -> ApiResult<impl IntoResponse> {
    let metagraph = app.metagraph.last();
    let board = app.store.board();
    let rows = app.store.records().miners().await?;
    let rows: HashMap<Hotkey, MinerRow> = rows.into_iter().map(|row| (row.hotkey.clone(), row)).collect();
    let (now_ms, committee) = (clock::now_ms(), app.committee());
    let present = app.presence.present(now_ms);
    let miners: Vec<Value> = present
        .iter()
        .map(|(hotkey, seen)| {
            let row = rows.get(hotkey);
            let neuron = metagraph.as_ref().and_then(|m| m.neuron(hotkey.as_str()));
            let checked = app.notices.checked(hotkey, &committee, now_ms);
            let (latency_p50_s, latency_p95_s) = app.store.lately().latencies_s(hotkey);
            json!({
                "uid": neuron.map(|neuron| neuron.uid),
                "incentive": neuron.and_then(|neuron| neuron.incentive), "emission": neuron.and_then(|neuron| neuron.emission),
                "latency_p50_s": latency_p50_s, "latency_p95_s": latency_p95_s,
                "hotkey": hotkey, "model": seen.model, "kinds": seen.kinds, "voices": seen.voices, "capacity": seen.capacity, "leases": board.leases_of(hotkey),
                "quality": row.map_or(NEWCOMER_QUALITY, |row| row.quality),
                "answered": row.map_or(0, |row| row.answered), "accepted": row.map_or(0, |row| row.accepted),
                "account": {"answered": seen.account.0, "silent": seen.account.1},
                "checked": {"answers": checked.answers, "capacity": checked.capacity},
                "last_seen_ms": seen.last_seen_ms, "draining": app.notices.is_draining(hotkey, now_ms),
            })
        })
        .collect();
    let validators: Vec<Value> = metagraph
        .iter()
        .flat_map(|metagraph| metagraph.validators(app.config.min_stake))
        .map(|neuron| {
            let trust = app.trusts.of(&neuron.hotkey).value();
            let (verdicts, agreement) = app.store.lately().verdicts(&neuron.hotkey);
            json!({
                "uid": neuron.uid, "hotkey": neuron.hotkey, "stake": neuron.stake, "trust": trust,
                "dividends": neuron.dividends, "emission": neuron.emission,
                "verdicts": verdicts, "agreement": agreement,
            })
        })
        .collect();
    let network = json!({
        "proxy": {"hotkey": app.identity.hotkey, "version": env!("CARGO_PKG_VERSION")},
        "netuid": metagraph.as_ref().map(|m| m.netuid), "network": metagraph.as_ref().map(|m| m.network.as_str()),
        "block": metagraph.as_ref().map(|m| m.block), "synced_at_ms": metagraph.as_ref().map(|m| m.synced_at_ms),
        "queue": {
            "queued": board.count(TaskState::Queued), "running": board.count(TaskState::Running),
            "answered": board.count(TaskState::Answered),
        },
        "lately": app.store.lately().summary(),
        "miners": miners, "validators": validators,
    });
    Ok(([(header::CACHE_CONTROL, KEEP)], Json(network)))
}
