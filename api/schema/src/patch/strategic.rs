//! Strategic merge patch: a merge patch that knows which lists are merged, and by what.
//!
//! Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$deleteFromPrimitiveList/<field>`,
//! `$setElementOrder/<field>` (sig-api-machinery/strategic-merge-patch.md).

use serde_json::{Map, Value};

use super::PatchError;
use crate::definitions::{Definition, Field, Type, at};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Applies a patch to an object of a type.
///
/// # Errors
/// When a directive is malformed or an item of a merged list lacks its merge key.
pub fn apply(definition: &'static Definition, target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Object(changes) = patch else {
        return Err(PatchError::Malformed("a strategic merge patch is an object".to_owned()));
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return Ok(()) };
    structure(Some(definition), fields, changes, false)
}

/// Merges into a struct or a map. `retain` says whether `$retainKeys` is heeded.
fn structure(
    definition: Option<&'static Definition>,
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    retain: bool,
) -> Result<(), PatchError> {
    match patch.get(DIRECTIVE).map(|d| d.as_str().unwrap_or_default()) {
        Some("replace") => {
            *target = plain_map(patch);
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(PatchError::Malformed(format!("Unknown patch type: {other}"))),
    }
    if let Some(keep) = patch.get(RETAIN_KEYS).filter(|_| retain) {
        let keep: Vec<&str> = keep.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        target.retain(|name, _| keep.contains(&name.as_str()));
    }
    for (name, change) in patch {
        if name == DIRECTIVE || name == RETAIN_KEYS || name.starts_with(ORDER) {
            continue;
        }
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            delete_primitives(target.get_mut(list), change);
            continue;
        }
        if change.is_null() {
            target.shift_remove(name);
            continue;
        }
        let field = definition.and_then(|d| d.field(name));
        member(field, target, name, change, patch.get(&format!("{ORDER}{name}")))?;
    }
    // An order without items of its own still orders what is there.
    for (name, order) in patch {
        let Some(list) = name.strip_prefix(ORDER).filter(|list| !patch.contains_key(*list)) else { continue };
        let key = definition.and_then(|d| d.field(list)).and_then(|f| f.merge_key);
        if let Some(Value::Array(items)) = target.get_mut(list) {
            sort(items, order, key);
        }
    }
    Ok(())
}

fn member(
    field: Option<&'static Field>,
    target: &mut Map<String, Value>,
    name: &str,
    change: &Value,
    order: Option<&Value>,
) -> Result<(), PatchError> {
    match change {
        Value::Object(changes) => {
            let inner = match field.map(|f| &f.ty) {
                Some(Type::Struct(index)) => Some(at(*index)),
                _ => None,
            };
            let retain = field.is_some_and(|f| f.retain_keys);
            let existing = target.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if !existing.is_object() {
                *existing = Value::Object(Map::new());
            }
            let Value::Object(fields) = existing else { return Ok(()) };
            structure(inner, fields, changes, retain)?;
            if changes.get(DIRECTIVE).is_some_and(|d| d == "delete") {
                target.shift_remove(name);
            }
            Ok(())
        }
        Value::Array(changes) => match field.filter(|f| f.merge) {
            Some(field) => {
                let existing = target.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
                if !existing.is_array() {
                    *existing = Value::Array(Vec::new());
                }
                let Value::Array(items) = existing else { return Ok(()) };
                list(field, items, changes, order)
            }
            None => {
                target.insert(name.to_owned(), plain(change));
                Ok(())
            }
        },
        _ => {
            target.insert(name.to_owned(), change.clone());
            Ok(())
        }
    }
}

fn list(
    field: &'static Field,
    items: &mut Vec<Value>,
    changes: &[Value],
    order: Option<&Value>,
) -> Result<(), PatchError> {
    let Some(key) = field.merge_key else {
        for change in changes {
            if !items.contains(change) {
                items.push(change.clone());
            }
        }
        if let Some(order) = order {
            sort(items, order, None);
        }
        return Ok(());
    };
    if changes.iter().any(|c| c[DIRECTIVE] == "replace") {
        *items = changes.iter().filter(|c| c.get(DIRECTIVE).is_none()).map(plain).collect();
        return Ok(());
    }
    let inner = match &field.ty {
        Type::List(inner) => match **inner {
            Type::Struct(index) => Some(at(index)),
            _ => None,
        },
        _ => None,
    };
    for change in changes {
        let Value::Object(fields) = change else {
            return Err(PatchError::Malformed(format!("an item of {} is no object", field.name)));
        };
        let Some(id) = fields.get(key) else {
            return Err(PatchError::Malformed(format!("map: {change} does not contain declared merge key: {key}")));
        };
        let place = items.iter().position(|item| item.get(key) == Some(id));
        if fields.get(DIRECTIVE).is_some_and(|d| d == "delete") {
            if let Some(place) = place {
                items.remove(place);
            }
            continue;
        }
        match place {
            Some(place) => {
                if let Value::Object(existing) = &mut items[place] {
                    structure(inner, existing, fields, field.retain_keys)?;
                }
            }
            None => items.push(plain(change)),
        }
    }
    if let Some(order) = order {
        sort(items, order, Some(key));
    }
    Ok(())
}

