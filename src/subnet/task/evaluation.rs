//! Validators' side of a task: lease, commit, reveal, and the verdict; and what time does to a task.

use std::collections::BTreeSet;

use super::ids::{Hotkey, ResponseId};
use super::judging::{Evaluation, EvaluationLease, Member, Phase, Scores};
use super::record::{SlotState, Task, TaskState, Terms};
use super::{Refusal, ms, seconds};
use crate::subnet::consensus::{self, ACCEPTED_FROM, Ballot, Candidate};
use crate::subnet::sortition;

/// What a validator may do about a task now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Judge it: it is free, or lent to the same claim.
    Judge,
    /// Nothing: another claim of this validator has it, it committed, or it is not of the committee.
    Nothing,
}

impl Task {
    /// Lets time pass: ends leases and slots, begins evaluations, closes their phases, ends the task.
    ///
    /// The committee is drawn from the validators `committee` if an evaluation begins now. Returns the miners whose lease expired when anything changed,
    /// `None` when nothing did.
    pub fn tick(&mut self, now_ms: i64, terms: &Terms, committee: &[Member]) -> Option<Vec<Hotkey>> {
        if self.state.is_final() {
            return None;
        }
        let expired = self.expire_leases(now_ms);
        let mut changed = !expired.is_empty();
        changed |= self.settle_slots(now_ms, terms);
        changed |= self.begin_evaluation(now_ms, terms, committee);
        changed |= self.move_phases(now_ms);
        if changed {
            self.touch(now_ms);
            return Some(expired);
        }
        None
    }

