//! Miners' side of a task: claim, heartbeat, submit, fail, and what time does to leases.

use super::ids::{Coldkey, Hotkey, ResponseId};
use super::record::{Deferral, Lease, Output, Refused, Slot, SlotState, Submission, Task, TaskState, Terms, Variant};
use super::{DEFERRAL_MS, MAX_ATTEMPTS, MAX_PARTIAL_BYTES, MAX_REASON_BYTES, Refusal, seconds};

/// A miner's wish for a slot.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Which slot.
    pub slot: u8,
    /// Who asks.
    pub miner: Hotkey,
    /// Who owns the miner.
    pub coldkey: Coldkey,
    /// The miner's own name for the claim.
    pub claim_id: String,
}

/// A miner's proof that it holds a slot.
#[derive(Debug, Clone)]
pub struct Holding<'a> {
    /// Which slot.
    pub slot: u8,
    /// Fencing token of its lease.
    pub token: u64,
    /// Who says so; the signature is checked before.
    pub miner: &'a Hotkey,
}

/// A miner's result.
#[derive(Debug, Clone)]
pub struct Submit {
    /// Name that the response gets if it is new.
    pub response_id: ResponseId,
    /// SHA-256 of the result's text.
    pub digest: String,
    /// What the proxy's own checks say: the audio that the result is about, if any, or what is wrong with it.
    pub checked: Result<Option<Output>, String>,
}

/// A result that passed the checks.
struct Answer {
    response_id: ResponseId,
    digest: String,
    output: Option<Output>,
}

/// Reply to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When the lease ends now.
    pub expires_at_ms: i64,
    /// Whether the miner can stop: nobody waits for this answer any more.
    pub cancel: bool,
}

/// Reply to a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Name of the response.
    pub response_id: ResponseId,
    /// Why the proxy refused it; absent when it did not.
    pub rejected: Option<String>,
    /// Whether this submit changed the task; a repeated one does not.
    pub is_new: bool,
}

impl Task {
    /// Lends an open slot; returns the fencing token.
    ///
    /// # Errors
    /// The task ended, the slot is not open, or the operator has another slot of it or must wait.
    pub fn claim(&mut self, claim: Claim, now_ms: i64, terms: &Terms) -> Result<u64, Refusal> {
        self.refuse_if_final()?;
        self.may_work(&claim.coldkey, now_ms)?;
        let slot = self.slot_mut(claim.slot)?;
        if slot.state != SlotState::Open {
            return Err(Refusal::SlotTaken);
        }
        slot.state = SlotState::Leased;
        slot.token += 1;
        slot.attempts += 1;
        slot.progress = 0.0;
        slot.partial = None;
        slot.lease = Some(Lease {
            miner: claim.miner,
            coldkey: claim.coldkey,
            claim_id: claim.claim_id,
            granted_at_ms: now_ms,
            expires_at_ms: now_ms + terms.lease_ms,
            variant: None,
        });
        let token = slot.token;
        self.derive_state();
        self.touch(now_ms);
        Ok(token)
    }

    /// Notes what the holder of a lease is given to hear. Its time begins now: the time before was the proxy's, who made it.
    /// What was given before stays.
    ///
    /// # Errors
    /// The lease ended or belongs to somebody else.
    pub fn hand_over(
        &mut self,
        holding: &Holding<'_>,
        variant: &Variant,
        now_ms: i64,
        terms: &Terms,
    ) -> Result<(), Refusal> {
        self.refuse_if_final()?;
        let lease = self.slot_mut(holding.slot)?.live_lease(holding, now_ms)?;
        if lease.variant.is_none() {
            lease.variant = Some(variant.clone());
            (lease.granted_at_ms, lease.expires_at_ms) = (now_ms, now_ms + terms.lease_ms);
            if !self.variants.contains(&variant.sha256) {
                self.variants.push(variant.sha256.clone());
            }
            self.touch(now_ms);
        }
        Ok(())
    }

