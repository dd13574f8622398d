//! Findings about fields, as Kubernetes' `field.Error` builds them.

use serde_json::Value;

use crate::{Cause, Causes, Reason};

/// Findings, gathered with their paths.
#[derive(Debug, Default)]
pub struct Findings {
    causes: Causes,
}

impl Findings {
    /// What was found.
    pub fn done(self) -> Causes {
        self.causes
    }

    fn push(&mut self, reason: Reason, field: &str, message: String) {
        self.causes.push(Cause { reason, field: field.to_owned(), message });
    }

    /// `Required value[: detail]`
    pub fn required(&mut self, field: &str, detail: &str) {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        self.push(Reason::Required, field, message);
    }

    /// `Invalid value: <value>: detail`
    pub fn invalid(&mut self, field: &str, value: &Value, detail: &str) {
        self.push(Reason::Invalid, field, format!("Invalid value: {}: {detail}", shown(value)));
    }

    /// One finding for each message about a name.
    pub fn names(&mut self, field: &str, name: &str, messages: Vec<String>) {
        for message in messages {
            self.invalid(field, &Value::from(name), &message);
        }
    }

    /// `Unsupported value: "x": supported values: "A", "B"`
    pub fn unsupported(&mut self, field: &str, value: &str, supported: &[&str]) {
        let mut list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        list.sort();
        self.push(
            Reason::NotSupported,
            field,
            format!("Unsupported value: {value:?}: supported values: {}", list.join(", ")),
        );
    }

    /// `Duplicate value: "x"`
    pub fn duplicate(&mut self, field: &str, value: &Value) {
        self.push(Reason::Duplicate, field, format!("Duplicate value: {}", shown(value)));
    }

    /// `Forbidden: detail`
    pub fn forbidden(&mut self, field: &str, detail: &str) {
        self.push(Reason::Forbidden, field, format!("Forbidden: {detail}"));
    }

    /// `Not found: "x"`
    pub fn not_found(&mut self, field: &str, value: &str) {
        self.push(Reason::NotFound, field, format!("Not found: {value:?}"));
    }

    /// `Too long: may not be more than N bytes`
    pub fn too_long(&mut self, field: &str, max: usize) {
        self.push(Reason::TooLong, field, format!("Too long: may not be more than {max} bytes"));
    }

    /// The field must not be negative.
    pub fn not_negative(&mut self, field: &str, value: &Value) {
        if value.as_i64().is_some_and(|n| n < 0) {
            self.invalid(field, value, "must be greater than or equal to 0");
        }
    }

    /// The field may not change.
    pub fn immutable(&mut self, field: &str, new: &Value, old: &Value) {
        if new != old {
            self.invalid(field, new, "field is immutable");
        }
    }

    /// Takes findings of another function in.
    pub fn extend(&mut self, causes: Causes) {
        self.causes.extend(causes);
    }
}

/// A value as Go's `%v`-like printing of field errors shows it: strings quoted, the rest as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

/// The text of a field, or nothing.
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list field, with their paths.
pub fn items<'a>(value: &'a Value, name: &str, path: &str) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
        .map(move |(index, item)| (format!("{path}[{index}]"), item))
}

/// Sets a field that is absent.
pub fn default(value: &mut Value, name: &str, make: impl FnOnce() -> Value) {
    if let Value::Object(map) = value
        && map.get(name).is_none_or(Value::is_null)
    {
        map.insert(name.to_owned(), make());
    }
}

/// The items of a list field, to be changed.
pub fn each_mut<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}
