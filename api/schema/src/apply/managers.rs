//! `metadata.managedFields`, read and written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::{FieldSet, field_set};

/// Update entries beyond this many are merged, the oldest first.
const UPDATES_MAX: usize = 10;

/// Who stands for the entries that were merged.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// One manager's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) manager: Cow<'a, str>,
    pub(super) operation: Operation,
    pub(super) api_version: Cow<'a, str>,
    pub(super) time: Cow<'a, str>,
    pub(super) subresource: Cow<'a, str>,
    pub(super) fields: FieldSet<'a>,
    /// The stored entry that this one still equals; such entries are written back as they were.
    pub(super) stored: Option<usize>,
}

impl Entry<'_> {
    /// Appliers are the same whatever version they apply in; updaters are not.
    pub(super) fn is_updater(&self, manager: &str, api_version: &str, subresource: &str) -> bool {
        self.operation == Operation::Update
            && self.manager == manager
            && self.api_version == api_version
            && self.subresource == subresource
    }

    pub(super) fn is_applier(&self, manager: &str, subresource: &str) -> bool {
        self.operation == Operation::Apply && self.manager == manager && self.subresource == subresource
    }

    /// Takes fields away.
    pub(super) fn lose(&mut self, fields: &FieldSet<'_>) {
        if self.fields.subtract(fields) {
            self.stored = None;
        }
    }
}

/// An entry as it is stored: what [`to_value`] makes, without the value in between.
impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let operation = if self.operation == Operation::Apply { "Apply" } else { "Update" };
        let texts = [
            ("manager", &*self.manager),
            ("operation", operation),
            ("apiVersion", &*self.api_version),
            ("time", &*self.time),
            ("fieldsType", "FieldsV1"),
        ];
        for (name, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
            map.serialize_entry(name, text)?;
        }
        map.serialize_entry("fieldsV1", &self.fields)?;
        if !self.subresource.is_empty() {
            map.serialize_entry("subresource", &*self.subresource)?;
        }
        map.end()
    }
}

/// The list of an object; empty when there is none.
pub(super) fn of(object: &Value) -> &[Value] {
    object.get("metadata").and_then(|m| m.get("managedFields")).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Reads a list. `None` when any entry is malformed.
pub(super) fn read(list: &[Value]) -> Option<Vec<Entry<'_>>> {
    list.iter()
        .enumerate()
        .map(|(place, entry)| {
            let text = |field: &str| Cow::Borrowed(entry.get(field).and_then(Value::as_str).unwrap_or_default());
            let operation = match &*text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            if text("fieldsType") != "FieldsV1" {
                return None;
            }
            let fields = match entry.get("fieldsV1") {
                Some(fields) => FieldSet::from_value(fields)?,
                None => FieldSet::default(),
            };
            Some(Entry {
                manager: text("manager"),
                operation,
                api_version: text("apiVersion"),
                time: text("time"),
                subresource: text("subresource"),
                fields,
                stored: Some(place),
            })
        })
        .collect()
}

/// A list that a client sent, labels spelled as ours. `None` when it is malformed.
pub(super) fn canonical(list: &[Value]) -> Option<Vec<Value>> {
    list.iter()
        .map(|entry| {
            let mut entry = entry.clone();
            if let Some(fields) = entry.get_mut("fieldsV1") {
                *fields = field_set::canonical(fields)?;
            }
            Some(entry)
        })
        .collect()
}

/// Whether a client asks for the list to be forgotten: `[{}]`.
pub(super) fn is_reset(list: &[Value]) -> bool {
    matches!(list, [only] if only.as_object().is_some_and(Map::is_empty))
}

/// Appliers first, then updaters; by time, manager, version and subresource. Empty entries vanish, and updaters beyond
/// the limit are merged.
pub(super) fn settle(entries: &mut Vec<Entry<'_>>) {
    entries.retain(|entry| !entry.fields.is_empty());
    cap(entries);
    entries.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
}

fn sort_key<'e>(entry: &'e Entry<'_>) -> (Operation, &'e str, &'e str, &'e str, &'e str) {
    (entry.operation, &entry.time, &entry.manager, &entry.api_version, &entry.subresource)
}

