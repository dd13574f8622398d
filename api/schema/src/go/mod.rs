//! How Go's own packages print values: messages of Kubernetes contain them, and clients match on messages.

mod syntax;

use serde_json::Value;

pub use syntax::json_error;

/// The Go struct that a field is embedded through: decoders name it in paths.
pub(crate) fn embedded(owner: &str, field: &str) -> Option<&'static str> {
    match (owner, field) {
        ("Probe", "exec" | "grpc" | "httpGet" | "tcpSocket") => Some("ProbeHandler"),
        ("Volume", "name") => None,
        ("Volume", _) => Some("VolumeSource"),
        ("EphemeralContainer", "targetContainerName") => None,
        ("EphemeralContainer", _) => Some("EphemeralContainerCommon"),
        (
            "ConfigMapEnvSource"
            | "ConfigMapKeySelector"
            | "ConfigMapProjection"
            | "ConfigMapVolumeSource"
            | "SecretEnvSource"
            | "SecretKeySelector"
            | "SecretProjection",
            "name",
        ) => Some("LocalObjectReference"),
        _ => None,
    }
}

/// How the API server shows a body that it cannot read: its first 30 bytes, in hexadecimal unless they are JSON.
pub fn summary_of(body: &[u8]) -> String {
    const SHOWN_MAX: usize = 30;
    let shown = &body[..body.len().min(SHOWN_MAX)];
    let text = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if body.len() > SHOWN_MAX { format!("{text} ...") } else { text }
}

/// What Go's JSON decoder calls a value.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `%T`: the Go type of a decoded value.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// `%v`: `map[image:x name:a]`.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(text_of).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(name, value)| format!("{name}:{}", text_of(value))).collect();
            entries.sort_unstable();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

/// `%#v`: `map[string]interface {}{"a":"b"}`.
pub fn source_of(value: &Value) -> String {
    let inner = match value {
        Value::Null => return "interface {}(nil)".to_owned(),
        Value::Array(items) => items.iter().map(source_of).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(name, value)| format!("{name:?}:{}", source_of(value))).collect();
            entries.sort_unstable();
            entries.join(", ")
        }
        other => return other.to_string(),
    };
    format!("{}{{{inner}}}", type_of(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let value = json!({"b": [1, "x", true], "a": null});
        assert_eq!(text_of(&value), "map[a:<nil> b:[1 x true]]");
        assert_eq!(
            source_of(&value),
            "map[string]interface {}{\"a\":interface {}(nil), \"b\":[]interface {}{1, \"x\", true}}"
        );
        assert_eq!(
            summary_of(b"{\"a\": \"0123456789012345678901234567890\"}"),
            "{\"a\": \"01234567890123456789012 ..."
        );
        assert_eq!((summary_of(b"[]"), summary_of(b"")), ("5b5d".to_owned(), "<empty>".to_owned()));
        assert_eq!((type_of(&json!(1.5)), kind_of(&json!(1.5))), ("float64", "number"));
    }
}
