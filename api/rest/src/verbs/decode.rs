//! A body becomes an object of its kind.

use api_kinds::Kind;
use api_schema::{FieldValidation, check, definitions, parse};
use serde_json::Value;

use crate::Status;
use crate::api::Incoming;

/// Parses a body as JSON or YAML, whatever kind it is of.
pub(crate) fn body(incoming: &Incoming) -> Result<parse::Parsed, Status> {
    match incoming.content_type.as_str() {
        "" | "application/json" => parse::json(&incoming.bytes).map_err(Status::bad_request),
        "application/yaml" | "application/apply-patch+yaml" | "text/yaml" | "application/apply-patch" => yaml(&incoming.bytes),
        other => Err(Status::unsupported_media_type(other)),
    }
}

fn yaml(bytes: &[u8]) -> Result<parse::Parsed, Status> {
    // JSON is YAML, and most clients send it.
    if let Ok(parsed) = parse::json(bytes) {
        return Ok(parsed);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Status::bad_request(error.to_string()))?;
    let value: Value = serde_saphyr::from_str(text)
        .map_err(|error| Status::bad_request(format!("error converting YAML to JSON: {error}")))?;
    Ok(parse::Parsed { value, duplicates: Vec::new() })
}

/// Checks an object's shape, drops what its type does not know, and says what was dropped.
pub(crate) fn shape(
    kind: &'static Kind,
    object: &mut Value,
    duplicates: &[String],
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    let definition = definitions::by_name(kind.schema).ok_or_else(|| Status::internal(format!("no schema {}", kind.schema)))?;
    let cannot = |why: String| {
        Status::bad_request(format!("{} in version {:?} cannot be handled as a {}: {why}", kind.kind, kind.version, kind.kind))
    };
    if !object.is_object() {
        return Err(cannot("json: cannot unmarshal a value that is no object".to_owned()));
    }
    let unknown = check(definition, object).map_err(|error| cannot(error.to_string()))?;
    let findings: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field {path:?}"))
        .chain(duplicates.iter().map(|path| format!("duplicate field {path:?}")))
        .collect();
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(findings),
        FieldValidation::Strict if findings.is_empty() => Ok(findings),
        FieldValidation::Strict => Err(cannot(format!("strict decoding error: {}", findings.join(", ")))),
    }
}

/// That an object is of the kind that its path names.
pub(crate) fn check_kind(kind: &Kind, object: &Value) -> Result<(), Status> {
    let (api_version, found) = (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
    let expected = kind.api_version();
    if (api_version.is_empty() || api_version == expected) && (found.is_empty() || found == kind.kind) {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "the API version in the data ({api_version}, {found}) does not match the expected API version ({expected}, {})",
        kind.kind
    )))
}
