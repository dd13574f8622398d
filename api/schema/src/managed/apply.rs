//! Server-side apply: a manager says all that it wants, and owns that and no more.

use serde_json::{Map, Value};

use super::entries::{self, Entry};
use super::fieldset::{FieldSet, item_key};
use super::track::changed;
use crate::definitions::{Definition, Field, ListKind, Type, at};

/// One apply request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Field manager.
    pub manager: &'a str,
    /// `apps/v1`
    pub api_version: &'a str,
    /// Now, RFC 3339.
    pub time: &'a str,
    /// Empty, or `status`, `scale`.
    pub subresource: &'a str,
    /// Take over fields of others instead of refusing.
    pub force: bool,
}

/// A field that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Whose.
    pub manager: String,
    /// As Kubernetes words it: `conflict with "x" using apps/v1`.
    pub message: String,
    /// `.spec.replicas`
    pub field: String,
}

/// Applies a configuration to the live object. The result has its `managedFields` written.
///
/// # Errors
/// With every conflict, unless forced.
pub fn apply(
    definition: &'static Definition,
    live: Option<&Value>,
    config: &Value,
    request: Request<'_>,
) -> Result<Value, Vec<Conflict>> {
    let wanted = FieldSet::of(definition, config);
    let Some(live) = live else {
        let mut created = config.clone();
        entries::write(&mut created, vec![entry(request, wanted)]);
        return Ok(created);
    };
    let mut all = entries::read(live);
    let mut merged = live.clone();
    merge_struct(definition, &mut merged, config);

    let changes = changed(definition, live, &merged);
    let mut conflicts = Vec::new();
    for other in all.iter_mut().filter(|e| !e.is(request.manager, "Apply", request.subresource)) {
        let contested = other.fields.intersection(&changes);
        if contested.is_empty() {
            continue;
        }
        if request.force {
            other.fields.subtract(&contested);
            continue;
        }
        conflicts.extend(contested.paths().into_iter().map(|field| Conflict {
            manager: other.manager.clone(),
            message: message(other),
            field,
        }));
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }

    let position = all.iter().position(|e| e.is(request.manager, "Apply", request.subresource));
    let previous = position.map(|at| all.remove(at));
    if let Some(previous) = &previous {
        let mut dropped = previous.fields.clone();
        dropped.subtract(&wanted);
        for other in &all {
            dropped.subtract(&other.fields);
        }
        remove_struct(definition, &mut merged, &dropped);
    }
    let unchanged =
        previous.as_ref().is_some_and(|p| p.fields == wanted) && without_managed(&merged) == without_managed(live);
    if unchanged {
        return Ok(live.clone());
    }
    all.push(entry(request, wanted));
    entries::write(&mut merged, all);
    Ok(merged)
}

fn without_managed(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    object
}

fn entry(request: Request<'_>, fields: FieldSet) -> Entry {
    Entry {
        manager: request.manager.to_owned(),
        operation: "Apply".to_owned(),
        subresource: request.subresource.to_owned(),
        api_version: request.api_version.to_owned(),
        time: request.time.to_owned(),
        fields,
    }
}

fn message(other: &Entry) -> String {
    let mut message = format!("conflict with {:?}", other.manager);
    if !other.subresource.is_empty() {
        message.push_str(&format!(" with subresource {:?}", other.subresource));
    }
    if other.operation == "Update" {
        message.push_str(&format!(" using {}", other.api_version));
    }
    message
}

fn merge_struct(definition: &'static Definition, target: &mut Value, config: &Value) {
    let Value::Object(wanted) = config else { return };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, value) in wanted {
        match definition.field(name) {
            Some(field) => merge_field(field, fields.entry(name.clone()).or_insert(Value::Null), value),
            None => drop(fields.insert(name.clone(), value.clone())),
        }
    }
}

