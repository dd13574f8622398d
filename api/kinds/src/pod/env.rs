//! Validation of environment variables and of references to a pod's own fields.

use serde_json::Value;

use super::volumes::no_backsteps;
use crate::findings::Findings;
use crate::names;
use crate::path::{Path, has, items, text};
use crate::quantity::Quantity;

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a file of the downward API may show.
pub(super) const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Fields that the API knows at all.
const KNOWN_FIELDS: &[&str] =
    &["spec.restartPolicy", "spec.schedulerName", "status.phase", "metadata.annotations", "metadata.labels"];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const BYTES_DIVISORS: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// Findings about the variables of a container.
pub(super) fn validate(container: &Value, list: Path<'_>, findings: &mut Findings) {
    for (index, variable) in items(container, "env").iter().enumerate() {
        let at = list.index(index);
        match text(variable, "name") {
            "" => findings.required(at.field("name"), ""),
            name => findings.names(at.field("name"), name, names::env_name(name)),
        }
        if has(variable, "valueFrom") {
            value_from(variable, at.field("valueFrom"), findings);
        }
    }
}

fn value_from(variable: &Value, at: Path<'_>, findings: &mut Findings) {
    let from = &variable["valueFrom"];
    if has(from, "fieldRef") {
        field_ref(&from["fieldRef"], ENV_FIELDS, at.field("fieldRef"), findings);
    }
    if has(from, "resourceFieldRef") {
        resource_ref(&from["resourceFieldRef"], false, at.field("resourceFieldRef"), findings);
    }
    for source in ["configMapKeyRef", "secretKeyRef"] {
        if has(from, source) {
            key_ref(&from[source], at.field(source), findings);
        }
    }
    if has(from, "fileKeyRef") {
        file_key(&from["fileKeyRef"], at.field("fileKeyRef"), findings);
    }
    let sources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    match sources.iter().filter(|source| has(from, source)).count() {
        0 => {
            let message = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            findings.invalid(at, "", message);
        }
        _ if !text(variable, "value").is_empty() => {
            findings.invalid(at, "", "may not be specified when `value` is not empty");
        }
        1 => {}
        _ => findings.invalid(at, "", "may not have more than one field specified at a time"),
    }
}

fn file_key(reference: &Value, at: Path<'_>, findings: &mut Findings) {
    match text(reference, "key") {
        "" => findings.required(at.field("key"), ""),
        key => findings.names(at.field("key"), key, names::env_name(key)),
    }
    match text(reference, "volumeName") {
        "" => findings.required(at.field("volumeName"), ""),
        name => findings.names(at.field("volumeName"), name, names::dns1123_label(name)),
    }
    match text(reference, "path") {
        "" => findings.required(at.field("path"), ""),
        path if !no_backsteps(path) => findings.invalid(at.field("path"), path, "must not contain '..'"),
        _ => {}
    }
}

fn key_ref(reference: &Value, at: Path<'_>, findings: &mut Findings) {
    let name = text(reference, "name");
    findings.names(at.field("name"), name, names::dns1123_subdomain(name));
    match text(reference, "key") {
        "" => findings.required(at.field("key"), ""),
        key => findings.names(at.field("key"), key, names::config_key(key)),
    }
}

/// Findings about `envFrom`.
pub(super) fn validate_from(container: &Value, list: Path<'_>, findings: &mut Findings) {
    for (index, source) in items(container, "envFrom").iter().enumerate() {
        let at = list.index(index);
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            findings.names(at.field("prefix"), prefix, names::env_name(prefix));
        }
        let mut sources = 0;
        for field in ["configMapRef", "secretRef"].into_iter().filter(|f| has(source, f)) {
            sources += 1;
            let at = at.field(field);
            match text(&source[field], "name") {
                "" => findings.required(at.field("name"), ""),
                name => findings.names(at.field("name"), name, names::dns1123_subdomain(&names::masked(name))),
            }
        }
        match sources {
            0 => findings.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => findings.invalid(list, "", "may not have more than one field specified at a time"),
        }
    }
}

/// Findings about a `fieldRef` that may name one of these fields.
pub(super) fn field_ref(reference: &Value, supported: &[&str], at: Path<'_>, findings: &mut Findings) {
    if text(reference, "apiVersion").is_empty() {
        return findings.required(at.field("apiVersion"), "");
    }
    let path = text(reference, "fieldPath");
    if path.is_empty() {
        return findings.required(at.field("fieldPath"), "");
    }
    if let Some((field, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let key = if field == "metadata.annotations" { key.to_lowercase() } else { key.to_owned() };
        match field {
            "metadata.annotations" | "metadata.labels" => findings.names(at, &key, names::qualified_name(&key)),
            _ => {
                let message = format!("error converting fieldPath: field label does not support subscript: {path}");
                findings.invalid(at.field("fieldPath"), path, &message);
            }
        }
    } else if !supported.contains(&path) {
        if ENV_FIELDS.contains(&path) || KNOWN_FIELDS.contains(&path) {
            findings.unsupported(at.field("fieldPath"), path, supported);
        } else {
            let message = format!("error converting fieldPath: field label not supported: {path}");
            findings.invalid(at.field("fieldPath"), path, &message);
        }
    }
}

/// Findings about a `resourceFieldRef`; in a file it must name its container.
pub(super) fn resource_ref(reference: &Value, in_file: bool, at: Path<'_>, findings: &mut Findings) {
    let resource = text(reference, "resource");
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|p| resource.starts_with(p));
    if in_file && text(reference, "containerName").is_empty() {
        findings.required(at.field("containerName"), "");
    } else if resource.is_empty() {
        findings.required(at.field("resource"), "");
    } else if !RESOURCES.contains(&resource) && !huge {
        findings.unsupported(at.field("resource"), resource, RESOURCES);
    }
    divisor(reference, resource, huge, at, findings);
}

fn divisor(reference: &Value, resource: &str, huge: bool, at: Path<'_>, findings: &mut Findings) {
    let Some(divisor) = Quantity::of_json(&reference["divisor"]).filter(|d| d.sign().is_ne()) else { return };
    let divisor = divisor.to_string();
    let bytes = |what: &str| {
        format!(
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the {what} resource"
        )
    };
    let (supported, message) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => (&["1m", "1"][..], "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()),
        "memory" => (BYTES_DIVISORS, bytes("memory")),
        "ephemeral-storage" => (BYTES_DIVISORS, bytes("local ephemeral storage")),
        _ if huge => (BYTES_DIVISORS, bytes("hugepages")),
        _ => return,
    };
    if !supported.contains(&divisor.as_str()) {
        findings.invalid(at.field("divisor"), resource, &message);
    }
}
