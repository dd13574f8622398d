//! The fields that a value has.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{FieldSet, label};
use crate::Schema;
use crate::definitions::{Definition, Definitions, Grain};

/// Fields of metadata that nobody owns: they identify the object, or the server writes them.
pub(super) fn is_unowned_metadata(name: &str) -> bool {
    matches!(
        name,
        "name"
            | "namespace"
            | "uid"
            | "resourceVersion"
            | "generation"
            | "creationTimestamp"
            | "deletionTimestamp"
            | "deletionGracePeriodSeconds"
            | "selfLink"
            | "managedFields"
    )
}

/// Every field of an object that a manager may own: scalars and values owned whole, entries of maps, items of lists, empty
/// structs and maps. Without those that nobody owns and without everything below the paths of `reset`.
pub(super) fn owned<'a>(schema: Schema<'a>, object: &Value, reset: &[&[&str]]) -> FieldSet<'a> {
    let mut set = named_in(schema, object, reset);
    set.children.retain_mut(|(label, child)| match &label[2..] {
        "apiVersion" | "kind" => false,
        "metadata" => {
            child.member = false;
            child.children.retain(|(label, _)| !is_unowned_metadata(&label[2..]));
            !child.is_empty()
        }
        _ => true,
    });
    set
}

/// Every field that a configuration names, whether anybody may own it or not, but for the paths of `reset`.
pub(super) fn named_in<'a>(schema: Schema<'a>, config: &Value, reset: &[&[&str]]) -> FieldSet<'a> {
    let mut set = all(schema, config);
    for path in reset {
        drop_below(&mut set, path);
    }
    set
}

/// Drops a path and everything below it.
fn drop_below(set: &mut FieldSet<'_>, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else { return };
    set.children.retain_mut(|(label, child)| {
        if label.strip_prefix("f:") != Some(first) {
            return true;
        }
        drop_below(child, rest);
        !rest.is_empty() && !child.is_empty()
    });
}

/// Every field of an object.
pub(super) fn all<'a>(schema: Schema<'a>, object: &Value) -> FieldSet<'a> {
    match object {
        Value::Object(map) => structure(schema.definitions(), schema.root, map),
        _ => FieldSet::default(),
    }
}

fn structure<'a>(definitions: &'a Definitions, definition: &'a Definition, map: &Map<String, Value>) -> FieldSet<'a> {
    let mut set = FieldSet { member: false, children: Vec::with_capacity(map.len()) };
    for (name, value) in map {
        if let Some(field) = definition.field(name) {
            set.push(Cow::Borrowed(field.label()), value_at(definitions, &field.grain, value));
        }
    }
    set.sort();
    set
}

fn value_at<'a>(definitions: &'a Definitions, grain: &'a Grain, value: &Value) -> FieldSet<'a> {
    match (grain, value) {
        (Grain::Struct(_) | Grain::Map(_), Value::Object(map)) if map.is_empty() => FieldSet::leaf(),
        (Grain::Struct(index), Value::Object(map)) => structure(definitions, definitions.at(*index), map),
        (Grain::Map(inner), Value::Object(map)) => {
            let mut set = FieldSet::default();
            for (name, value) in map {
                let child = FieldSet { member: true, ..value_at(definitions, inner, value) };
                set.push(Cow::Owned(label::of_entry(name)), child);
            }
            set.sort();
            set
        }
        (Grain::Set, Value::Array(items)) => {
            let mut set = FieldSet::default();
            for item in items {
                set.push(Cow::Owned(label::of_value(item)), FieldSet::leaf());
            }
            set.sort();
            set
        }
        (Grain::Keyed { keys, item }, Value::Array(items)) => {
            let mut set = FieldSet::default();
            for value in items {
                let below = value_at(definitions, definitions.grain(*item), value);
                set.push(Cow::Owned(label::of_item(keys, value)), FieldSet { member: true, ..below });
            }
            set.sort();
            set
        }
        _ => FieldSet::leaf(),
    }
}

/// The set with every struct field on the way to a member made a member too: removing or keeping a path is then told by
/// membership alone.
pub(super) fn with_named_fields<'s>(schema: Schema<'_>, set: &FieldSet<'s>) -> FieldSet<'s> {
    named(schema.definitions(), &Grain::Struct(schema.index()), set)
}

fn named<'s>(definitions: &Definitions, grain: &Grain, set: &FieldSet<'s>) -> FieldSet<'s> {
    let children = set.children.iter().map(|(label, child)| {
        let (below, is_field) = step(definitions, grain, label);
        let mut child = match below {
            Some(below) => named(definitions, below, child),
            None => child.clone(),
        };
        child.member |= is_field;
        (label.clone(), child)
    });
    FieldSet { member: set.member, children: children.collect() }
}

/// The grain below a step, and whether the step is a field of a struct.
fn step<'d>(definitions: &'d Definitions, grain: &'d Grain, label: &str) -> (Option<&'d Grain>, bool) {
    match grain {
        Grain::Struct(index) => match definitions.at(*index).field(&label[2..]) {
            Some(field) => (Some(&field.grain), true),
            None => (None, false),
        },
        Grain::Map(inner) => (Some(inner), false),
        Grain::Keyed { item, .. } => (Some(definitions.grain(*item)), false),
        Grain::Set | Grain::Leaf => (None, false),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configurations_fields_are_those_that_it_names() {
        let schema = Schema::named("io.k8s.api.core.v1.Pod").unwrap();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "labels": {"app": "x"}, "finalizers": ["f"]},
            "spec": {
                "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}], "args": ["1"], "resources": {}}],
                "nodeSelector": {"a": "b"},
            },
            "status": {"phase": "Running"},
        });
        let expected = json!({
            "f:metadata": {"f:finalizers": {"v:\"f\"": {}}, "f:labels": {"f:app": {}}},
            "f:spec": {
                "f:containers": {"k:{\"name\":\"c\"}": {
                    ".": {}, "f:args": {}, "f:image": {}, "f:name": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                    "f:resources": {},
                }},
                "f:nodeSelector": {},
            },
        });
        let set = owned(schema, &pod, &[&["status"]]);
        assert_eq!(set.to_value(), expected);
        let named = with_named_fields(schema, &set).to_value();
        assert_eq!(named["f:spec"]["."], json!({}));
        assert_eq!(named["f:spec"]["f:containers"]["."], json!({}));
        assert_eq!(named["f:metadata"]["f:labels"]["."], json!({}));
    }

    #[test]
    fn deep_paths_can_be_reset() {
        let schema = Schema::named("io.k8s.api.core.v1.Pod").unwrap();
        let pod = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"hostname": "h"}});
        let set = owned(schema, &pod, &[&["spec"], &["metadata", "labels"]]);
        assert_eq!(set.to_value(), json!({"f:metadata": {"f:annotations": {"f:c": {}}}}));
    }
}
