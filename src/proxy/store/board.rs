//! The open tasks as last known, readable by everybody without asking the store.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use crate::subnet::task::{Hotkey, Task, TaskId, TaskState};

/// Ended tasks that are remembered, so that what was known of them before does not open them again.
const ENDED: usize = 4_096;

/// A task as it is now, where that is news.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) task: Arc<Task>,
    /// Whether it has an event that was not known; else only progress or a lease's end changed.
    pub(crate) has_event: bool,
}

/// The open tasks as last known; cheap to clone, bounded by the proxy's limit on open tasks.
#[derive(Clone, Default)]
pub(crate) struct Board {
    tasks: Arc<RwLock<Tasks>>,
}

#[derive(Default)]
struct Tasks {
    open: BTreeMap<TaskId, Arc<Task>>,
    /// How many of them each owner has.
    of_owners: HashMap<String, usize>,
    /// Last events of ended tasks, and the order in which they ended.
    ended: HashMap<TaskId, u64>,
    order: VecDeque<TaskId>,
}

impl Tasks {
    /// Takes a task in; what changed by it.
    fn take(&mut self, task: Arc<Task>) -> Option<Change> {
        let known = self.open.get(&task.id);
        if known.is_some_and(|known| known.version >= task.version) || self.ended.contains_key(&task.id) {
            return None;
        }
        let has_event = known.is_none_or(|known| known.last_event < task.last_event);
        if task.state.is_final() {
            self.forget(&task.id);
            self.ended.insert(task.id.clone(), task.last_event);
            self.order.push_back(task.id.clone());
            if self.order.len() > ENDED
                && let Some(oldest) = self.order.pop_front()
            {
                self.ended.remove(&oldest);
            }
        } else if self.open.insert(task.id.clone(), Arc::clone(&task)).is_none() {
            *self.of_owners.entry(task.owner.clone()).or_default() += 1;
        }
        Some(Change { task, has_event })
    }

    fn forget(&mut self, id: &TaskId) {
        let Some(task) = self.open.remove(id) else { return };
        if let Some(n) = self.of_owners.get_mut(&task.owner) {
            *n -= 1;
            if *n == 0 {
                self.of_owners.remove(&task.owner);
            }
        }
    }
}

impl Board {
    pub(super) fn new(tasks: Vec<Task>) -> Self {
        let board = Self::default();
        board.publish(tasks.into_iter().map(Arc::new));
        board
    }

    /// Shows tasks as they are now, unless it is older than what is known; ended tasks leave. Returns the news.
    pub(super) fn publish(&self, tasks: impl Iterator<Item = Arc<Task>>) -> Vec<Change> {
        let mut known = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        tasks.filter_map(|task| known.take(task)).collect()
    }

    /// Drops a task that is no more.
    pub(super) fn forget(&self, id: &TaskId) {
        self.tasks.write().unwrap_or_else(PoisonError::into_inner).forget(id);
    }

    /// The open task of this name.
    pub(crate) fn get(&self, id: &TaskId) -> Option<Arc<Task>> {
        self.read(|open| open.get(id).cloned())
    }

    /// All open tasks, oldest first.
    pub(crate) fn tasks(&self) -> Vec<Arc<Task>> {
        self.read(|open| open.values().cloned().collect())
    }

    /// How many tasks are open.
    pub(crate) fn len(&self) -> usize {
        self.read(BTreeMap::len)
    }

    /// How many open tasks an owner has.
    pub(crate) fn open_of(&self, owner: &str) -> usize {
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        tasks.of_owners.get(owner).copied().unwrap_or_default()
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
        self.read(|open| open.values().fold(start, |n, task| step(n, task)))
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<TaskId, Arc<Task>>) -> T) -> T {
        look(&self.tasks.read().unwrap_or_else(PoisonError::into_inner).open)
    }
}
