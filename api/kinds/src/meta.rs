//! Validation of `metadata`, the same for all kinds.

use serde_json::Value;

use crate::path::{Findings, items, text};
use crate::{Causes, Kind, names};

/// All annotations together, keys and values.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// How names of a kind must look.
pub type NameRule = fn(&str) -> Vec<String>;

/// Findings about the metadata of an object. The name is judged by the kind's rule.
pub fn validate(kind: &Kind, object: &Value) -> Causes {
    let mut findings = Findings::default();
    let metadata = &object["metadata"];
    let name = text(metadata, "name");
    if name.is_empty() {
        findings.required("metadata.name", "name or generateName is required");
    } else {
        findings.names("metadata.name", name, (kind.name_rule)(name));
    }
    if kind.namespaced() {
        let namespace = text(metadata, "namespace");
        if namespace.is_empty() {
            findings.required("metadata.namespace", "");
        } else {
            findings.names("metadata.namespace", namespace, names::dns1123_label(namespace));
        }
    } else if !text(metadata, "namespace").is_empty() {
        findings.forbidden("metadata.namespace", "not allowed on this type");
    }
    labels(metadata.get("labels"), "metadata.labels", &mut findings);
    annotations(metadata.get("annotations"), "metadata.annotations", &mut findings);
    owners(metadata, &mut findings);
    for (path, finalizer) in items(metadata, "finalizers", "metadata") {
        let finalizer = finalizer.as_str().unwrap_or_default();
        findings.names(&path, finalizer, names::qualified_name(finalizer));
        if !finalizer.contains('/') && !["orphan", "foregroundDeletion", "kubernetes"].contains(&finalizer) {
            findings.invalid(
                &path,
                &Value::from(finalizer),
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
    findings.done()
}

/// Findings about labels.
pub fn labels(labels: Option<&Value>, path: &str, findings: &mut Findings) {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        findings.names(path, key, names::qualified_name(key));
        let value = value.as_str().unwrap_or_default();
        findings.names(path, value, names::label_value(value));
    }
}

/// Findings about annotations.
pub fn annotations(annotations: Option<&Value>, path: &str, findings: &mut Findings) {
    let mut bytes = 0;
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        findings.names(path, key, names::qualified_name(&key.to_lowercase()));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        findings.too_long(path, ANNOTATIONS_BYTES_MAX);
    }
}

fn owners(metadata: &Value, findings: &mut Findings) {
    let mut controllers = 0;
    for (path, owner) in items(metadata, "ownerReferences", "metadata") {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                findings.invalid(&format!("{path}.{field}"), &Value::from(""), &format!("{field} must not be empty"));
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let message = "Only one reference can have Controller set to true";
        findings.invalid("metadata.ownerReferences", &metadata["ownerReferences"], message);
    }
}

/// Findings about an update of the metadata.
pub fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let (new, old) = (&new["metadata"], &old["metadata"]);
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        findings.immutable(&format!("metadata.{field}"), &new[field], &old[field]);
    }
    if old["deletionTimestamp"].is_string() {
        findings.immutable("metadata.deletionTimestamp", &new["deletionTimestamp"], &old["deletionTimestamp"]);
        for (path, finalizer) in items(new, "finalizers", "metadata") {
            let known = old["finalizers"].as_array().is_some_and(|all| all.contains(finalizer));
            if !known {
                findings.forbidden(&path, &format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{finalizer}}}"));
            }
        }
    }
    findings.done()
}
