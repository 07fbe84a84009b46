//! From what a validator knows about each miner to the weights that it sets on chain.

use std::collections::{BTreeMap, HashMap};

/// Scores up to this earn nothing.
pub const SCORE_FLOOR: f64 = 0.30;

/// Exponent of the score above the floor: the best earn much more than the middling.
pub const SCORE_EXPONENT: i32 = 2;

/// Most that one group may earn. With fewer earning groups than `1 / GROUP_CAP`, the cap is `1 / groups`.
pub const GROUP_CAP: f64 = 0.20;

/// Best score from which nothing is burned for low quality; below it the burnt share grows linearly, to all at
/// [`SCORE_FLOOR`].
pub const BURN_FREE_SCORE: f64 = 0.60;

/// Time after which a measurement counts half, seconds.
pub const HALF_LIFE_S: f64 = 6.0 * 3600.0;

/// A mean in which a measurement of age `a` counts `0.5^(a / HALF_LIFE_S)`.
///
/// Time alone changes nothing: a miner that nobody asks keeps its value.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ema {
    /// The mean, in [0, 1]; 0 before the first measurement.
    pub value: f64,
    /// How many fresh measurements the mean is worth.
    pub mass: f64,
    /// Time of the newest measurement, seconds of any one clock.
    pub updated_s: f64,
}

impl Ema {
    /// The mean after a measurement `x` (clipped to [0, 1]; 0 when not a number) at `now_s`.
    ///
    /// A clock that goes backwards counts as one that stands.
    #[must_use]
    pub fn update(self, x: f64, now_s: f64) -> Self {
        let age_s = (now_s - self.updated_s).max(0.0);
        let mass = self.mass * (-age_s / HALF_LIFE_S).exp2() + 1.0;
        let value = self.value + (clip(x) - self.value) / mass;
        Self { value, mass, updated_s: self.updated_s.max(now_s) }
    }

    /// How sure the mean is, in [0, 1): one fresh measurement counts half.
    #[must_use]
    pub fn confidence(self) -> f64 {
        clip(self.mass / (self.mass + 1.0))
    }
}

/// One miner, as the weights see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Miner {
    /// Its place on chain.
    pub uid: u16,
    /// Its [`score`](super::miner::score).
    pub score: f64,
    /// Who owns it.
    pub coldkey: String,
    /// Where it runs, when that should count: miners with an equal address are one group, like those of one owner.
    pub ip: Option<String>,
    /// The cluster that its answers put it in ([`super::fingerprint`]): one group as well.
    pub fingerprint: Option<u16>,
}

/// Why a miner gets what it gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// What its score earns before it is shared and capped: `(S - 0.30)^2`.
    pub earning: f64,
    /// Number of its group, in the order of their first members.
    pub group: usize,
    /// Its group's share of what all groups earn, before the cap.
    pub group_share: f64,
    /// Its own share of all, before the rest is burned or shared out.
    pub share: f64,
}

/// Weights, and how they came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Each miner's, in the order given.
    pub shares: Vec<Share>,
    /// Most that one group may get.
    pub cap: f64,
    /// Share that is withheld because even the best score is low.
    pub withheld: f64,
    /// See [`weights`].
    pub weights: Vec<(u16, f64)>,
}

/// Weights by uid, ascending; they sum to 1, or there are none when nobody earns and nothing can be burned.
///
/// A group (miners linked by coldkey, address or fingerprint) earns what its members with a score would
/// earn in the mean, `(S - 0.30)^2`, divided among its members in proportion to theirs; a group's share is at most [`GROUP_CAP`]. What the cap takes, and what is
/// withheld while even the best score is below [`BURN_FREE_SCORE`], goes to `burn_uid`: the chain burns what the owner's
/// uid would earn. Without a `burn_uid` there is nowhere to put it, so the capped shares are scaled up to sum to 1: the
/// order stays, and the cap limits what a group is counted for.
#[must_use]
pub fn weights(miners: &[Miner], burn_uid: Option<u16>) -> Vec<(u16, f64)> {
    explain(miners, burn_uid).weights
}

