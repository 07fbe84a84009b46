//! Tasks and what belongs to them in an SQLite file.

mod entries;
mod expiry;
mod rows;
mod schema;

use std::path::Path;

use futures::FutureExt;

#[cfg(test)]
pub(super) use schema::make_first_version;
pub(crate) use schema::{check, migrate};

use super::{
    Answer, Batch, Entry, EntryKind, Error, EvaluationRow, Expired, Listing, Mark, MinerRow, ResponseRow, TaskStore,
    UploadRow,
};
use crate::proxy::sqlite::{Readers, Writer};
use crate::subnet::task::{Hotkey, ResponseId, Task, TaskId};

/// A database file. One process uses it; the lock of the data directory sees to that.
pub(crate) struct Sqlite {
    writer: Writer,
    readers: Readers,
}

impl Sqlite {
    /// Opens or creates the file and starts the writer.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let writer = Writer::start(schema::open_writer(path)?)?;
        Ok(Self { writer, readers: Readers::open(path)? })
    }

    /// Lets the file have this many pages and no more, as a full disk would.
    #[cfg(test)]
    pub(super) async fn bound_pages(&self, n_pages: u32) {
        // Not inside a transaction of its own: the pragma counts for the connection.
        self.writer.write(move |sql| Ok(sql.pragma_update(None, "max_page_count", n_pages)?)).await.unwrap();
    }

    /// Writes a small record; whether it was as expected.
    fn write_entry(
        &self,
        entry: &Entry,
        work: fn(&rusqlite::Connection, &Entry) -> Result<bool, Error>,
    ) -> Answer<'_, bool> {
        let entry = entry.clone();
        self.writer.write(move |sql| work(sql, &entry)).boxed()
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, Error> + Send + 'static,
    ) -> Answer<'_, T> {
        self.readers.read(work).boxed()
    }
}

impl TaskStore for Sqlite {
    fn is_shared(&self) -> bool {
        false
    }

    fn commit(&self, batch: Batch) -> Answer<'_, ()> {
        async move {
            // Not by the writer, for which everybody waits.
            let texts = batch.task.as_ref().map(|change| rows::Texts::of(&change.task)).transpose()?;
            self.writer.write(move |sql| rows::put_batch(sql, &batch, texts.as_ref())).await
        }
        .boxed()
    }

    fn task<'a>(&'a self, id: &'a TaskId) -> Answer<'a, Option<Task>> {
        let id = id.clone();
        self.read(move |sql| rows::task(sql, &id))
    }

    fn open_tasks(&self) -> Answer<'_, (Vec<Task>, Mark)> {
        self.read(|sql| Ok((rows::open_tasks(sql)?, Mark::new())))
    }

    fn changed(&self, since: Mark) -> Answer<'_, (Vec<Task>, Mark)> {
        std::future::ready(Ok((Vec::new(), since))).boxed()
    }

    fn held<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Vec<Task>> {
        let miner = miner.clone();
        self.read(move |sql| {
            let holds = |task: &Task| task.leases().any(|(_, lease)| lease.miner == miner);
            Ok(rows::open_tasks(sql)?.into_iter().filter(holds).collect())
        })
    }

    fn page(&self, listing: Listing) -> Answer<'_, Vec<Task>> {
        self.read(move |sql| rows::task_page(sql, &listing))
    }

    fn tasks_about<'a>(&'a self, owner: &'a str, sha256: &'a str, limit: usize) -> Answer<'a, Vec<Task>> {
        let (owner, sha256) = (owner.to_owned(), sha256.to_owned());
        self.read(move |sql| rows::tasks_about(sql, &owner, &sha256, limit))
    }

    fn events<'a>(&'a self, id: &'a TaskId, after: u64, limit: usize) -> Answer<'a, Vec<Task>> {
        let id = id.clone();
        self.read(move |sql| rows::events(sql, &id, after, limit))
    }

    fn response<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<ResponseRow>> {
        let id = id.clone();
        self.read(move |sql| rows::response(sql, &id))
    }

    fn response_text<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<String>> {
        let id = id.clone();
        self.read(move |sql| rows::response_text(sql, &id))
    }

    fn responses<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<ResponseRow>> {
        let task_id = task_id.clone();
        self.read(move |sql| rows::responses(sql, &task_id))
    }

    fn evaluations<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<EvaluationRow>> {
        let task_id = task_id.clone();
        self.read(move |sql| rows::evaluations(sql, &task_id))
    }

    fn upload<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, Option<UploadRow>> {
        let (owner, id) = (owner.to_owned(), id.to_owned());
        self.read(move |sql| rows::upload(sql, &owner, &id))
    }

    fn uploads_of<'a>(&'a self, owner: &'a str, sha256: &'a str) -> Answer<'a, Vec<String>> {
        let (owner, sha256) = (owner.to_owned(), sha256.to_owned());
        self.read(move |sql| rows::uploads_of(sql, &owner, &sha256))
    }

    fn entry<'a>(&'a self, kind: EntryKind, name: &'a str) -> Answer<'a, Option<Entry>> {
        let name = name.to_owned();
        self.read(move |sql| entries::entry(sql, kind, &name))
    }

    fn entries(&self, kind: EntryKind, before_ms: i64, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.read(move |sql| entries::due(sql, kind, before_ms, limit))
    }

    fn entries_of<'a>(&'a self, kind: EntryKind, belongs_to: &'a str, limit: usize) -> Answer<'a, Vec<Entry>> {
        let belongs_to = belongs_to.to_owned();
        self.read(move |sql| entries::of(sql, kind, &belongs_to, limit))
    }

    fn put_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool> {
        self.write_entry(entry, entries::put)
    }

    fn delete_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool> {
        self.write_entry(entry, entries::delete)
    }

    fn key<'a>(&'a self, owner: &'a str, key: &'a str) -> Answer<'a, Option<(String, TaskId)>> {
        let (owner, key) = (owner.to_owned(), key.to_owned());
        self.read(move |sql| rows::key(sql, &owner, &key))
    }

    fn miner<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Option<MinerRow>> {
        let miner = miner.clone();
        self.read(move |sql| rows::miner(sql, &miner))
    }

    fn miners(&self) -> Answer<'_, Vec<MinerRow>> {
        self.read(rows::miners)
    }

    fn note_once<'a>(&'a self, _: &'a str, _: i64) -> Answer<'a, bool> {
        // The one process that there is keeps its own notes, and takes no request from before its start.
        std::future::ready(Ok(true)).boxed()
    }

    fn pulse(&self, _: i64) -> Answer<'_, Option<i64>> {
        // The turn of the writer shows that it lives; nobody else can be at work.
        self.writer.write(|_| Ok(())).map(|done| done.map(|()| None)).boxed()
    }

    fn expired(&self, before_ms: i64, _: i64, limit: usize) -> Answer<'_, Expired> {
        self.read(move |sql| expiry::expired(sql, before_ms, limit))
    }

    fn erase(&self, expired: Expired) -> Answer<'_, ()> {
        self.writer.write(move |sql| expiry::erase(sql, &expired)).boxed()
    }

    fn is_referenced<'a>(&'a self, sha256: &'a str) -> Answer<'a, bool> {
        let sha256 = sha256.to_owned();
        self.read(move |sql| expiry::is_referenced(sql, &sha256))
    }

    fn secret<'a>(&'a self, _: &'a str, mine: [u8; 32]) -> Answer<'a, [u8; 32]> {
        std::future::ready(Ok(mine)).boxed()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.writer.write(|_| Ok(())).boxed()
    }
}
