//! ConfigMap.

use serde_json::Value;

use crate::kind::{age, column, integer};
use crate::path::Findings;
use crate::{Causes, Kind, Strategy, names};

/// ConfigMap.
pub static CONFIG_MAP: Kind = Kind {
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    schema: "io.k8s.api.core.v1.ConfigMap",
    strategy: Strategy { validate, validate_update, ..Strategy::PLAIN },
    columns: &[integer("Data"), column("Age")],
    cells: |object, now_us| {
        let count = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
        vec![(count("data") + count("binaryData")).into(), age(object, now_us)]
    },
    ..Kind::BASE
};

/// Data of a ConfigMap or Secret, together.
pub(super) const DATA_BYTES_MAX: usize = 1024 * 1024;

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let mut bytes = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            let path = format!("{field}[{key}]");
            findings.names(&path, key, names::config_key(key));
            if field == "binaryData" && object["data"].get(key).is_some() {
                findings.invalid(&path, &Value::from(key.as_str()), "duplicate of key present in data");
            }
            bytes += value.as_str().map_or(0, str::len);
        }
    }
    if bytes > DATA_BYTES_MAX {
        findings.too_long("", DATA_BYTES_MAX);
    }
    findings.done()
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    immutable(new, old, &["data", "binaryData"], &mut findings);
    findings.done()
}

/// What an immutable ConfigMap or Secret may not change.
pub(super) fn immutable(new: &Value, old: &Value, fields: &[&str], findings: &mut Findings) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        findings.forbidden("immutable", "field is immutable when `immutable` is set");
    }
    for field in fields {
        if new[field] != old[field] {
            findings.forbidden(field, "field is immutable when `immutable` is set");
        }
    }
}
