//! Documents and values as Firestore's JSON writes them.

use serde_json::{Map, Value, json};

/// The fields of a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.with(name, json!({"stringValue": value}))
    }

    pub(super) fn number(self, name: &str, value: i64) -> Self {
        self.with(name, integer(value))
    }

    pub(super) fn float(self, name: &str, value: f64) -> Self {
        self.with(name, json!({"doubleValue": value}))
    }

    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        self.with(name, json!({"booleanValue": value}))
    }

    /// A time in ms, which Firestore's TTL policies read as such.
    pub(super) fn time(self, name: &str, at_ms: i64) -> Self {
        self.with(name, json!({"timestampValue": super::rfc3339(at_ms)}))
    }

    pub(super) fn texts<'a>(self, name: &str, values: impl Iterator<Item = &'a str>) -> Self {
        let values: Vec<Value> = values.map(|value| json!({"stringValue": value})).collect();
        self.with(name, json!({"arrayValue": {"values": values}}))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(super) fn names(&self) -> Vec<&String> {
        self.0.keys().collect()
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// A whole number.
pub(super) fn integer(value: i64) -> Value {
    json!({"integerValue": value.to_string()})
}

/// A document that was read.
#[derive(Debug, Clone)]
pub(super) struct Document(Value);

impl Document {
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    /// Its whole name, `projects/..`.
    pub(super) fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }

    /// The last part of its name.
    pub(super) fn id(&self) -> &str {
        self.name().rsplit('/').next().unwrap_or_default()
    }

    /// The time of its last write, by which a later write says what it has seen.
    pub(super) fn update_time(&self) -> &str {
        self.0["updateTime"].as_str().unwrap_or_default()
    }

    pub(super) fn value(&self, field: &str) -> &Value {
        &self.0["fields"][field]
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.value(field)["stringValue"].as_str().unwrap_or_default()
    }

    pub(super) fn number(&self, field: &str) -> i64 {
        self.value(field)["integerValue"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    pub(super) fn float(&self, field: &str) -> Option<f64> {
        let value = self.value(field);
        // A whole double may come back as an integer's JSON.
        value["doubleValue"].as_f64().or_else(|| value["integerValue"].as_str()?.parse().ok())
    }

    pub(super) fn flag(&self, field: &str) -> bool {
        self.value(field)["booleanValue"].as_bool().unwrap_or_default()
    }
}
