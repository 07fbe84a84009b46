//! Miners whose claims wait in this process: among them turns are drawn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::subnet::task::Hotkey;
use crate::subnet::turns::Waiting;

/// Those who wait, each once, with how many of its claims do.
type Miners = BTreeMap<Hotkey, (usize, Arc<Waiting>)>;

/// Those who wait, each once however many claims it has. Only registered miners are here, so their number is bounded.
#[derive(Default)]
pub(crate) struct Lobby {
    miners: Mutex<Miners>,
}

impl Lobby {
    /// Lets a miner wait until what is returned is dropped.
    pub(crate) fn enter(&self, waiting: Waiting) -> Inside<'_> {
        let (miner, waiting) = (waiting.miner.clone(), Arc::new(waiting));
        let mut miners = self.miners();
        let (n_claims, known) = miners.entry(miner.clone()).or_insert_with(|| (0, Arc::clone(&waiting)));
        // What it said last counts.
        (*n_claims, *known) = (*n_claims + 1, waiting);
        drop(miners);
        Inside { lobby: self, miner }
    }

    /// Everybody who waits.
    pub(crate) fn all(&self) -> Vec<Arc<Waiting>> {
        self.miners().values().map(|(_, waiting)| Arc::clone(waiting)).collect()
    }

    fn miners(&self) -> MutexGuard<'_, Miners> {
        self.miners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim that waits.
pub(crate) struct Inside<'a> {
    lobby: &'a Lobby,
    miner: Hotkey,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut miners = self.lobby.miners();
        if let Some((n_claims, _)) = miners.get_mut(&self.miner) {
            *n_claims -= 1;
            if *n_claims == 0 {
                miners.remove(&self.miner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnet::task::{Coldkey, Kind};
    use crate::subnet::turns::number;

    fn waiting(name: &str, capacity: u32) -> Waiting {
        let (miner, coldkey, kinds) = (Hotkey::from(name), Coldkey::from("c"), vec![Kind::Analysis]);
        let number = number(&miner);
        Waiting { miner, coldkey, kinds, voices: Vec::new(), quality: 0.5, answered: 0, capacity, held: 0, number }
    }

    #[test]
    fn a_miner_waits_as_long_as_any_of_its_claims() {
        let lobby = Lobby::default();
        let first = lobby.enter(waiting("a", 1));
        let second = lobby.enter(waiting("a", 2));
        let other = lobby.enter(waiting("b", 3));
        let seen = || lobby.all().iter().map(|w| (w.miner.as_str().to_owned(), w.capacity)).collect::<Vec<_>>();
        assert_eq!(seen(), [("a".to_owned(), 2), ("b".to_owned(), 3)]);
        drop(first);
        drop(other);
        assert_eq!(seen(), [("a".to_owned(), 2)]);
        drop(second);
        assert!(lobby.all().is_empty());
    }
}