/// [`weights`], with how they came about.
#[must_use]
pub fn explain(miners: &[Miner], burn_uid: Option<u16>) -> Explained {
    let raw: Vec<f64> = miners.iter().map(|miner| earning(miner.score)).collect();
    let groups = groups(miners);
    // The mean, not the best: the best of many equal members is only the luckiest.
    let mean = |group: &Vec<usize>| {
        let known = group.iter().filter(|index| miners[**index].score > 0.0);
        let (sum, n) = known.fold((0.0, 0.0), |(sum, n), &index| (sum + raw[index], n + 1.0));
        if n > 0.0 { sum / n } else { 0.0 }
    };
    let total: f64 = groups.iter().map(mean).sum();
    let n_earning = groups.iter().filter(|group| mean(group) > 0.0).count();
    let burned = burn_uid.map_or(0.0, |_| low_quality_burn(miners));

    #[allow(clippy::cast_precision_loss, reason = "a subnet has at most 65,536 groups")]
    let cap = if n_earning > 0 { GROUP_CAP.max(1.0 / n_earning as f64) } else { GROUP_CAP };
    let mut weights: BTreeMap<u16, f64> = BTreeMap::new();
    let mut shares = vec![Share { earning: 0.0, group: 0, group_share: 0.0, share: 0.0 }; miners.len()];
    for (number, group) in groups.iter().enumerate() {
        let group_share = if total > 0.0 { mean(group) / total } else { 0.0 };
        let sum: f64 = group.iter().map(|&index| raw[index]).sum();
        for &index in group {
            let earning = raw[index];
            let share = if earning > 0.0 { group_share.min(cap) * (1.0 - burned) * earning / sum } else { 0.0 };
            shares[index] = Share { earning, group: number, group_share, share };
            if share > 0.0 {
                *weights.entry(miners[index].uid).or_default() += share;
            }
        }
    }
    let given: f64 = weights.values().sum();
    if let Some(uid) = burn_uid {
        *weights.entry(uid).or_default() += (1.0 - given).max(0.0);
    }
    let sum: f64 = weights.values().sum();
    let weights = weights.into_iter().filter(|(_, weight)| *weight > 0.0);
    Explained { shares, cap, withheld: burned, weights: weights.map(|(uid, weight)| (uid, weight / sum)).collect() }
}

/// Weights as the chain takes them: the greatest becomes 65,535, those that round to 0 are left out.
#[must_use]
pub fn to_u16(weights: &[(u16, f64)]) -> Vec<(u16, u16)> {
    let max = weights.iter().map(|entry| entry.1).fold(0.0, f64::max);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is in [0, 65535]")]
    let upscale = |weight: f64| (clip(weight / max) * f64::from(u16::MAX)).round_ties_even() as u16;
    weights.iter().map(|&(uid, weight)| (uid, upscale(weight))).filter(|entry| entry.1 > 0).collect()
}

/// What a score earns before it is shared and capped.
fn earning(score: f64) -> f64 {
    (clip(score) - SCORE_FLOOR).max(0.0).powi(SCORE_EXPONENT)
}

/// The share withheld because even the best miner is not good enough.
fn low_quality_burn(miners: &[Miner]) -> f64 {
    let top = miners.iter().map(|miner| clip(miner.score)).fold(0.0, f64::max);
    clip((BURN_FREE_SCORE - top) / (BURN_FREE_SCORE - SCORE_FLOOR))
}

