//! Lets time pass: ends leases, closes slots, begins evaluations and closes their phases.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::time::MissedTickBehavior;

use super::app::App;
use super::clock;
use super::error::ApiError;
use crate::subnet::task::{Hotkey, Member, TaskId, Terms};

/// How often the metagraph file is looked at and old nonces are forgotten.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// Runs until the proxy ends.
pub(crate) async fn run(app: Arc<App>) {
    let mut tick = tokio::time::interval(Duration::from_millis(app.config.tick_ms));
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            _ = tick.tick() => {
                if let Err(error) = pass_time(&app, clock::now_ms()).await {
                    tracing::warn!(?error, "time did not pass; trying again");
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

/// Applies the time to every open task that it changes.
pub(crate) async fn pass_time(app: &App, now_ms: i64) -> Result<(), ApiError> {
    let (terms, committee) = (app.terms, app.committee());
    let is_due = |task: &crate::subnet::task::Task| task.clone().tick(now_ms, &terms, &committee).is_some();
    let due: Vec<TaskId> =
        app.store.board().tasks().iter().filter(|task| is_due(task)).map(|task| task.id.clone()).collect();
    if due.is_empty() {
        return Ok(());
    }
    let expired = app.store.write(move |tx| {
        let mut expired = Vec::new();
        for id in &due {
            expired.extend(tick(tx, id, now_ms, &terms, &committee)?);
        }
        Ok::<_, ApiError>(expired)
    });
    counter!("violet_lease_expiries_total").increment(expired.await?.len() as u64);
    Ok(())
}

/// Lets time pass for one task; returns the miners that let their lease run out, whose quality that lowers.
pub(crate) fn tick(
    tx: &mut super::store::Tx<'_>,
    id: &TaskId,
    now_ms: i64,
    terms: &Terms,
    committee: &[Member],
) -> Result<Vec<Hotkey>, ApiError> {
    let Some(before) = tx.task(id)? else { return Ok(Vec::new()) };
    let mut after = (*before).clone();
    let Some(expired) = after.tick(now_ms, terms, committee) else { return Ok(Vec::new()) };
    tx.update(&before, after, now_ms)?;
    for miner in &expired {
        tx.score_miner(miner, 0.0)?;
    }
    Ok(expired)
}
