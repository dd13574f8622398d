//! Secret.

use serde_json::{Map, Value};

use super::config_map::{DATA_BYTES_MAX, immutable};
use crate::kind::{age, column, integer};
use crate::path::{Findings, default, text};
use crate::{Causes, Kind, Strategy, names};

/// Secret.
pub static SECRET: Kind = Kind {
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    schema: "io.k8s.api.core.v1.Secret",
    strategy: Strategy {
        default: set_defaults,
        prepare_create: fold,
        prepare_update: |new, _| fold(new),
        validate,
        validate_update,
        ..Strategy::PLAIN
    },
    columns: &[column("Type"), integer("Data"), column("Age")],
    cells: |object, now_us| {
        let count = object["data"].as_object().map_or(0, Map::len);
        vec![text(object, "type").into(), count.into(), age(object, now_us)]
    },
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

fn set_defaults(object: &mut Value) {
    default(object, "type", || "Opaque".into());
}

/// `stringData` is write-only: it goes into `data`.
fn fold(object: &mut Value) {
    let Value::Object(map) = object else { return };
    let Some(Value::Object(strings)) = map.shift_remove("stringData") else { return };
    let data = map.entry("data").or_insert_with(|| Value::Object(Map::new()));
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
    let mut bytes = 0;
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        findings.names(&format!("data[{key}]"), key, names::config_key(key));
        bytes += value.as_str().map_or(0, str::len) * 3 / 4;
    }
    if bytes > DATA_BYTES_MAX {
        findings.too_long("data", DATA_BYTES_MAX);
    }
    let kind = text(object, "type");
    for (_, keys) in REQUIRED.iter().filter(|(name, _)| *name == kind) {
        for key in keys.iter().filter(|key| object["data"].get(**key).is_none()) {
            findings.required(&format!("data[{key}]"), "");
        }
    }
    findings.done()
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    findings.immutable("type", &new["type"], &old["type"]);
    immutable(new, old, &["data"], &mut findings);
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
}