fn delete_primitives(list: Option<&mut Value>, gone: &Value) {
    if let (Some(Value::Array(items)), Value::Array(gone)) = (list, gone) {
        items.retain(|item| !gone.contains(item));
    }
}

/// Puts items into the order that the client sees; those that it does not know stay behind the one they followed.
fn sort(items: &mut Vec<Value>, order: &Value, key: Option<&str>) {
    let Value::Array(order) = order else { return };
    let id = |item: &Value| key.map_or_else(|| item.clone(), |key| item[key].clone());
    let rank = |item: &Value| order.iter().position(|o| id(o) == id(item));
    let mut ranked: Vec<(usize, Value)> = Vec::with_capacity(items.len());
    let mut last = 0;
    for item in items.drain(..) {
        // A stranger takes the rank of its predecessor, so that the stable sort keeps it there.
        last = rank(&item).unwrap_or(last);
        ranked.push((last, item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    items.extend(ranked.into_iter().map(|(_, item)| item));
}

/// A value without directives: what is created must not contain them.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(plain_map(map)),
        Value::Array(items) => Value::Array(items.iter().filter(|i| i[DIRECTIVE] != "delete").map(plain).collect()),
        other => other.clone(),
    }
}

fn plain_map(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .filter(|(name, value)| !name.starts_with('$') && !value.is_null())
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definitions::by_name;

    #[track_caller]
    fn check(original: Value, patch: Value, expected: Value) {
        let mut target = json!({"spec": original});
        apply(by_name("io.k8s.api.core.v1.Pod").unwrap(), &mut target, &json!({"spec": patch})).unwrap();
        assert_eq!(target["spec"], expected);
    }

    #[test]
    fn lists_with_a_merge_key_are_merged_by_it() {
        check(
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "c"}]}),
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}, {"name": "c"}]}),
        );
        check(
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "$patch": "delete"}]}),
            json!({"containers": [{"name": "b"}]}),
        );
        check(
            json!({"containers": [{"name": "a"}]}),
            json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}),
            json!({"containers": [{"name": "z"}]}),
        );
    }

    #[test]
    fn an_order_is_kept_and_strangers_stay_where_they_were() {
        check(
            json!({"containers": [{"name": "a"}, {"name": "x"}, {"name": "b"}]}),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b", "image": "2"}]}),
            json!({"containers": [{"name": "b", "image": "2"}, {"name": "a"}, {"name": "x"}]}),
        );
    }

    #[test]
    fn retained_keys_drop_the_other_members_of_a_union() {
        check(
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/a"}}]}),
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/a"}}]}),
        );
    }

    #[test]
    fn maps_merge_nulls_delete_and_other_lists_are_replaced() {
        check(
            json!({"nodeSelector": {"a": "1", "b": "2"}, "hostname": "h"}),
            json!({"nodeSelector": {"a": null, "c": "3"}, "hostname": null}),
            json!({"nodeSelector": {"b": "2", "c": "3"}}),
        );
        check(
            json!({"containers": [{"name": "a", "args": ["1", "2"]}]}),
            json!({"containers": [{"name": "a", "args": ["3"]}]}),
            json!({"containers": [{"name": "a", "args": ["3"]}]}),
        );
        check(
            json!({"securityContext": {"runAsUser": 1}}),
            json!({"securityContext": {"$patch": "replace", "runAsGroup": 2}}),
            json!({"securityContext": {"runAsGroup": 2}}),
        );
    }

    #[test]
    fn an_item_without_its_key_is_refused() {
        let mut target = json!({});
        let patch = json!({"spec": {"containers": [{"image": "x"}]}});
        assert!(apply(by_name("io.k8s.api.core.v1.Pod").unwrap(), &mut target, &patch).is_err());
    }
}
