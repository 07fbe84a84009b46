//! Slots that a claim is about to be lent, so that claims at the same time do not all reach for the same one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::store::{Board, Locks};
use crate::subnet::assign::{Assignment, Offer};
use crate::subnet::task::{SlotState, Task, TaskId};

/// The slots on their way to miners in this process. Other proxies are met at the task's version.
#[derive(Default)]
pub(crate) struct Reservations {
    slots: Mutex<HashMap<TaskId, BTreeSet<u8>>>,
    /// Claims of one miner take turns: the same claim twice at the same time gets the same leases.
    pub(crate) miners: Locks,
}

impl Reservations {
    /// Lets `choose` pick among the tasks without the slots on their way, and reserves what it picked.
    pub(crate) fn choose(
        &self,
        board: &Board,
        choose: impl FnOnce(&mut dyn Iterator<Item = Arc<Task>>) -> Assignment,
    ) -> (Assignment, Reserved<'_>) {
        let mut slots = self.slots();
        let without =
            |task: &Arc<Task>| slots.get(&task.id).map_or_else(|| Arc::clone(task), |taken| close(task, taken));
        let assignment = board.claimable(|tasks| choose(&mut tasks.map(without)));
        for Offer { task_id, slot } in &assignment.offers {
            slots.entry(task_id.clone()).or_default().insert(*slot);
        }
        let offers = assignment.offers.clone();
        (assignment, Reserved { all: self, offers })
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<TaskId, BTreeSet<u8>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task as if these slots were taken.
fn close(task: &Task, taken: &BTreeSet<u8>) -> Arc<Task> {
    let mut task = task.clone();
    for slot in task.slots.iter_mut().filter(|slot| taken.contains(&slot.index) && slot.state == SlotState::Open) {
        slot.state = SlotState::Leased;
    }
    Arc::new(task)
}

/// Slots that are reserved until this is dropped.
pub(crate) struct Reserved<'a> {
    all: &'a Reservations,
    offers: Vec<Offer>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut slots = self.all.slots();
        for Offer { task_id, slot } in &self.offers {
            if let Some(taken) = slots.get_mut(task_id) {
                taken.remove(slot);
                if taken.is_empty() {
                    slots.remove(task_id);
                }
            }
        }
    }
}
