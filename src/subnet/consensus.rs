//! The validators' common judgement: the median of their scores, weighted by stake and trust.
//!
//! As long as those who lie hold less than half of the revealed weight, the median lies within the range of the honest
//! scores. Weights are in proportion to stake: with its square root, who divides a stake among several hotkeys would
//! weigh more than before, and a minority could outweigh the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task::{Hotkey, ResponseId, Score, Scores};
use super::weights::clip;

/// Median score from which a response is accepted.
pub const ACCEPTED_FROM: f64 = 0.5;

/// Share of the committee's weight that must have revealed.
pub const QUORUM: f64 = 0.5;

/// Trust of a validator that took part in no verdict yet.
pub const NEWCOMER_TRUST: f64 = 0.5;

/// Share of the newest verdict in a validator's trust when it raises it, and when it lowers it: trust is lost faster than
/// it is earned, so that telling the truth between lies does not pay.
pub const TRUST_RISE: f64 = 0.02;
/// See [`TRUST_RISE`].
pub const TRUST_FALL: f64 = 0.3;

/// Distance from the verdict up to which a score agrees with it: validators' own models differ.
pub const AGREES_WITHIN: f64 = 0.15;

/// Distance from which on a score has nothing to do with the verdict.
pub const STRANGER_FROM: f64 = 0.45;

/// Room for rounding when sums of weights are compared, relative to the total.
const TOLERANCE: f64 = 1e-12;

/// A validator of the committee and what it revealed.
#[derive(Debug, Clone, Copy)]
pub struct Ballot<'a> {
    /// Who.
    pub validator: &'a Hotkey,
    /// Its stake.
    pub stake: f64,
    /// Its [`Trust`] value.
    pub trust: f64,
    /// Its scores; absent when it revealed nothing.
    pub scores: Option<&'a Scores>,
}

/// A response that is judged.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name.
    pub response_id: &'a ResponseId,
    /// When it came; the earlier one wins a tie.
    pub submitted_at_ms: i64,
}

/// One validator's part in a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Who.
    pub validator: Hotkey,
    /// Its scores.
    pub scores: Scores,
}

/// What the validators found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether enough of the committee's weight revealed.
    pub quorum: bool,
    /// Median score of each response; empty without a quorum.
    pub scores: BTreeMap<ResponseId, f64>,
    /// The response with the highest median; absent without a quorum.
    pub best: Option<ResponseId>,
    /// What each validator said.
    pub evaluations: Vec<Judgement>,
}

/// What a validator's word weighs: its stake times its trust.
#[must_use]
pub fn weight(stake: f64, trust: f64) -> f64 {
    if stake.is_finite() { stake.max(0.0) * clip(trust) } else { 0.0 }
}

/// How far a validator's scores are to be trusted: by how often they agreed with the verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trust(f64);

impl Default for Trust {
    /// What a validator begins with.
    fn default() -> Self {
        Self(NEWCOMER_TRUST)
    }
}

impl Trust {
    /// The trust itself, in [0, 1].
    #[must_use]
    pub fn value(self) -> f64 {
        clip(self.0)
    }

    /// The trust after a verdict that these scores were part of; as it was without a quorum.
    ///
    /// The score that is farthest from the verdict counts: who lies about one response is not saved by the truth about
    /// the others.
    #[must_use]
    pub fn after(self, scores: &Scores, verdict: &Verdict) -> Self {
        let distance =
            |(id, score): (&ResponseId, &Score)| verdict.scores.get(id).map(|median| (score.score - median).abs());
        match scores.iter().filter_map(distance).max_by(f64::total_cmp) {
            Some(farthest) if verdict.quorum => {
                let agreement = clip((STRANGER_FROM - farthest) / (STRANGER_FROM - AGREES_WITHIN));
                let step = if agreement < self.0 { TRUST_FALL } else { TRUST_RISE };
                Self(clip(self.0 + step * (agreement - self.0)))
            }
            _ => self,
        }
    }
}

/// Whether `revealed` of the committee's weights is a quorum.
#[must_use]
pub fn has_quorum(revealed: f64, committee: f64) -> bool {
    committee > 0.0 && revealed >= committee * (QUORUM - TOLERANCE)
}

/// Weighted median of `(value, weight)` pairs: half of the weight lies on each side of it.
///
/// Where a value ends exactly at half of the weight, the middle between it and the next one. `None` without weight.
#[must_use]
pub fn weighted_median(values: &[(f64, f64)]) -> Option<f64> {
    let mut sorted: Vec<(f64, f64)> =
        values.iter().copied().filter(|&(value, w)| w > 0.0 && value.is_finite()).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = sorted.iter().map(|&(_, w)| w).sum();
    let half = total / 2.0;
    let mut below = 0.0;
    for (at, &(value, w)) in sorted.iter().enumerate() {
        below += w;
        if (below - half).abs() <= total * TOLERANCE {
            let next = sorted.get(at + 1).map_or(value, |&(next, _)| next);
            return Some(f64::midpoint(value, next));
        }
        if below > half {
            return Some(value);
        }
    }
    None
}

