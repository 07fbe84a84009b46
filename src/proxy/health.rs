//! What validators report of the miners that they ask themselves: how often they answer, and how much they do at once.
//!
//! In memory: a validator reports anew after every round of its questions.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::subnet::consensus::{self, weighted_median};
use crate::subnet::task::{Hotkey, Member};

/// Time after which a report counts no more, ms.
const KEPT_MS: i64 = 3_600_000;

/// What one validator saw of one miner.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// How often it was asked, of late.
    pub(crate) asked: u32,
    /// How often it answered.
    pub(crate) answered: u32,
    /// How many requests at once it answered in time; absent where that was not tried.
    #[serde(default)]
    pub(crate) capacity: Option<u32>,
}

/// What validators together saw of one miner; absent where those who saw it weigh less than a quorum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Checked {
    /// Share of questions that it answered, 0 to 1.
    pub(crate) answers: Option<f64>,
    /// Leases that it may hold, from 1 up.
    pub(crate) capacity: Option<u32>,
}

struct Round {
    at_ms: i64,
    miners: BTreeMap<Hotkey, Report>,
}

/// The newest reports; only validators' are noted, so their number is bounded.
#[derive(Default)]
pub(crate) struct Health {
    rounds: Mutex<BTreeMap<Hotkey, Round>>,
}

impl Health {
    /// Takes a validator's report in place of its last one.
    pub(crate) fn note(&self, validator: &Hotkey, miners: BTreeMap<Hotkey, Report>, now_ms: i64) {
        let mut rounds = self.rounds();
        rounds.retain(|_, round| now_ms - round.at_ms <= KEPT_MS);
        rounds.insert(validator.clone(), Round { at_ms: now_ms, miners });
    }

    /// What these validators saw of a miner: the medians, weighted by stake and trust.
    pub(crate) fn of(&self, miner: &Hotkey, validators: &[Member], now_ms: i64) -> Checked {
        let rounds = self.rounds();
        let weight = |member: &Member| consensus::weight(member.stake, member.trust.value());
        let seen: Vec<(Report, f64)> = validators
            .iter()
            .filter_map(|member| {
                let round = rounds.get(&member.validator).filter(|round| now_ms - round.at_ms <= KEPT_MS)?;
                round.miners.get(miner).map(|report| (*report, weight(member)))
            })
            .collect();
        let all: f64 = validators.iter().map(weight).sum();
        let agreed = |value: &dyn Fn(&Report) -> Option<f64>| {
            let said: Vec<(f64, f64)> = seen.iter().filter_map(|(report, w)| Some((value(report)?, *w))).collect();
            // Else one small validator could take everybody's work away.
            consensus::has_quorum(said.iter().map(|(_, w)| w).sum(), all).then(|| weighted_median(&said)).flatten()
        };
        let share = |report: &Report| {
            (report.asked > 0).then(|| f64::from(report.answered.min(report.asked)) / f64::from(report.asked))
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a median of numbers of u32")]
        let capacity = agreed(&|report| report.capacity.map(f64::from)).map(|found| (found as u32).max(1));
        Checked { answers: agreed(&share), capacity }
    }

    fn rounds(&self) -> MutexGuard<'_, BTreeMap<Hotkey, Round>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validators() -> Vec<Member> {
        [("a", 50.0), ("b", 30.0), ("c", 20.0)]
            .map(|(name, stake)| Member::new(Hotkey::from(name), stake))
            .into_iter()
            .collect()
    }

    fn say(health: &Health, validator: &str, asked: u32, answered: u32, capacity: Option<u32>) {
        let report = Report { asked, answered, capacity };
        health.note(&Hotkey::from(validator), BTreeMap::from([(Hotkey::from("m"), report)]), 0);
    }

    #[test]
    fn less_than_half_of_the_stake_says_nothing_about_anybody() {
        let health = Health::default();
        say(&health, "b", 10, 0, Some(1));
        assert_eq!(health.of(&Hotkey::from("m"), &validators(), 0), Checked::default());
        say(&health, "c", 10, 5, Some(3));
        // 30 and 20 of 100 are half of it; of the two the heavier one's word.
        let found = health.of(&Hotkey::from("m"), &validators(), 0);
        assert_eq!(found, Checked { answers: Some(0.0), capacity: Some(1) });
        assert_eq!(health.of(&Hotkey::from("another"), &validators(), 0), Checked::default());
    }

    #[test]
    fn a_capacity_is_the_median_of_those_who_tried_and_never_0() {
        let health = Health::default();
        say(&health, "a", 10, 10, None);
        say(&health, "b", 10, 9, Some(4));
        say(&health, "c", 10, 8, Some(2));
        let found = health.of(&Hotkey::from("m"), &validators(), 0);
        // Half of the weight says 1, and the next 0.9.
        assert!((found.answers.unwrap() - 0.95).abs() < 1e-12);
        assert_eq!(found.capacity, Some(4));
        for validator in ["a", "b"] {
            say(&health, validator, 10, 10, Some(0));
        }
        assert_eq!(health.of(&Hotkey::from("m"), &validators(), 0).capacity, Some(1));
    }

    #[test]
    fn old_reports_and_those_of_strangers_count_no_more() {
        let health = Health::default();
        say(&health, "a", 4, 4, Some(2));
        say(&health, "stranger", 4, 0, Some(1));
        let found = health.of(&Hotkey::from("m"), &validators(), KEPT_MS);
        assert_eq!(found, Checked { answers: Some(1.0), capacity: Some(2) });
        assert_eq!(health.of(&Hotkey::from("m"), &validators(), KEPT_MS + 1), Checked::default());
    }
}
