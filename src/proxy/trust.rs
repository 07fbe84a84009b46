//! How far the proxies of a store trust each validator: by how often its scores agreed with the verdicts.
//!
//! One small record of the store holds all of it. Each proxy adds the verdicts that came about by its own hand, every few
//! seconds, and reads what the others added; a proxy that dies takes the verdicts of its last seconds with it, which only
//! leaves trust where it was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::store::{self, Entry, EntryKind, TaskStore};
use crate::subnet::consensus::{Trust, Verdict};
use crate::subnet::task::{Hotkey, Member, Task};

/// The record's name.
const NAME: &str = "validators";

/// How often the record is written anew when another proxy was faster, before it waits for the next time.
const ATTEMPTS: u32 = 4;

/// Most verdicts that wait to be stored; beyond, the oldest are left out.
const MOST_WAITING: usize = 4_096;

/// Trust of every validator that took part in a verdict.
#[derive(Default)]
pub(crate) struct Trusts {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// With the verdicts that wait.
    trusts: BTreeMap<Hotkey, Trust>,
    /// Verdicts that are not in the store yet.
    waiting: VecDeque<Verdict>,
}

impl Trusts {
    /// Lets a task's verdict count; call it once, when the verdict came about.
    pub(crate) fn learn(&self, task: &Task) {
        let Some(verdict) = &task.verdict else { return };
        let mut known = self.known();
        count(&mut known.trusts, verdict);
        if known.waiting.len() == MOST_WAITING {
            known.waiting.pop_front();
        }
        known.waiting.push_back(verdict.clone());
    }

    /// What a validator is trusted.
    pub(crate) fn of(&self, validator: &Hotkey) -> Trust {
        self.known().trusts.get(validator).copied().unwrap_or_default()
    }

    /// Gives the members of a committee their trust.
    pub(crate) fn apply(&self, members: &mut [Member]) {
        let known = self.known();
        for member in members {
            member.trust = known.trusts.get(&member.validator).copied().unwrap_or_default();
        }
    }

    /// Stores the verdicts that wait, and takes over what other proxies of the store learned. With a verdict, who is not
    /// among `validators` is forgotten; nobody is while there are none, as with a metagraph that cannot be read.
    pub(crate) async fn keep(&self, records: &dyn TaskStore, validators: &[Member]) -> Result<(), store::Error> {
        for _ in 0..ATTEMPTS {
            let waiting: Vec<Verdict> = self.known().waiting.iter().cloned().collect();
            let there = records.entry(EntryKind::Trust, NAME).await?;
            let version = there.as_ref().map_or(0, |entry| entry.version);
            let mut trusts: BTreeMap<Hotkey, Trust> = match there {
                // Of another version of the proxy: everybody begins anew.
                Some(entry) => serde_json::from_str(&entry.record).unwrap_or_else(|error| {
                    tracing::warn!(%error, "how far validators were trusted cannot be read");
                    BTreeMap::new()
                }),
                None => BTreeMap::new(),
            };
            if !waiting.is_empty() {
                for verdict in &waiting {
                    count(&mut trusts, verdict);
                }
                if !validators.is_empty() {
                    trusts.retain(|validator, _| validators.iter().any(|member| member.validator == *validator));
                }
                if !records.put_entry(&entry(version + 1, serde_json::to_string(&trusts)?)).await? {
                    // Another proxy was faster: these verdicts count on top of its own.
                    continue;
                }
            }
            let mut known = self.known();
            known.waiting.drain(..waiting.len());
            // Those that came about meanwhile.
            for verdict in &known.waiting {
                count(&mut trusts, verdict);
            }
            known.trusts = trusts;
            return Ok(());
        }
        Ok(())
    }

    /// Whether verdicts wait to be stored.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.known().waiting.is_empty()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(trusts: &mut BTreeMap<Hotkey, Trust>, verdict: &Verdict) {
    for judgement in &verdict.evaluations {
        let trust = trusts.entry(judgement.validator.clone()).or_default();
        *trust = trust.after(&judgement.scores, verdict);
    }
}

fn entry(version: u64, record: String) -> Entry {
    Entry { kind: EntryKind::Trust, name: NAME.to_owned(), belongs_to: String::new(), due_ms: 0, version, record }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::store::sqlite::Sqlite;
    use crate::subnet::consensus::{Judgement, NEWCOMER_TRUST, TRUST_FALL, TRUST_RISE};
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

    #[tokio::test]
    async fn proxies_of_a_store_trust_alike_and_a_restart_forgets_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("store")).unwrap();
        let [one, two] = [Trusts::default(), Trusts::default()];
        let of = |trusts: &Trusts, name: &str| trusts.of(&Hotkey::from(name)).value();
        one.learn(&judged(&[("honest", 0.85), ("liar", 0.0)], 0.8));
        two.learn(&judged(&[("honest", 0.75), ("liar", 0.1)], 0.8));
        assert!(of(&one, "liar") < NEWCOMER_TRUST && one.is_waiting(), "known at once, stored later");
        for trusts in [&one, &two, &one] {
            trusts.keep(&store, &[]).await.unwrap();
        }
        // Both verdicts count once, whoever saw them come about.
        let twice = |step: f64, agreement: f64| (0..2).fold(NEWCOMER_TRUST, |was, _| was + step * (agreement - was));
        let restarted = Trusts::default();
        restarted.keep(&store, &[]).await.unwrap();
        for trusts in [&one, &two, &restarted] {
            assert!((of(trusts, "honest") - twice(TRUST_RISE, 1.0)).abs() < 1e-12);
            assert!((of(trusts, "liar") - twice(TRUST_FALL, 0.0)).abs() < 1e-12);
            assert!(!trusts.is_waiting());
        }
    }

    #[tokio::test]
    async fn a_committee_has_its_trust_and_who_left_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("store")).unwrap();
        let trusts = Trusts::default();
        trusts.learn(&judged(&[("stays", 0.8), ("leaves", 0.8)], 0.8));
        let mut committee = [Member::new(Hotkey::from("stays"), 1.0), Member::new(Hotkey::from("new"), 1.0)];
        trusts.apply(&mut committee);
        assert!(committee[0].trust.value() > NEWCOMER_TRUST);
        assert!((committee[1].trust.value() - NEWCOMER_TRUST).abs() < 1e-12);
        trusts.keep(&store, &[]).await.unwrap();
        let leaves = Hotkey::from("leaves");
        assert!(trusts.of(&leaves).value() > NEWCOMER_TRUST, "a metagraph that cannot be read is no departure");
        trusts.learn(&judged(&[("stays", 0.8)], 0.8));
        trusts.keep(&store, &committee).await.unwrap();
        assert!((trusts.of(&leaves).value() - NEWCOMER_TRUST).abs() < 1e-12);
        assert!(trusts.of(&Hotkey::from("stays")).value() > NEWCOMER_TRUST + TRUST_RISE * (1.0 - NEWCOMER_TRUST));
    }
}