    /// Whether a miner of this operator may take a slot now.
    ///
    /// # Errors
    /// The operator has another slot of the task, or failed it a moment ago.
    pub fn may_work(&self, coldkey: &Coldkey, now_ms: i64) -> Result<(), Refusal> {
        let holds = self.leases().any(|(_, lease)| &lease.coldkey == coldkey);
        if holds || self.submissions().any(|submission| &submission.coldkey == coldkey) {
            return Err(Refusal::SameColdkey);
        }
        match self.deferrals.iter().find(|deferral| &deferral.coldkey == coldkey && deferral.until_ms > now_ms) {
            Some(deferral) => Err(Refusal::Deferred { until_ms: deferral.until_ms }),
            None => Ok(()),
        }
    }

    /// Extends a lease and notes how far the miner is.
    ///
    /// # Errors
    /// The lease ended or belongs to somebody else.
    pub fn heartbeat(
        &mut self,
        holding: &Holding<'_>,
        progress: f64,
        partial: Option<&str>,
        now_ms: i64,
        terms: &Terms,
    ) -> Result<Beat, Refusal> {
        let is_final = self.state.is_final();
        let slot = self.slot_mut(holding.slot)?;
        let expires_at_ms = slot.held_by(holding)?.expires_at_ms;
        if is_final || slot.state != SlotState::Leased {
            // The lease was cut short by the task, not by its holder: say so instead of an error.
            return Ok(Beat { expires_at_ms: expires_at_ms.min(now_ms), cancel: true });
        }
        let lease = slot.live_lease(holding, now_ms)?;
        lease.expires_at_ms = now_ms + terms.lease_ms;
        let expires_at_ms = lease.expires_at_ms;
        slot.progress = if progress.is_finite() { progress.clamp(0.0, 1.0) } else { slot.progress };
        if let Some(text) = partial {
            slot.partial = Some(end_of(text, MAX_PARTIAL_BYTES).to_owned());
        }
        self.touch(now_ms);
        Ok(Beat { expires_at_ms, cancel: false })
    }

    /// Takes a result for a slot. The same result again gets the same receipt.
    ///
    /// # Errors
    /// The lease ended or belongs to somebody else, or another result was submitted under it.
    pub fn submit(&mut self, holding: &Holding<'_>, submit: Submit, now_ms: i64) -> Result<Receipt, Refusal> {
        let state = self.state;
        let slot = self.slot_mut(holding.slot)?;
        if let Some(receipt) = slot.earlier_receipt(holding, &submit.digest)? {
            return Ok(receipt);
        }
        if state.is_final() {
            return Err(Refusal::TaskEnded(state));
        }
        let lease = slot.live_lease(holding, now_ms)?.clone();
        match submit.checked {
            Ok(output) => {
                let answer = Answer { response_id: submit.response_id.clone(), digest: submit.digest, output };
                slot.take_answer(lease, holding.token, answer, now_ms);
            }
            Err(reason) => {
                let reason = start_of(&reason, MAX_REASON_BYTES).to_owned();
                slot.refused.push(Refused {
                    response_id: submit.response_id.clone(),
                    miner: lease.miner,
                    token: holding.token,
                    digest: submit.digest,
                    reason: reason.clone(),
                });
                slot.reopen(&reason, now_ms);
                self.defer(lease.coldkey, now_ms);
                self.derive_state();
                self.touch(now_ms);
                return Ok(Receipt { response_id: submit.response_id, rejected: Some(reason), is_new: true });
            }
        }
        if self.answer.is_none() {
            self.answer = Some(submit.response_id.clone());
        }
        self.derive_state();
        self.touch(now_ms);
        Ok(Receipt { response_id: submit.response_id, rejected: None, is_new: true })
    }

    /// Gives a slot back: the miner cannot do it.
    ///
    /// # Errors
    /// The lease ended or belongs to somebody else.
    pub fn fail(&mut self, holding: &Holding<'_>, reason: &str, now_ms: i64) -> Result<(), Refusal> {
        self.refuse_if_final()?;
        let slot = self.slot_mut(holding.slot)?;
        let coldkey = slot.live_lease(holding, now_ms)?.coldkey.clone();
        slot.reopen(start_of(reason, MAX_REASON_BYTES), now_ms);
        self.defer(coldkey, now_ms);
        self.derive_state();
        self.touch(now_ms);
        Ok(())
    }

