//! What a home for tasks has to do.

use futures::future::BoxFuture;

use super::{Batch, Entry, EntryKind, Error, EvaluationRow, Expired, Listing, MinerRow, ResponseRow, UploadRow};
use crate::subnet::task::{Hotkey, ResponseId, Task, TaskId};

/// What a store answers.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Where a follower of the store's changes stands; what it is made of is the store's affair.
pub(crate) type Mark = String;

/// A home for tasks and what belongs to them.
pub(crate) trait TaskStore: Send + Sync {
    /// Whether other proxies may be at work in the same store, so that what this one knows may be old.
    fn is_shared(&self) -> bool;

    /// Stores all of a batch or nothing; durable when it returns.
    fn commit(&self, batch: Batch) -> Answer<'_, ()>;

    /// The task, open or ended.
    fn task<'a>(&'a self, id: &'a TaskId) -> Answer<'a, Option<Task>>;

    /// All tasks that did not end, and the mark from which [`Self::changed`] goes on.
    fn open_tasks(&self) -> Answer<'_, (Vec<Task>, Mark)>;

    /// Tasks that were changed since the mark, in any order, some perhaps again; and the next mark.
    fn changed(&self, since: Mark) -> Answer<'_, (Vec<Task>, Mark)>;

    /// Open tasks in which this miner holds a lease, as they are now.
    fn held<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Vec<Task>>;

    /// An owner's tasks, newest first.
    fn page(&self, listing: Listing) -> Answer<'_, Vec<Task>>;

    /// An owner's tasks about this blob, newest first, at most `limit`.
    fn tasks_about<'a>(&'a self, owner: &'a str, sha256: &'a str, limit: usize) -> Answer<'a, Vec<Task>>;

    /// A task as it was at its events after number `after`, oldest first.
    fn events<'a>(&'a self, id: &'a TaskId, after: u64, limit: usize) -> Answer<'a, Vec<Task>>;

    /// The response of this name.
    fn response<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<ResponseRow>>;

    /// The text of a response alone.
    fn response_text<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<String>>;

    /// All responses of a task, in the order of their slots.
    fn responses<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<ResponseRow>>;

    /// The revealed scores of a task, in the order of their validators.
    fn evaluations<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<EvaluationRow>>;

    /// An owner's upload.
    fn upload<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, Option<UploadRow>>;

    /// Names of an owner's uploads of this blob.
    fn uploads_of<'a>(&'a self, owner: &'a str, sha256: &'a str) -> Answer<'a, Vec<String>>;

    /// The small record of this name.
    fn entry<'a>(&'a self, kind: EntryKind, name: &'a str) -> Answer<'a, Option<Entry>>;

    /// Small records that are due before a time, the earliest first.
    fn entries(&self, kind: EntryKind, before_ms: i64, limit: usize) -> Answer<'_, Vec<Entry>>;

    /// Small records that belong to somebody, in no order, at most `limit`.
    fn entries_of<'a>(&'a self, kind: EntryKind, belongs_to: &'a str, limit: usize) -> Answer<'a, Vec<Entry>>;

    /// Stores a small record in the place of the version before its own (of none, if it is the first); whether it did.
    fn put_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool>;

    /// Deletes a small record that is still at this version; whether it did.
    fn delete_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool>;

    /// The request that this owner sent under this key before: hash of its body, and its task.
    fn key<'a>(&'a self, owner: &'a str, key: &'a str) -> Answer<'a, Option<(String, TaskId)>>;

    /// What is known about a miner's work.
    fn miner<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Option<MinerRow>>;

    /// Every miner that ever answered.
    fn miners(&self) -> Answer<'_, Vec<MinerRow>>;

    /// Notes a signed request for all proxies of the store; false if one noted it before.
    fn note_once<'a>(&'a self, request: &'a str, until_ms: i64) -> Answer<'a, bool>;

    /// Says that a proxy is at work, which also shows that the store takes writes; when one said so last, if others may.
    fn pulse(&self, now_ms: i64) -> Answer<'_, Option<i64>>;

    /// Names of tasks that ended, and of uploads that were made, before a time; and whatever else is over by `now_ms`.
    fn expired(&self, before_ms: i64, now_ms: i64, limit: usize) -> Answer<'_, Expired>;

    /// Deletes records, with all that belongs to a task; open tasks stay.
    fn erase(&self, expired: Expired) -> Answer<'_, ()>;

    /// Whether a task or an upload names this blob.
    fn is_referenced<'a>(&'a self, sha256: &'a str) -> Answer<'a, bool>;

    /// The secret of this name that all proxies of the store have: the one of whoever came first.
    fn secret<'a>(&'a self, name: &'a str, mine: [u8; 32]) -> Answer<'a, [u8; 32]>;

    /// Waits until everything that was sent is done.
    fn close(&self) -> Answer<'_, ()>;
}
