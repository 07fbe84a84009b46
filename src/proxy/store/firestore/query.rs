//! Every query that is made, in one place: `firestore.indexes.json` is compared with this list.

use serde_json::{Value, json};

use super::value::integer;

/// A condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    Less,
    Greater,
    AtLeast,
    Contains,
}

impl Op {
    fn word(self) -> &'static str {
        match self {
            Self::Equal => "EQUAL",
            Self::Less => "LESS_THAN",
            Self::Greater => "GREATER_THAN",
            Self::AtLeast => "GREATER_THAN_OR_EQUAL",
            Self::Contains => "ARRAY_CONTAINS",
        }
    }
}

/// What a query looks for and in what order, without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) collection: &'static str,
    pub(super) filters: &'static [(&'static str, Op)],
    /// Field, and whether the greatest comes first.
    pub(super) order: Option<(&'static str, bool)>,
}

const fn shape(
    collection: &'static str,
    filters: &'static [(&'static str, Op)],
    order: Option<(&'static str, bool)>,
) -> Shape {
    Shape { collection, filters, order }
}

pub(super) const OPEN_TASKS: Shape = shape("tasks", &[("is_open", Op::Equal)], Some(("__name__", false)));
pub(super) const CHANGED_TASKS: Shape = shape("tasks", &[("changed_at", Op::AtLeast)], Some(("changed_at", false)));
pub(super) const HELD_TASKS: Shape = shape("tasks", &[("holders", Op::Contains)], None);
pub(super) const TASKS_OF_OWNER: Shape =
    shape("tasks", &[("owner", Op::Equal), ("id", Op::AtLeast), ("id", Op::Less)], Some(("id", true)));
pub(super) const TASKS_BY_STATE: Shape = shape(
    "tasks",
    &[("owner", Op::Equal), ("id", Op::AtLeast), ("id", Op::Less), ("state", Op::Equal)],
    Some(("id", true)),
);
pub(super) const TASKS_BY_KIND: Shape = shape(
    "tasks",
    &[("owner", Op::Equal), ("id", Op::AtLeast), ("id", Op::Less), ("kind", Op::Equal)],
    Some(("id", true)),
);
pub(super) const TASKS_BY_STATE_AND_KIND: Shape = shape(
    "tasks",
    &[("owner", Op::Equal), ("id", Op::AtLeast), ("id", Op::Less), ("state", Op::Equal), ("kind", Op::Equal)],
    Some(("id", true)),
);
pub(super) const ENDED_TASKS: Shape = shape("tasks", &[("ended_at_ms", Op::Less)], Some(("ended_at_ms", false)));
pub(super) const TASKS_OF_BLOB: Shape = shape("tasks", &[("blobs", Op::Contains)], None);
pub(super) const EVENTS: Shape = shape("events", &[("number", Op::Greater)], Some(("number", false)));
pub(super) const RESPONSES: Shape = shape("responses", &[("task_id", Op::Equal)], None);
pub(super) const PARTS: Shape = shape("parts", &[("number", Op::Greater)], Some(("number", false)));
pub(super) const EVALUATIONS: Shape = shape("evaluations", &[("task_id", Op::Equal)], None);
pub(super) const KEYS: Shape = shape("keys", &[("task_id", Op::Equal)], None);
pub(super) const UPLOADS_OF_BLOB: Shape = shape("uploads", &[("sha256", Op::Equal)], None);
pub(super) const OLD_UPLOADS: Shape = shape("uploads", &[("created_at_ms", Op::Less)], Some(("created_at_ms", false)));
pub(super) const OLD_NOTES: Shape = shape("notes", &[("until_ms", Op::Less)], Some(("until_ms", false)));
pub(super) const DUE_ENTRIES: Shape =
    shape("entries", &[("kind", Op::Equal), ("due_ms", Op::Less)], Some(("due_ms", false)));
pub(super) const ENTRIES_OF: Shape = shape("entries", &[("kind", Op::Equal), ("belongs_to", Op::Equal)], None);
pub(super) const MINERS: Shape = shape("miners", &[], Some(("__name__", false)));

/// All of them.
#[cfg(test)]
pub(super) const ALL: [Shape; 20] = [
    OPEN_TASKS,
    CHANGED_TASKS,
    HELD_TASKS,
    TASKS_OF_OWNER,
    TASKS_BY_STATE,
    TASKS_BY_KIND,
    TASKS_BY_STATE_AND_KIND,
    ENDED_TASKS,
    TASKS_OF_BLOB,
    EVENTS,
    RESPONSES,
    PARTS,
    EVALUATIONS,
    KEYS,
    UPLOADS_OF_BLOB,
    OLD_UPLOADS,
    OLD_NOTES,
    DUE_ENTRIES,
    ENTRIES_OF,
    MINERS,
];