    /// Ends the task for its user; a cancelled task stays as it is.
    ///
    /// # Errors
    /// The task ended in another way.
    pub fn cancel(&mut self, now_ms: i64) -> Result<(), Refusal> {
        if self.state == TaskState::Cancelled {
            return Ok(());
        }
        self.refuse_if_final()?;
        self.close_unanswered("the task was cancelled");
        self.end(TaskState::Cancelled, None);
        self.touch(now_ms);
        Ok(())
    }

    /// Takes all leases back and opens every slot without an answer, with all its attempts and for every miner: the
    /// operator's means for a task that hangs.
    ///
    /// # Errors
    /// The task ended.
    pub fn requeue(&mut self, now_ms: i64) -> Result<(), Refusal> {
        self.refuse_if_final()?;
        for slot in self.slots.iter_mut().filter(|slot| slot.submission.is_none()) {
            slot.attempts = 0;
            slot.reopen("the operator queued the task again", now_ms);
        }
        self.deferrals.clear();
        self.derive_state();
        self.touch(now_ms);
        Ok(())
    }

    /// Ends the task as failed, for a reason of the operator's.
    ///
    /// # Errors
    /// The task ended.
    pub fn kill(&mut self, reason: &str, now_ms: i64) -> Result<(), Refusal> {
        self.refuse_if_final()?;
        self.close_unanswered("the operator ended the task");
        self.end(TaskState::Failed, Some(start_of(reason, MAX_REASON_BYTES).to_owned()));
        self.touch(now_ms);
        Ok(())
    }

    /// Ends the leases whose time is over; returns their holders. No version is raised: [`Task::tick`] does.
    pub(super) fn expire_leases(&mut self, now_ms: i64) -> Vec<Hotkey> {
        let mut expired = Vec::new();
        for slot in &mut self.slots {
            let Some(lease) = slot.lease.as_ref().filter(|_| slot.state == SlotState::Leased) else { continue };
            if lease.expires_at_ms <= now_ms {
                expired.push(lease.miner.clone());
                let held_s = seconds(now_ms - lease.granted_at_ms);
                slot.reopen(
                    &format!("the miner went silent: no heartbeat or answer within its lease ({held_s:.0} s)"),
                    now_ms,
                );
            }
        }
        if !expired.is_empty() {
            self.derive_state();
        }
        expired
    }

    /// When slots without an answer are closed: after the first answer the others get as long as it took, at least the grace.
    #[must_use]
    pub fn closes_at_ms(&self, terms: &Terms) -> Option<i64> {
        self.submissions()
            .min_by_key(|submission| submission.submitted_at_ms)
            .map(|first| first.submitted_at_ms + first.latency_ms.max(terms.grace_ms))
            .map(|at_ms| at_ms.min(self.deadline_ms.max(self.created_at_ms)))
    }

    /// Closes the slots that have no answer.
    pub(super) fn close_unanswered(&mut self, reason: &str) {
        for slot in &mut self.slots {
            if matches!(slot.state, SlotState::Open | SlotState::Leased) {
                slot.state = SlotState::Rejected;
                slot.partial = None;
                slot.reason.get_or_insert_with(|| reason.to_owned());
            }
        }
    }

