//! Turns by name, of a bounded number of locks.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// Locks; names that share one wait for each other, which costs time and nothing else.
const LOCKS: usize = 1_024;

/// Lets holders of the same name take turns. Whoever holds one must not ask for another.
pub(crate) struct Locks {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Locks {
    fn default() -> Self {
        Self { locks: std::iter::repeat_with(Mutex::default).take(LOCKS).collect(), hasher: RandomState::new() }
    }
}

impl Locks {
    /// Waits for the turn of this name.
    #[allow(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    pub(crate) async fn lock(&self, name: &str) -> MutexGuard<'_, ()> {
        self.locks[self.hasher.hash_one(name) as usize % LOCKS].lock().await
    }
}
