//! The open tasks as last known, readable by everybody without asking the store.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use crate::subnet::assign::{is_claimable, rank};
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

/// Tasks in the order in which they are served. Most come to its end and leave from its beginning: neither moves many.
#[derive(Default)]
struct Line(VecDeque<(i64, Arc<Task>)>);

impl Line {
    /// Where the task stands, or else where it belongs.
    fn find(&self, task: &Task) -> Result<usize, usize> {
        let rank = rank(task);
        self.0.binary_search_by(|(other, known)| other.cmp(&rank).then_with(|| known.id.cmp(&task.id)))
    }

    /// Lets the task, as it is now, stand in the line or not.
    fn set(&mut self, task: &Arc<Task>, belongs: bool) {
        match (self.find(task), belongs) {
            (Ok(at), true) => self.0[at].1 = Arc::clone(task),
            (Ok(at), false) => drop(self.0.remove(at)),
            (Err(at), true) => self.0.insert(at, (rank(task), Arc::clone(task))),
            (Err(_), false) => {}
        }
    }
}

#[derive(Default)]
struct Tasks {
    open: BTreeMap<TaskId, Arc<Task>>,
    /// How many of them each owner has.
    of_owners: HashMap<String, usize>,
    /// Those with a slot to claim.
    claimable: Line,
    /// Those on which nobody works.
    queued: Line,
    /// Tasks by the miners that hold a lease of them.
    held: HashMap<Hotkey, BTreeSet<TaskId>>,
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
        if let Some(known) = known.cloned() {
            self.let_go(&known);
        }
        for miner in holders(&task) {
            self.held.entry(miner.clone()).or_default().insert(task.id.clone());
        }
        self.claimable.set(&task, is_claimable(&task));
        self.queued.set(&task, task.state == TaskState::Queued);
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

    /// Its miners hold no lease of it.
    fn let_go(&mut self, task: &Task) {
        for miner in holders(task) {
            if let Some(held) = self.held.get_mut(miner) {
                held.remove(&task.id);
                if held.is_empty() {
                    self.held.remove(miner);
                }
            }
        }
    }

    fn forget(&mut self, id: &TaskId) {
        let Some(task) = self.open.remove(id) else { return };
        self.claimable.set(&task, false);
        self.queued.set(&task, false);
        self.let_go(&task);
        if let Some(n) = self.of_owners.get_mut(&task.owner) {
            *n -= 1;
            if *n == 0 {
                self.of_owners.remove(&task.owner);
            }
        }
    }
}

/// The miners that hold a lease of the task.
fn holders(task: &Task) -> impl Iterator<Item = &Hotkey> {
    task.leases().map(|(_, lease)| &lease.miner)
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

    /// Looks at the tasks with a slot to claim, in the order in which they are to be served.
    pub(crate) fn claimable<T>(&self, look: impl FnOnce(&mut dyn Iterator<Item = &Arc<Task>>) -> T) -> T {
        let known = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        look(&mut known.claimable.0.iter().map(|(_, task)| task))
    }

    /// The tasks of which this miner holds a lease.
    pub(crate) fn held_by(&self, miner: &Hotkey) -> Vec<Arc<Task>> {
        let known = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        let held = known.held.get(miner).into_iter().flatten();
        held.filter_map(|id| known.open.get(id).cloned()).collect()
    }

    /// How many leases this miner holds.
    pub(crate) fn leases_of(&self, miner: &Hotkey) -> usize {
        self.held_by(miner).iter().map(|task| holders(task).filter(|&holder| holder == miner).count()).sum()
    }

    /// Place in the queue, from 1; `None` for a task that does not wait.
    pub(crate) fn queue_position(&self, task: &Task) -> Option<usize> {
        if task.state != TaskState::Queued {
            return None;
        }
        let known = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        let (Ok(n_before) | Err(n_before)) = known.queued.find(task);
        Some(1 + n_before)
    }

    fn fold(&self, start: usize, step: impl Fn(usize, &Task) -> usize) -> usize {
        self.read(|open| open.values().fold(start, |n, task| step(n, task)))
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<TaskId, Arc<Task>>) -> T) -> T {
        look(&self.tasks.read().unwrap_or_else(PoisonError::into_inner).open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnet::task::{Claim, Coldkey, NewTask, Terms};

    const TERMS: Terms = Terms { lease_ms: 1_000, grace_ms: 1_000, commit_ms: 1_000, reveal_ms: 1_000 };

    fn task(id: &str, priority: u8, created_at_ms: i64) -> Task {
        let new = NewTask { priority, ..NewTask::sample(id, created_at_ms) };
        Task::new(new, created_at_ms)
    }

    fn claimable(board: &Board) -> Vec<String> {
        board.claimable(|tasks| tasks.map(|task| task.id.as_str().to_owned()).collect())
    }

    #[test]
    fn tasks_stand_in_line_by_urgency_and_leave_it_when_they_are_lent() {
        let tasks = [task("old", 5, 0), task("fresh", 5, 1_000), task("urgent", 6, 2_000), task("late", 0, 0)];
        let board = Board::new(tasks.to_vec());
        assert_eq!(claimable(&board), ["urgent", "old", "fresh", "late"], "a priority is worth 30 s");
        let positions = tasks.each_ref().map(|task| board.queue_position(task));
        assert_eq!(positions, [Some(2), Some(3), Some(1), Some(4)]);

        let [mut lent, fresh, ..] = tasks;
        let (miner, coldkey) = (Hotkey::from("m"), Coldkey::from("c"));
        let claim = Claim { slot: 0, miner: miner.clone(), coldkey, claim_id: "x".to_owned() };
        lent.claim(claim, 5_000, &TERMS).unwrap();
        board.publish(std::iter::once(Arc::new(lent.clone())));
        assert_eq!(claimable(&board), ["urgent", "fresh", "late"]);
        assert_eq!((board.queue_position(&lent), board.queue_position(&fresh)), (None, Some(2)));
        assert_eq!((board.leases_of(&miner), board.held_by(&miner)[0].id.as_str()), (1, "old"));

        lent.tick(7_000, &TERMS, &[]).unwrap();
        board.publish(std::iter::once(Arc::new(lent)));
        assert_eq!(
            claimable(&board),
            ["urgent", "old", "fresh", "late"],
            "the lease ran out: its place is the old one"
        );
        assert_eq!((board.leases_of(&miner), board.held_by(&miner).len()), (0, 0));
    }
}