    /// Whether a slot may still get an answer.
    #[must_use]
    pub fn has_unsettled_slot(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, SlotState::Open | SlotState::Leased))
    }

    pub(super) fn end(&mut self, state: TaskState, reason: Option<String>) {
        self.state = state;
        self.reason = reason;
        self.deferrals.clear();
        for slot in &mut self.slots {
            slot.partial = None;
        }
    }

    pub(super) fn refuse_if_final(&self) -> Result<(), Refusal> {
        if self.state.is_final() { Err(Refusal::TaskEnded(self.state)) } else { Ok(()) }
    }

    fn derive_state(&mut self) {
        self.state = if self.answer.is_some() {
            TaskState::Answered
        } else if self.leases().next().is_some() {
            TaskState::Running
        } else {
            TaskState::Queued
        };
    }

    fn defer(&mut self, coldkey: Coldkey, now_ms: i64) {
        self.deferrals.retain(|deferral| deferral.until_ms > now_ms && deferral.coldkey != coldkey);
        self.deferrals.push(Deferral { coldkey, until_ms: now_ms + DEFERRAL_MS });
    }

    fn slot_mut(&mut self, index: u8) -> Result<&mut Slot, Refusal> {
        self.slots.get_mut(usize::from(index)).ok_or(Refusal::NoSuchSlot(index))
    }
}

impl Slot {
    /// The newest lease, if the caller's token names it and it is the caller's.
    fn held_by(&self, holding: &Holding<'_>) -> Result<&Lease, Refusal> {
        let lease = self.lease.as_ref().filter(|_| self.token == holding.token).ok_or(Refusal::LeaseEnded)?;
        if &lease.miner == holding.miner { Ok(lease) } else { Err(Refusal::NotYourLease) }
    }

    fn live_lease(&mut self, holding: &Holding<'_>, now_ms: i64) -> Result<&mut Lease, Refusal> {
        let expires_at_ms = self.held_by(holding)?.expires_at_ms;
        if self.state != SlotState::Leased || expires_at_ms <= now_ms {
            return Err(Refusal::LeaseEnded);
        }
        self.lease.as_mut().ok_or(Refusal::LeaseEnded)
    }

    fn earlier_receipt(&self, holding: &Holding<'_>, digest: &str) -> Result<Option<Receipt>, Refusal> {
        if let Some(earlier) = self.submission.as_ref().filter(|submission| submission.token == holding.token) {
            if &earlier.miner != holding.miner {
                return Err(Refusal::NotYourLease);
            }
            if earlier.digest != digest {
                return Err(Refusal::AlreadySubmitted);
            }
            return Ok(Some(Receipt { response_id: earlier.response_id.clone(), rejected: None, is_new: false }));
        }
        let same = |refused: &&Refused| refused.token == holding.token && &refused.miner == holding.miner;
        match self.refused.iter().find(same) {
            Some(refused) if refused.digest == digest => Ok(Some(Receipt {
                response_id: refused.response_id.clone(),
                rejected: Some(refused.reason.clone()),
                is_new: false,
            })),
            Some(_) => Err(Refusal::AlreadySubmitted),
            None => Ok(None),
        }
    }

    fn take_answer(&mut self, lease: Lease, token: u64, answer: Answer, now_ms: i64) {
        self.state = SlotState::Submitted;
        self.progress = 1.0;
        self.partial = None;
        self.reason = None;
        self.lease = None;
        self.submission = Some(Submission {
            response_id: answer.response_id,
            latency_ms: (now_ms - lease.granted_at_ms).max(0),
            miner: lease.miner,
            coldkey: lease.coldkey,
            token,
            digest: answer.digest,
            submitted_at_ms: now_ms,
            output: answer.output,
            variant: lease.variant,
        });
    }

    /// Opens the slot again, or gives it up when its attempts are used.
    fn reopen(&mut self, reason: &str, now_ms: i64) {
        let has_attempts = self.attempts < MAX_ATTEMPTS;
        self.state = if has_attempts { SlotState::Open } else { SlotState::Rejected };
        self.lease = None;
        self.progress = 0.0;
        self.partial = None;
        self.opened_at_ms = now_ms;
        self.reason = Some(reason.to_owned());
    }
}

/// The last `max` bytes of a text, at a character boundary.
fn end_of(text: &str, max: usize) -> &str {
    let start = (text.len().saturating_sub(max)..text.len()).find(|&at| text.is_char_boundary(at));
    &text[start.unwrap_or(text.len())..]
}

/// The first `max` bytes of a text, at a character boundary.
fn start_of(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}
