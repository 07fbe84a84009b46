//! How far this proxy trusts each validator: by how often its scores agreed with the verdicts that came about here.
//!
//! In memory: after a restart everybody is a newcomer again, and each of several proxies knows the verdicts that it saw.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::subnet::consensus::Trust;
use crate::subnet::task::{Hotkey, Member, Task};

/// Trust of every validator that took part in a verdict.
#[derive(Default)]
pub(crate) struct Trusts {
    known: Mutex<BTreeMap<Hotkey, Trust>>,
}

impl Trusts {
    /// Lets a task's verdict count; call it once, when the verdict came about.
    pub(crate) fn learn(&self, task: &Task) {
        let Some(verdict) = &task.verdict else { return };
        let mut known = self.known();
        for judgement in &verdict.evaluations {
            let trust = known.entry(judgement.validator.clone()).or_default();
            *trust = trust.after(&judgement.scores, verdict);
        }
    }

    /// What a validator is trusted.
    pub(crate) fn of(&self, validator: &Hotkey) -> Trust {
        self.known().get(validator).copied().unwrap_or_default()
    }

    /// Gives the members of a committee their trust. Who is no validator any more is forgotten.
    pub(crate) fn apply(&self, members: &mut [Member]) {
        let mut known = self.known();
        if !members.is_empty() {
            known.retain(|validator, _| members.iter().any(|member| member.validator == *validator));
        }
        for member in members {
            member.trust = known.get(&member.validator).copied().unwrap_or_default();
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Hotkey, Trust>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnet::consensus::{Judgement, NEWCOMER_TRUST, TRUST_FALL, TRUST_RISE, Verdict};
    use crate::subnet::task::{NewTask, ResponseId, Score, Scores};

    fn judged(said: &[(&str, f64)], median: f64) -> Task {
        let mut task = Task::new(NewTask::sample("t", 0), 0);
        let response = ResponseId::from("r");
        let scores = |score: f64| Scores::from([(response.clone(), Score { score, error_rate: None })]);
        let evaluations = said
            .iter()
            .map(|&(validator, score)| Judgement { validator: Hotkey::from(validator), scores: scores(score) })
            .collect();
        task.verdict =
            Some(Verdict { quorum: true, scores: [(response.clone(), median)].into(), best: None, evaluations });
        task
    }

    #[test]
    fn who_agrees_is_trusted_more_and_who_does_not_much_less() {
        let trusts = Trusts::default();
        trusts.learn(&judged(&[("honest", 0.85), ("liar", 0.0)], 0.8));
        let of = |name: &str| trusts.of(&Hotkey::from(name)).value();
        assert!((of("honest") - (NEWCOMER_TRUST + TRUST_RISE * (1.0 - NEWCOMER_TRUST))).abs() < 1e-12);
        assert!((of("liar") - (1.0 - TRUST_FALL) * NEWCOMER_TRUST).abs() < 1e-12);
        assert!((of("newcomer") - NEWCOMER_TRUST).abs() < 1e-12);
    }

    #[test]
    fn a_committee_has_its_trust_and_who_left_begins_anew() {
        let trusts = Trusts::default();
        trusts.learn(&judged(&[("stays", 0.8), ("leaves", 0.8)], 0.8));
        let mut committee = [Member::new(Hotkey::from("stays"), 1.0), Member::new(Hotkey::from("new"), 1.0)];
        trusts.apply(&mut committee);
        assert!(committee[0].trust.value() > NEWCOMER_TRUST);
        assert!((committee[1].trust.value() - NEWCOMER_TRUST).abs() < 1e-12);
        assert!((trusts.of(&Hotkey::from("leaves")).value() - NEWCOMER_TRUST).abs() < 1e-12);
        let known = trusts.of(&Hotkey::from("stays"));
        trusts.apply(&mut []);
        assert_eq!(trusts.of(&Hotkey::from("stays")), known, "a metagraph that cannot be read is no departure");
    }
}
