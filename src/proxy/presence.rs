//! Miners that were here since the proxy started.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::subnet::task::Hotkey;

/// Time after which a miner that says nothing counts as away, ms.
const AWAY_AFTER_MS: i64 = 300_000;

/// What a miner said about itself when it last asked for work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) kinds: Vec<String>,
    pub(crate) voices: Vec<String>,
    pub(crate) capacity: u32,
    pub(crate) model: Option<String>,
    pub(crate) last_seen_ms: i64,
}

/// Miners that were here lately; only registered ones are noted, so their number is bounded.
#[derive(Default)]
pub(crate) struct Presence {
    miners: Mutex<BTreeMap<Hotkey, Seen>>,
}

impl Presence {
    /// Notes a request for work.
    pub(crate) fn note(&self, miner: &Hotkey, seen: Seen) {
        self.miners().insert(miner.clone(), seen);
    }

    /// Notes any other sign of life.
    pub(crate) fn touch(&self, miner: &Hotkey, now_ms: i64) {
        if let Some(seen) = self.miners().get_mut(miner) {
            seen.last_seen_ms = now_ms;
        }
    }

    /// What a miner said about itself, if it was here lately.
    pub(crate) fn seen(&self, miner: &Hotkey, now_ms: i64) -> Option<Seen> {
        self.miners().get(miner).filter(|seen| now_ms - seen.last_seen_ms <= AWAY_AFTER_MS).cloned()
    }

    /// The miners that were here lately.
    pub(crate) fn present(&self, now_ms: i64) -> Vec<(Hotkey, Seen)> {
        let mut miners = self.miners();
        miners.retain(|_, seen| now_ms - seen.last_seen_ms <= AWAY_AFTER_MS);
        miners.iter().map(|(miner, seen)| (miner.clone(), seen.clone())).collect()
    }

    /// The voices that miners here speak with, sorted; `None` while nobody here speaks.
    pub(crate) fn voices(&self, now_ms: i64) -> Option<BTreeSet<String>> {
        let present = self.present(now_ms);
        let mut speakers =
            present.into_iter().filter(|(_, seen)| seen.kinds.iter().any(|kind| kind == "synthesis")).peekable();
        speakers.peek()?;
        Some(speakers.flat_map(|(_, seen)| seen.voices).collect())
    }

    fn miners(&self) -> MutexGuard<'_, BTreeMap<Hotkey, Seen>> {
        self.miners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
