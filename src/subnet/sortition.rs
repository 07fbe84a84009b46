//! Which validators judge a task.
//!
//! Up to [`SEATS`] validators all judge. Of more, as many seats are drawn by stake: the validators stand in a random order
//! on a line, each as long as its stake, and seats lie on it at equal distances. So nobody is drawn more or less often
//! than its stake says, by more than one seat, and nothing is gained by dividing a stake among several hotkeys.

use sha2::{Digest, Sha256};

use super::task::Member;

/// Seats of a committee.
pub const SEATS: u16 = 32;

/// The committee of a task: all validators, or those that were drawn, each with the stake that its seats stand for.
///
/// The same `seed` (the task's name) draws the same committee whatever the order of the validators; no validator knows
/// it before the task exists. Order: as given.
#[must_use]
pub fn committee(validators: &[Member], seed: &str) -> Vec<Member> {
    let with_stake = validators.iter().filter(|member| member.stake > 0.0).count();
    let mut line: Vec<(u64, usize)> =
        validators.iter().enumerate().map(|(at, member)| (draw(seed, member.validator.as_str()), at)).collect();
    line.sort_unstable();
    // Summed along the line: the order in which the validators are given must not change a bit.
    let total: f64 = line.iter().map(|&(_, at)| validators[at].stake.max(0.0)).sum();
    if with_stake <= usize::from(SEATS) || !total.is_finite() {
        return validators.to_vec();
    }
    let distance = total / f64::from(SEATS);
    #[allow(clippy::cast_precision_loss, reason = "the top 53 bits, as a number in [0, 1)")]
    let start = (draw(seed, "") >> 11) as f64 / (1_u64 << 53) as f64;
    let mut seats = vec![0_u16; validators.len()];
    let (mut end, mut taken) = (0.0, 0_u16);
    for &(_, at) in &line {
        end += validators[at].stake.max(0.0);
        while taken < SEATS && (f64::from(taken) + start) * distance < end {
            taken += 1;
            seats[at] += 1;
        }
    }
    let drawn = validators.iter().zip(seats).filter(|(_, n)| *n > 0);
    drawn.map(|(member, n)| Member { stake: f64::from(n) * distance, ..member.clone() }).collect()
}

/// A number that nobody can choose: the first bytes of a hash of the seed and a name.
pub(super) fn draw(seed: &str, name: &str) -> u64 {
    let mut hash = Sha256::new();
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    hash.update((seed.len() as u64).to_be_bytes());
    hash.update(seed);
    hash.update(name);
    hash.finalize().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::subnet::task::Hotkey;

    fn members(stakes: &[f64]) -> Vec<Member> {
        stakes.iter().enumerate().map(|(n, &stake)| Member::new(Hotkey::from(format!("v{n}")), stake)).collect()
    }

    #[test]
    fn a_few_validators_all_judge() {
        let few = members(&[5.0; SEATS as usize]);
        assert_eq!(committee(&few, "task"), few);
        assert_eq!(committee(&[], "task"), []);
    }

    #[test]
    fn over_many_tasks_everybody_has_seats_as_its_stake_says() {
        let stakes: Vec<f64> = (0..60).map(|n| if n == 0 { 300.0 } else { 1.0 + f64::from(n % 7) }).collect();
        let (validators, total) = (members(&stakes), stakes.iter().sum::<f64>());
        let mut drawn = vec![0.0; stakes.len()];
        for task in 0..4_000 {
            for member in committee(&validators, &format!("task {task}")) {
                drawn[validators.iter().position(|v| v.validator == member.validator).unwrap()] +=
                    member.stake / 4_000.0;
            }
        }
        assert!((drawn[0] - 300.0).abs() < 2.0, "{}", drawn[0]);
        for (drawn, stake) in drawn.iter().zip(&stakes) {
            // Five standard deviations of a share of one seat in 4,000 draws.
            assert!((drawn - stake).abs() < 5.0 * total / f64::from(SEATS) * 0.5 / 4_000_f64.sqrt(), "{drawn} {stake}");
        }
    }

    proptest! {
        #[test]
        fn seats_stand_for_all_stake_within_one_seat_each(
            stakes in prop::collection::vec(0.0..100.0_f64, 33..80), seed in "[a-z0-9]{1,9}",
        ) {
            let (validators, total) = (members(&stakes), stakes.iter().sum::<f64>());
            let found = committee(&validators, &seed);
            let mut reversed = validators.clone();
            reversed.reverse();
            let mut again = committee(&reversed, &seed);
            again.reverse();
            prop_assert_eq!(&found, &again);
            prop_assert!((found.iter().map(|member| member.stake).sum::<f64>() - total).abs() < 1e-6 * total);
            for member in &found {
                let own = validators.iter().find(|v| v.validator == member.validator).unwrap().stake;
                prop_assert!((member.stake - own).abs() <= total / f64::from(SEATS) + 1e-9);
            }
        }
    }
}
