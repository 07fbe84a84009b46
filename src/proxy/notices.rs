//! What neurons said that holds for a while: miners that take no more work, and how validators found the miners.
//!
//! It is in the store, so that every proxy of it knows; each has it in memory and looks again now and then.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::health::{self, Checked, Report};
use super::store::{self, Entry, EntryKind, Store, TaskStore};
use crate::subnet::task::{Hotkey, Member};

/// Time after which a miner that drains is taken to be back, ms: one that was stopped for good does not ask.
const DRAIN_MS: i64 = 3_600_000;

/// How long a validator's report counts, ms.
const REPORT_MS: i64 = 3_600_000;

/// Most notices of a kind; more than any subnet has neurons.
const MOST: usize = 4_096;

#[derive(Default)]
struct Said {
    draining: BTreeMap<Hotkey, i64>,
    /// By validator, until when they count.
    reports: BTreeMap<Hotkey, (i64, BTreeMap<Hotkey, Report>)>,
}

/// The notices, as last seen.
#[derive(Default)]
pub(crate) struct Notices {
    said: RwLock<Arc<Said>>,
}

impl Notices {
    /// Looks again.
    pub(crate) async fn refresh(&self, records: &dyn TaskStore) -> Result<(), store::Error> {
        let draining = records.entries(EntryKind::Drain, i64::MAX, MOST).await?;
        let draining = draining.into_iter().map(|entry| (Hotkey::from(entry.name), entry.due_ms)).collect();
        let reports = records.entries(EntryKind::Report, i64::MAX, MOST).await?;
        let reports = reports.into_iter().filter_map(|Entry { name, due_ms, record, .. }| {
            match serde_json::from_str(&record) {
                Ok(found) => Some((Hotkey::from(name), (due_ms, found))),
                // Of another version of the proxy: the validator will say it again.
                Err(error) => {
                    tracing::warn!(validator = name, %error, "a validator's report cannot be read");
                    None
                }
            }
        });
        let reports = reports.collect();
        *self.said.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Said { draining, reports });
        Ok(())
    }

    /// Whether a miner takes no more work.
    pub(crate) fn is_draining(&self, miner: &Hotkey, now_ms: i64) -> bool {
        self.said().draining.get(miner).is_some_and(|until_ms| *until_ms > now_ms)
    }

    /// What these validators found of a miner lately.
    pub(crate) fn checked(&self, miner: &Hotkey, validators: &[Member], now_ms: i64) -> Checked {
        let said = self.said();
        health::checked(validators, |validator| {
            let (_, found) = said.reports.get(validator).filter(|(until_ms, _)| *until_ms > now_ms)?;
            found.get(miner).copied()
        })
    }

    /// Lets a miner take no more work, until it says otherwise.
    pub(crate) async fn drain(&self, store: &Store, miner: &Hotkey, now_ms: i64) -> Result<(), store::Error> {
        store.set_entry(entry(EntryKind::Drain, miner, now_ms + DRAIN_MS, "{}".to_owned())).await?;
        self.refresh(store.records()).await
    }

    /// Lets a miner take work again; whether it took none. What another proxy heard a moment ago is not known here: miners
    /// register again while they have no work.
    pub(crate) async fn take_up(&self, store: &Store, miner: &Hotkey) -> Result<bool, store::Error> {
        let was_draining = self.said().draining.contains_key(miner);
        if was_draining {
            store.drop_entry(EntryKind::Drain, miner.as_str()).await?;
            self.refresh(store.records()).await?;
        }
        Ok(was_draining)
    }

    /// Notes what a validator found, in the place of what it found before.
    pub(crate) async fn report(
        &self,
        store: &Store,
        validator: &Hotkey,
        found: &BTreeMap<Hotkey, Report>,
        now_ms: i64,
    ) -> Result<(), store::Error> {
        let record = serde_json::to_string(found)?;
        store.set_entry(entry(EntryKind::Report, validator, now_ms + REPORT_MS, record)).await?;
        self.refresh(store.records()).await
    }

    fn said(&self) -> Arc<Said> {
        Arc::clone(&self.said.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Deletes the notices whose time is over, at most `limit` of each kind.
pub(crate) async fn sweep(store: &Store, now_ms: i64, limit: usize) -> Result<(), store::Error> {
    for kind in [EntryKind::Drain, EntryKind::Report] {
        for entry in store.records().entries(kind, now_ms, limit).await? {
            // One that was renewed meanwhile stays.
            store.records().delete_entry(&entry).await?;
        }
    }
    Ok(())
}

fn entry(kind: EntryKind, about: &Hotkey, due_ms: i64, record: String) -> Entry {
    Entry { kind, name: about.as_str().to_owned(), belongs_to: String::new(), due_ms, version: 1, record }
}
