//! Validation of `metadata`, the same for all kinds (`ValidateObjectMeta` and `ValidateObjectMetaUpdate`).

use serde_json::Value;

use crate::findings::Findings;
use crate::path::{Path, entries, has, integer, is_true, items, text};
use crate::{Causes, Kind, names};

/// All annotations together, keys and values.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// Characters of a field manager's name.
const MANAGER_BYTES_MAX: usize = 128;
const SUBRESOURCE_BYTES_MAX: usize = 256;

/// How names of a kind must look: messages, none when the name is sound.
pub type NameRule = fn(&str) -> Vec<String>;

const METADATA: Path<'static> = Path::root("metadata");

/// Findings about the metadata of an object, its name already generated. The name is judged by the kind's rule.
pub fn validate(kind: &Kind, object: &Value) -> Causes {
    let mut findings = Findings::default();
    let metadata = &object["metadata"];
    let prefix = text(metadata, "generateName");
    if !prefix.is_empty() {
        findings.names(METADATA.field("generateName"), prefix, (kind.name_rule)(&names::masked(prefix)));
    }
    let name = text(metadata, "name");
    if name.is_empty() {
        findings.required(METADATA.field("name"), "name or generateName is required");
    } else {
        findings.names(METADATA.field("name"), name, (kind.name_rule)(name));
    }
    let namespace = text(metadata, "namespace");
    let at = METADATA.field("namespace");
    match (kind.namespaced(), namespace) {
        (true, "") => findings.required(at, ""),
        (true, namespace) => findings.names(at, namespace, names::dns1123_label(namespace)),
        (false, "") => {}
        (false, _) => findings.forbidden(at, "not allowed on this type"),
    }
    findings.non_negative(METADATA.field("generation"), &metadata["generation"]);
    labels(metadata, METADATA, "labels", &mut findings);
    annotations(metadata, METADATA, "annotations", &mut findings);
    owners(metadata, &mut findings);
    finalizers(metadata, &mut findings);
    managed_fields(metadata, &mut findings);
    findings.done()
}

/// Further findings about the metadata of an update, beyond those of [`validate`].
pub fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let (new, old) = (&new["metadata"], &old["metadata"]);
    if has(old, "deletionTimestamp") {
        new_finalizers(new, old, &mut findings);
    }
    if integer(new, "generation") < integer(old, "generation") {
        findings.invalid(METADATA.field("generation"), &new["generation"], "must not be decremented");
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        findings.immutable(METADATA.field(field), &new[field], &old[field]);
    }
    findings.done()
}

/// Findings about the labels in a field of `value`.
pub fn labels(value: &Value, at: Path<'_>, field: &str, findings: &mut Findings) {
    for (key, value) in entries(value, field) {
        findings.names(at.field(field), key, names::qualified_name(key));
        let value = value.as_str().unwrap_or_default();
        findings.names(at.field(field), value, names::label_value(value));
    }
}

/// Findings about the annotations in a field of `value`.
pub fn annotations(value: &Value, at: Path<'_>, field: &str, findings: &mut Findings) {
    let mut bytes = 0;
    for (key, value) in entries(value, field) {
        findings.names(at.field(field), key, names::qualified_name(&key.to_lowercase()));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        findings.too_long(at.field(field), ANNOTATIONS_BYTES_MAX);
    }
}

fn owners(metadata: &Value, findings: &mut Findings) {
    let list = METADATA.field("ownerReferences");
    let mut controller: Option<String> = None;
    for (index, owner) in items(metadata, "ownerReferences").iter().enumerate() {
        let at = list.index(index);
        let api_version = text(owner, "apiVersion");
        let version = api_version.rsplit('/').next().unwrap_or_default();
        if api_version.is_empty() {
            findings.required(at.field("apiVersion"), "must not be empty");
        } else if version.is_empty() || api_version.matches('/').count() > 1 {
            findings.invalid(at.field("apiVersion"), api_version, "must be <group>/<version> or <version>");
        }
        for field in ["kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                findings.required(at.field(field), "must not be empty");
            }
        }
        if api_version == "v1" && text(owner, "kind") == "Event" {
            findings.invalid(at, owner, "/v1, Kind=Event is disallowed from being an owner");
        }
        if is_true(owner, "controller") {
            let name = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            match &controller {
                Some(first) => {
                    let message = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                    );
                    findings.invalid(list, &metadata["ownerReferences"], &message);
                }
                None => controller = Some(name),
            }
        }
    }
}

fn finalizers(metadata: &Value, findings: &mut Findings) {
    let at = METADATA.field("finalizers");
    let all = items(metadata, "finalizers");
    for (index, finalizer) in all.iter().filter_map(Value::as_str).enumerate() {
        findings.names(at, finalizer, names::qualified_name(finalizer));
        if !is_standard_finalizer(finalizer) {
            findings.invalid(at.index(index), finalizer, NO_STANDARD_FINALIZER);
        }
    }
    if all.iter().any(|f| f == "orphan") && all.iter().any(|f| f == "foregroundDeletion") {
        let message = "finalizer orphan and foregroundDeletion cannot be both set";
        findings.invalid(at, &metadata["finalizers"], message);
    }
}

