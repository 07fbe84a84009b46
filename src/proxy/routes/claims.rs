//! `/v1/miner/claim`: work out.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use metrics::counter;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::register::{self, About};
use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::{self, SMALL_BODY_BYTES};
use crate::proxy::variants::{self, Lent};
use crate::proxy::{clock, fault};
use crate::subnet::assign::{self, Assignment, Claimant, NEWCOMER_QUALITY, Situation};
use crate::subnet::task::{Claim, Coldkey, Hotkey, Kind, Lease, Slot, Task, Terms};
use crate::subnet::turns::{self, Waiting};

/// Longest name of a claim, bytes.
const MAX_CLAIM_ID_BYTES: usize = 128;

/// How often a claim looks again at once when others were faster.
const TRIES: usize = 8;

/// When it looks again after that, ms.
const AGAIN_MS: i64 = 20;

/// How often a waiting claim looks for what other proxies did.
const LOOK: Duration = Duration::from_secs(1);

/// How long a slot rests after its first attempt failed, ms: time for a miner that restarts, or for the proxy's own work
/// on what was handed in.
const BACKOFF_MS: i64 = 250;

/// Longest `wait_s`.
const MAX_WAIT_S: f64 = 30.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimBody {
    claim_id: String,
    kinds: Vec<String>,
    capacity: u32,
    #[serde(default)]
    voices: Vec<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    wait_s: f64,
}

/// A miner's claim, checked.
#[derive(Clone)]
struct Wanted {
    miner: Hotkey,
    coldkey: Coldkey,
    claim_id: String,
    kinds: Vec<Kind>,
    voices: Vec<String>,
    /// As far as the miner proved it.
    capacity: u32,
    quality: f64,
    /// Whether it took no more work already when it asked: then it waits as it said, and not again and again.
    was_draining: bool,
}

/// Lends work, or waits for some.
pub(super) async fn claim(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed(&app, request, SMALL_BODY_BYTES).await?;
    let body: ClaimBody = signed.json()?;
    check_claim(&body.claim_id, body.wait_s)?;
    let known = app.store.records().miner(&signed.hotkey).await?;
    let (quality, answered) = known.map_or((NEWCOMER_QUALITY, 0), |row| (row.quality, row.answered));
    let about = About { kinds: body.kinds, voices: body.voices, capacity: body.capacity, model: body.model };
    let seen = about.seen()?;
    let wanted = Wanted {
        miner: signed.hotkey.clone(),
        coldkey: signed.neuron.coldkey.clone(),
        claim_id: body.claim_id,
        // Kinds that this proxy does not have are no error: a miner may be newer.
        kinds: about.kinds.iter().filter_map(|kind| Kind::from_name(kind)).collect(),
        voices: seen.voices.clone(),
        capacity: register::capacity(&app, &signed.hotkey, about.capacity, answered),
        quality,
        was_draining: app.notices.is_draining(&signed.hotkey, clock::now_ms()),
    };
    app.presence.note(&signed.hotkey, seen);
    let held = app.store.board().leases_of(&wanted.miner);
    let inside = app.lobby.enter(Waiting {
        miner: wanted.miner.clone(),
        coldkey: wanted.coldkey.clone(),
        kinds: wanted.kinds.clone(),
        voices: wanted.voices.clone(),
        quality,
        answered,
        capacity: wanted.capacity,
        held: u32::try_from(held).unwrap_or(u32::MAX),
        number: turns::number(&wanted.miner),
    });
    let leases = wait_for_work(&app, &wanted, Duration::from_secs_f64(body.wait_s)).await?;
    drop(inside);
    app.presence.touch(&signed.hotkey, clock::now_ms());
    let outcome = if leases.is_empty() { "empty" } else { "leased" };
    counter!("violet_claims_total", "outcome" => outcome).increment(1);
    let leases: Vec<Value> =
        leases.iter().filter_map(|(task, slot)| lease_view(&app, task, *slot).transpose()).collect::<ApiResult<_>>()?;
    Ok(Json(json!({"leases": leases})))
}

