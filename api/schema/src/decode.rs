//! A request's body to an object of its kind.

use serde_json::Value;

use crate::Schema;
use crate::check::{Empties, shape};
use crate::go::{kind_of, summary_of};
use crate::parse::{self, Parsed};

/// What to do about fields that the schema does not know, and about duplicates (`fieldValidation`, KEP-2885).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    /// Reads the query parameter; `None` for a value that Kubernetes does not know. Empty means the default.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" => Self::default(),
            "Ignore" => Self::Ignore,
            "Warn" => Self::Warn,
            "Strict" => Self::Strict,
            _ => return None,
        })
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`
    Json,
    /// `application/yaml`; JSON is understood too.
    Yaml,
}

/// A body that has the shape of its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object: known fields only, no nulls, no empty values that Kubernetes loses, canonical times and quantities.
    pub object: Value,
    /// For `Warning` headers: `unknown field "spec.foo"`, `duplicate field "spec.bar"`.
    pub warnings: Vec<String>,
}

/// Why a body is not an object of its kind. Each is a 400; see [`DecodeError::of_kind`] and [`unrecognized`] for the messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Neither JSON nor YAML.
    #[error("{0}")]
    Syntax(String),
    /// A field holds something of another type, in the words of Go's decoder.
    #[error("{0}")]
    Type(String),
    /// Unknown and duplicate fields where [`FieldValidation::Strict`] was asked for.
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}

impl DecodeError {
    /// The message of the Status: with the kind that the body should have been.
    pub fn of_kind(&self, version: &str, kind: &str) -> String {
        format!("{kind} in version {version:?} cannot be handled as a {kind}: {self}")
    }
}

/// The message of the Status for a body that is no object at all; `why` is what the parser said.
pub fn unrecognized(kind: &str, body: &[u8], why: &str) -> String {
    let why = if why.starts_with("yaml: ") {
        why.to_owned()
    } else {
        format!("couldn't get version/kind; json parse error: {why}")
    };
    format!("the object provided is unrecognized (must be of type {kind}): {why} ({})", summary_of(body))
}

/// What the parser says of JSON that is no object.
pub fn no_object(value: &Value) -> String {
    let found = kind_of(value);
    format!(
        "json: cannot unmarshal {found} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    )
}

/// Reads a body.
///
/// # Errors
/// When it is no object of the kind, or has stray fields and validation is strict.
pub fn decode(
    schema: Schema<'_>,
    body: &[u8],
    format: Format,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let parsed = match format {
        Format::Json => parse::json(body),
        Format::Yaml => parse::yaml(body),
    };
    let Parsed { value: mut object, duplicates } = parsed.map_err(DecodeError::Syntax)?;
    if !object.is_object() {
        return Err(DecodeError::Syntax(no_object(&object)));
    }
    let warnings = check(schema, &mut object, &duplicates, validation)?;
    Ok(Decoded { object, warnings })
}

/// Checks an object that is parsed already, or came of a patch: drops what the schema does not know, nulls, and the empty
/// values that Kubernetes loses; makes times and quantities canonical. Returns warnings, those about the `duplicates` of
/// [`Parsed`] included.
///
/// # Errors
/// When a field holds something of another type, or there are stray fields and validation is strict.
pub fn check(
    schema: Schema<'_>,
    object: &mut Value,
    duplicates: &[String],
    validation: FieldValidation,
) -> Result<Vec<String>, DecodeError> {
    let unknown = shape(schema, object, Empties::Dropped).map_err(DecodeError::Type)?;
    if validation == FieldValidation::Ignore || (unknown.is_empty() && duplicates.is_empty()) {
        return Ok(Vec::new());
    }
    // Kubernetes does not look into what it does not know.
    let inside = |path: &str, field: &String| {
        path.strip_prefix(field.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let duplicates = duplicates.iter().filter(|path| !unknown.iter().any(|field| inside(path, field)));
    let mut findings: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    findings.extend(duplicates.map(|path| format!("duplicate field {path:?}")));
    if validation == FieldValidation::Strict {
        return Err(DecodeError::Strict(findings));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BODY: &[u8] = br#"{"kind":"Pod","spec":{"foo":{"a":1,"a":2},"nodeName":"a","nodeName":"b"}}"#;

    fn pod() -> Schema<'static> {
        Schema::named("io.k8s.api.core.v1.Pod").unwrap()
    }

    #[test]
    fn strays_are_dropped_and_spoken_of_as_asked() {
        let decoded = decode(pod(), BODY, Format::Json, FieldValidation::Warn).unwrap();
        let expected =
            json!({"kind": "Pod", "metadata": {}, "spec": {"nodeName": "b", "containers": null}, "status": {}});
        assert_eq!(decoded.object, expected);
        assert_eq!(decoded.warnings, ["unknown field \"spec.foo\"", "duplicate field \"spec.nodeName\""]);
        assert!(decode(pod(), BODY, Format::Json, FieldValidation::Ignore).unwrap().warnings.is_empty());
        let error = decode(pod(), BODY, Format::Json, FieldValidation::Strict).unwrap_err();
        assert_eq!(
            error.of_kind("v1", "Pod"),
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.foo\", duplicate field \"spec.nodeName\""
        );
    }

    #[test]
    fn both_formats_are_read() {
        let yaml = decode(pod(), b"kind: Pod\nspec:\n  nodeName: b\n", Format::Yaml, FieldValidation::Strict).unwrap();
        assert_eq!(yaml.object["spec"]["nodeName"], "b");
        assert!(matches!(decode(pod(), b"{", Format::Json, FieldValidation::Warn), Err(DecodeError::Syntax(_))));
        assert!(matches!(
            decode(pod(), b"{\"spec\":1}", Format::Json, FieldValidation::Warn),
            Err(DecodeError::Type(_))
        ));
    }
}
