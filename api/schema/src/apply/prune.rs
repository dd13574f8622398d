//! What a manager applied before and applies no more goes away, unless somebody else owns it.

use serde_json::{Map, Value};

use super::extent::{all, with_named_fields};
use super::{FieldSet, label};
use crate::Schema;
use crate::definitions::{Definition, Definitions, Grain, Key};

/// Removes from `merged` what was in `last` and is owned by nobody: `owned` is everything that any manager owns, the applying
/// one's new fields included.
///
/// The three steps are those of structured-merge-diff: remove all that was applied before; of what went with it, bring back
/// what is owned; bring back what was never applied by this manager (defaults, say), for it is not this manager's to remove.
pub(super) fn prune(schema: Schema<'_>, merged: Value, last: &FieldSet<'_>, owned: &FieldSet<'_>) -> Value {
    let last = with_named_fields(schema, last);
    let owned = with_named_fields(schema, owned);
    let everything = with_named_fields(schema, &all(schema, &merged));
    let extent = |object: &Value| with_named_fields(schema, &all(schema, object));

    let bare = without(schema, merged.clone(), &last);
    let mut unowned = everything.clone();
    unowned.subtract(&extent(&bare));
    unowned.subtract(&owned);
    let with_owned = without(schema, merged.clone(), &unowned);

    let mut gone = everything;
    gone.subtract(&extent(&with_owned));
    without(schema, merged, &gone.intersection(&last))
}

/// An object without the paths of a set and all below them. Structs and maps that lose all they had go too.
fn without(schema: Schema<'_>, mut object: Value, set: &FieldSet<'_>) -> Value {
    if let Value::Object(map) = &mut object {
        structure(schema.definitions(), schema.root, map, set);
    }
    object
}

fn structure(definitions: &Definitions, definition: &Definition, map: &mut Map<String, Value>, set: &FieldSet<'_>) {
    map.retain(|name, value| {
        let Some(field) = definition.field(name) else { return true };
        stays(definitions, &field.grain, value, set.child(field.label()))
    });
}

/// Removes what is below; whether the value itself stays.
fn stays(definitions: &Definitions, grain: &Grain, value: &mut Value, set: Option<&FieldSet<'_>>) -> bool {
    let Some(set) = set else { return true };
    if set.member {
        return false;
    }
    match (grain, value) {
        (Grain::Struct(index), Value::Object(map)) => {
            structure(definitions, definitions.at(*index), map, set);
            !map.is_empty()
        }
        (Grain::Map(inner), Value::Object(map)) => {
            map.retain(|name, value| stays(definitions, inner, value, set.child(&label::of_entry(name))));
            !map.is_empty()
        }
        (Grain::Keyed { keys, item }, Value::Array(items)) => {
            retain_items(definitions, keys, definitions.grain(*item), items, set);
            !items.is_empty()
        }
        (Grain::Set, Value::Array(items)) => {
            items.retain(|item| set.child(&label::of_value(item)).is_none());
            !items.is_empty()
        }
        _ => true,
    }
}

fn retain_items(definitions: &Definitions, keys: &[Key], grain: &Grain, items: &mut Vec<Value>, set: &FieldSet<'_>) {
    items.retain_mut(|item| {
        let Some(below) = set.child(&label::of_item(keys, item)) else { return true };
        if below.member {
            return false;
        }
        // An item that loses its fields but not its place stays, as an empty one would fail validation, visibly.
        if let (Grain::Struct(index), Value::Object(map)) = (grain, item) {
            structure(definitions, definitions.at(*index), map, below);
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(merged: Value, last: Value, owned: Value, expected: Value) {
        let schema = Schema::named("io.k8s.api.core.v1.Pod").unwrap();
        let (last, owned) = (FieldSet::from_value(&last).unwrap(), FieldSet::from_value(&owned).unwrap());
        assert_eq!(prune(schema, merged, &last, &owned), expected);
    }

    #[test]
    fn what_nobody_owns_any_more_goes_and_the_rest_stays() {
        let pod = || {
            json!({
                "metadata": {"name": "p", "labels": {"a": "1", "b": "2"}},
                "spec": {"hostname": "h", "restartPolicy": "Always", "nodeName": "n"},
            })
        };
        let last = || json!({"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}}, "f:spec": {"f:hostname": {}}});
        check(
            pod(),
            last(),
            json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:nodeName": {}}}),
            json!({"metadata": {"name": "p", "labels": {"a": "1"}}, "spec": {"restartPolicy": "Always", "nodeName": "n"}}),
        );
        check(pod(), last(), last(), pod());
    }

    #[test]
    fn structs_of_which_nothing_is_owned_go_with_their_defaults() {
        check(
            json!({"spec": {"nodeName": "n", "securityContext": {"runAsUser": 1, "fsGroupChangePolicy": "Always"}}}),
            json!({"f:spec": {"f:securityContext": {"f:runAsUser": {}}}}),
            json!({"f:spec": {"f:nodeName": {}}}),
            json!({"spec": {"nodeName": "n"}}),
        );
    }

    #[test]
    fn items_go_whole_unless_others_own_some_of_them() {
        let pod = || json!({"spec": {"containers": [{"name": "a", "image": "1", "tty": true}, {"name": "b"}]}});
        let last = || {
            json!({"f:spec": {"f:containers": {
                "k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:image": {}}, "k:{\"name\":\"b\"}": {".": {}, "f:name": {}},
            }}})
        };
        let b = json!({"f:spec": {"f:containers": {"k:{\"name\":\"b\"}": {".": {}, "f:name": {}}}}});
        check(pod(), last(), b, json!({"spec": {"containers": [{"name": "b"}]}}));
        let tty = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:tty": {}}, "k:{\"name\":\"b\"}": {".": {}, "f:name": {}}}}});
        check(pod(), last(), tty, json!({"spec": {"containers": [{"name": "b"}]}}));
        let a = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:tty": {}}}}});
        check(pod(), last(), a, json!({"spec": {"containers": [{"name": "a", "tty": true}]}}));
    }
}