/// Merges the oldest updaters of each version into one, until there are few enough.
fn cap(entries: &mut Vec<Entry<'_>>) {
    let mut updaters = entries.iter().filter(|e| e.operation == Operation::Update).count();
    if updaters <= UPDATES_MAX {
        return;
    }
    entries.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    // Where the bucket of a version is: the first updater seen, which becomes one when a second joins.
    let mut buckets: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Entry<'_>> = Vec::with_capacity(entries.len());
    for mut entry in entries.drain(..) {
        if entry.operation == Operation::Apply || updaters <= UPDATES_MAX {
            kept.push(entry);
            continue;
        }
        match buckets.get(&*entry.api_version) {
            Some(place) => {
                let bucket = &mut kept[*place];
                bucket.manager = Cow::Borrowed(ANCIENT);
                bucket.subresource = Cow::Borrowed("");
                bucket.stored = None;
                bucket.time = entry.time;
                bucket.fields = std::mem::take(&mut bucket.fields).union(std::mem::take(&mut entry.fields));
                updaters -= 1;
            }
            None => {
                buckets.insert(entry.api_version.clone().into_owned(), kept.len());
                kept.push(entry);
            }
        }
    }
    *entries = kept;
}

/// An entry as it will be stored.
pub(super) enum Written {
    /// As the stored entry at this place is.
    Stored(usize),
    /// Anew.
    New(Value),
}

/// Entries as they will be stored.
pub(super) fn write(entries: &[Entry<'_>]) -> Vec<Written> {
    entries
        .iter()
        .map(|entry| match entry.stored {
            Some(place) => Written::Stored(place),
            None => Written::New(to_value(entry)),
        })
        .collect()
}

/// The stored form, unchanged entries moved over from `stored`.
pub(super) fn assemble(written: Vec<Written>, mut stored: Vec<Value>) -> Vec<Value> {
    written
        .into_iter()
        .map(|entry| match entry {
            Written::Stored(place) => stored[place].take(),
            Written::New(value) => value,
        })
        .collect()
}

fn to_value(entry: &Entry<'_>) -> Value {
    let mut map = Map::with_capacity(7);
    let mut put = |name: &str, text: &str| {
        if !text.is_empty() {
            map.insert(name.to_owned(), Value::String(text.to_owned()));
        }
    };
    put("manager", &entry.manager);
    put("operation", if entry.operation == Operation::Apply { "Apply" } else { "Update" });
    put("apiVersion", &entry.api_version);
    put("time", &entry.time);
    put("fieldsType", "FieldsV1");
    map.insert("fieldsV1".to_owned(), entry.fields.to_value());
    if !entry.subresource.is_empty() {
        map.insert("subresource".to_owned(), Value::String(entry.subresource.clone().into_owned()));
    }
    Value::Object(map)
}

/// Takes the list out of an object, leaving its place.
pub(super) fn take(object: &mut Value) -> Vec<Value> {
    match object.get_mut("metadata").and_then(|m| m.get_mut("managedFields")).map(Value::take) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

/// Puts a list into an object, at its old place when there was one; an empty list is dropped.
pub(super) fn put(object: &mut Value, list: Vec<Value>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if list.is_empty() {
        metadata.shift_remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), Value::Array(list));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, second: usize) -> Value {
        json!({
            "manager": manager, "operation": operation, "apiVersion": "v1", "time": format!("2026-01-01T00:00:{second:02}Z"),
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {format!("f:{manager}"): {}}},
        })
    }

    fn settled(list: &[Value]) -> Vec<Value> {
        let mut entries = read(list).unwrap();
        settle(&mut entries);
        let written = write(&entries);
        assemble(written, list.to_vec())
    }

    #[test]
    fn appliers_stand_before_updaters_and_older_before_newer() {
        let list =
            [entry("u2", "Update", 2), entry("a3", "Apply", 3), entry("u1", "Update", 1), entry("a1", "Apply", 1)];
        let names: Vec<Value> = settled(&list).iter().map(|e| e["manager"].clone()).collect();
        assert_eq!(names, ["a1", "a3", "u1", "u2"]);
    }

    #[test]
    fn the_oldest_updaters_are_merged_beyond_ten() {
        let list: Vec<Value> = (0..12).map(|n| entry(&format!("m{n:02}"), "Update", n)).collect();
        let settled = settled(&list);
        assert_eq!(settled.len(), 10);
        assert_eq!(settled[0]["manager"], "ancient-changes");
        assert_eq!(settled[0]["time"], "2026-01-01T00:00:02Z");
        assert_eq!(settled[0]["fieldsV1"], json!({"f:spec": {"f:m00": {}, "f:m01": {}, "f:m02": {}}}));
        assert_eq!(settled[1]["manager"], "m03");
    }

    #[test]
    fn untouched_entries_are_written_back_as_they_were() {
        let mut odd = entry("m", "Update", 1);
        odd["unknown"] = json!(1);
        assert_eq!(settled(std::slice::from_ref(&odd)), [odd]);
        assert!(read(&[json!({"manager": "m"})]).is_none());
        assert!(is_reset(&[json!({})]) && !is_reset(&[]));
    }
}
