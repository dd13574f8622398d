//! Equality as Kubernetes sees it after decoding into its types: what is absent and what is empty are the same.

use serde_json::{Map, Value};

/// Fields whose Go types are pointers, so that `false`, 0 or `""` says something else than nothing.
const POINTERS: &[&str] = &[
    "activeDeadlineSeconds",
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "backoffLimit",
    "completions",
    "defaultMode",
    "enableServiceLinks",
    "fsGroup",
    "hostUsers",
    "immutable",
    "mode",
    "optional",
    "parallelism",
    "preemptionPolicy",
    "priority",
    "privileged",
    "publishNotReadyAddresses",
    "readOnlyRootFilesystem",
    "replicas",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "storageClassName",
    "suspend",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "ttlSecondsAfterFinished",
    "volumeAttributesClassName",
];

/// Structs that their owners hold in place: an empty one says nothing. Others (`emptyDir: {}`, a selector that selects
/// everything) do.
const IN_PLACE: &[&str] =
    &["lastState", "metadata", "resources", "spec", "state", "status", "strategy", "template", "updateStrategy"];

/// Maps with free keys: an empty one says nothing, an entry with an empty value does.
const MAPS: &[&str] = &[
    "annotations",
    "binaryData",
    "data",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "overhead",
    "requests",
    "selector",
];

/// Whether two values are the same to Kubernetes (`apiequality.Semantic.DeepEqual`).
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => same_maps(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Null, Value::Array(list)) | (Value::Array(list), Value::Null) => list.is_empty(),
        (Value::Null, Value::String(text)) | (Value::String(text), Value::Null) => text.is_empty(),
        _ => a == b,
    }
}

fn same_maps(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.iter().all(|(name, value)| match b.get(name).filter(|v| !v.is_null()) {
        Some(other) if value.is_null() => says_nothing(name, other),
        Some(other) if MAPS.contains(&name.as_str()) && is_flat(value) && is_flat(other) => value == other,
        Some(other) => same(value, other),
        None => says_nothing(name, value),
    }) && b.iter().all(|(name, value)| a.contains_key(name) || says_nothing(name, value))
}

/// A map of strings, and not the `LabelSelector` that is a `selector` elsewhere.
fn is_flat(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.values().all(Value::is_string))
}

fn says_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) if MAPS.contains(&name) => map.is_empty(),
        Value::Object(map) => IN_PLACE.contains(&name) && map.iter().all(|(name, value)| says_nothing(name, value)),
        Value::Bool(set) => !set && !POINTERS.contains(&name),
        Value::Number(number) => number.as_i64() == Some(0) && !POINTERS.contains(&name),
        Value::String(text) => text.is_empty() && !POINTERS.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_is_the_same_as_what_is_empty() {
        let check = |a: Value, b: Value, expected: bool| {
            assert_eq!((same(&a, &b), same(&b, &a)), (expected, expected), "{a} {b}");
        };
        check(json!({"hostNetwork": false, "volumes": [], "labels": {}}), json!({}), true);
        check(json!({"metadata": {"creationTimestamp": null}}), json!({}), true);
        check(json!({"resources": {"limits": {}}}), json!({}), true);
        check(json!({"emptyDir": {}}), json!({}), false);
        check(json!({"replicas": 0}), json!({}), false);
        check(json!({"runAsNonRoot": false}), json!({}), false);
        check(json!({"image": "a"}), json!({"image": "b"}), false);
        check(json!({"a": [{"b": ""}]}), json!({"a": [{}]}), true);
        check(json!({"a": [1]}), json!({"a": [1, 2]}), false);
        check(Value::Null, json!([]), true);
        check(json!({"labels": {"a": ""}}), json!({"labels": {}}), false);
        check(json!({"labels": {"a": ""}}), json!({"labels": null}), false);
        check(json!({"labels": {}}), json!({"labels": null}), true);
    }
}
