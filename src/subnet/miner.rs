//! What a validator knows of one miner, as one score.

use super::weights::{Ema, clip};
use crate::score::reward::Reward;

/// Most observations that a [`Tally`] holds: above it both counts are halved, so that what is long ago fades.
pub const MAX_TALLY: u32 = 200;

/// Width of the availability's interval, standard deviations: one-sided confidence of 84 %.
pub const WILSON_Z: f64 = 1.0;

/// How often something went well and badly, of late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often well.
    pub good: u32,
    /// How often badly.
    pub bad: u32,
}

impl Tally {
    /// The tally after one more observation.
    #[must_use]
    pub fn counting(self, is_good: bool) -> Self {
        let good = self.good.saturating_add(u32::from(is_good));
        let bad = self.bad.saturating_add(u32::from(!is_good));
        if good.saturating_add(bad) > MAX_TALLY { Self { good: good / 2, bad: bad / 2 } } else { Self { good, bad } }
    }

    /// Observations in all.
    #[must_use]
    pub fn total(self) -> u32 {
        self.good.saturating_add(self.bad)
    }
}

/// How one kind of task enters a miner's score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KindQuality {
    /// The kind's share of the reward; the shares of all kinds sum to 1.
    pub weight: f64,
    /// How sure the validator is, in [0, 1].
    pub confidence: f64,
    /// The quality's [`Ema`](super::weights::Ema) value, in [0, 1].
    pub quality: f64,
}

/// A kind's quality from work that came through the proxy and from challenges that the validator sent itself.
///
/// A miner sees who asks it directly, so such challenges never lift its quality above that of its work; and no work lifts
/// it above what they show. Where one of the two was not measured yet, the other counts.
#[must_use]
pub fn proven(weight: f64, work: Ema, direct: Ema) -> KindQuality {
    let quality = match (work.mass > 0.0, direct.mass > 0.0) {
        (true, true) => work.value.min(direct.value),
        (true, false) => work.value,
        _ => direct.value,
    };
    let confidence = Ema { mass: work.mass + direct.mass, ..Ema::default() }.confidence();
    KindQuality { weight, confidence, quality }
}

/// A miner's score in [0, 1]: `S = A^(1/3) * C^2.5 * sum_k w_k c_k s_k`.
///
/// The parts multiply, so that no part can buy another: a miner that answers always and wrongly earns nothing.
#[must_use]
pub fn score(kinds: &[KindQuality], availability: f64, credibility: f64) -> f64 {
    reward(kinds, availability, credibility).value
}

/// The same with all that it is made of: `quality` is the sum over the kinds of tasks.
#[must_use]
pub fn reward(kinds: &[KindQuality], availability: f64, credibility: f64) -> Reward {
    let mut reward = Reward::new("miner");
    let part = |kind: &KindQuality| clip(kind.weight) * clip(kind.confidence) * clip(kind.quality);
    let mut by_kind: Vec<f64> = kinds.iter().map(part).collect();
    // A sum of floats depends on their order; the order of kinds must not matter.
    by_kind.sort_by(f64::total_cmp);
    let quality: f64 = by_kind.iter().sum();
    let quality = reward.part("quality", quality, || {
        format!("quality, as far as the validator is sure of it, is {:.2} over all kinds of tasks", clip(quality))
    });
    let availability = reward.part("availability", availability, || {
        format!("sure to answer {:.1} % of requests", 100.0 * clip(availability))
    });
    let credibility =
        reward.part("credibility", credibility, || format!("passed {:.1} % of challenges", 100.0 * clip(credibility)));
    // C^2.5, by operations that every machine rounds alike.
    let trust = credibility * credibility * credibility.sqrt();
    reward.value = clip(libm::cbrt(availability) * trust * quality);
    reward
}

