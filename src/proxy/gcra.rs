//! A limit on how often somebody may ask: the generic cell rate algorithm, one number for each who asks.
//!
//! Not the crate `governor`: it has the arithmetic, which is five lines here, and leaves the table, which is the rest. Its
//! own tables grow with every name that asks until they are pruned, and do not tell whether a name is known, so that a
//! flood of new names could not be held to a share of one; with a table of ours behind its trait this file would be longer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds of the rate that may come at once after a pause.
const BURST_S: u32 = 10;

/// Names that are remembered; who comes when all of them are at work shares one name with others like it.
const MAX_NAMES: usize = 65_536;

/// How often it is looked for names that can be forgotten when there is no room, ns.
const PRUNE_NS: u64 = 1_000_000_000;

/// Lets each name ask at a rate, after a pause ten seconds of it at once.
pub(crate) struct Limiter {
    /// Time that one request takes up, ns.
    step_ns: u64,
    /// How far ahead of the clock a name may be, ns.
    tolerance_ns: u64,
    began: Instant,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    /// When each name has made up for all that it asked: its theoretical arrival time, ns. In the past it says nothing.
    until_ns: HashMap<String, u64>,
    pruned_ns: u64,
}

impl Limiter {
    /// A limiter for this many requests a second; `None` for 0, which is no limit.
    pub(crate) fn new(per_s: u32) -> Option<Self> {
        let step_ns = 1_000_000_000_u64.checked_div(u64::from(per_s))?;
        let tolerance_ns = step_ns * u64::from(per_s * BURST_S - 1);
        Some(Self { step_ns, tolerance_ns, began: Instant::now(), names: Mutex::default() })
    }

    /// Counts a request; if it is too much it does not count, and the time is given after which it would not be.
    pub(crate) fn ask(&self, name: &str) -> Result<(), Duration> {
        self.ask_at(name, u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn ask_at(&self, name: &str, now_ns: u64) -> Result<(), Duration> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.until_ns.len() >= MAX_NAMES && now_ns.saturating_sub(names.pruned_ns) >= PRUNE_NS {
            names.until_ns.retain(|_, until_ns| *until_ns > now_ns);
            names.pruned_ns = now_ns;
        }
        let is_known = names.until_ns.contains_key(name);
        let name = if is_known || names.until_ns.len() < MAX_NAMES { name } else { "" };
        let until_ns = names.until_ns.get(name).copied().unwrap_or(0).max(now_ns);
        let ahead_ns = until_ns - now_ns;
        if ahead_ns > self.tolerance_ns {
            return Err(Duration::from_nanos(ahead_ns - self.tolerance_ns));
        }
        names.until_ns.insert(name.to_owned(), until_ns + self.step_ns);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn ten_seconds_of_the_rate_may_come_at_once_and_then_the_rate() {
        let limiter = Limiter::new(2).unwrap();
        for n in 0..20 {
            assert!(limiter.ask_at("a", 0).is_ok(), "{n}");
        }
        assert_eq!(limiter.ask_at("a", 0), Err(Duration::from_millis(500)));
        assert_eq!(limiter.ask_at("a", SECOND / 4), Err(Duration::from_millis(250)), "what is refused does not count");
        assert!(limiter.ask_at("a", SECOND / 2).is_ok());
        assert!(limiter.ask_at("a", SECOND / 2).is_err());
        assert!(limiter.ask_at("b", 0).is_ok(), "each for itself");
        // Over any longer time no more than the rate: 20 at once and 2 a second.
        let n_taken = (0..1_000).filter(|n| limiter.ask_at("c", n * SECOND / 100).is_ok()).count();
        assert_eq!(n_taken, 20 + 19, "of 100 a second in 10 s");
    }

    #[test]
    fn zero_is_no_limit_and_the_fastest_rate_has_a_step() {
        assert!(Limiter::new(0).is_none());
        let limiter = Limiter::new(100_000).unwrap();
        assert_eq!(limiter.step_ns, 10_000);
    }

    #[test]
    fn memory_is_bounded_and_a_flood_of_names_shares_one_limit() {
        let limiter = Limiter::new(1).unwrap();
        (0..MAX_NAMES).for_each(|n| assert!(limiter.ask_at(&n.to_string(), 0).is_ok()));
        let n_taken = (0..100).filter(|n| limiter.ask_at(&format!("new {n}"), 0).is_ok()).count();
        assert_eq!(n_taken, 10, "together they have one name's share");
        assert!(limiter.ask_at("0", 0).is_ok(), "who is known keeps its own");
        assert!(limiter.names.lock().unwrap().until_ns.len() <= MAX_NAMES + 1);
        // Once they have made up for it they are forgotten.
        assert!(limiter.ask_at("new", 20 * SECOND).is_ok());
        assert!(limiter.names.lock().unwrap().until_ns.len() < 3);
    }
}