impl Shape {
    /// The query with its values, for at most `limit` documents, from behind a cursor.
    pub(super) fn query(&self, values: &[Value], limit: usize, after: Option<Vec<Value>>) -> Value {
        let filters: Vec<Value> = self
            .filters
            .iter()
            .zip(values)
            .map(|((field, op), value)| {
                json!({"fieldFilter": {"field": {"fieldPath": field}, "op": op.word(), "value": value}})
            })
            .collect();
        let mut query = json!({"from": [{"collectionId": self.collection}], "limit": limit});
        if !filters.is_empty() {
            query["where"] = json!({"compositeFilter": {"op": "AND", "filters": filters}});
        }
        if let Some((field, is_descending)) = self.order {
            let direction = if is_descending { "DESCENDING" } else { "ASCENDING" };
            query["orderBy"] = json!([{"field": {"fieldPath": field}, "direction": direction}]);
            if field == "changed_at" {
                // Ties are continued by name.
                query["orderBy"].as_array_mut().into_iter().for_each(|order| {
                    order.push(json!({"field": {"fieldPath": "__name__"}, "direction": direction}));
                });
            }
        }
        if let Some(values) = after {
            query["startAt"] = json!({"values": values, "before": false});
        }
        query
    }
}

/// A text as a value.
pub(super) fn text(value: &str) -> Value {
    json!({"stringValue": value})
}

/// A number as a value.
pub(super) fn number(value: i64) -> Value {
    integer(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The composite index that a shape needs, as `collection field:ORDER ..`; none where those of single fields do.
    fn index_of(shape: &Shape) -> Option<String> {
        let has_equal = shape.filters.iter().any(|(_, op)| *op == Op::Equal);
        let (ordered, is_descending) = shape.order.filter(|(field, _)| *field != "__name__")?;
        // One field alone, filtered and ordered: its own index.
        if !has_equal {
            assert!(shape.filters.iter().all(|(field, _)| *field == ordered), "{shape:?}: two fields, no equality");
            return None;
        }
        let equal = shape.filters.iter().filter(|(_, op)| *op == Op::Equal);
        let fields: Vec<String> = equal.map(|(field, _)| format!("{field}:ASCENDING")).collect();
        let direction = if is_descending { "DESCENDING" } else { "ASCENDING" };
        Some(format!("{} {} {ordered}:{direction}", shape.collection, fields.join(" ")))
    }

    #[test]
    fn every_query_has_its_index_and_every_index_a_query() {
        let file: Value = serde_json::from_str(include_str!("../../../../firestore.indexes.json")).unwrap();
        let there: BTreeSet<String> = file["indexes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|index| {
                assert_eq!(index["queryScope"], "COLLECTION");
                let field =
                    |f: &Value| format!("{}:{}", f["fieldPath"].as_str().unwrap(), f["order"].as_str().unwrap());
                let fields: Vec<String> = index["fields"].as_array().unwrap().iter().map(field).collect();
                format!("{} {}", index["collectionGroup"].as_str().unwrap(), fields.join(" "))
            })
            .collect();
        let needed: BTreeSet<String> = ALL.iter().filter_map(index_of).collect();
        assert_eq!(there, needed);
        // A field without an index cannot be queried.
        let overrides = file["fieldOverrides"].as_array().unwrap();
        let without: BTreeSet<(&str, &str)> = overrides
            .iter()
            .filter(|field| field["indexes"].as_array().unwrap().is_empty())
            .map(|field| (field["collectionGroup"].as_str().unwrap(), field["fieldPath"].as_str().unwrap()))
            .collect();
        for shape in ALL {
            let fields = shape.filters.iter().map(|(field, _)| *field).chain(shape.order.map(|(field, _)| field));
            fields.for_each(|field| assert!(!without.contains(&(shape.collection, field)), "{shape:?}"));
        }
        // What may be long must not be in an index: it costs, and the index has a limit.
        for (collection, field) in [
            ("tasks", "record"),
            ("events", "record"),
            ("responses", "result"),
            ("responses", "text"),
            ("entries", "record"),
        ] {
            assert!(without.contains(&(collection, field)), "{collection}.{field}");
        }
        let ttl: BTreeSet<&str> = overrides
            .iter()
            .filter(|field| field["ttl"] == true)
            .map(|field| field["collectionGroup"].as_str().unwrap())
            .collect();
        let expiring = ["evaluations", "events", "keys", "notes", "parts", "responses", "tasks", "uploads", "views"];
        assert_eq!(ttl, BTreeSet::from(expiring));
    }
}
