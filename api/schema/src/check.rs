//! Does a value have the shape of its type? What does not belong is dropped, and what cannot be read is refused with the
//! words of Go's decoder, which clients match on.

use serde_json::Value;

use crate::definitions::{Definition, Type, at};

/// A field holds something of another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    message: String,
}

impl std::fmt::Display for TypeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Checks an object against its type: fields that the type does not know are removed and returned by path, nulls are
/// dropped as Kubernetes drops them.
///
/// # Errors
/// When a field holds something of another type.
pub fn check(definition: &'static Definition, object: &mut Value) -> Result<Vec<String>, TypeError> {
    let mut walk = Walk { path: Vec::new(), unknown: Vec::new(), owner: definition.short_name() };
    walk.structure(definition, object)?;
    Ok(walk.unknown)
}

enum Step {
    Field(&'static str),
    Key(String),
    Index(usize),
}

struct Walk {
    path: Vec<Step>,
    unknown: Vec<String>,
    /// The struct whose field is looked at.
    owner: &'static str,
}

impl Walk {
    fn path(&self, last: Option<&str>) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) => dotted(&mut text, name),
                Step::Key(name) => dotted(&mut text, name),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        if let Some(last) = last {
            dotted(&mut text, last);
        }
        text
    }

    /// Go names the path of struct fields, without indexes.
    fn go_path(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            if let Step::Field(name) = step {
                dotted(&mut text, name);
            }
        }
        text
    }

    fn wrong(&self, value: &Value, wanted: &str) -> TypeError {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(n) => return self.wrong_number(&n.to_string(), wanted),
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let place = format!("{}.{}", self.owner, self.go_path());
        TypeError { message: format!("json: cannot unmarshal {found} into Go struct field {place} of type {wanted}") }
    }

    fn wrong_number(&self, number: &str, wanted: &str) -> TypeError {
        let place = format!("{}.{}", self.owner, self.go_path());
        let found = if wanted.starts_with("int") { format!("number {number}") } else { "number".to_owned() };
        TypeError { message: format!("json: cannot unmarshal {found} into Go struct field {place} of type {wanted}") }
    }

    fn structure(&mut self, definition: &'static Definition, value: &mut Value) -> Result<(), TypeError> {
        if definition.scalar.is_some() {
            return Ok(());
        }
        let Value::Object(map) = value else { return Err(self.wrong(value, &go_struct(definition))) };
        let outer = std::mem::replace(&mut self.owner, definition.short_name());
        let mut failure = None;
        map.retain(|name, value| {
            if failure.is_some() || value.is_null() {
                return failure.is_some();
            }
            let Some(field) = definition.field(name) else {
                let path = self.path(Some(name));
                self.unknown.push(path);
                return false;
            };
            self.path.push(Step::Field(field.name));
            failure = self.value(&field.ty, value).err();
            self.path.pop();
            true
        });
        self.owner = outer;
        failure.map_or(Ok(()), Err)
    }

    fn value(&mut self, ty: &'static Type, value: &mut Value) -> Result<(), TypeError> {
        match ty {
            Type::Any => Ok(()),
            Type::String if value.is_string() => Ok(()),
            Type::String => Err(self.wrong(value, "string")),
            Type::Bytes if value.is_string() => Ok(()),
            Type::Bytes => Err(self.wrong(value, "[]uint8")),
            Type::Boolean if value.is_boolean() => Ok(()),
            Type::Boolean => Err(self.wrong(value, "bool")),
            Type::Int32 => self.integer(value, "int32", |n| i32::try_from(n).is_ok()),
            Type::Int64 => self.integer(value, "int64", |_| true),
            Type::Number if value.is_number() => Ok(()),
            Type::Number => Err(self.wrong(value, "float64")),
            Type::Time => self.time(value),
            Type::Quantity => self.quantity(value),
            Type::IntOrString if value.is_string() => Ok(()),
            Type::IntOrString => self.integer(value, "int32", |n| i32::try_from(n).is_ok()),
            Type::Struct(index) => self.structure(at(*index), value),
            Type::List(inner) => self.list(inner, value),
            Type::Map(inner) => self.map(inner, value),
        }
    }

    fn integer(&mut self, value: &mut Value, wanted: &str, fits: impl Fn(i64) -> bool) -> Result<(), TypeError> {
        if let Some(number) = value.as_i64() {
            return if fits(number) { Ok(()) } else { Err(self.wrong(value, wanted)) };
        }
        // `1.0` is an integer to Kubernetes' decoder.
        let whole = value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15);
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        match whole.map(|f| f as i64) {
            Some(number) if fits(number) => {
                *value = number.into();
                Ok(())
            }
            _ => Err(self.wrong(value, wanted)),
        }
    }

    fn time(&mut self, value: &mut Value) -> Result<(), TypeError> {
        let Value::String(text) = value else { return Err(self.wrong(value, "v1.Time")) };
        if text.is_empty() || api_kinds::time::parse(text).is_some() {
            return Ok(());
        }
        let message =
            format!("parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\"");
        Err(TypeError { message })
    }

    fn quantity(&mut self, value: &mut Value) -> Result<(), TypeError> {
        match value {
            Value::Number(number) => {
                *value = Value::String(number.to_string());
                Ok(())
            }
            Value::String(text) if api_kinds::quantity::Quantity::parse(text).is_some() => Ok(()),
            Value::String(_) => Err(TypeError {
                message: "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                    .to_owned(),
            }),
            _ => Err(self.wrong(value, "resource.Quantity")),
        }
    }

    fn list(&mut self, inner: &'static Type, value: &mut Value) -> Result<(), TypeError> {
        let wanted = go_type(inner);
        let Value::Array(items) = value else { return Err(self.wrong(value, &format!("[]{wanted}"))) };
        for (index, item) in items.iter_mut().enumerate() {
            self.path.push(Step::Index(index));
            if item.is_null() {
                *item = zero(inner);
            }
            self.value(inner, item)?;
            self.path.pop();
        }
        Ok(())
    }

    fn map(&mut self, inner: &'static Type, value: &mut Value) -> Result<(), TypeError> {
        let wanted = go_type(inner);
        let Value::Object(map) = value else { return Err(self.wrong(value, &format!("map[string]{wanted}"))) };
        for (name, item) in map.iter_mut() {
            if item.is_null() {
                *item = zero(inner);
            }
            self.path.push(Step::Key(name.clone()));
            self.value(inner, item)?;
            self.path.pop();
        }
        Ok(())
    }
}