/// Availability in [0, 1): the Wilson lower bound of the share of requests that were answered; 0 before the first.
///
/// Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
#[must_use]
pub fn availability(answered: u32, asked: u32) -> f64 {
    if asked == 0 {
        return 0.0;
    }
    let n = f64::from(asked);
    let share = f64::from(answered.min(asked)) / n;
    let z2 = WILSON_Z * WILSON_Z;
    let center = share + z2 / (2.0 * n);
    let spread = WILSON_Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    clip((center - spread) / (1.0 + z2 / n))
}

/// Credibility in (0, 1]: 1 until a challenge is failed, then the share passed, with one pass given for free.
#[must_use]
pub fn credibility(passed: u32, failed: u32) -> f64 {
    let passed = f64::from(passed) + 1.0;
    passed / (passed + f64::from(failed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tally_forgets_by_halves() {
        let many = (0..MAX_TALLY).fold(Tally::default(), |tally, n| tally.counting(n % 4 != 0));
        assert_eq!((many.good, many.bad, many.total()), (150, 50, MAX_TALLY));
        assert_eq!(many.counting(false), Tally { good: 75, bad: 25 });
        assert_eq!(Tally { good: u32::MAX, bad: 3 }.counting(true), Tally { good: u32::MAX / 2, bad: 1 });
    }

    #[test]
    fn availability_worked_by_hand() {
        // z = 1: (1 + 1/8 - sqrt(1/64)) / (1 + 1/4) = 1 / 1.25
        assert!((availability(4, 4) - 0.8).abs() < 1e-12);
        assert!((availability(0, 9)).abs() < 1e-12);
        assert!((availability(0, 0)).abs() < 1e-12);
        assert!(availability(90, 100) > availability(9, 10), "more evidence, more trust");
    }

    #[test]
    fn credibility_falls_with_failed_challenges_only() {
        assert!((credibility(0, 0) - 1.0).abs() < 1e-12);
        assert!((credibility(100, 0) - 1.0).abs() < 1e-12);
        assert!((credibility(1, 2) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn who_works_well_only_when_watched_is_worth_its_work() {
        let of = |value, mass| Ema { value, mass, updated_s: 0.0 };
        let quality = |work, direct| proven(1.0, work, direct).quality;
        assert!((quality(of(0.2, 5.0), of(0.9, 5.0)) - 0.2).abs() < 1e-12);
        assert!((quality(of(0.9, 5.0), of(0.2, 5.0)) - 0.2).abs() < 1e-12);
        assert!((quality(Ema::default(), of(0.9, 5.0)) - 0.9).abs() < 1e-12);
        assert!((quality(of(0.9, 5.0), Ema::default()) - 0.9).abs() < 1e-12);
        let found = proven(0.5, of(0.9, 2.0), of(0.9, 1.0));
        assert!((found.confidence - 0.75).abs() < 1e-12 && (found.weight - 0.5).abs() < 1e-12);
    }

    #[test]
    fn score_worked_by_hand() {
        let kinds = [
            KindQuality { weight: 0.75, confidence: 1.0, quality: 0.8 },
            KindQuality { weight: 0.25, confidence: 0.5, quality: 0.4 },
        ];
        // 0.729^(1/3) * 0.25^2.5 * (0.6 + 0.05)
        assert!((score(&kinds, 0.729, 0.25) - 0.9 / 32.0 * 0.65).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_score_is_within_bounds_and_grows_with_every_part(
            parts in prop::array::uniform5(prop_oneof![Just(f64::NAN), Just(f64::INFINITY), -0.5..1.5_f64]),
            index in 0..5_usize,
            more in 0.0..1.0_f64,
        ) {
            let of = |[weight, confidence, quality, availability, credibility]: [f64; 5]| {
                let kinds = [KindQuality { weight, confidence, quality }; 2];
                score(&kinds, availability, credibility)
            };
            let mut better = parts;
            better[index] = if parts[index].is_nan() { more } else { parts[index] + more };
            prop_assert!((0.0..=1.0).contains(&of(parts)));
            prop_assert!(of(better) >= of(parts));
        }
    }
}
