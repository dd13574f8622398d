//! A body becomes an object of its kind.

use api_kinds::Kind;
use api_schema::{FieldValidation, Schema, check, no_object, parse, protobuf, unrecognized};
use serde_json::Value;

use crate::Status;
use crate::api::Incoming;

/// The media type of objects in protobuf.
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Parses a body as JSON, YAML or protobuf, whatever kind it is of.
pub(crate) fn body(incoming: &Incoming) -> Result<parse::Parsed, Status> {
    match incoming.content_type.as_str() {
        "" | "application/json" => parse::json(&incoming.bytes).map_err(Status::bad_request),
        "application/yaml" | "application/apply-patch+yaml" | "text/yaml" | "application/apply-patch" => {
            parse::yaml(&incoming.bytes).map_err(Status::bad_request)
        }
        PROTOBUF => from_protobuf(incoming, None),
        _ => Err(Status::unsupported_media_type(&["application/json", "application/yaml", PROTOBUF])),
    }
}

fn from_protobuf(incoming: &Incoming, expected: Option<Schema<'static>>) -> Result<parse::Parsed, Status> {
    let value = protobuf::read(&incoming.bytes, expected).map_err(|error| Status::bad_request(error.to_string()))?;
    Ok(parse::Parsed { value, duplicates: Vec::new() })
}

/// Parses `metav1.DeleteOptions`, which protobuf need not name.
pub(crate) fn delete_options(incoming: &Incoming) -> Result<Value, Status> {
    let parsed = match incoming.content_type.as_str() {
        PROTOBUF => from_protobuf(incoming, Schema::named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"))?,
        "" | "application/json" => parse::json(&incoming.bytes)
            .map_err(|why| Status::bad_request(format!("couldn't get version/kind; json parse error: {why}")))?,
        _ => body(incoming)?,
    };
    Ok(parsed.value)
}

/// Parses a body that is an object of a kind.
pub(crate) fn object(kind: &Kind, incoming: &Incoming) -> Result<parse::Parsed, Status> {
    let refused = |why: &str| Status::bad_request(unrecognized(kind.kind, &incoming.bytes, why));
    let parsed = match incoming.content_type.as_str() {
        "" | "application/json" => parse::json(&incoming.bytes).map_err(|why| refused(&why))?,
        "application/yaml" | "text/yaml" => parse::yaml(&incoming.bytes).map_err(|why| refused(&why))?,
        PROTOBUF => from_protobuf(incoming, Some(schema(kind)?))?,
        _ => return body(incoming),
    };
    if parsed.value.is_object() { Ok(parsed) } else { Err(refused(&no_object(&parsed.value))) }
}

/// The schema of a kind.
pub(crate) fn schema(kind: &Kind) -> Result<Schema<'static>, Status> {
    Schema::of(kind).ok_or_else(|| Status::internal(format!("no schema {}", kind.schema)))
}

/// Checks an object's shape, drops what its type does not know, and says what was dropped.
pub(crate) fn shape(
    kind: &'static Kind,
    object: &mut Value,
    duplicates: &[String],
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    check(schema(kind)?, object, duplicates, validation)
        .map_err(|error| Status::bad_request(error.of_kind(kind.version, kind.kind)))
}

/// That an object is of the kind that its path names.
pub(crate) fn check_kind(kind: &Kind, object: &Value) -> Result<(), Status> {
    let (api_version, found) =
        (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
    let expected = kind.api_version();
    if (api_version.is_empty() || api_version == expected) && (found.is_empty() || found == kind.kind) {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "the API version in the data ({api_version}, {found}) does not match the expected API version ({expected}, {})",
        kind.kind
    )))
}
