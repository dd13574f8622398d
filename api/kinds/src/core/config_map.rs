//! ConfigMap.

use serde_json::Value;

use crate::findings::Findings;
use crate::kind::{age, column};
use crate::path::{Path, count, entries, is_true};
use crate::{Causes, Kind, Strategy, names};

/// ConfigMap.
pub static CONFIG_MAP: Kind = Kind {
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    schema: "io.k8s.api.core.v1.ConfigMap",
    strategy: Strategy {
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            sealed_off(new, old, &["data", "binaryData"], &mut findings);
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[column("Data"), column("Age")],
    cells: |object, now_us| vec![(count(object, "data") + count(object, "binaryData")).into(), age(object, now_us)],
    ..Kind::BASE
};

/// Data of a ConfigMap or Secret, together.
pub(super) const DATA_BYTES_MAX: usize = 1024 * 1024;

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let mut bytes = 0;
    let at = Path::root("data");
    for (key, value) in entries(object, "data") {
        findings.names(at.key(key), key, names::config_key(key));
        if object["binaryData"].get(key).is_some() {
            findings.invalid(at.key(key), key, "duplicate of key present in binaryData");
        }
        bytes += value.as_str().map_or(0, str::len);
    }
    let at = Path::root("binaryData");
    for (key, value) in entries(object, "binaryData") {
        findings.names(at.key(key), key, names::config_key(key));
        bytes += base64_bytes(value);
    }
    if bytes > DATA_BYTES_MAX {
        findings.too_long(Path::root(""), DATA_BYTES_MAX);
    }
    findings.done()
}

/// How many bytes a base64 text stands for.
pub(super) fn base64_bytes(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    text.trim_end_matches('=').len() * 3 / 4
}

/// What an immutable ConfigMap or Secret may not change.
pub(super) fn sealed_off(new: &Value, old: &Value, fields: &[&str], findings: &mut Findings) {
    const MESSAGE: &str = "field is immutable when `immutable` is set";
    if !is_true(old, "immutable") {
        return;
    }
    if !is_true(new, "immutable") {
        findings.forbidden(Path::root("immutable"), MESSAGE);
    }
    for field in fields {
        let data = |object: &Value| object[*field].as_object().cloned().unwrap_or_default();
        if data(new) != data(old) {
            findings.forbidden(Path::root(field), MESSAGE);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_sizes_are_judged() {
        let check = |object: Value, expected: &[&str]| {
            let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"data": {"a.conf": "x"}}), &[]);
        check(
            json!({"data": {"a": "x"}, "binaryData": {"a": "eA=="}}),
            &["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"],
        );
        check(json!({"data": {"..a": "x"}}), &["data[..a]: Invalid value: \"..a\": must not start with '..'"]);
        check(json!({"data": {"a": "x".repeat(DATA_BYTES_MAX)}}), &[]);
        check(
            json!({"data": {"a": "x".repeat(DATA_BYTES_MAX + 1)}}),
            &["[]: Too long: may not be more than 1048576 bytes"],
        );
    }

    #[test]
    fn what_is_immutable_stays() {
        let old = json!({"immutable": true, "data": {"a": "1"}});
        let check = |new: Value, expected: usize| {
            assert_eq!((CONFIG_MAP.strategy.validate_update)(&new, &old).len(), expected, "{new}");
        };
        check(old.clone(), 0);
        check(json!({"immutable": true, "data": {"a": "2"}}), 1);
        check(json!({"data": {"a": "1"}}), 1);
        check(json!({"immutable": true}), 1);
    }
}
