//! Secret.

use serde_json::{Map, Value};

use super::config_map::{DATA_BYTES_MAX, base64_bytes, sealed_off};
use crate::findings::Findings;
use crate::kind::{age, column};
use crate::path::{Path, count, default_text, entries, text};
use crate::{Causes, Kind, Strategy, names};

/// Secret.
pub static SECRET: Kind = Kind {
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    schema: "io.k8s.api.core.v1.Secret",
    strategy: Strategy {
        default: |object| {
            fold(object);
            default_text(object, "type", "Opaque");
        },
        validate,
        validate_update,
        ..Strategy::PLAIN
    },
    columns: &[column("Type"), column("Data"), column("Age")],
    cells: |object, now_us| vec![text(object, "type").into(), count(object, "data").into(), age(object, now_us)],
    selectable: &[("type", |object| text(object, "type").to_owned())],
    sealed: true,
    ..Kind::BASE
};

/// Keys that a type of Secret must have.
const REQUIRED: &[(&str, &[&str])] = &[
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

/// `stringData` is write-only: it goes into `data`.
fn fold(object: &mut Value) {
    let Value::Object(map) = object else { return };
    let Some(strings) = map.shift_remove("stringData") else { return };
    let Value::Object(strings) = strings else { return };
    if strings.is_empty() {
        return;
    }
    let data = map.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    for (key, value) in strings {
        data[key] = base64(value.as_str().unwrap_or_default().as_bytes()).into();
    }
}

/// Standard base64 with padding (RFC 4648), small enough not to need a dependency in a pure crate.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = u32::from(chunk[0]) << 16
            | u32::from(chunk.get(1).copied().unwrap_or(0)) << 8
            | u32::from(chunk.get(2).copied().unwrap_or(0));
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(ALPHABET[(group >> (18 - 6 * place)) as usize & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let at = Path::root("data");
    let mut bytes = 0;
    for (key, value) in entries(object, "data") {
        findings.names(at.key(key), key, names::config_key(key));
        bytes += base64_bytes(value);
    }
    if bytes > DATA_BYTES_MAX {
        findings.too_long(at, DATA_BYTES_MAX);
    }
    let kind = text(object, "type");
    let lacks = |key: &str| object["data"].get(key).is_none();
    for (_, keys) in REQUIRED.iter().filter(|(name, _)| *name == kind) {
        for key in keys.iter().filter(|key| lacks(key)) {
            findings.required(at.key(key), "");
        }
    }
    if kind == "kubernetes.io/basic-auth" && lacks("username") && lacks("password") {
        findings.required(at.key("username"), "");
        findings.required(at.key("password"), "");
    }
    const ACCOUNT: &str = "kubernetes.io/service-account.name";
    if kind == "kubernetes.io/service-account-token" && text(&object["metadata"]["annotations"], ACCOUNT).is_empty() {
        findings.required(Path::root("metadata.annotations").key(ACCOUNT), "");
    }
    findings.done()
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    findings.immutable(Path::root("type"), &new["type"], &old["type"]);
    sealed_off(new, old, &["data"], &mut findings);
    findings.done()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn string_data_becomes_data() {
        let mut secret = json!({"data": {"a": "MQ=="}, "stringData": {"b": "open sesame", "c": "12"}});
        fold(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "MQ==", "b": "b3BlbiBzZXNhbWU=", "c": "MTI="}}));
    }

    #[test]
    fn types_ask_for_their_keys() {
        let check = |object: Value, expected: &[&str]| {
            let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"type": "Opaque"}), &[]);
        check(json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}), &["data[tls.key]: Required value"]);
        check(
            json!({"type": "kubernetes.io/service-account-token"}),
            &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        );
        check(
            json!({"type": "kubernetes.io/basic-auth"}),
            &["data[username]: Required value", "data[password]: Required value"],
        );
    }

    #[test]
    fn the_type_stays() {
        let found = validate_update(&json!({"type": "a/b"}), &json!({"type": "Opaque"}));
        assert_eq!(found[0].to_string(), "type: Invalid value: \"a/b\": field is immutable");
    }
}
