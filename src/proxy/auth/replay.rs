//! Signed requests that were accepted already.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::btauth::{MAX_AGE_NS, MAX_AHEAD_NS};
use crate::proxy::error::{ApiError, ApiResult};

/// Requests of one hotkey that are remembered; more in the time that a nonce lives are refused.
///
/// Forgetting the oldest instead would let it be replayed.
const PER_HOTKEY: usize = 4_096;

/// How long other proxies need to remember a request, ms: as long as its nonce lives, and clocks a minute apart.
pub(crate) const NOTE_LIFE_MS: i64 = (MAX_AGE_NS + MAX_AHEAD_NS).cast_signed() / 1_000_000 + 60_000;

/// 401: the request was accepted before.
pub(crate) fn replayed() -> ApiError {
    let message = "this request was accepted before; sign every request with a new nonce";
    ApiError::unauthenticated("replayed", message).at("x-bittensor-nonce")
}

/// Accepted requests, as long as their nonce lives. Written only after a valid signature of a registered hotkey, so
/// nobody else can fill it, and the number of hotkeys is that of the metagraph.
#[derive(Default)]
pub(crate) struct Replays {
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Hashes of signed messages and when they may be forgotten, in the order in which they came.
    order: VecDeque<(u64, [u8; 32])>,
    hashes: std::collections::HashSet<[u8; 32]>,
}

impl Replays {
    /// Notes an accepted message; refuses one that was noted before. Returns its name for other proxies' notes.
    ///
    /// The message, not the nonce alone, is what is accepted once: it holds the nonce, and two different requests that a
    /// hotkey signed in the same nanosecond are both honest.
    pub(crate) fn accept(&self, hotkey: &str, message: &[u8], now_ns: u64) -> ApiResult<String> {
        let hash: [u8; 32] = Sha256::digest(message).into();
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.entry(hotkey.to_owned()).or_default();
        while let Some((_, oldest)) = seen.order.pop_front_if(|(until_ns, _)| *until_ns < now_ns) {
            seen.hashes.remove(&oldest);
        }
        if seen.hashes.contains(&hash) {
            return Err(replayed());
        }
        if seen.order.len() >= PER_HOTKEY {
            return Err(ApiError::busy("too_many_requests", format!("more than {PER_HOTKEY} requests within 12 s")));
        }
        // Whatever the nonce was, the window has passed it by then.
        seen.order.push_back((now_ns.saturating_add(MAX_AGE_NS + MAX_AHEAD_NS), hash));
        seen.hashes.insert(hash);
        Ok(hex::encode(hash))
    }

    /// Forgets hotkeys that have been silent.
    pub(crate) fn prune(&self, now_ns: u64) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, seen| seen.order.back().is_some_and(|(until_ns, _)| *until_ns >= now_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_accepted_once_while_its_nonce_lives() {
        let replays = Replays::default();
        assert!(replays.accept("a", b"m", 0).is_ok());
        assert!(replays.accept("a", b"m", MAX_AGE_NS + MAX_AHEAD_NS).is_err());
        assert!(replays.accept("a", b"n", 0).is_ok());
        assert!(replays.accept("b", b"m", 0).is_ok(), "hotkeys do not share nonces");
    }

    #[test]
    fn memory_is_bounded_without_forgetting() {
        let replays = Replays::default();
        for n in 0..PER_HOTKEY {
            assert!(replays.accept("a", &n.to_le_bytes(), 0).is_ok());
        }
        assert!(replays.accept("a", b"one more", 0).is_err());
        assert!(replays.accept("a", &0usize.to_le_bytes(), 0).is_err(), "the oldest is still known");
        assert!(replays.accept("a", b"one more", MAX_AGE_NS + MAX_AHEAD_NS + 1).is_ok(), "later there is room again");
    }

    #[test]
    fn silent_hotkeys_are_forgotten() {
        let replays = Replays::default();
        assert!(replays.accept("a", b"m", 0).is_ok());
        replays.prune(MAX_AGE_NS + MAX_AHEAD_NS + 1);
        assert!(replays.seen.lock().unwrap().is_empty());
    }
}
