//! `/v1/miner/register`, `drain` and `me`: what a miner says about itself, and what the proxy knows of it.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::clock;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::options::MAX_VOICE_BYTES;
use crate::proxy::presence::Seen;
use crate::proxy::request::{self, SMALL_BODY_BYTES, Signed};
use crate::proxy::store::MinerRow;
use crate::subnet::assign::{self, MAX_CAPACITY};
use crate::subnet::task::Hotkey;

/// Most voices and kinds of a miner that are noted, and the longest name of a kind and of a model, characters.
const MAX_VOICES: usize = 64;
const MAX_KINDS: usize = 16;
const MAX_KIND_CHARS: usize = 40;
const MAX_MODEL_CHARS: usize = 80;

/// What a miner says about itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    pub(super) kinds: Vec<String>,
    #[serde(default)]
    pub(super) voices: Vec<String>,
    pub(super) capacity: u32,
    #[serde(default)]
    pub(super) model: Option<String>,
}

impl About {
    /// As much of it as is noted; refuses a capacity of nothing.
    pub(super) fn seen(&self) -> ApiResult<Seen> {
        if self.capacity == 0 {
            let message = "capacity is 0; expected how many leases to hold in all";
            return Err(ApiError::invalid("invalid_value", message).at("capacity"));
        }
        let start = |text: &String, n| text.chars().take(n).collect();
        let voices = self.voices.iter().take(MAX_VOICES).filter(|voice| voice.len() <= MAX_VOICE_BYTES);
        Ok(Seen {
            kinds: self.kinds.iter().take(MAX_KINDS).map(|kind| start(kind, MAX_KIND_CHARS)).collect(),
            voices: voices.cloned().collect(),
            capacity: self.capacity.min(MAX_CAPACITY),
            model: self.model.as_ref().map(|model| start(model, MAX_MODEL_CHARS)),
            last_seen_ms: clock::now_ms(),
            account: (0, 0),
        })
    }
}

/// Leases that a miner may hold that declares so many: as far as it proved them by its answers, and where validators tried
/// it and it did less, no more than it did.
pub(super) fn capacity(app: &App, miner: &Hotkey, declared: u32, answered: u64) -> u32 {
    let checked = app.notices.checked(miner, &app.committee(), clock::now_ms());
    assign::capacity(declared, answered).min(checked.capacity.unwrap_or(u32::MAX))
}

/// Notes what a miner can do, and lends to it again if it took no more work.
pub(super) async fn register(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed(&app, request, SMALL_BODY_BYTES).await?;
    app.presence.note(&signed.hotkey, signed.json::<About>()?.seen()?);
    if app.notices.take_up(&app.store, &signed.hotkey).await? {
        app.hub.work.notify_waiters();
    }
    view(&app, &signed).await
}

/// Lends nothing more to the miner, and ends its claims that wait; what it holds goes on.
pub(super) async fn drain(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed(&app, request, SMALL_BODY_BYTES).await?;
    app.notices.drain(&app.store, &signed.hotkey, clock::now_ms()).await?;
    app.hub.work.notify_waiters();
    view(&app, &signed).await
}

/// What the proxy knows of the miner that asks.
pub(super) async fn me(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed(&app, request, SMALL_BODY_BYTES).await?;
    view(&app, &signed).await
}

async fn view(app: &App, signed: &Signed) -> ApiResult<Json<Value>> {
    let (miner, now_ms) = (&signed.hotkey, clock::now_ms());
    app.store.look_for_leases(miner).await?;
    let row = app.store.records().miner(miner).await?.unwrap_or_else(|| MinerRow::newcomer(miner.clone()));
    let seen = app.presence.seen(miner, now_ms);
    let held = app.store.board().held_by(miner);
    let leases = held.iter().flat_map(|task| task.leases().map(move |(slot, lease)| (task, slot, lease)));
    let leases = leases.filter(|(_, _, lease)| &lease.miner == miner).map(|(task, slot, lease)| {
        json!({"task_id": task.id, "slot": slot.index, "token": slot.token, "expires_at_ms": lease.expires_at_ms})
    });
    let (latency_p50_s, latency_p95_s) = app.store.lately().latencies_s(miner);
    Ok(Json(json!({
        "hotkey": miner, "uid": signed.neuron.uid, "coldkey": signed.neuron.coldkey,
        "kinds": seen.as_ref().map(|seen| &seen.kinds), "voices": seen.as_ref().map(|seen| &seen.voices),
        "model": seen.as_ref().and_then(|seen| seen.model.as_ref()),
        "capacity": seen.as_ref().map(|seen| capacity(app, miner, seen.capacity, row.answered)),
        "quality": row.quality, "answered": row.answered, "accepted": row.accepted,
        "latency_p50_s": latency_p50_s, "latency_p95_s": latency_p95_s,
        "draining": app.notices.is_draining(miner, now_ms), "leases": leases.collect::<Vec<_>>(),
    })))
}
