//! Strategic merge patch: a merge patch that knows which lists are merged, and by what.
//!
//! Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$deleteFromPrimitiveList/<field>`,
//! `$setElementOrder/<field>` (sig-api-machinery/strategic-merge-patch.md).

use serde_json::{Map, Value};

use super::PatchError;
use super::order::{normalize, same};
use crate::Schema;
use crate::definitions::{Definition, Definitions, Field, Type};
use crate::go::{kind_of, text_of};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Applies a patch to an object of a type. On an error the target is undefined: patch a copy.
///
/// # Errors
/// `Malformed` when a directive has the wrong shape, `Failed` when it makes no sense or an item of a merged list lacks its
/// merge key.
pub fn apply(schema: Schema<'_>, target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let (Value::Object(fields), Value::Object(changes)) = (target, patch) else {
        let found = kind_of(patch);
        return Err(PatchError::Malformed(format!(
            "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        )));
    };
    Merge { definitions: schema.definitions() }.map(Some(schema.root), fields, changes.clone())
}

struct Merge<'a> {
    definitions: &'a Definitions,
}

impl<'a> Merge<'a> {
    /// Merges into a struct, or into a map when there is no definition.
    fn map(
        &self,
        definition: Option<&'a Definition>,
        target: &mut Map<String, Value>,
        mut patch: Map<String, Value>,
    ) -> Result<(), PatchError> {
        if let Some(directive) = patch.shift_remove(DIRECTIVE) {
            match directive.as_str() {
                Some("replace") => {
                    *target = plain_map(patch);
                    return Ok(());
                }
                Some("delete") => {
                    target.clear();
                    return Ok(());
                }
                Some("merge") => {}
                _ => return Err(unknown_directive(directive, patch)),
            }
        }
        retain_keys(target, &mut patch)?;
        self.orders(definition, target, &mut patch)?;
        for (name, change) in patch {
            if let Some(list) = name.strip_prefix(DELETE_FROM) {
                delete_primitives(target.get_mut(list), &change)?;
            } else if change.is_null() {
                target.shift_remove(&name);
            } else {
                self.member(definition, target, name, change)?;
            }
        }
        Ok(())
    }

    /// Merges the lists that come with an order, and puts them into it.
    fn orders(
        &self,
        definition: Option<&'a Definition>,
        target: &mut Map<String, Value>,
        patch: &mut Map<String, Value>,
    ) -> Result<(), PatchError> {
        let directives: Vec<String> = patch.keys().filter(|name| name.starts_with(ORDER)).cloned().collect();
        for directive in directives {
            let Some(Value::Array(order)) = patch.shift_remove(&directive) else {
                return Err(PatchError::Malformed("invalid patch format of setElementOrder list".to_owned()));
            };
            let name = &directive[ORDER.len()..];
            let field = definition.and_then(|d| d.field(name)).ok_or_else(|| {
                let owner = definition.map_or("map", Definition::short_name);
                PatchError::Failed(format!("unable to find api field in struct {owner} for the json field {name:?}"))
            })?;
            let changes = match patch.shift_remove(name) {
                Some(Value::Array(changes)) => Some(changes),
                None => None,
                Some(Value::Null) => {
                    target.shift_remove(name);
                    continue;
                }
                Some(other) => return Err(not_a_list(&other)),
            };
            let key = field.merge_key.as_deref();
            if let Some(changes) = &changes {
                follows_order(changes, &order, key)?;
            }
            let before = match target.get(name) {
                Some(Value::Array(items)) => items.clone(),
                _ => Vec::new(),
            };
            let merged = match changes {
                None if before.is_empty() => continue,
                None => before.clone(),
                Some(changes) if before.is_empty() => plain_items(changes),
                Some(changes) if field.merge => self.list(field, before.clone(), changes)?,
                Some(changes) => plain_items(changes),
            };
            target.insert(name.to_owned(), Value::Array(normalize(merged, &order, &before, key)));
        }
        Ok(())
    }

    fn member(
        &self,
        definition: Option<&'a Definition>,
        target: &mut Map<String, Value>,
        name: String,
        change: Value,
    ) -> Result<(), PatchError> {
        let field = definition.and_then(|d| d.field(&name));
        match (target.get_mut(&name), change) {
            (Some(Value::Object(existing)), Value::Object(changes)) if !field.is_some_and(|f| f.replace) => {
                let below = field.and_then(|field| self.structure(&field.ty));
                self.map(below, existing, changes)
            }
            (Some(Value::Array(existing)), Value::Array(changes)) => {
                if let Some(field) = field.filter(|field| field.merge) {
                    *existing = self.list(field, std::mem::take(existing), changes)?;
                } else {
                    *existing = plain_items(changes);
                }
                Ok(())
            }
            (Some(existing), change) => {
                *existing = plain(change);
                Ok(())
            }
            (None, Value::Object(changes)) if changes.get(DIRECTIVE).is_some_and(|d| d == "delete") => Ok(()),
            (None, change) => {
                target.insert(name, plain(change));
                Ok(())
            }
        }
    }

    fn structure(&self, ty: &'a Type) -> Option<&'a Definition> {
        match ty {
            Type::Struct(index) => Some(self.definitions.at(*index)),
            _ => None,
        }
    }

    /// Merges a list that the schema says to merge.
    fn list(&self, field: &'a Field, before: Vec<Value>, changes: Vec<Value>) -> Result<Vec<Value>, PatchError> {
        let Some(key) = field.merge_key.as_deref() else {
            return Ok(merge_primitives(before, changes));
        };
        let inner = match &field.ty {
            Type::List(inner) => self.structure(inner),
            _ => None,
        };
        let mut items = before.clone();
        let mut replace = false;
        let mut named = Vec::with_capacity(changes.len());
        for change in changes {
            let Value::Object(mut fields) = change else { return Err(not_a_map(&change)) };
            match fields.shift_remove(DIRECTIVE) {
                None => named.push(fields),
                Some(directive) => match directive.as_str() {
                    Some("replace") => replace = true,
                    Some("delete") => {
                        let gone = keyed(Value::Object(fields), key)?;
                        items.retain(|item| !same(item, &gone, Some(key)));
                    }
                    Some("merge") => named.push(fields),
                    _ => return Err(unknown_directive(directive, fields)),
                },
            }
        }
        if replace {
            return Ok(named.into_iter().map(|fields| Value::Object(plain_map(fields))).collect());
        }
        let mut order = Vec::with_capacity(named.len());
        for fields in named {
            let change = keyed(Value::Object(fields), key)?;
            order.push(Value::Object([(key.to_owned(), change[key].clone())].into_iter().collect()));
            match (items.iter_mut().find(|item| same(item, &change, Some(key))), change) {
                (Some(Value::Object(existing)), Value::Object(fields)) => self.map(inner, existing, fields)?,
                (_, change) => items.push(plain(change)),
            }
        }
        Ok(normalize(items, &order, &before, Some(key)))
    }
}

/// Keeps only the fields that the patch wants retained (members of a union, mostly).
fn retain_keys(target: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), PatchError> {
    let Some(keys) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || PatchError::Malformed("invalid patch format of retainKeys".to_owned());
    let keys = keys.as_array().ok_or_else(malformed)?;
    let retained = |name: &str| keys.iter().any(|key| key == name);
    let stray = patch.iter().any(|(name, change)| {
        !change.is_null() && !name.starts_with(DELETE_FROM) && !name.starts_with(ORDER) && !retained(name)
    });
    if stray {
        return Err(malformed());
    }
    target.retain(|name, _| retained(name));
    Ok(())
}

fn delete_primitives(list: Option<&mut Value>, gone: &Value) -> Result<(), PatchError> {
    let Value::Array(gone) = gone else {
        return Err(PatchError::Malformed("invalid patch format of primitive list".to_owned()));
    };
    if let Some(Value::Array(items)) = list {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

fn merge_primitives(before: Vec<Value>, changes: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(before.len() + changes.len());
    for item in before.iter().chain(&changes) {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    normalize(merged, &changes, &before, None)
}

/// The items of a patch must stand in the order that it asks for, and be in it.
fn follows_order(changes: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    let mut rest = order.iter();
    for change in changes.iter().filter(|change| change.get(DIRECTIVE).is_none()) {
        if !rest.any(|wanted| same(wanted, change, key)) {
            return Err(PatchError::Failed(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                text_of(&Value::Array(changes.to_vec())),
                text_of(&Value::Array(order.to_vec()))
            )));
        }
    }
    Ok(())
}

fn keyed(change: Value, key: &str) -> Result<Value, PatchError> {
    if change.get(key).is_some() {
        return Ok(change);
    }
    Err(PatchError::Failed(format!("map: {} does not contain declared merge key: {key}", text_of(&change))))
}

fn unknown_directive(directive: Value, mut patch: Map<String, Value>) -> PatchError {
    let shown = text_of(&directive);
    patch.insert(DIRECTIVE.to_owned(), directive);
    PatchError::Failed(format!("unknown patch type: {shown} in map: {}", text_of(&Value::Object(patch))))
}

fn not_a_list(value: &Value) -> PatchError {
    PatchError::Malformed(format!("expected a list, but received a {}", kind_of(value)))
}

fn not_a_map(value: &Value) -> PatchError {
    PatchError::Malformed(format!("expected a map, but received a {}", kind_of(value)))
}

/// What a patch creates: without directives and without nulls.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(plain_map(map)),
        Value::Array(items) => Value::Array(plain_items(items)),
        other => other,
    }
}

fn plain_items(items: Vec<Value>) -> Vec<Value> {
    items.into_iter().filter(|item| item.get(DIRECTIVE).is_none()).map(plain).collect()
}

fn plain_map(map: Map<String, Value>) -> Map<String, Value> {
    let is_directive = |name: &str| {
        name == DIRECTIVE || name == RETAIN_KEYS || name.starts_with(DELETE_FROM) || name.starts_with(ORDER)
    };
    map.into_iter()
        .filter(|(name, value)| !is_directive(name) && !value.is_null())
        .map(|(name, value)| (name, plain(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(original: Value, patch: Value) -> Result<Value, PatchError> {
        let mut target = json!({"spec": original});
        apply(Schema::named("io.k8s.api.core.v1.Pod").unwrap(), &mut target, &json!({"spec": patch}))?;
        Ok(target["spec"].take())
    }

    #[track_caller]
    fn check(original: Value, patch: Value, expected: Value) {
        assert_eq!(patched(original, patch), Ok(expected));
    }

    #[track_caller]
    fn refused(original: Value, patch: Value, expected: &str) {
        assert_eq!(patched(original, patch).unwrap_err().to_string(), expected);
    }

    #[test]
    fn lists_with_a_merge_key_are_merged_by_it() {
        check(
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "image": "2"}]}),
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}]}),
        );
        check(
            json!({"containers": [{"name": "a"}]}),
            json!({"containers": [{"name": "c", "tty": null}]}),
            json!({"containers": [{"name": "c"}, {"name": "a"}]}),
        );
        check(
            json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]}),
            json!({"containers": [{"name": "a", "env": [{"name": "X", "$patch": "delete"}, {"name": "Y", "value": "3"}]}]}),
            json!({"containers": [{"name": "a", "env": [{"name": "Y", "value": "3"}]}]}),
        );
    }

    #[test]
    fn directives_delete_and_replace() {
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
        check(
            json!({"securityContext": {"runAsUser": 1}}),
            json!({"securityContext": {"$patch": "replace", "runAsGroup": 2}}),
            json!({"securityContext": {"runAsGroup": 2}}),
        );
        check(
            json!({"securityContext": {"runAsUser": 1}}),
            json!({"securityContext": {"$patch": "delete"}}),
            json!({"securityContext": {}}),
        );
        check(json!({}), json!({"securityContext": {"$patch": "delete"}}), json!({}));
        check(
            json!({}),
            json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "b"}]}),
            json!({"containers": [{"name": "b"}]}),
        );
    }

    #[test]
    fn an_order_is_kept_and_strangers_stay_where_they_were() {
        check(
            json!({"containers": [{"name": "a"}, {"name": "x"}, {"name": "b"}]}),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b", "image": "2"}]}),
            json!({"containers": [{"name": "x"}, {"name": "b", "image": "2"}, {"name": "a"}]}),
        );
        check(
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
            json!({"containers": [{"name": "b"}, {"name": "a"}]}),
        );
        check(
            json!({}),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b"}, {"name": "a"}]}),
            json!({"containers": [{"name": "b"}, {"name": "a"}]}),
        );
        check(
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a", "$patch": "delete"}]}),
            json!({"containers": [{"name": "b"}]}),
        );
    }

    #[test]
    fn retained_keys_drop_the_other_members_of_a_union() {
        check(
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/a"}}]}),
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/a"}}]}),
        );
        let deployment = Schema::named("io.k8s.api.apps.v1.Deployment").unwrap();
        let mut target = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
        let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
        apply(deployment, &mut target, &patch).unwrap();
        assert_eq!(target, json!({"spec": {"strategy": {"type": "Recreate"}}}));
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
            json!({"tolerations": [{"key": "a"}]}),
            json!({"tolerations": [{"key": "b"}]}),
            json!({"tolerations": [{"key": "b"}]}),
        );
    }

    #[test]
    fn lists_of_primitives_merge_where_the_schema_says_so() {
        let pod = Schema::named("io.k8s.api.core.v1.Pod").unwrap();
        let check = |patch: Value, expected: Value| {
            let mut target = json!({"metadata": {"finalizers": ["a", "b", "c"]}});
            apply(pod, &mut target, &json!({"metadata": patch})).unwrap();
            assert_eq!(target["metadata"], expected);
        };
        check(json!({"finalizers": ["c", "d"]}), json!({"finalizers": ["a", "b", "c", "d"]}));
        check(json!({"$deleteFromPrimitiveList/finalizers": ["b"]}), json!({"finalizers": ["a", "c"]}));
        check(
            json!({"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["c", "b", "e"], "finalizers": ["e"]}),
            json!({"finalizers": ["c", "b", "e"]}),
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        refused(
            json!({"containers": [{"name": "a"}]}),
            json!({"containers": [{"image": "x"}]}),
            "map: map[image:x] does not contain declared merge key: name",
        );
        refused(json!({}), json!({"$patch": "burn"}), "unknown patch type: burn in map: map[$patch:burn]");
        refused(json!({}), json!({"$retainKeys": ["a"], "hostname": "h"}), "invalid patch format of retainKeys");
        refused(
            json!({}),
            json!({"$setElementOrder/nothing": []}),
            "unable to find api field in struct PodSpec for the json field \"nothing\"",
        );
        refused(json!({}), json!({"$setElementOrder/containers": {}}), "invalid patch format of setElementOrder list");
        refused(json!({}), json!({"$deleteFromPrimitiveList/x": 1}), "invalid patch format of primitive list");
        assert!(patched(
            json!({}),
            json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "b"}, {"name": "a"}]})
        )
        .is_err());
    }
}