async fn wait_for_work(app: &App, wanted: &Wanted, wait: Duration) -> ApiResult<Vec<Lent>> {
    let until = Instant::now() + wait;
    loop {
        let woken = app.hub.work.notified();
        tokio::pin!(woken);
        // From here on nothing is missed: what is committed while we look wakes us.
        woken.as_mut().enable();
        let (lent, next_at_ms) = take_work(app, wanted).await?;
        let is_ended = is_draining(app, wanted) && !wanted.was_draining;
        if !lent.is_empty() || Instant::now() >= until || is_ended {
            return Ok(lent);
        }
        let look_again = next_at_ms.map_or(until, |at_ms| {
            let ms = u64::try_from(at_ms - clock::now_ms()).unwrap_or(0).max(1);
            until.min(Instant::now() + Duration::from_millis(ms))
        });
        // What another proxy lent under this claim wakes nobody here.
        let look_again =
            if app.store.records().is_shared() { look_again.min(Instant::now() + LOOK) } else { look_again };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep_until(look_again) => {}
            () = app.shutdown.cancelled() => return Ok(Vec::new()),
        }
    }
}

/// One try. The board is looked at first: only where it shows something does the store have to be asked.
async fn take_work(app: &App, wanted: &Wanted) -> ApiResult<(Vec<Lent>, Option<i64>)> {
    let board = app.store.board();
    if app.operator.said().is_paused || is_draining(app, wanted) {
        return Ok((variants::give(app, held_under(app, wanted)).await?, None));
    }
    let (held, waiting) = (board.leases_of(&wanted.miner), app.lobby.all());
    let look = board.claimable(|tasks| choose(wanted, waiting, tasks.map(|task| &**task), held));
    if look.offers.is_empty() && held_under(app, wanted).is_empty() {
        return Ok((Vec::new(), look.next_at_ms));
    }
    let _turn = app.reservations.miners.lock(wanted.miner.as_str()).await;
    app.store.look_for_leases(&wanted.miner).await?;
    let held = held_under(app, wanted);
    if !held.is_empty() {
        return Ok((variants::give(app, held).await?, None));
    }
    for _ in 0..TRIES {
        let (lent, next_at_ms, was_beaten) = lend(app, wanted).await?;
        if !lent.is_empty() {
            // Within the miner's turn: the same claim again waits for what is rendered.
            return Ok((variants::give(app, lent).await?, next_at_ms));
        }
        if !was_beaten {
            return Ok((lent, next_at_ms));
        }
    }
    Ok((Vec::new(), Some(clock::now_ms() + AGAIN_MS)))
}

/// Lends what the miner is to get. Whether somebody else was faster, so that looking again may give more.
async fn lend(app: &App, wanted: &Wanted) -> ApiResult<(Vec<Lent>, Option<i64>, bool)> {
    let board = app.store.board();
    let (held, waiting) = (board.leases_of(&wanted.miner), app.lobby.all());
    let (assignment, _reserved) = app.reservations.choose(board, |tasks| choose(wanted, waiting, tasks, held));
    let claims = assignment.offers.iter().map(|offer| async {
        let claim = || Claim {
            slot: offer.slot,
            miner: wanted.miner.clone(),
            coldkey: wanted.coldkey.clone(),
            claim_id: wanted.claim_id.clone(),
        };
        let claimed = app.store.change(&offer.task_id, |task, _| {
            let terms = Terms { lease_ms: app.terms.lease_ms + variants::rendering_ms(app, task), ..app.terms };
            Ok::<_, ApiError>(task.claim(claim(), clock::now_ms(), &terms).is_ok())
        });
        let claimed = claimed.await?.filter(|(_, is_lent)| *is_lent);
        fault::point("after_claim");
        Ok::<_, ApiError>(claimed.map(|(task, _)| (task, offer.slot)))
    });
    // Together: they share a commit.
    let lent: Vec<Option<Lent>> = futures::future::try_join_all(claims).await?;
    let was_beaten = lent.iter().any(Option::is_none);
    let lent: Vec<Lent> = lent.into_iter().flatten().collect();
    counter!("violet_leases_total").increment(lent.len() as u64);
    Ok((lent, assignment.next_at_ms, was_beaten))
}

