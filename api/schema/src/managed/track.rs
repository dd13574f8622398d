//! The bookkeeping of writes that are not apply: who writes a field owns it.

use serde_json::{Map, Value};

use super::entries::{self, Entry};
use super::fieldset::{FieldSet, item_key};
use crate::definitions::{Definition, Field, ListKind, Type, at};

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Field manager.
    pub manager: &'a str,
    /// `apps/v1`
    pub api_version: &'a str,
    /// Now, RFC 3339.
    pub time: &'a str,
    /// Empty, or `status`, `scale`.
    pub subresource: &'a str,
}

/// Writes `metadata.managedFields` of a new object from those of the old one and from what changed. What the client sent
/// there is not believed.
pub fn track(definition: &'static Definition, old: Option<&Value>, new: &mut Value, write: Write<'_>) {
    let Some(old) = old else {
        let fields = FieldSet::of(definition, new);
        entries::write(new, vec![update_entry(write, fields)]);
        return;
    };
    let kept = old["metadata"].get("managedFields").cloned();
    if let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
        if let Some(kept) = kept {
            metadata.insert("managedFields".to_owned(), kept);
        }
    }
    let changed = changed(definition, old, new);
    let removed = {
        let mut removed = FieldSet::of(definition, old);
        removed.subtract(&FieldSet::of(definition, new));
        removed
    };
    if changed.is_empty() && removed.is_empty() {
        return;
    }
    let mut all = entries::read(new);
    for entry in &mut all {
        entry.fields.subtract(&removed);
        if !entry.is(write.manager, "Update", write.subresource) {
            entry.fields.subtract(&changed);
        }
    }
    if !changed.is_empty() {
        match all.iter_mut().find(|entry| entry.is(write.manager, "Update", write.subresource)) {
            Some(entry) => {
                entry.fields.union(&changed);
                write.time.clone_into(&mut entry.time);
                write.api_version.clone_into(&mut entry.api_version);
            }
            None => all.push(update_entry(write, changed)),
        }
    }
    entries::write(new, all);
}

fn update_entry(write: Write<'_>, fields: FieldSet) -> Entry {
    Entry {
        manager: write.manager.to_owned(),
        operation: "Update".to_owned(),
        subresource: write.subresource.to_owned(),
        api_version: write.api_version.to_owned(),
        time: write.time.to_owned(),
        fields,
    }
}

/// The fields of `new` that `old` lacks or has otherwise.
pub(super) fn changed(definition: &'static Definition, old: &Value, new: &Value) -> FieldSet {
    let mut set = FieldSet::of(definition, new);
    keep_changed(definition, old, new, &mut set);
    set
}

fn keep_changed(definition: &'static Definition, old: &Value, new: &Value, set: &mut FieldSet) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return };
    set.children.retain(|key, child| {
        let Some(name) = key.strip_prefix("f:") else { return true };
        match (definition.field(name), old.get(name), new.get(name)) {
            (Some(field), Some(old), Some(new)) => !settle(field, old, new, child),
            _ => true,
        }
    });
    set.member = set.member && !old.is_empty();
}

/// Drops what is equal from a field's set; true when nothing is left.
fn settle(field: &'static Field, old: &Value, new: &Value, set: &mut FieldSet) -> bool {
    if old == new {
        return true;
    }
    match (&field.ty, old, new) {
        (Type::Struct(index), Value::Object(_), Value::Object(_)) if !field.atomic && !at(*index).atomic => {
            keep_changed(at(*index), old, new, set);
        }
        (Type::Map(inner), Value::Object(old), Value::Object(new)) if !field.atomic => {
            set.member = false;
            settle_map(inner, old, new, set);
        }
        (Type::List(inner), Value::Array(old), Value::Array(new)) if field.list != ListKind::Atomic => {
            set.member = false;
            settle_list(&field.list, inner, old, new, set);
        }
        _ => {}
    }
    set.is_empty()
}

fn settle_map(inner: &'static Type, old: &Map<String, Value>, new: &Map<String, Value>, set: &mut FieldSet) {
    set.children.retain(|key, child| {
        let Some(name) = key.strip_prefix("f:") else { return true };
        let (Some(old), Some(new)) = (old.get(name), new.get(name)) else { return true };
        if old == new {
            return false;
        }
        if let Type::Struct(index) = inner {
            keep_changed(at(*index), old, new, child);
        }
        !child.is_empty()
    });
}

fn settle_list(list: &ListKind, inner: &'static Type, old: &[Value], new: &[Value], set: &mut FieldSet) {
    for new in new {
        let key = item_key(list, new);
        let Some(old) = old.iter().find(|old| item_key(list, old) == key) else { continue };
        let Some(child) = set.children.get_mut(&key) else { continue };
        child.member = false;
        if old == new {
            child.children.clear();
        } else if let Type::Struct(index) = inner {
            keep_changed(at(*index), old, new, child);
        }
        if child.is_empty() {
            set.children.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definitions::by_name;

    fn write(manager: &str) -> Write<'_> {
        Write { manager, api_version: "v1", time: "2026-01-01T00:00:00Z", subresource: "" }
    }

    fn pod() -> &'static Definition {
        by_name("io.k8s.api.core.v1.Pod").unwrap()
    }

    fn owners(object: &Value) -> Vec<(String, Vec<String>)> {
        entries::read(object).into_iter().map(|e| (e.manager, e.fields.paths())).collect()
    }

    #[test]
    fn who_writes_a_field_takes_it_over() {
        let mut first = json!({"metadata": {"name": "p", "labels": {"a": "1", "b": "2"}}, "spec": {"containers": [{"name": "c", "image": "1"}]}});
        track(pod(), None, &mut first, write("creator"));
        let mut second = first.clone();
        second["spec"]["containers"][0]["image"] = json!("2");
        second["metadata"]["labels"].as_object_mut().unwrap().remove("b");
        track(pod(), Some(&first), &mut second, write("updater"));
        let owners = owners(&second);
        let fields = |manager: &str| owners.iter().find(|(m, _)| m == manager).map(|(_, p)| p.clone()).unwrap();
        assert_eq!(fields("updater"), [".spec.containers[name=\"c\"].image"]);
        assert!(!fields("creator").contains(&".spec.containers[name=\"c\"].image".to_owned()));
        assert!(!fields("creator").contains(&".metadata.labels.b".to_owned()));
        assert!(fields("creator").contains(&".metadata.labels.a".to_owned()));
    }

    #[test]
    fn a_write_that_changes_nothing_leaves_the_entries_alone() {
        let mut first = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}});
        track(pod(), None, &mut first, write("creator"));
        let mut second = first.clone();
        second["metadata"].as_object_mut().unwrap().remove("managedFields");
        track(pod(), Some(&first), &mut second, write("other"));
        assert_eq!(first, second);
    }
}
