//! Who waits for what: miners for work, validators for evaluations, users for their task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, broadcast};

use super::store::Change;
use crate::subnet::task::{Phase, SlotState, Task, TaskId};

/// Changes of a task that a slow listener may be behind; it then reads the stored events.
const BACKLOG: usize = 16;

/// Wakes those who wait when something was committed.
#[derive(Default)]
pub(crate) struct Hub {
    /// Woken when a slot may be free.
    pub(crate) work: Notify,
    /// Woken when a task may be judged, or its phase changed.
    pub(crate) evaluations: Notify,
    /// Woken when there may be a message to a webhook.
    pub(crate) deliveries: Notify,
    topics: Mutex<HashMap<TaskId, broadcast::Sender<Change>>>,
}

impl Hub {
    /// Tells everybody whom these changes concern.
    pub(crate) fn publish(&self, changes: &[Change]) {
        let topics = self.topics();
        for change in changes {
            if let Some(topic) = topics.get(&change.task.id) {
                // Nobody listens any more: `Subscription::drop` removes the topic.
                let _ = topic.send(change.clone());
            }
        }
        drop(topics);
        if changes.iter().any(|change| has_open_slot(&change.task)) {
            self.work.notify_waiters();
        }
        if changes.iter().any(|change| change.has_event && change.task.webhook.is_some()) {
            self.deliveries.notify_one();
        }
        if changes.iter().any(|change| is_judged(&change.task)) {
            self.evaluations.notify_waiters();
        }
    }

    /// The changes of one task from now on.
    pub(crate) fn subscribe(self: &Arc<Self>, id: &TaskId) -> Subscription {
        let mut topics = self.topics();
        let topic = topics.entry(id.clone()).or_insert_with(|| broadcast::channel(BACKLOG).0);
        Subscription { changes: Some(topic.subscribe()), id: id.clone(), hub: Arc::clone(self) }
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<TaskId, broadcast::Sender<Change>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener of one task.
pub(crate) struct Subscription {
    changes: Option<broadcast::Receiver<Change>>,
    id: TaskId,
    hub: Arc<Hub>,
}

impl Subscription {
    /// The next change; `None` when some were missed, so that the caller looks at the store.
    pub(crate) async fn next(&mut self) -> Option<Change> {
        self.changes.as_mut()?.recv().await.ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.changes = None;
        let mut topics = self.hub.topics();
        if topics.get(&self.id).is_some_and(|topic| topic.receiver_count() == 0) {
            topics.remove(&self.id);
        }
    }
}

fn has_open_slot(task: &Task) -> bool {
    !task.state.is_final() && task.slots.iter().any(|slot| slot.state == SlotState::Open)
}

fn is_judged(task: &Task) -> bool {
    task.evaluation.as_ref().is_some_and(|evaluation| evaluation.phase != Phase::Done)
}