/// What Go's decoder makes of a null in a list or map.
fn zero(ty: &Type) -> Value {
    match ty {
        Type::String | Type::Bytes | Type::Time | Type::Quantity => Value::String(String::new()),
        Type::Boolean => Value::Bool(false),
        Type::Int32 | Type::Int64 | Type::Number | Type::IntOrString => 0.into(),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Map(_) | Type::Struct(_) => Value::Object(serde_json::Map::new()),
        Type::Any => Value::Null,
    }
}

fn dotted(text: &mut String, part: &str) {
    if !text.is_empty() {
        text.push('.');
    }
    text.push_str(part);
}

/// `v1.Container` of `io.k8s.api.core.v1.Container`.
fn go_struct(definition: &Definition) -> String {
    let mut parts = definition.name.rsplit('.');
    let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{version}.{name}")
}

fn go_type(ty: &Type) -> String {
    match ty {
        Type::Any => "interface {}".to_owned(),
        Type::String => "string".to_owned(),
        Type::Bytes => "[]uint8".to_owned(),
        Type::Time => "v1.Time".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Int32 => "int32".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Number => "float64".to_owned(),
        Type::Quantity => "resource.Quantity".to_owned(),
        Type::IntOrString => "intstr.IntOrString".to_owned(),
        Type::List(inner) => format!("[]{}", go_type(inner)),
        Type::Map(inner) => format!("map[string]{}", go_type(inner)),
        Type::Struct(index) => go_struct(at(*index)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definitions::by_name;

    fn deployment() -> &'static Definition {
        by_name("io.k8s.api.apps.v1.Deployment").unwrap()
    }

    #[test]
    fn unknown_fields_and_nulls_are_dropped() {
        let mut object = json!({
            "kind": "Deployment", "metadata": {"name": "a", "labels": null, "creationTimestamp": null},
            "spec": {"foo": 1, "template": {"spec": {"containers": [{"name": "c", "imagee": "x"}]}}},
        });
        let unknown = check(deployment(), &mut object).unwrap();
        assert_eq!(unknown, ["spec.foo", "spec.template.spec.containers[0].imagee"]);
        assert_eq!(
            object,
            json!({"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}})
        );
    }

    #[test]
    fn another_type_is_refused_in_gos_words() {
        let check = |object: Value, expected: &str| {
            let error = check(deployment(), &mut object.clone()).unwrap_err().to_string();
            assert_eq!(error, expected, "{object}");
        };
        check(
            json!({"spec": {"replicas": "3"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check(
            json!({"spec": {"replicas": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check(
            json!({"metadata": {"labels": {"a": 1}}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        );
        check(
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        );
    }

    #[test]
    fn numbers_become_quantities_and_whole_floats_integers() {
        let mut object = json!({"spec": {"replicas": 2.0, "template": {"spec": {"containers": [{"resources": {"limits": {"cpu": 1}}}]}}}});
        check(deployment(), &mut object).unwrap();
        assert_eq!(object["spec"]["replicas"], json!(2));
        assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"], json!("1"));
    }
}
