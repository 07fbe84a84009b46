//! The open tasks as last committed, readable by everybody without touching the database.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::subnet::task::{Hotkey, Task, TaskId, TaskState};

/// The open tasks as last committed; cheap to clone, bounded by the proxy's limit on open tasks.
#[derive(Clone, Default)]
pub(crate) struct Board {
    open: Arc<RwLock<BTreeMap<TaskId, Arc<Task>>>>,
}

impl Board {
    pub(super) fn new(tasks: Vec<Task>) -> Self {
        let open = tasks.into_iter().map(|task| (task.id.clone(), Arc::new(task))).collect();
        Self { open: Arc::new(RwLock::new(open)) }
    }

    /// Shows what was committed; ended tasks leave.
    pub(super) fn publish(&self, tasks: impl Iterator<Item = Arc<Task>>) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        for task in tasks {
            if task.state.is_final() {
                open.remove(&task.id);
            } else {
                open.insert(task.id.clone(), task);
            }
        }
    }

    /// The open task of this name.
    pub(crate) fn get(&self, id: &TaskId) -> Option<Arc<Task>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All open tasks, oldest first.
    pub(crate) fn tasks(&self) -> Vec<Arc<Task>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// How many tasks are open.
    pub(crate) fn len(&self) -> usize {
        self.open.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many open tasks are in this state.
    pub(crate) fn count(&self, state: TaskState) -> usize {
        self.fold(0, |n, task| n + usize::from(task.state == state))
    }

    /// How many leases this miner holds.
    pub(crate) fn leases_of(&self, miner: &Hotkey) -> usize {
        self.fold(0, |n, task| n + task.leases().filter(|(_, lease)| &lease.miner == miner).count())
    }

    /// Place in the queue, from 1; `None` for a task that does not wait.
    pub(crate) fn queue_position(&self, task: &Task) -> Option<usize> {
        if task.state != TaskState::Queued {
            return None;
        }
        let now_ms = task.updated_at_ms;
        let urgency = |other: &Task| crate::subnet::assign::urgency(other, now_ms);
        let is_ahead = |other: &Task| {
            other.state == TaskState::Queued
                && other.id != task.id
                && urgency(other).total_cmp(&urgency(task)).reverse().then_with(|| other.id.cmp(&task.id)).is_lt()
        };
        Some(1 + self.fold(0, |n, other| n + usize::from(is_ahead(other))))
    }

    fn fold(&self, start: usize, step: impl Fn(usize, &Task) -> usize) -> usize {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().fold(start, |n, task| step(n, task))
    }
}
