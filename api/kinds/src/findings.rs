//! Findings about fields, worded as Kubernetes' `field.Error`s.

use std::fmt::{self, Write};

use serde_json::Value;

use crate::equality::same;
use crate::path::Path;
use crate::{Cause, Causes, Reason};

/// Message of a field that may not change.
pub const IMMUTABLE: &str = "field is immutable";
/// Message of a number below nothing.
pub const NEGATIVE: &str = "must be greater than or equal to 0";

/// Findings, gathered with their paths.
#[derive(Debug, Default)]
pub struct Findings {
    causes: Causes,
}

/// A value that a finding is about, as it is to be shown.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// Strings quoted, the rest as JSON.
    Json(&'a Value),
    /// Quoted.
    Text(&'a str),
    /// As it is.
    Number(i64),
    /// Not at all.
    Omitted,
}

impl<'a> From<&'a Value> for Shown<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Json(value)
    }
}

impl<'a> From<&'a str> for Shown<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Shown<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(Value::String(text)) => f.write_str(&quoted(text)),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Json(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Omitted => Ok(()),
        }
    }
}

/// Text in double quotes, escaped as Go's `%q` escapes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if u32::from(c) < 0x20 || u32::from(c) == 0x7f => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Findings {
    /// What was found.
    pub fn done(self) -> Causes {
        self.causes
    }

    /// Whether nothing was found so far.
    pub fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }

    fn push(&mut self, reason: Reason, at: Path<'_>, message: String) {
        self.causes.push(Cause { reason, field: at.to_string(), message });
    }

    /// `Required value[: detail]`
    pub fn required(&mut self, at: Path<'_>, detail: &str) {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        self.push(Reason::Required, at, message);
    }

    /// `Invalid value: <value>: detail`
    pub fn invalid<'v>(&mut self, at: Path<'_>, value: impl Into<Shown<'v>>, detail: &str) {
        let message = match value.into() {
            Shown::Omitted => format!("Invalid value: {detail}"),
            value if detail.is_empty() => format!("Invalid value: {value}"),
            value => format!("Invalid value: {value}: {detail}"),
        };
        self.push(Reason::Invalid, at, message);
    }

    /// One finding for each message about a name.
    pub fn names(&mut self, at: Path<'_>, name: &str, messages: Vec<String>) {
        for message in messages {
            self.invalid(at, name, &message);
        }
    }

    /// `Unsupported value: "x": supported values: "A", "B"`. In Kubernetes some lists are sorted and some are not: give
    /// them in its order.
    pub fn unsupported<'v>(&mut self, at: Path<'_>, value: impl Into<Shown<'v>>, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|s| quoted(s)).collect();
        let message = format!("Unsupported value: {}: supported values: {}", value.into(), list.join(", "));
        self.push(Reason::NotSupported, at, message);
    }

    /// Unsupported unless it is one of these.
    pub fn one_of(&mut self, at: Path<'_>, value: &str, supported: &[&str]) {
        if !supported.contains(&value) {
            self.unsupported(at, value, supported);
        }
    }

    /// `Duplicate value: "x"`
    pub fn duplicate<'v>(&mut self, at: Path<'_>, value: impl Into<Shown<'v>>) {
        self.push(Reason::Duplicate, at, format!("Duplicate value: {}", value.into()));
    }

    /// `Duplicate value: "x": detail`
    pub fn duplicate_because<'v>(&mut self, at: Path<'_>, value: impl Into<Shown<'v>>, detail: &str) {
        self.push(Reason::Duplicate, at, format!("Duplicate value: {}: {detail}", value.into()));
    }

    /// `Forbidden: detail`
    pub fn forbidden(&mut self, at: Path<'_>, detail: &str) {
        self.push(Reason::Forbidden, at, format!("Forbidden: {detail}"));
    }

    /// `Not found: "x"`
    pub fn not_found(&mut self, at: Path<'_>, value: &str) {
        self.push(Reason::NotFound, at, format!("Not found: {}", quoted(value)));
    }

    /// `Internal error: detail`
    pub fn internal(&mut self, at: Path<'_>, detail: &str) {
        self.push(Reason::Internal, at, format!("Internal error: {detail}"));
    }

    /// `Too long: may not be more than N bytes`
    pub fn too_long(&mut self, at: Path<'_>, max: usize) {
        self.push(Reason::TooLong, at, format!("Too long: may not be more than {max} bytes"));
    }

    /// `Too many: N: must have at most M items`
    pub fn too_many(&mut self, at: Path<'_>, count: usize, max: usize) {
        self.push(Reason::TooMany, at, format!("Too many: {count}: must have at most {max} items"));
    }

    /// The field, when it is a number, must not be negative.
    pub fn non_negative(&mut self, at: Path<'_>, value: &Value) {
        if value.as_i64().is_some_and(|n| n < 0) {
            self.invalid(at, value, NEGATIVE);
        }
    }

    /// Fields of `value` that must not be negative.
    pub fn non_negatives(&mut self, at: Path<'_>, value: &Value, fields: &[&str]) {
        for field in fields {
            self.non_negative(at.field(field), &value[*field]);
        }
    }

    /// The field may not change.
    pub fn immutable(&mut self, at: Path<'_>, new: &Value, old: &Value) {
        if !same(new, old) {
            self.invalid(at, new, IMMUTABLE);
        }
    }

    /// The field may not change, and what it was to become is not shown: so Kubernetes words it where its declarative
    /// validation has taken over.
    pub fn immutable_unshown(&mut self, at: Path<'_>, new: &Value, old: &Value) {
        if !same(new, old) {
            self.invalid(at, &Value::Null, IMMUTABLE);
        }
    }

    /// Takes findings of another function in.
    pub fn extend(&mut self, causes: Causes) {
        self.causes.extend(causes);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn findings_are_worded_as_kubernetes_words_them() {
        let at = Path::root("spec");
        let check = |make: &dyn Fn(&mut Findings), expected: &str| {
            let mut findings = Findings::default();
            make(&mut findings);
            assert_eq!(findings.done()[0].to_string(), expected);
        };
        check(&|f| f.required(at.field("a"), ""), "spec.a: Required value");
        check(&|f| f.required(at.field("a"), "why"), "spec.a: Required value: why");
        check(&|f| f.invalid(at, "x\n", "no"), "spec: Invalid value: \"x\\n\": no");
        check(&|f| f.invalid(at, &json!({"app": "b"}), "no"), "spec: Invalid value: {\"app\":\"b\"}: no");
        check(&|f| f.invalid(at, &Value::Null, "no"), "spec: Invalid value: null: no");
        check(&|f| f.one_of(at, "c", &["A", "B"]), "spec: Unsupported value: \"c\": supported values: \"A\", \"B\"");
        check(&|f| f.too_many(at, 3, 2), "spec: Too many: 3: must have at most 2 items");
        check(&|f| f.immutable(at, &json!("a"), &json!("b")), "spec: Invalid value: \"a\": field is immutable");
    }
}