    /// Gives everybody their time again after the proxy was away; returns whether anything changed.
    pub fn resume(&mut self, now_ms: i64, terms: &Terms) -> bool {
        if self.state.is_final() {
            return false;
        }
        let mut changed = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.state == SlotState::Leased) {
            if let Some(lease) = slot.lease.as_mut() {
                changed |= raise(&mut lease.expires_at_ms, now_ms + terms.lease_ms);
            }
        }
        let commit_ms = self.commit_window_ms(terms);
        if let Some(evaluation) = self.evaluation.as_mut() {
            if evaluation.phase == Phase::Commit {
                changed |= raise(&mut evaluation.commit_by_ms, now_ms + commit_ms);
                changed |= raise(&mut evaluation.reveal_by_ms, evaluation.commit_by_ms + terms.reveal_ms);
            } else {
                changed |= raise(&mut evaluation.reveal_by_ms, now_ms + terms.reveal_ms);
            }
        }
        if changed {
            self.touch(now_ms);
        }
        changed
    }

    /// How long validators have to commit: the terms' time, and as long as the audio lasts, for they listen to all of it.
    fn commit_window_ms(&self, terms: &Terms) -> i64 {
        terms.commit_ms + ms(self.input.duration_s.unwrap_or_default())
    }

    /// Whether this validator should get the responses to judge under this claim.
    #[must_use]
    pub fn standing(&self, validator: &Hotkey, claim_id: &str, now_ms: i64) -> Standing {
        let member = self.open_evaluation().ok().and_then(|evaluation| evaluation.member(validator));
        match member {
            Some(member) if self.is_in(Phase::Commit) && member.commitment.is_none() => match &member.lease {
                Some(lease) if lease.claim_id != claim_id && lease.expires_at_ms > now_ms => Standing::Nothing,
                _ => Standing::Judge,
            },
            _ => Standing::Nothing,
        }
    }

    /// Lends the evaluation to one claim of a validator, so that its other processes do not judge the same.
    ///
    /// # Errors
    /// It is not to be judged by this validator, or another claim has it.
    pub fn lease_evaluation(
        &mut self,
        validator: &Hotkey,
        claim_id: &str,
        now_ms: i64,
        terms: &Terms,
    ) -> Result<(), Refusal> {
        if self.standing(validator, claim_id, now_ms) == Standing::Nothing {
            self.open_evaluation()?.member(validator).ok_or(Refusal::NotOnCommittee)?;
            return Err(Refusal::SlotTaken);
        }
        let commit_ms = self.commit_window_ms(terms);
        let evaluation = self.open_evaluation_mut()?;
        let member = evaluation.member_mut(validator)?;
        if member.lease.as_ref().is_some_and(|lease| lease.claim_id == claim_id && lease.expires_at_ms > now_ms) {
            return Ok(());
        }
        // Half of the window: a validator that dies at once leaves its successor the other half.
        let expires_at_ms = now_ms + commit_ms / 2;
        member.lease = Some(EvaluationLease { claim_id: claim_id.to_owned(), expires_at_ms });
        self.touch(now_ms);
        Ok(())
    }

    /// Takes the hash of a validator's scores. The same hash again is no change.
    ///
    /// # Errors
    /// Nothing is to be judged, commits are closed, the validator is not of the committee or committed something else.
    pub fn commit(&mut self, validator: &Hotkey, commitment: &str, now_ms: i64) -> Result<Phase, Refusal> {
        let evaluation = self.evaluation.as_mut().ok_or(Refusal::NotEvaluating)?;
        let (phase, commit_by_ms) = (evaluation.phase, evaluation.commit_by_ms);
        let member = evaluation.member_mut(validator)?;
        match &member.commitment {
            Some(earlier) if earlier == commitment => return Ok(phase),
            Some(_) => return Err(Refusal::AlreadyCommitted),
            None => {}
        }
        if phase != Phase::Commit || now_ms >= commit_by_ms || self.state.is_final() {
            return Err(Refusal::CommitsClosed);
        }
        member.commitment = Some(commitment.to_owned());
        member.lease = None;
        self.move_phases(now_ms);
        self.touch(now_ms);
        self.open_evaluation().map(|evaluation| evaluation.phase)
    }

    /// Opens a validator's scores; `commitment` is the hash of what is opened. The same again is no change.
    ///
    /// # Errors
    /// Commits are open, reveals are closed, or the scores are not those committed or do not fit the responses.
    pub fn reveal(
        &mut self,
        validator: &Hotkey,
        commitment: &str,
        scores: Scores,
        now_ms: i64,
    ) -> Result<Phase, Refusal> {
        let responses: BTreeSet<ResponseId> = self.submissions().map(|s| s.response_id.clone()).collect();
        let evaluation = self.evaluation.as_mut().ok_or(Refusal::NotEvaluating)?;
        let (phase, commit_by_ms, reveal_by_ms) = (evaluation.phase, evaluation.commit_by_ms, evaluation.reveal_by_ms);
        let member = evaluation.member_mut(validator)?;
        let committed = member.commitment.as_deref().ok_or(Refusal::NotCommitted)?;
        if committed != commitment {
            return Err(Refusal::CommitmentMismatch);
        }
        if member.scores.is_some() {
            return Ok(phase);
        }
        if phase == Phase::Commit && now_ms < commit_by_ms {
            return Err(Refusal::CommitsOpen { until_ms: commit_by_ms });
        }
        if phase == Phase::Done || now_ms >= reveal_by_ms || self.state.is_final() {
            return Err(Refusal::RevealsClosed);
        }
        check_scores(&scores, &responses)?;
        member.scores = Some(scores);
        self.move_phases(now_ms);
        self.touch(now_ms);
        self.evaluation.as_ref().map(|evaluation| evaluation.phase).ok_or(Refusal::NotEvaluating)
    }

    fn settle_slots(&mut self, now_ms: i64, terms: &Terms) -> bool {
        if self.settled_at_ms.is_some() {
            return false;
        }
        if self.answer.is_none() {
            return self.fail_if_hopeless(now_ms);
        }
        let is_over = self.closes_at_ms(terms).is_some_and(|at_ms| now_ms >= at_ms);
        if self.has_unsettled_slot() && !is_over {
            return false;
        }
        self.close_unanswered("no answer came in the time after the first one");
        self.settled_at_ms = Some(now_ms);
        true
    }

    fn fail_if_hopeless(&mut self, now_ms: i64) -> bool {
        let last = self.slots.iter().rev().find_map(|slot| slot.reason.as_deref());
        let reason = if !self.has_unsettled_slot() {
            let attempts: u32 = self.slots.iter().map(|slot| slot.attempts).sum();
            format!("no usable answer after {attempts} attempts; the last one: {}", last.unwrap_or("unknown"))
        } else if now_ms >= self.deadline_ms {
            let waited_s = seconds(self.deadline_ms - self.created_at_ms);
            match last {
                Some(last) => format!("no answer within {waited_s:.0} s; the last attempt: {last}"),
                None if self.leases().next().is_some() => {
                    format!("no answer within {waited_s:.0} s; a miner still worked on it: give a longer deadline_s")
                }
                None => {
                    format!("no miner took the task within {waited_s:.0} s; see GET /v1/network for miners at work")
                }
            }
        } else {
            return false;
        };
        self.close_unanswered("the task ended");
        self.end(TaskState::Failed, Some(reason));
        true
    }

    fn begin_evaluation(&mut self, now_ms: i64, terms: &Terms, committee: &[Member]) -> bool {
        let (Some(settled_at_ms), None) = (self.settled_at_ms, &self.evaluation) else { return false };
        if self.state.is_final() {
            return false;
        }
        if committee.is_empty() {
            if now_ms < settled_at_ms + self.commit_window_ms(terms) + terms.reveal_ms {
                return false;
            }
            self.end(
                TaskState::Unverified,
                Some("no validator with a permit and enough stake is registered".to_owned()),
            );
            return true;
        }
        let commit_by_ms = now_ms + self.commit_window_ms(terms);
        self.evaluation = Some(Evaluation {
            phase: Phase::Commit,
            started_at_ms: now_ms,
            commit_by_ms,
            reveal_by_ms: commit_by_ms + terms.reveal_ms,
            committee: sortition::committee(committee, self.id.as_str()),
        });
        true
    }

    fn move_phases(&mut self, now_ms: i64) -> bool {
        let is_final = self.state.is_final();
        let Some(evaluation) = self.evaluation.as_mut().filter(|_| !is_final) else { return false };
        let mut changed = false;
        if evaluation.phase == Phase::Commit {
            let all_committed = evaluation.committee.iter().all(|member| member.commitment.is_some());
            if all_committed || now_ms >= evaluation.commit_by_ms {
                evaluation.phase = Phase::Reveal;
                changed = true;
            }
        }
        if evaluation.phase == Phase::Reveal {
            let all_revealed = evaluation.committee.iter().all(|m| m.commitment.is_none() || m.scores.is_some());
            if all_revealed || now_ms >= evaluation.reveal_by_ms {
                self.conclude();
                changed = true;
            }
        }
        changed
    }

    /// Writes the verdict and ends the task.
    fn conclude(&mut self) {
        let Some(evaluation) = self.evaluation.as_mut() else { return };
        evaluation.phase = Phase::Done;
        let ballots: Vec<Ballot> = evaluation
            .committee
            .iter()
            .map(|member| Ballot {
                validator: &member.validator,
                stake: member.stake,
                trust: member.trust.value(),
                scores: member.scores.as_ref(),
            })
            .collect();
        let n_revealed = ballots.iter().filter(|ballot| ballot.scores.is_some()).count();
        let n_members = ballots.len();
        let candidates: Vec<Candidate> = self
            .slots
            .iter()
            .filter_map(|slot| slot.submission.as_ref())
            .map(|s| Candidate { response_id: &s.response_id, submitted_at_ms: s.submitted_at_ms })
            .collect();
        let verdict = consensus::verdict(&ballots, &candidates);
        if !verdict.quorum {
            let reason =
                format!("{n_revealed} of {n_members} validators judged in time: not half of the committee's weight");
            self.verdict = Some(verdict);
            self.end(TaskState::Unverified, Some(reason));
            return;
        }
        for slot in &mut self.slots {
            let Some(submission) = &slot.submission else { continue };
            let score = verdict.scores.get(&submission.response_id).copied().unwrap_or(0.0);
            if score >= ACCEPTED_FROM {
                slot.state = SlotState::Accepted;
            } else {
                slot.state = SlotState::Rejected;
                slot.reason = Some(format!("the validators gave it {score:.2}; {ACCEPTED_FROM:.2} is needed"));
            }
        }
        let best_score = verdict.best.as_ref().and_then(|best| verdict.scores.get(best)).copied().unwrap_or(0.0);
        if let Some(best) = &verdict.best {
            self.answer = Some(best.clone());
        }
        self.verdict = Some(verdict);
        if best_score >= ACCEPTED_FROM {
            self.end(TaskState::Verified, None);
        } else {
            let reason = format!(
                "the validators refused every answer (best {best_score:.2}, {ACCEPTED_FROM:.2} needed); send it again with a higher redundancy"
            );
            self.end(TaskState::Failed, Some(reason));
        }
    }

    fn is_in(&self, phase: Phase) -> bool {
        self.evaluation.as_ref().is_some_and(|evaluation| evaluation.phase == phase)
    }

    fn open_evaluation(&self) -> Result<&Evaluation, Refusal> {
        self.refuse_if_final().and_then(|()| self.evaluation.as_ref().ok_or(Refusal::NotEvaluating))
    }

    fn open_evaluation_mut(&mut self) -> Result<&mut Evaluation, Refusal> {
        self.refuse_if_final()?;
        self.evaluation.as_mut().ok_or(Refusal::NotEvaluating)
    }
}

