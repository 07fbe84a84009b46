//! What validators report of the miners that they ask themselves: how often they answer, and how much they do at once.

use serde::{Deserialize, Serialize};

use crate::subnet::consensus::{self, weighted_median};
use crate::subnet::task::{Hotkey, Member};

/// What one validator saw of one miner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

/// What validators together found of a miner, each of which `of` tells: the medians, weighted by stake and trust.
pub(crate) fn checked(validators: &[Member], of: impl Fn(&Hotkey) -> Option<Report>) -> Checked {
    let weight = |member: &Member| consensus::weight(member.stake, member.trust.value());
    let seen: Vec<(Report, f64)> =
        validators.iter().filter_map(|member| of(&member.validator).map(|report| (report, weight(member)))).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `(validator, asked, answered, capacity)` by three validators of 50, 30 and 20 % of the stake.
    fn found(said: &[(&str, u32, u32, Option<u32>)]) -> Checked {
        let validators: Vec<Member> =
            [("a", 50.0), ("b", 30.0), ("c", 20.0)].map(|(name, stake)| Member::new(Hotkey::from(name), stake)).into();
        checked(&validators, |validator| {
            let (_, asked, answered, capacity) = *said.iter().find(|(name, ..)| *name == validator.as_str())?;
            Some(Report { asked, answered, capacity })
        })
    }

    #[test]
    fn less_than_half_of_the_stake_says_nothing_about_anybody() {
        assert_eq!(found(&[("b", 10, 0, Some(1))]), Checked::default());
        // 30 and 20 of 100 are half of it; of the two the heavier one's word.
        let both = found(&[("b", 10, 0, Some(1)), ("c", 10, 5, Some(3))]);
        assert_eq!(both, Checked { answers: Some(0.0), capacity: Some(1) });
        assert_eq!(found(&[]), Checked::default());
    }

    #[test]
    fn a_capacity_is_the_median_of_those_who_tried_and_never_0() {
        let tried = found(&[("a", 10, 10, None), ("b", 10, 9, Some(4)), ("c", 10, 8, Some(2))]);
        // Half of the weight says 1, and the next 0.9.
        assert!((tried.answers.unwrap() - 0.95).abs() < 1e-12);
        assert_eq!(tried.capacity, Some(4));
        assert_eq!(found(&[("a", 10, 10, Some(0)), ("b", 10, 10, Some(0))]).capacity, Some(1));
    }

    #[test]
    fn strangers_do_not_count() {
        let said = found(&[("a", 4, 4, Some(2)), ("stranger", 4, 0, Some(1))]);
        assert_eq!(said, Checked { answers: Some(1.0), capacity: Some(2) });
    }
}