pub(crate) const NO_STANDARD_FINALIZER: &str = "name is neither a standard finalizer name nor is it fully qualified";

/// Whether a finalizer is Kubernetes' own, or says whose it is.
pub(crate) fn is_standard_finalizer(finalizer: &str) -> bool {
    finalizer.contains('/') || ["kubernetes", "orphan", "foregroundDeletion"].contains(&finalizer)
}

/// Once an object is being deleted its finalizers only go.
fn new_finalizers(new: &Value, old: &Value, findings: &mut Findings) {
    let known = items(old, "finalizers");
    let mut added: Vec<&str> =
        items(new, "finalizers").iter().filter(|f| !known.contains(f)).filter_map(Value::as_str).collect();
    if !added.is_empty() {
        added.sort_unstable();
        let list: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
        let message = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            list.join(", ")
        );
        findings.forbidden(METADATA.field("finalizers"), &message);
    }
}

fn managed_fields(metadata: &Value, findings: &mut Findings) {
    let list = METADATA.field("managedFields");
    for (index, entry) in items(metadata, "managedFields").iter().enumerate() {
        let at = list.index(index);
        match text(entry, "operation") {
            "" => findings.required(at.field("operation"), "must not be empty"),
            operation => findings.one_of(at.field("operation"), operation, &["Apply", "Update"]),
        }
        let kind = text(entry, "fieldsType");
        if !kind.is_empty() && kind != "FieldsV1" {
            findings.invalid(at.field("fieldsType"), kind, "must be `FieldsV1`");
        }
        if text(entry, "manager").len() > MANAGER_BYTES_MAX {
            findings.too_long(at.field("manager"), MANAGER_BYTES_MAX);
        }
        if text(entry, "subresource").len() > SUBRESOURCE_BYTES_MAX {
            findings.too_long(at.field("subresource"), SUBRESOURCE_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::config_map::CONFIG_MAP;
    use crate::core::node::NODE;

    fn words(causes: &Causes) -> Vec<String> {
        causes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn new_metadata_is_judged_as_kubernetes_judges_it() {
        let check = |metadata: Value, expected: &[&str]| {
            let found = words(&validate(&CONFIG_MAP, &json!({"metadata": metadata})));
            assert_eq!(found, expected, "{metadata}");
        };
        check(json!({"name": "a", "namespace": "default"}), &[]);
        check(
            json!({}),
            &["metadata.name: Required value: name or generateName is required", "metadata.namespace: Required value"],
        );
        check(
            json!({"name": "a", "namespace": "a.b"}),
            &["metadata.namespace: Invalid value: \"a.b\": must not contain dots"],
        );
        check(
            json!({"name": "a", "namespace": "d", "labels": {"k": "a b"}}),
            &[
                "metadata.labels: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ],
        );
        check(json!({"name": "a", "generateName": "a-", "namespace": "d"}), &[]);
        check(
            json!({"name": "a", "namespace": "d", "annotations": {"k": "x".repeat(256 * 1024)}}),
            &["metadata.annotations: Too long: may not be more than 262144 bytes"],
        );
        let owner =
            |name: &str| json!({"apiVersion": "apps/v1", "kind": "K", "name": name, "uid": "u", "controller": true});
        check(json!({"name": "a", "namespace": "d", "ownerReferences": [owner("x")]}), &[]);
        check(
            json!({"name": "a", "namespace": "d", "ownerReferences": [{"apiVersion": "a/b/c", "kind": "K", "name": "n", "uid": "u"}]}),
            &[
                "metadata.ownerReferences[0].apiVersion: Invalid value: \"a/b/c\": must be <group>/<version> or <version>",
            ],
        );
        let two = validate(
            &CONFIG_MAP,
            &json!({"metadata": {"name": "a", "namespace": "d", "ownerReferences": [owner("x"), owner("y")]}}),
        );
        assert!(two[0].message.ends_with(
            "Only one reference can have Controller set to true. Found \"true\" in references for K/x and K/y"
        ));
        let node = validate(&NODE, &json!({"metadata": {"name": "a", "namespace": "d"}}));
        assert_eq!(words(&node), ["metadata.namespace: Forbidden: not allowed on this type"]);
    }

    #[test]
    fn updates_of_metadata_keep_what_identifies_an_object() {
        let check = |new: Value, old: Value, expected: &[&str]| {
            let found = words(&validate_update(&json!({"metadata": new}), &json!({"metadata": old})));
            assert_eq!(found, expected, "{new}");
        };
        let old = json!({"name": "a", "uid": "1", "generation": 2});
        check(old.clone(), old.clone(), &[]);
        check(
            json!({"name": "b", "uid": "1", "generation": 1}),
            old,
            &[
                "metadata.generation: Invalid value: 1: must not be decremented",
                "metadata.name: Invalid value: \"b\": field is immutable",
            ],
        );
        let dying = json!({"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x.io/a"]});
        let mut more = dying.clone();
        more["finalizers"] = json!(["x.io/a", "x.io/b"]);
        check(
            more,
            dying,
            &[
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/b\"}",
            ],
        );
    }
}
