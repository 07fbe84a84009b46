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
    /// Leases that it answered, and leases that ended without a word of it, since this proxy began or the miner came back.
    pub(crate) account: (u64, u64),
}

/// Miners that were here lately; only registered ones are noted, so their number is bounded.
#[derive(Default)]
pub(crate) struct Presence {
    miners: Mutex<BTreeMap<Hotkey, Seen>>,
}

impl Presence {
    /// Notes a request for work.
    pub(crate) fn note(&self, miner: &Hotkey, mut seen: Seen) {
        let mut miners = self.miners();
        seen.account = miners.get(miner).map_or((0, 0), |known| known.account);
        miners.insert(miner.clone(), seen);
    }

    /// Notes what became of a lease.
    pub(crate) fn count(&self, miner: &Hotkey, answered: bool) {
        if let Some(Seen { account: (good, bad), .. }) = self.miners().get_mut(miner) {
            let count = if answered { good } else { bad };
            *count = count.saturating_add(1);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_leases_is_counted_until_the_miner_is_gone() {
        let (presence, miner) = (Presence::default(), Hotkey::from("m"));
        let seen = |last_seen_ms| Seen { last_seen_ms, ..Seen::default() };
        let account = |now_ms| presence.present(now_ms).first().map(|(_, seen)| seen.account);
        presence.count(&miner, true);
        assert_eq!(account(0), None, "nobody is here yet");
        presence.note(&miner, seen(0));
        presence.count(&miner, true);
        presence.count(&miner, true);
        presence.count(&miner, false);
        presence.note(&miner, seen(1));
        assert_eq!(account(1), Some((2, 1)), "asking again forgets nothing");
        assert_eq!(account(AWAY_AFTER_MS + 2), None);
        presence.note(&miner, seen(AWAY_AFTER_MS + 3));
        assert_eq!(account(AWAY_AFTER_MS + 3), Some((0, 0)));
    }
}
