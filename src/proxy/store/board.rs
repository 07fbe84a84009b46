//! The open tasks as last known, readable by everybody without asking the store.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
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

/// Owners that are away and whose turns are remembered, before those are forgotten that do not matter any more.
const AWAY: usize = 4_096;

/// Tasks of one owner in the order in which they are served. Most come to its end and leave from its beginning: neither
/// moves many.
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

/// A line for each owner that has a task in it.
#[derive(Default)]
struct Lines(BTreeMap<String, Line>);

impl Lines {
    /// Lets the task, as it is now, stand in its owner's line or not; whether that line begins with it.
    fn set(&mut self, task: &Arc<Task>, belongs: bool) -> bool {
        let is_first = belongs && !self.0.contains_key(&task.owner);
        if is_first {
            self.0.insert(task.owner.clone(), Line::default());
        }
        let Some(line) = self.0.get_mut(&task.owner) else { return false };
        line.set(task, belongs);
        if line.0.is_empty() {
            self.0.remove(&task.owner);
        }
        is_first
    }

    /// How many are served before the task, if the owners take turns.
    fn before(&self, task: &Task) -> usize {
        let own = self.0.get(&task.owner).map_or(0, |line| match line.find(task) {
            Ok(at) | Err(at) => at,
        });
        let rank = rank(task);
        // Of each other owner as many, and one more where that one is the more urgent in the same round.
        let of_other = |line: &Line| {
            let is_ahead = line.0.get(own).is_some_and(|(other, known)| (*other, &known.id) < (rank, &task.id));
            line.0.len().min(own) + usize::from(is_ahead)
        };
        own + self.0.iter().filter(|(owner, _)| **owner != task.owner).map(|(_, line)| of_other(line)).sum::<usize>()
    }
}

/// When each owner's turn is: fair queueing by start tags (Goyal, Vin and Cheng, SIGCOMM 1996).
///
/// A lease moves its owner's tag one on. Whoever comes, or comes again, begins with the tag that is being served, so that
/// nobody is owed anything for the time without tasks, and a user who sends many holds up nobody else.
#[derive(Default)]
struct Turns {
    tags: HashMap<String, u64>,
    served: u64,
}

impl Turns {
    fn tag(&self, owner: &str) -> u64 {
        self.tags.get(owner).copied().unwrap_or_default().max(self.served)
    }

    /// An owner has a task in line, and had none.
    fn join(&mut self, owner: &str) {
        if self.tags.len() >= AWAY {
            let served = self.served;
            self.tags.retain(|_, tag| *tag > served);
        }
        let tag = self.tag(owner);
        self.tags.insert(owner.to_owned(), tag);
    }

    /// Leases of an owner's tasks were granted.
    fn serve(&mut self, owner: &str, n_leases: u64) {
        // While it stood in line its tag stayed, however long others were served.
        let tag = self.tags.get(owner).copied().unwrap_or(self.served);
        self.served = self.served.max(tag);
        self.tags.insert(owner.to_owned(), tag + n_leases);
    }
}

/// Where an owner's line stands in the order: its turn, the rank and name of its next task, and which of the line that is.
type Head<'a> = (u64, i64, &'a TaskId, &'a str, usize);

/// The tasks of all lines, in the order in which they are served.
struct InTurn<'a> {
    lines: &'a Lines,
    heads: BinaryHeap<Reverse<Head<'a>>>,
}

impl<'a> InTurn<'a> {
    fn new(lines: &'a Lines, turns: &Turns) -> Self {
        let tag = |owner: &str| turns.tags.get(owner).copied().unwrap_or(turns.served);
        let heads = lines.0.iter().filter_map(|(owner, line)| {
            let (rank, task) = line.0.front()?;
            Some(Reverse((tag(owner), *rank, &task.id, owner.as_str(), 0)))
        });
        Self { lines, heads: heads.collect() }
    }
}

impl<'a> Iterator for InTurn<'a> {
    type Item = &'a Arc<Task>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((tag, _, _, owner, at)) = self.heads.pop()?;
        let line = self.lines.0.get(owner)?;
        if let Some((rank, task)) = line.0.get(at + 1) {
            self.heads.push(Reverse((tag + 1, *rank, &task.id, owner, at + 1)));
        }
        line.0.get(at).map(|(_, task)| task)
    }
}

/// Leases of a task that were granted so far; every one has its own token.
fn n_leases(task: &Task) -> u64 {
    task.slots.iter().map(|slot| slot.token).sum()
}

#[derive(Default)]
struct Tasks {
    open: BTreeMap<TaskId, Arc<Task>>,
    /// How many of them each owner has.
    of_owners: HashMap<String, usize>,
    /// Those with a slot to claim.
    claimable: Lines,
    /// Whose turn it is among their owners.
    turns: Turns,
    /// Those on which nobody works.
    queued: Lines,
    /// Tasks that only wait for a miner, by their deadlines; time passes for the others alone.
    waiting: BTreeSet<(i64, TaskId)>,
    active: BTreeSet<TaskId>,
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
        let n_lent = known.map_or(0, |known| n_leases(&task).saturating_sub(n_leases(known)));
        if n_lent > 0 {
            self.turns.serve(&task.owner, n_lent);
        }
        if let Some(known) = known.cloned() {
            self.let_go(&known);
        }
        if !task.state.is_final() {
            if waits(&task) {
                self.waiting.insert((task.deadline_ms, task.id.clone()));
            } else {
                self.active.insert(task.id.clone());
            }
        }
        for miner in holders(&task) {
            self.held.entry(miner.clone()).or_default().insert(task.id.clone());
        }
        if self.claimable.set(&task, is_claimable(&task)) {
            self.turns.join(&task.owner);
        }
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