/// Whether the miner said that it takes no more work.
fn is_draining(app: &App, wanted: &Wanted) -> bool {
    app.notices.is_draining(&wanted.miner, clock::now_ms())
}

/// What a miner that holds `held` leases would get now, beside those who wait.
fn choose<T: Borrow<Task>>(
    wanted: &Wanted,
    waiting: Vec<Arc<Waiting>>,
    tasks: impl Iterator<Item = T>,
    held: usize,
) -> Assignment {
    let claimant = Claimant {
        miner: &wanted.miner,
        coldkey: &wanted.coldkey,
        kinds: &wanted.kinds,
        voices: &wanted.voices,
        capacity: wanted.capacity,
        held: u32::try_from(held).unwrap_or(u32::MAX),
        quality: wanted.quality,
    };
    let situation = Situation { waiting, backoff_ms: BACKOFF_MS };
    assign::assign(&claimant, &situation, tasks, clock::now_ms())
}

/// The live leases that the miner got under this claim.
fn held_under(app: &App, wanted: &Wanted) -> Vec<Lent> {
    let is_this = |lease: &Lease| lease.miner == wanted.miner && lease.claim_id == wanted.claim_id;
    let lent = |task: &Arc<Task>| {
        task.leases()
            .filter(|(_, lease)| is_this(lease))
            .map(|(slot, _)| (Arc::clone(task), slot.index))
            .collect::<Vec<_>>()
    };
    app.store.board().held_by(&wanted.miner).iter().flat_map(lent).collect()
}

fn lease_view(app: &App, task: &Task, slot: u8) -> ApiResult<Option<Value>> {
    let slot: Option<&Slot> = task.slots.get(usize::from(slot));
    let Some((slot, lease)) = slot.and_then(|slot| Some((slot, slot.lease.as_ref()?))) else { return Ok(None) };
    Ok(Some(json!({
        "task_id": task.id, "kind": task.kind, "slot": slot.index, "token": slot.token,
        "expires_at_ms": lease.expires_at_ms, "deadline_ms": task.deadline_ms, "options": task.options,
        "input": heard_view(app, task, lease)?,
    })))
}

/// What a miner hears: its variant of the input, or the input.
fn heard_view(app: &App, task: &Task, lease: &Lease) -> ApiResult<Value> {
    let Some(variant) = &lease.variant else { return input_view(app, task, &lease.miner) };
    let url = blob_url(app, &variant.sha256, &lease.miner)?;
    Ok(json!({"url": url, "sha256": variant.sha256, "bytes": variant.bytes, "duration_s": variant.duration_s}))
}

/// A task's input as its holder may fetch it.
pub(super) fn input_view(app: &App, task: &Task, holder: &Hotkey) -> ApiResult<Value> {
    let input = &task.input;
    let url = blob_url(app, &input.sha256, holder)?;
    Ok(json!({
        "url": url, "sha256": input.sha256, "bytes": input.bytes, "duration_s": input.duration_s,
        "characters": input.characters,
    }))
}

/// The URL under which `holder` may fetch a blob for a while.
pub(super) fn blob_url(app: &App, sha256: &str, holder: &Hotkey) -> ApiResult<String> {
    app.blobs.url(&app.public_url, sha256, holder.as_str(), clock::now_ms())
}

/// Refuses what is no SHA-256.
pub(super) fn check_hash(param: &'static str, text: &str) -> ApiResult<()> {
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(ApiError::invalid("invalid_value", format!("{param} is not a SHA-256 in lower-case hex")).at(param))
}

/// Refuses a claim's name or wait that is out of range.
pub(super) fn check_claim(claim_id: &str, wait_s: f64) -> ApiResult<()> {
    if !(1..=MAX_CLAIM_ID_BYTES).contains(&claim_id.len()) {
        let message = format!("claim_id has {} bytes; expected 1 to {MAX_CLAIM_ID_BYTES}", claim_id.len());
        return Err(ApiError::invalid("invalid_value", message).at("claim_id"));
    }
    if !(0.0..=MAX_WAIT_S).contains(&wait_s) {
        return Err(
            ApiError::invalid("invalid_value", format!("wait_s is {wait_s}; expected 0 to {MAX_WAIT_S}")).at("wait_s")
        );
    }
    Ok(())
}
