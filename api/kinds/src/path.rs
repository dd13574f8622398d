//! Where in an object something is (`field.Path`), and how the parts of one are read and filled in.

use std::fmt;

use serde_json::Value;

/// A place in an object: `spec.containers[0].resources.limits[cpu]`. A chain on the stack, so that naming a place costs
/// nothing until a finding is made there.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// A field of the object itself; several at once when written with dots.
    pub const fn root(name: &'a str) -> Self {
        Self { parent: None, step: Step::Field(name) }
    }

    /// A field of what is here.
    pub const fn field<'b>(&'b self, name: &'b str) -> Path<'b> {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    /// An item of the list that is here.
    pub const fn index<'b>(&'b self, index: usize) -> Path<'b> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// A value of the map that is here.
    pub const fn key<'b>(&'b self, key: &'b str) -> Path<'b> {
        Path { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Field(name) if self.parent.is_some() => write!(f, ".{name}"),
            // The object itself.
            Step::Field("") => f.write_str("[]"),
            Step::Field(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// The text of a field, or nothing.
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list field; none when it is absent.
pub fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The entries of a map field; none when it is absent.
pub fn entries<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    value.get(name).and_then(Value::as_object).into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// How many items or entries a list or map field has.
pub fn count(value: &Value, name: &str) -> usize {
    match value.get(name) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    }
}

/// The integer of a field, or 0.
pub fn integer(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// Whether a boolean field is set to true.
pub fn is_true(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// Whether a field is set: there, and not null.
pub fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|v| !v.is_null())
}

/// Sets a field that is absent.
pub fn default(value: &mut Value, name: &str, make: impl FnOnce() -> Value) {
    if let Value::Object(map) = value
        && map.get(name).is_none_or(Value::is_null)
    {
        map.insert(name.to_owned(), make());
    }
}

/// Sets a text field that is absent or empty.
pub fn default_text(value: &mut Value, name: &str, text: &str) {
    if let Value::Object(map) = value
        && map.get(name).and_then(Value::as_str).is_none_or(str::is_empty)
    {
        map.insert(name.to_owned(), text.into());
    }
}

/// Sets a field.
pub fn set(value: &mut Value, name: &str, to: Value) {
    if let Value::Object(map) = value {
        map.insert(name.to_owned(), to);
    }
}

/// Removes a field, and keeps the order of the others.
pub fn remove(value: &mut Value, name: &str) -> Option<Value> {
    value.as_object_mut().and_then(|map| map.shift_remove(name))
}

/// A field that is there, to be changed.
pub fn part<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    value.get_mut(name).filter(|v| !v.is_null())
}

/// The items of a list field, to be changed.
pub fn each_mut<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_kubernetes_writes_it() {
        let spec = Path::root("spec");
        let containers = spec.field("containers");
        let first = containers.index(0);
        assert_eq!(
            first.field("resources").field("limits").key("cpu").to_string(),
            "spec.containers[0].resources.limits[cpu]"
        );
    }
}
