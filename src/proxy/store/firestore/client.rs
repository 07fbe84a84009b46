//! Firestore's JSON API: documents by name, queries, and commits of many writes that all hold or none.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::Error;
use super::query::Shape;
use super::value::{Document, Fields};
use crate::proxy::google::{self, Google};

/// Where the API is.
const ENDPOINT: &str = "https://firestore.googleapis.com";

/// How often what changes nothing, or what Firestore gave up by itself, is tried.
const TRIES: u32 = 6;

/// First pause between two tries, ms.
const PAUSE_MS: u64 = 20;

/// Why a commit stored nothing.
#[derive(Debug)]
pub(super) enum Refused {
    /// A document was changed since it was read, or is gone.
    Stale,
    /// A document that must not be there is.
    Exists,
    /// Anything else.
    Failed(Error),
}

/// A database.
pub(super) struct Client {
    google: Arc<Google>,
    /// `https://host/v1/`
    base: String,
    /// `projects/../documents`
    root: String,
    project: String,
}

impl Client {
    /// The default database of a project; of an emulator where one is named as `host:port`.
    pub(super) fn new(google: Arc<Google>, project: &str, emulator: Option<&str>) -> Self {
        let endpoint = emulator.map_or_else(|| ENDPOINT.to_owned(), |host| format!("http://{host}"));
        let root = format!("projects/{project}/databases/(default)/documents");
        Self { google, base: format!("{endpoint}/v1/"), root, project: project.to_owned() }
    }

    pub(super) fn project(&self) -> &str {
        &self.project
    }

    /// The whole name of a document.
    pub(super) fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// A document; `None` if it is not there. `path` is made of names that [`super::is_id`] lets through.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Document>, Error> {
        let url = format!("{}{}/{path}", self.base, self.root);
        match self.retried(Method::GET, &url, None).await {
            Ok(document) => Ok(Some(Document::new(document))),
            Err(google::Error::Answer { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The documents that a query finds below a document (`""`: the database), and the time at which it looked.
    pub(super) async fn query(
        &self,
        below: &str,
        shape: Shape,
        values: &[Value],
        limit: usize,
        after: Option<Vec<Value>>,
    ) -> Result<(Vec<Document>, String), Error> {
        let slash = if below.is_empty() { "" } else { "/" };
        let url = format!("{}{}{slash}{below}:runQuery", self.base, self.root);
        let body = json!({"structuredQuery": shape.query(values, limit, after)});
        let rows = self.retried(Method::POST, &url, Some(&body)).await.map_err(|error| self.failed(&error))?;
        let rows = rows.as_array().cloned().unwrap_or_default();
        let read_time = rows.iter().rev().find_map(|row| row["readTime"].as_str()).unwrap_or_default().to_owned();
        let documents = rows.into_iter().filter_map(|mut row| row.get_mut("document").map(Value::take));
        Ok((documents.map(Document::new).collect(), read_time))
    }

    /// All documents that a query finds, whatever their number.
    pub(super) async fn query_all(
        &self,
        below: &str,
        shape: Shape,
        values: &[Value],
    ) -> Result<(Vec<Document>, String), Error> {
        const PAGE: usize = 300;
        let (mut all, mut first_time) = (Vec::new(), None);
        loop {
            let after = all.last().map(|last: &Document| match shape.order {
                Some((field, _)) if field != "__name__" => vec![last.value(field).clone(), reference(last)],
                _ => vec![reference(last)],
            });
            // The cursor of an order by one field holds that field alone.
            let after = after.map(|mut values| {
                if shape.order.is_some_and(|(field, _)| field != "__name__" && field != "changed_at") {
                    values.truncate(1);
                }
                values
            });
            let (page, read_time) = self.query(below, shape, values, PAGE, after).await?;
            first_time.get_or_insert(read_time);
            let is_last = page.len() < PAGE || shape.order.is_none();
            all.extend(page);
            if is_last {
                return Ok((all, first_time.unwrap_or_default()));
            }
        }
    }

    /// Applies all writes or none; the write time of the first one's document.
    pub(super) async fn commit(&self, writes: &[Value]) -> Result<String, Refused> {
        let url = format!("{}{}:commit", self.base, self.root);
        let body = json!({"writes": writes});
        let mut tried = 0;
        loop {
            tried += 1;
            let error = match self.google.json(Method::POST, &url, Some(&body)).await {
                Ok(done) => return Ok(done["writeResults"][0]["updateTime"].as_str().unwrap_or_default().to_owned()),
                Err(error) => error,
            };
            let code = if let google::Error::Answer { code, .. } = &error { code.as_str() } else { "" };
            match code {
                "FAILED_PRECONDITION" | "NOT_FOUND" => return Err(Refused::Stale),
                "ALREADY_EXISTS" => return Err(Refused::Exists),
                // Firestore gave way to another commit and stored nothing.
                "ABORTED" if tried < TRIES => pause(tried).await,
                "ABORTED" => return Err(Refused::Failed(Error::Busy)),
                _ => return Err(Refused::Failed(self.failed(&error))),
            }
        }
    }

    async fn retried(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Value, google::Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.google.json(method.clone(), url, body).await {
                Err(error) if error.is_passing() && tried < TRIES => pause(tried).await,
                answer => return answer,
            }
        }
    }

    fn failed(&self, error: &google::Error) -> Error {
        let message = format!("firestore:{}: {error}", self.project);
        if error.is_passing() { Error::Unavailable(message) } else { Error::Fault(message) }
    }

    /// A write that makes a document, if there is none.
    pub(super) fn create(&self, path: &str, fields: Fields) -> Value {
        json!({"update": self.document(path, fields), "currentDocument": {"exists": false}})
    }

    /// A write that replaces a document, if it is still the one that was read.
    pub(super) fn replace(&self, path: &str, fields: Fields, update_time: &str) -> Value {
        json!({"update": self.document(path, fields), "currentDocument": {"updateTime": update_time}})
    }

    /// A write of a document, whatever is there.
    pub(super) fn set(&self, path: &str, fields: Fields) -> Value {
        json!({"update": self.document(path, fields)})
    }

    /// A write of these fields alone, and one to a counter.
    pub(super) fn count(&self, path: &str, fields: Fields, counter: &str) -> Value {
        let mask = json!({"fieldPaths": fields.names()});
        let step = json!({"fieldPath": counter, "increment": super::value::integer(1)});
        json!({"update": self.document(path, fields), "updateMask": mask, "updateTransforms": [step]})
    }

    /// A write that deletes a document.
    pub(super) fn delete(name: &str) -> Value {
        json!({"delete": name})
    }

    /// A write that deletes a document, if it is still the one that was read.
    pub(super) fn delete_seen(document: &Document) -> Value {
        json!({"delete": document.name(), "currentDocument": {"updateTime": document.update_time()}})
    }

    fn document(&self, path: &str, fields: Fields) -> Value {
        json!({"name": self.name(path), "fields": fields.into_value()})
    }
}

/// Lets Firestore's clock set a field of the document that this writes.
pub(super) fn stamped(mut write: Value, field: &str) -> Value {
    write["updateTransforms"] = json!([{"fieldPath": field, "setToServerValue": "REQUEST_TIME"}]);
    write
}

fn reference(document: &Document) -> Value {
    json!({"referenceValue": document.name()})
}

async fn pause(tried: u32) {
    let longest_ms = PAUSE_MS << tried;
    let pause_ms = rand::rng().random_range(longest_ms / 2..=longest_ms);
    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
}