    /// Its miners hold no lease of it, and no time passes for it.
    fn let_go(&mut self, task: &Task) {
        if waits(task) {
            self.waiting.remove(&(task.deadline_ms, task.id.clone()));
        } else {
            self.active.remove(&task.id);
        }
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

/// Whether nothing but its deadline can change the task before a miner claims it.
fn waits(task: &Task) -> bool {
    task.state == TaskState::Queued && task.has_unsettled_slot()
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

    /// Open tasks on which somebody works or worked, in no order.
    pub(crate) fn active(&self) -> Vec<Arc<Task>> {
        let known = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        known.active.iter().filter_map(|id| known.open.get(id).cloned()).collect()
    }

    /// The others, of which the deadline is over.
    pub(crate) fn overdue(&self, now_ms: i64) -> Vec<Arc<Task>> {
        let known = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        let over = known.waiting.iter().take_while(|(deadline_ms, _)| *deadline_ms <= now_ms);
        over.filter_map(|(_, id)| known.open.get(id).cloned()).collect()
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
        look(&mut InTurn::new(&known.claimable, &known.turns))
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

    /// Place in the queue, from 1, if the owners take turns; `None` for a task that does not wait.
    pub(crate) fn queue_position(&self, task: &Task) -> Option<usize> {
        if task.state != TaskState::Queued {
            return None;
        }
        let known = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        Some(1 + known.queued.before(task))
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
        assert_eq!(board.active().iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["old"]);
        let (deadline_ms, n_overdue) = (fresh.deadline_ms, |at_ms| board.overdue(at_ms).len());
        assert_eq!(
            (n_overdue(0), n_overdue(deadline_ms), n_overdue(i64::MAX)),
            (0, 2, 3),
            "late and fresh, then urgent"
        );
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
        assert_eq!((board.active().len(), board.overdue(i64::MAX).len()), (0, 4), "it waits again");
    }

    fn of(owner: &str, n: usize, created_at_ms: i64) -> Task {
        Task { owner: owner.to_owned(), ..task(&format!("{owner}{n:02}"), 5, created_at_ms) }
    }

    /// Lends the first task in line; whose it is.
    fn lend(board: &Board) -> String {
        let first = board.claimable(|tasks| tasks.next().cloned()).unwrap();
        let mut lent = (*first).clone();
        let claim = Claim { slot: 0, miner: Hotkey::from("m"), coldkey: Coldkey::from("c"), claim_id: "x".to_owned() };
        lent.claim(claim, lent.updated_at_ms, &TERMS).unwrap();
        board.publish(std::iter::once(Arc::new(lent)));
        first.owner.clone()
    }

    #[test]
    fn a_user_who_sends_many_holds_up_nobody_else() {
        let board = Board::new((0..50).map(|n| of("ann", n, 0)).collect());
        let mut seen: Vec<String> = (0..10).map(|_| lend(&board)).collect();
        assert!(seen.iter().all(|owner| owner == "ann"), "alone it has everything");
        // Later by an hour, and less urgent than each of the others.
        board.publish((0..20).map(|n| Arc::new(of("bob", n, 3_600_000))));
        seen = (0..20).map(|_| lend(&board)).collect();
        let n_bobs = seen.iter().filter(|owner| *owner == "bob").count();
        assert_eq!(n_bobs, 10, "half of what was lent since, and nothing for the time before: {seen:?}");
        board.publish(std::iter::once(Arc::new(of("eve", 0, 7_200_000))));
        let until_eve = std::iter::repeat_with(|| lend(&board)).position(|owner| owner == "eve");
        assert!(until_eve.unwrap() <= 2, "a third waits one turn of each");
        assert_eq!(board.queue_position(&of("zoe", 0, 9_000_000)), Some(3), "behind one of each");
    }

    #[test]
    fn who_comes_again_and_again_has_no_more_than_its_turn() {
        let board = Board::new((0..40).map(|n| of("ann", n, 0)).collect());
        let mut n_bobs = 0;
        board.publish(std::iter::once(Arc::new(of("bob", 0, 0))));
        for _ in 0..20 {
            if lend(&board) == "bob" {
                // Never more than one in line: it leaves and joins each time.
                n_bobs += 1;
                board.publish(std::iter::once(Arc::new(of("bob", n_bobs, 0))));
            }
        }
        assert_eq!(n_bobs, 10);
    }

    #[test]
    fn a_users_own_tasks_go_by_urgency() {
        let own = |id: &str, priority, at| Task { owner: "ann".to_owned(), ..task(id, priority, at) };
        let board = Board::new(vec![own("low", 1, 0), own("high", 8, 10), of("bob", 0, 20), own("mid", 5, 0)]);
        assert_eq!(claimable(&board), ["high", "bob00", "mid", "low"]);
    }
}