impl Evaluation {
    /// This validator's place on the committee.
    #[must_use]
    pub fn member(&self, validator: &Hotkey) -> Option<&Member> {
        self.committee.iter().find(|member| &member.validator == validator)
    }

    fn member_mut(&mut self, validator: &Hotkey) -> Result<&mut Member, Refusal> {
        self.committee.iter_mut().find(|member| &member.validator == validator).ok_or(Refusal::NotOnCommittee)
    }
}

fn raise(value: &mut i64, to: i64) -> bool {
    let is_raised = *value < to;
    *value = (*value).max(to);
    is_raised
}

fn check_scores(scores: &Scores, responses: &BTreeSet<ResponseId>) -> Result<(), Refusal> {
    if let Some(missing) = responses.iter().find(|id| !scores.contains_key(*id)) {
        return Err(Refusal::BadScores(format!("scores lack {missing}; every response of the evaluation needs one")));
    }
    for (id, score) in scores {
        if !responses.contains(id) {
            return Err(Refusal::BadScores(format!("scores name {id}, which is not a response of this task")));
        }
        if !(0.0..=1.0).contains(&score.score) {
            return Err(Refusal::BadScores(format!("score of {id} is {}; expected 0 to 1", score.score)));
        }
        if score.error_rate.is_some_and(|rate| !rate.is_finite() || rate < 0.0) {
            return Err(Refusal::BadScores(format!("error_rate of {id} must be null or a number from 0 up")));
        }
    }
    Ok(())
}