fn merge_field(field: &'static Field, target: &mut Value, config: &Value) {
    match (&field.ty, config) {
        (Type::Struct(index), Value::Object(_)) if !field.atomic && !at(*index).atomic => {
            merge_struct(at(*index), target, config);
        }
        (Type::Map(_), Value::Object(wanted)) if !field.atomic => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            if let Value::Object(fields) = target {
                fields.extend(wanted.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        (Type::List(inner), Value::Array(wanted)) if field.list != ListKind::Atomic => {
            let existing = match target.take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            };
            *target = Value::Array(merge_list(&field.list, inner, existing, wanted));
        }
        _ => *target = config.clone(),
    }
}

/// Items in the order of the configuration; live ones that it does not name keep their place relative to their
/// predecessor.
fn merge_list(list: &ListKind, inner: &'static Type, existing: Vec<Value>, wanted: &[Value]) -> Vec<Value> {
    let keys: Vec<String> = wanted.iter().map(|item| item_key(list, item)).collect();
    let mut merged: Vec<Value> = wanted.to_vec();
    let mut strangers: Vec<(usize, Value)> = Vec::new();
    let mut after = 0;
    for item in existing {
        match keys.iter().position(|key| *key == item_key(list, &item)) {
            Some(place) => {
                after = place + 1;
                if let Type::Struct(index) = inner {
                    let mut both = item;
                    merge_struct(at(*index), &mut both, &wanted[place]);
                    merged[place] = both;
                }
            }
            None => strangers.push((after, item)),
        }
    }
    for (place, item) in strangers.into_iter().rev() {
        merged.insert(place, item);
    }
    merged
}

/// Removes the fields of a set from an object.
fn remove_struct(definition: &'static Definition, target: &mut Value, set: &FieldSet) {
    let Value::Object(fields) = target else { return };
    for (key, child) in &set.children {
        let Some(name) = key.strip_prefix("f:") else { continue };
        let Some(field) = definition.field(name) else { continue };
        let Some(value) = fields.get_mut(name) else { continue };
        if child.member && child.children.is_empty() {
            fields.shift_remove(name);
            continue;
        }
        match &field.ty {
            Type::Struct(index) => remove_struct(at(*index), value, child),
            Type::Map(_) => {
                if let Value::Object(map) = value {
                    map.retain(|name, _| !child.children.contains_key(&format!("f:{name}")));
                }
            }
            Type::List(inner) => remove_items(field, inner, value, child),
            _ => {}
        }
        let emptied = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        if child.member && emptied {
            fields.shift_remove(name);
        }
    }
}

fn remove_items(field: &'static Field, inner: &'static Type, value: &mut Value, set: &FieldSet) {
    let Value::Array(items) = value else { return };
    items.retain_mut(|item| {
        let Some(child) = set.children.get(&item_key(&field.list, item)) else { return true };
        if child.member {
            return false;
        }
        if let Type::Struct(index) = inner {
            remove_struct(at(*index), item, child);
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::track::{Write, track};
    use super::*;
    use crate::definitions::by_name;

    fn deployment() -> &'static Definition {
        by_name("io.k8s.api.apps.v1.Deployment").unwrap()
    }

    fn request(manager: &str, force: bool) -> Request<'_> {
        Request { manager, api_version: "apps/v1", time: "2026-01-01T00:00:00Z", subresource: "", force }
    }

    fn config(replicas: i64, image: &str) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "1"}},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
        })
    }

    #[test]
    fn applying_twice_changes_nothing() {
        let first = apply(deployment(), None, &config(1, "i"), request("kubectl", false)).unwrap();
        assert_eq!(apply(deployment(), Some(&first), &config(1, "i"), request("kubectl", false)).unwrap(), first);
    }

    #[test]
    fn what_is_no_longer_applied_and_nobody_elses_goes_away() {
        let first = apply(deployment(), None, &config(1, "i"), request("kubectl", false)).unwrap();
        let mut less = config(1, "i");
        less["metadata"].as_object_mut().unwrap().remove("labels");
        less["spec"].as_object_mut().unwrap().remove("replicas");
        let second = apply(deployment(), Some(&first), &less, request("kubectl", false)).unwrap();
        assert_eq!(second["spec"].get("replicas"), None);
        assert_eq!(second["metadata"].get("labels"), None);
        let mut both = apply(deployment(), Some(&first), &config(1, "i"), request("other", false)).unwrap();
        both = apply(deployment(), Some(&both), &less, request("kubectl", false)).unwrap();
        assert_eq!(both["spec"]["replicas"], 1);
    }

    #[test]
    fn another_managers_value_is_a_conflict_unless_forced() {
        let mut live = config(1, "i");
        let write =
            Write { manager: "kubectl-edit", api_version: "apps/v1", time: "2026-01-01T00:00:00Z", subresource: "" };
        track(deployment(), None, &mut live, write);
        let conflicts = apply(deployment(), Some(&live), &config(2, "i"), request("kubectl", false)).unwrap_err();
        assert_eq!(
            conflicts,
            [Conflict {
                manager: "kubectl-edit".to_owned(),
                message: "conflict with \"kubectl-edit\" using apps/v1".to_owned(),
                field: ".spec.replicas".to_owned(),
            }]
        );
        let forced = apply(deployment(), Some(&live), &config(2, "i"), request("kubectl", true)).unwrap();
        assert_eq!(forced["spec"]["replicas"], 2);
        // The loser no longer owns it: a second apply of another value by the winner meets no conflict.
        assert!(apply(deployment(), Some(&forced), &config(3, "i"), request("kubectl", false)).is_ok());
    }

    #[test]
    fn items_of_others_stay_when_a_manager_drops_its_own() {
        let mut two = config(1, "i");
        two["spec"]["template"]["spec"]["containers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "sidecar", "image": "s"}));
        let first = apply(deployment(), None, &two, request("kubectl", false)).unwrap();
        let second = apply(deployment(), Some(&first), &config(1, "i"), request("kubectl", false)).unwrap();
        assert_eq!(second["spec"]["template"]["spec"]["containers"], json!([{"name": "c", "image": "i"}]));
    }
}