/// The verdict over these responses.
#[must_use]
pub fn verdict(ballots: &[Ballot<'_>], candidates: &[Candidate<'_>]) -> Verdict {
    let committee: f64 = ballots.iter().map(|ballot| weight(ballot.stake, ballot.trust)).sum();
    let revealed: Vec<(&Hotkey, f64, &Scores)> = ballots
        .iter()
        .filter_map(|ballot| ballot.scores.map(|scores| (ballot.validator, weight(ballot.stake, ballot.trust), scores)))
        .collect();
    let evaluations = revealed
        .iter()
        .map(|&(validator, _, scores)| Judgement { validator: validator.clone(), scores: scores.clone() })
        .collect();
    let quorum = has_quorum(revealed.iter().map(|&(_, w, _)| w).sum(), committee);
    if !quorum {
        return Verdict { quorum, scores: BTreeMap::new(), best: None, evaluations };
    }
    let mut scores = BTreeMap::new();
    let mut best: Option<(f64, &Candidate<'_>)> = None;
    for candidate in candidates {
        let said: Vec<(f64, f64)> = revealed
            .iter()
            .filter_map(|&(_, w, scores)| scores.get(candidate.response_id).map(|score| (score.score, w)))
            .collect();
        let Some(median) = weighted_median(&said) else { continue };
        scores.insert(candidate.response_id.clone(), median);
        let is_better = best.is_none_or(|(score, held)| {
            median > score || (median.total_cmp(&score).is_eq() && candidate.submitted_at_ms < held.submitted_at_ms)
        });
        if is_better {
            best = Some((median, candidate));
        }
    }
    Verdict { quorum, scores, best: best.map(|(_, candidate)| candidate.response_id.clone()), evaluations }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scores(entries: &[(&str, f64)]) -> Scores {
        entries.iter().map(|&(id, score)| (ResponseId::from(id), Score { score, error_rate: None })).collect()
    }

    #[test]
    fn median_of_nothing_does_not_exist() {
        assert_eq!(weighted_median(&[]), None);
        assert_eq!(weighted_median(&[(0.7, 0.0)]), None);
    }

    #[test]
    fn medians_worked_by_hand() {
        assert_eq!(weighted_median(&[(0.4, 1.0)]), Some(0.4));
        // Two equal voices: the middle.
        assert_eq!(weighted_median(&[(0.9, 1.0), (0.4, 1.0)]), Some(0.65));
        assert_eq!(weighted_median(&[(0.1, 1.0), (0.8, 1.0), (0.9, 1.0)]), Some(0.8));
        // 3 of 5 on the low value.
        assert_eq!(weighted_median(&[(0.1, 3.0), (0.8, 1.0), (0.9, 1.0)]), Some(0.1));
    }

    #[test]
    fn half_of_the_weight_is_a_quorum_and_less_is_not() {
        assert!(has_quorum(1.0, 2.0));
        assert!(!has_quorum(0.999, 2.0));
        assert!(!has_quorum(0.0, 0.0), "a committee without stake decides nothing");
    }

    fn verdict_of(ballots: &[(f64, f64, f64)]) -> Verdict {
        let names: Vec<Hotkey> = (0..ballots.len()).map(|n| Hotkey::from(format!("v{n}"))).collect();
        let said: Vec<Scores> = ballots.iter().map(|ballot| scores(&[("r", ballot.2)])).collect();
        let ballots: Vec<Ballot<'_>> = (0..ballots.len())
            .map(|at| Ballot {
                validator: &names[at],
                stake: ballots[at].0,
                trust: ballots[at].1,
                scores: Some(&said[at]),
            })
            .collect();
        verdict(&ballots, &[Candidate { response_id: &ResponseId::from("r"), submitted_at_ms: 0 }])
    }

    #[test]
    fn dividing_a_stake_among_hotkeys_gains_nothing() {
        let honest = [(17.0, 1.0, 0.8); 3];
        let mut ballots = honest.to_vec();
        // 49 against 51; by square roots it would be 7 * 2.65 against 3 * 4.12.
        ballots.extend([(7.0, 1.0, 0.0); 7]);
        assert!((verdict_of(&ballots).scores["r"] - 0.8).abs() < 1e-12);
    }

    #[test]
    fn who_is_not_trusted_weighs_little() {
        let ballots = [(60.0, 0.5, 0.0), (40.0, 1.0, 0.8)];
        assert!((verdict_of(&ballots).scores["r"] - 0.8).abs() < 1e-12);
    }

    #[test]
    fn trust_is_lost_by_one_lie_and_slowly_earned_back() {
        let verdict = verdict_of(&[(1.0, 1.0, 0.8)]);
        let after = |trust: Trust, score| trust.after(&scores(&[("r", score)]), &verdict);
        let honest = (0..200).fold(Trust::default(), |trust, _| after(trust, 0.75));
        assert!(honest.value() > 0.95);
        let liar = after(honest, 0.0);
        assert!((liar.value() - 0.7 * honest.value()).abs() < 1e-12);
        assert!(after(liar, 0.8).value() < liar.value() + TRUST_RISE);
        let no_quorum = Verdict { quorum: false, ..verdict.clone() };
        assert_eq!(honest.after(&scores(&[("r", 0.0)]), &no_quorum), honest);
        assert_eq!(honest.after(&scores(&[("other", 0.0)]), &verdict), honest);
    }

    #[test]
    fn the_earlier_of_two_equal_answers_is_best() {
        let validator = Hotkey::from("v");
        let said = scores(&[("late", 0.9), ("early", 0.9), ("bad", 0.2)]);
        let ids = ["late", "early", "bad"].map(ResponseId::from);
        let candidates: Vec<Candidate<'_>> = ids
            .iter()
            .zip([20, 10, 5])
            .map(|(response_id, submitted_at_ms)| Candidate { response_id, submitted_at_ms })
            .collect();
        let verdict =
            verdict(&[Ballot { validator: &validator, stake: 1.0, trust: 1.0, scores: Some(&said) }], &candidates);
        assert_eq!(verdict.best, Some(ResponseId::from("early")));
    }

    #[test]
    fn no_quorum_names_no_best() {
        let [a, b] = ["a", "b"].map(Hotkey::from);
        let said = scores(&[("r", 0.9)]);
        let response = ResponseId::from("r");
        let verdict = verdict(
            &[
                Ballot { validator: &a, stake: 1.0, trust: 1.0, scores: Some(&said) },
                Ballot { validator: &b, stake: 9.0, trust: 1.0, scores: None },
            ],
            &[Candidate { response_id: &response, submitted_at_ms: 0 }],
        );
        assert!(!verdict.quorum);
        assert_eq!(verdict.best, None);
        assert!(verdict.scores.is_empty());
        assert_eq!(verdict.evaluations.len(), 1);
    }

    /// The definition: no less than half of the weight lies at or below the median, and at or above.
    fn halves(values: &[(f64, f64)], median: f64) -> (f64, f64) {
        let total: f64 = values.iter().map(|v| v.1).sum();
        let below: f64 = values.iter().filter(|v| v.0 <= median).map(|v| v.1).sum();
        let above: f64 = values.iter().filter(|v| v.0 >= median).map(|v| v.1).sum();
        (below / total, above / total)
    }

    proptest! {
        #[test]
        fn half_of_the_weight_lies_on_each_side(values in proptest::collection::vec((0.0..=1.0f64, 0.01..100.0f64), 1..20)) {
            let median = weighted_median(&values).unwrap();
            let (below, above) = halves(&values, median);
            prop_assert!(below >= 0.5 - 1e-9 && above >= 0.5 - 1e-9, "{below} {above}");
        }

        #[test]
        fn liars_with_less_than_half_cannot_leave_the_honest_range(
            honest in proptest::collection::vec((0.3..=0.8f64, 1.0..10.0f64), 1..8),
            lies in proptest::collection::vec(0.0..=1.0f64, 1..8),
        ) {
            let honest_weight: f64 = honest.iter().map(|v| v.1).sum();
            let n_lies = u32::try_from(lies.len()).unwrap();
            let each = honest_weight * 0.49 / f64::from(n_lies);
            let mut all = honest.clone();
            all.extend(lies.into_iter().map(|lie| (lie, each)));
            let median = weighted_median(&all).unwrap();
            let low = honest.iter().map(|v| v.0).fold(f64::INFINITY, f64::min);
            let high = honest.iter().map(|v| v.0).fold(0.0, f64::max);
            prop_assert!((low..=high).contains(&median), "{median} not in {low}..={high}");
        }

        #[test]
        fn order_of_the_voices_does_not_matter(mut values in proptest::collection::vec((0.0..=1.0f64, 0.5..3.0f64), 1..12)) {
            let forward = weighted_median(&values).unwrap();
            values.reverse();
            prop_assert!((weighted_median(&values).unwrap() - forward).abs() < 1e-9);
        }
    }
}
