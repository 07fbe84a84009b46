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
