//! Lets time pass: ends leases, closes slots, begins evaluations and closes their phases.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use metrics::counter;
use tokio::time::MissedTickBehavior;

use super::app::App;
use super::error::ApiError;
use super::{clock, fault};
use crate::subnet::task::{Task, TaskId};

/// Tasks for which time passes at the same time: they share commits.
const AT_ONCE: usize = 128;

/// How often a proxy says that it is at work.
const PULSE: Duration = Duration::from_secs(5);

/// How often verdicts are let count in the store for how far validators are trusted, and how often it is looked for what
/// the operator and neurons said to another proxy of it.
const LOOK: Duration = Duration::from_secs(2);

/// How often the metagraph file is looked at and old nonces are forgotten.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// Runs until the proxy ends.
pub(crate) async fn run(app: Arc<App>) {
    let mut tick = tokio::time::interval(Duration::from_millis(app.config.tick_ms));
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return keep_trust(&app).await,
            _ = tick.tick() => {
                pass_time(&app, clock::now_ms()).await;
            }
            _ = look.tick() => {
                keep_trust(&app).await;
                if !app.store.records().is_shared() {
                    continue;
                }
                if let Err(error) = app.operator.refresh(app.store.records()).await {
                    tracing::warn!(%error, "cannot see what the operator decided; trying again");
                }
                if let Err(error) = app.notices.refresh(app.store.records()).await {
                    tracing::warn!(%error, "cannot see what neurons said; trying again");
                }
            }
            _ = pulse.tick() => {
                if let Err(error) = app.store.records().pulse(clock::now_ms()).await {
                    tracing::warn!(%error, "the store takes no writes");
                }
            }
            _ = housekeeping.tick() => {
                app.replays.prune(clock::now_ns());
                app.metrics.run_upkeep();
                let reader = Arc::clone(&app);
                // Not awaited under a lock; a slow disk only makes the metagraph older.
                let _ = tokio::task::spawn_blocking(move || reader.metagraph.refresh()).await;
            }
        }
    }
}

/// Stores what the last verdicts say of validators, and looks for what others of the store found.
async fn keep_trust(app: &App) {
    if !app.trusts.is_waiting() && !app.store.records().is_shared() {
        return;
    }
    if let Err(error) = app.trusts.keep(app.store.records(), &app.committee()).await {
        tracing::warn!(%error, "cannot keep how far validators are trusted; trying again");
    }
}

/// Applies the time to every open task that it changes. Every proxy of a store does; the task's version lets one of them.
pub(crate) async fn pass_time(app: &App, now_ms: i64) {
    let committee = app.committee();
    let is_due = |task: &Arc<Task>| (**task).clone().tick(now_ms, &app.terms, &committee).is_some();
    // Most of a long queue only waits, and is not looked at.
    let (active, overdue) = (app.store.board().active(), app.store.board().overdue(now_ms));
    let due: Vec<TaskId> =
        active.iter().chain(&overdue).filter(|task| is_due(task)).map(|task| task.id.clone()).collect();
    let ticks = futures::stream::iter(due).for_each_concurrent(AT_ONCE, |id| async move {
        if let Err(error) = tick(app, &id, now_ms).await {
            tracing::warn!(task = %id, ?error, "time did not pass for a task; trying again");
        }
    });
    ticks.await;
}

/// Lets time pass for one task. Miners that let their lease run out lose quality by it.
pub(crate) async fn tick(app: &App, id: &TaskId, now_ms: i64) -> Result<(), ApiError> {
    let committee = app.committee();
    let ticked = app.store.change(id, |task, records| {
        let had_verdict = task.verdict.is_some();
        let expired = task.tick(now_ms, &app.terms, &committee).unwrap_or_default();
        records.scores.extend(expired.iter().map(|miner| (miner.clone(), 0.0)));
        fault::point("in_reaper");
        Ok::<_, ApiError>((expired, had_verdict))
    });
    let Some((task, (expired, had_verdict))) = ticked.await? else { return Ok(()) };
    counter!("violet_lease_expiries_total").increment(expired.len() as u64);
    for miner in &expired {
        app.presence.count(miner, false);
    }
    if !had_verdict {
        app.trusts.learn(&task);
    }
    Ok(())
}
