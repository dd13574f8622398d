//! Bodies that a real kube-apiserver refused or warned about (`recorded/decode.json`), refused and warned about alike.

use api_schema::{DecodeError, FieldValidation, Format, Schema, decode, unrecognized};
use serde_json::Value;

/// Messages where ours is known to differ: literals of numbers are not kept, YAML's line numbers neither, and named string
/// types are not in the table.
fn is_known_to_differ(body: &str, theirs: &str) -> bool {
    body.contains("1e3")
        || body.contains("99999999999999999999")
        || theirs.contains("yaml: ")
        || theirs.contains("already set in map")
}

/// The order of unknown and duplicate fields among each other is ours.
fn sorted(message: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = message.split(", ").map(|part| part.rsplit("error: ").next().unwrap_or(part)).collect();
    parts.sort_unstable();
    parts
}

#[test]
fn bodies_are_refused_and_warned_about_as_kubernetes_does() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("recorded/decode.json")).unwrap();
    for case in &cases {
        let text = |field: &str| case[field].as_str().unwrap_or_default();
        let schema = Schema::named(text("schema")).unwrap();
        let kind = schema.root.short_name();
        let format = if text("format") == "yaml" { Format::Yaml } else { Format::Json };
        let validation = FieldValidation::parse(text("validation")).unwrap();
        let (body, theirs) = (text("body"), text("refused"));
        match decode(schema, body.as_bytes(), format, validation) {
            Ok(decoded) => {
                assert!(theirs.is_empty(), "{body} should be refused: {theirs}");
                let warnings = case["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
                if !is_known_to_differ(body, &warnings.iter().map(Value::to_string).collect::<String>()) {
                    assert_eq!(decoded.warnings, warnings, "{body}");
                }
            }
            Err(error) => {
                assert!(!theirs.is_empty(), "{body} should be read: {error}");
                let ours = match &error {
                    DecodeError::Syntax(why) => unrecognized(kind, body.as_bytes(), why),
                    _ => error.of_kind("v1", kind),
                };
                if !is_known_to_differ(body, theirs) {
                    assert_eq!(sorted(&ours), sorted(theirs), "{body}");
                }
            }
        }
    }
}