/// What two miners of one group have in common.
#[derive(PartialEq, Eq, Hash)]
enum Link<'a> {
    Coldkey(&'a str),
    Ip(&'a str),
    Fingerprint(u16),
}

/// Indices of miners by group: linked over any number of steps; in order of first members.
fn groups(miners: &[Miner]) -> Vec<Vec<usize>> {
    fn root(parents: &mut [usize], mut index: usize) -> usize {
        while parents[index] != index {
            parents[index] = parents[parents[index]];
            index = parents[index];
        }
        index
    }
    let mut parents: Vec<usize> = (0..miners.len()).collect();
    let mut first: HashMap<Link<'_>, usize> = HashMap::new();
    for (index, miner) in miners.iter().enumerate() {
        let ip = miner.ip.as_deref().map(Link::Ip);
        let links = [Some(Link::Coldkey(&miner.coldkey)), ip, miner.fingerprint.map(Link::Fingerprint)];
        for key in links.into_iter().flatten() {
            let (a, b) = (*first.entry(key).or_insert(index), index);
            let (a, b) = (root(&mut parents, a), root(&mut parents, b));
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in 0..miners.len() {
        groups.entry(root(&mut parents, index)).or_default().push(index);
    }
    groups.into_values().collect()
}

/// `x` within [0, 1]; 0 when not a number.
pub(super) fn clip(x: f64) -> f64 {
    if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn miner(uid: u16, score: f64, coldkey: &str) -> Miner {
        Miner { uid, score, coldkey: coldkey.to_owned(), ip: None, fingerprint: None }
    }

    fn assert_weights(got: &[(u16, f64)], expected: &[(u16, f64)]) {
        let uids = |weights: &[(u16, f64)]| weights.iter().map(|entry| entry.0).collect::<Vec<_>>();
        assert_eq!(uids(got), uids(expected));
        for (got, expected) in got.iter().zip(expected) {
            assert!((got.1 - expected.1).abs() < 1e-12, "{got:?}, expected {expected:?}");
        }
    }

    #[test]
    fn ema_counts_a_measurement_of_one_half_life_half() {
        let first = Ema::default().update(1.0, 0.0);
        assert!((first.value - 1.0).abs() < 1e-12);
        // (0.5 * 1 + 1 * 0.4) / 1.5
        let second = first.update(0.4, HALF_LIFE_S);
        assert!((second.value - 0.6).abs() < 1e-12);
        assert!((second.mass - 1.5).abs() < 1e-12);
    }

    #[test]
    fn ema_of_measurements_at_one_moment_is_their_mean() {
        let ema = [0.2, 0.4, 0.9].iter().fold(Ema::default(), |ema, x| ema.update(*x, 5.0));
        assert!((ema.value - 0.5).abs() < 1e-12);
    }

    #[test]
    fn ema_takes_a_backward_clock_as_a_standing_one_and_nan_as_zero() {
        let ema = Ema::default().update(1.0, 100.0).update(f64::NAN, 50.0);
        assert!((ema.value - 0.5).abs() < 1e-12);
        assert!((ema.updated_s - 100.0).abs() < 1e-12);
    }

    #[test]
    fn two_groups_worked_by_hand() {
        // (0.7)^2 = 0.49 and (0.4)^2 = 0.16 of 0.65; the cap for two groups is a half.
        let miners = [miner(1, 1.0, "a"), miner(2, 0.7, "b")];
        let small = 0.16 / 0.65;
        assert_weights(&weights(&miners, Some(9)), &[(1, 0.5), (2, small), (9, 0.5 - small)]);
        assert_weights(&weights(&miners, None), &[(1, 0.5 / (0.5 + small)), (2, small / (0.5 + small))]);
    }

    #[test]
    fn a_group_earns_as_its_members_in_the_mean_and_divides_by_theirs() {
        let mut miners = vec![miner(1, 1.0, "a"), miner(2, 0.65, "a"), miner(3, 0.2, "a"), miner(6, 0.0, "a")];
        miners.extend([miner(4, 0.65, "b"), miner(5, 1.0, "c")]);
        // 0.49, 0.1225 and 0 are 4, 1 and 0: 5/3 in the mean, for one without a score does not count. Of 5/3, 1 and 4 the
        // last is over the cap of a third; without a uid to burn at, the shares are scaled to 1.
        let total = 0.25 + 0.15 + 1.0 / 3.0;
        let expected = [(1, 0.2 / total), (2, 0.05 / total), (4, 0.15 / total), (5, 1.0 / 3.0 / total)];
        assert_weights(&weights(&miners, None), &expected);
    }

    #[test]
    fn what_a_group_gets_is_explained_by_its_earnings_and_the_cap() {
        let miners = [miner(1, 1.0, "a"), miner(2, 0.65, "b"), miner(3, 0.65, "b"), miner(4, 0.1, "c")];
        let found = explain(&miners, Some(9));
        // 0.49 and 0.1225 of 0.6125; with two that earn, a half at most.
        let of = |earning, group, group_share, share| Share { earning, group, group_share, share };
        let expected = [of(0.49, 0, 0.8, 0.5), of(0.1225, 1, 0.2, 0.1), of(0.1225, 1, 0.2, 0.1), of(0.0, 2, 0.0, 0.0)];
        for (got, expected) in found.shares.iter().zip(expected) {
            assert_eq!(got.group, expected.group);
            let pairs = [(got.earning, expected.earning), (got.group_share, expected.group_share)];
            assert!(pairs.iter().chain(&[(got.share, expected.share)]).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        }
        assert!((found.cap - 0.5).abs() < 1e-12 && found.withheld.abs() < 1e-12);
        assert_weights(&found.weights, &[(1, 0.5), (2, 0.1), (3, 0.1), (9, 0.3)]);
        assert!(explain(&[], None).weights.is_empty() && (explain(&[], None).cap - GROUP_CAP).abs() < 1e-12);
    }

    #[test]
    fn a_group_is_linked_by_coldkey_address_or_fingerprint_over_several_steps() {
        let at = |uid, coldkey, ip: Option<&str>, fingerprint| Miner {
            ip: ip.map(str::to_owned),
            fingerprint,
            ..miner(uid, 1.0, coldkey)
        };
        let miners = [
            at(1, "a", Some("x"), None),
            at(2, "b", Some("y"), Some(0)),
            at(3, "c", None, Some(1)),
            at(4, "a", Some("y"), None),
            at(5, "d", Some("z"), Some(0)),
        ];
        let eighth = 1.0 / 8.0;
        let expected = [(1, eighth), (2, eighth), (3, 0.5), (4, eighth), (5, eighth)];
        assert_weights(&weights(&miners, None), &expected);
    }

    #[test]
    fn the_cap_takes_the_excess_of_a_big_group_when_it_can_be_burned() {
        let mut miners: Vec<Miner> = (1..=5).map(|uid| miner(uid, 0.5, &uid.to_string())).collect();
        miners.push(miner(6, 1.0, "best"));
        let found = weights(&miners, Some(0));
        // 0.49 / (0.49 + 5 * 0.04) is far above 0.2.
        assert!((found[6].1 - GROUP_CAP).abs() < 1e-12);
        assert!((found[1].1 - 0.04 / 0.69).abs() < 1e-12);
    }

    #[test]
    fn many_equal_members_earn_as_one_even_if_one_is_lucky() {
        let mut miners: Vec<Miner> = (1..=7).map(|uid| miner(uid, 0.7, "sybil")).collect();
        miners.extend([miner(8, 0.8, "sybil"), miner(9, 0.8, "b"), miner(10, 0.8, "c")]);
        let found = weights(&miners, None);
        let group: f64 = (1..=8).map(|uid| of(&found, uid)).sum();
        assert!(group < of(&found, 9));
    }

    #[test]
    fn low_quality_burns_and_nobody_good_burns_all() {
        // Best 0.45: half-way between the floor and the burn-free score.
        assert_weights(&weights(&[miner(1, 0.45, "a")], Some(0)), &[(0, 0.5), (1, 0.5)]);
        assert_weights(&weights(&[miner(1, 0.30, "a")], Some(0)), &[(0, 1.0)]);
        assert_weights(&weights(&[miner(1, 0.30, "a")], None), &[]);
        assert_weights(&weights(&[], Some(3)), &[(3, 1.0)]);
    }

    #[test]
    fn u16_weights_are_upscaled_to_the_greatest() {
        assert_eq!(to_u16(&[(1, 0.5), (2, 0.25), (3, 1e-9)]), [(1, 65_535), (2, 32_768)]);
        assert_eq!(to_u16(&[]), []);
    }

    prop_compose! {
        fn any_miners()(scores in prop::collection::vec((prop_oneof![Just(f64::NAN), -0.5..1.5_f64], 0_u8..8), 0..20))
            -> Vec<Miner> {
            let miner = |(uid, (score, owner)): (u16, (f64, u8))| miner(uid, score, &owner.to_string());
            (0_u16..).zip(scores).map(miner).collect()
        }
    }

    fn of(weights: &[(u16, f64)], uid: u16) -> f64 {
        weights.iter().find(|entry| entry.0 == uid).map_or(0.0, |entry| entry.1)
    }

    proptest! {
        #[test]
        fn weights_are_shares(miners in any_miners(), burn in prop::option::of(Just(100_u16))) {
            let found = weights(&miners, burn);
            prop_assert!(found.iter().all(|entry| entry.1 > 0.0 && entry.1 <= 1.0 + 1e-12));
            let sum: f64 = found.iter().map(|entry| entry.1).sum();
            prop_assert!((found.is_empty() && burn.is_none()) || (sum - 1.0).abs() < 1e-9);
        }

        #[test]
        fn no_group_is_above_the_cap_when_the_rest_can_be_burned(miners in any_miners()) {
            let found = weights(&miners, Some(100));
            let mut groups: HashMap<&str, f64> = HashMap::new();
            for miner in &miners {
                *groups.entry(&miner.coldkey).or_default() += of(&found, miner.uid);
            }
            let earning: Vec<f64> = groups.into_values().filter(|share| *share > 0.0).collect();
            let cap = earning.iter().fold(0.0, |n, _| n + 1.0_f64).recip().max(GROUP_CAP);
            prop_assert!(earning.iter().all(|share| *share <= cap + 1e-9));
        }

        #[test]
        fn the_order_of_miners_does_not_matter(miners in any_miners()) {
            let mut reversed = miners.clone();
            reversed.reverse();
            let (a, b) = (weights(&miners, Some(100)), weights(&reversed, Some(100)));
            for uid in 0..=100 {
                prop_assert!((of(&a, uid) - of(&b, uid)).abs() < 1e-9);
            }
        }

        #[test]
        fn a_better_score_never_earns_less(miners in any_miners(), index in any::<prop::sample::Index>(), more in 0.0..1.0_f64) {
            prop_assume!(!miners.is_empty());
            let index = index.index(miners.len());
            let mut better = miners.clone();
            better[index].score = if better[index].score.is_nan() { more } else { better[index].score + more };
            for burn in [None, Some(100)] {
                let uid = miners[index].uid;
                prop_assert!(of(&weights(&better, burn), uid) >= of(&weights(&miners, burn), uid) - 1e-9);
            }
        }

        #[test]
        fn one_owner_never_earns_more_by_splitting(mut miners in any_miners(), parts in prop::collection::vec(0.0..1.0_f64, 1..6)) {
            prop_assume!(!miners.is_empty());
            let owner = "splits".to_owned();
            miners[0].coldkey = owner.clone();
            let mut split = miners.clone();
            for (uid, part) in (50..).zip(parts) {
                split.push(miner(uid, part * miners[0].score, &owner));
            }
            for burn in [None, Some(100)] {
                let earned = |miners: &[Miner]| {
                    let found = weights(miners, burn);
                    miners.iter().filter(|miner| miner.coldkey == owner).map(|miner| of(&found, miner.uid)).sum::<f64>()
                };
                prop_assert!(earned(&split) <= earned(&miners) + 1e-9);
            }
        }
    }
}
