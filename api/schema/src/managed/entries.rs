//! `metadata.managedFields`, read and written.

use serde_json::{Map, Value, json};

use super::fieldset::FieldSet;

/// Update entries beyond this many are merged, the oldest first (as Kubernetes caps them).
const UPDATES_MAX: usize = 10;

/// One manager's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) manager: String,
    /// `Apply` or `Update`.
    pub(super) operation: String,
    pub(super) subresource: String,
    pub(super) api_version: String,
    pub(super) time: String,
    pub(super) fields: FieldSet,
}

impl Entry {
    pub(super) fn is(&self, manager: &str, operation: &str, subresource: &str) -> bool {
        self.manager == manager && self.operation == operation && self.subresource == subresource
    }
}

/// The entries of an object.
pub(super) fn read(object: &Value) -> Vec<Entry> {
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| Entry {
            manager: text(entry, "manager"),
            operation: text(entry, "operation"),
            subresource: text(entry, "subresource"),
            api_version: text(entry, "apiVersion"),
            time: text(entry, "time"),
            fields: FieldSet::from_json(&entry["fieldsV1"]),
        })
        .collect()
}

/// Writes entries into an object: appliers first, then updaters, by time and name. Empty ones vanish.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        let key = |e: &Entry| (e.operation != "Apply", e.time.clone(), e.manager.clone(), e.subresource.clone());
        key(a).cmp(&key(b))
    });
    cap(&mut entries);
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.shift_remove("managedFields");
    if entries.is_empty() {
        return;
    }
    let list: Vec<Value> = entries.iter().map(to_json).collect();
    metadata.insert("managedFields".to_owned(), Value::Array(list));
}

fn cap(entries: &mut Vec<Entry>) {
    while entries.iter().filter(|e| e.operation == "Update").count() > UPDATES_MAX {
        let Some(first) = entries.iter().position(|e| e.operation == "Update") else { return };
        let oldest = entries.remove(first);
        if let Some(next) = entries.iter_mut().find(|e| e.operation == "Update") {
            next.fields.union(&oldest.fields);
            "ancient-changes".clone_into(&mut next.manager);
        }
    }
}

fn to_json(entry: &Entry) -> Value {
    let mut map = Map::new();
    map.insert("manager".to_owned(), json!(entry.manager));
    map.insert("operation".to_owned(), json!(entry.operation));
    map.insert("apiVersion".to_owned(), json!(entry.api_version));
    map.insert("time".to_owned(), json!(entry.time));
    map.insert("fieldsType".to_owned(), json!("FieldsV1"));
    map.insert("fieldsV1".to_owned(), entry.fields.to_json());
    if !entry.subresource.is_empty() {
        map.insert("subresource".to_owned(), json!(entry.subresource));
    }
    Value::Object(map)
}
