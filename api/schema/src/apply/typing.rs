//! Whether a configuration fits its schema, told in the words of structured-merge-diff. Stricter than other writes: unknown
//! fields and items that come twice are errors.

use serde_json::{Map, Value};

use super::label;
use crate::Schema;
use crate::definitions::{Definition, Definitions, Field, Grain, Type};
use crate::go::{source_of, text_of, type_of};

/// What is wrong, if anything: `.spec.foo: field not declared in schema`. The first finding, fields in the order of their
/// names.
pub(super) fn finding(schema: Schema<'_>, config: &Value) -> Option<String> {
    Walk { definitions: schema.definitions(), path: String::new() }.structure(schema.root, config).err()
}

struct Walk<'a> {
    definitions: &'a Definitions,
    path: String,
}

impl Walk<'_> {
    fn fail(&self, why: &str) -> Result<(), String> {
        Err(format!("{}: {why}", self.path))
    }

    /// Goes one step down.
    fn below(&mut self, step: &str, visit: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        let length = self.path.len();
        self.path.push_str(step);
        visit(self)?;
        self.path.truncate(length);
        Ok(())
    }

    fn structure(&mut self, definition: &Definition, value: &Value) -> Result<(), String> {
        let Some(map) = self.map_of(value)? else { return Ok(()) };
        for (name, value) in by_name(map) {
            self.below(&format!(".{name}"), |walk| match definition.field(name) {
                Some(field) => walk.field(field, value),
                None => walk.fail("field not declared in schema"),
            })?;
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, value: &Value) -> Result<(), String> {
        match (&field.ty, value) {
            (Type::List(inner), Value::Array(items)) => {
                let mut labels = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    let label = self.label(&field.grain, at, item)?;
                    self.below(&label::shown(&label), |walk| walk.value(inner, item))?;
                    labels.push(label);
                }
                labels.sort_unstable();
                match labels.windows(2).find(|pair| pair[0] == pair[1]) {
                    Some(pair) => self.fail(&format!("duplicate entries for key {}", label::shown(&pair[0]))),
                    None => Ok(()),
                }
            }
            _ => self.value(&field.ty, value),
        }
    }

    fn label(&self, grain: &Grain, at: usize, item: &Value) -> Result<String, String> {
        let kind = match item {
            Value::Null => "a null element",
            _ => "non-map elements",
        };
        match grain {
            Grain::Keyed { keys, .. } if item.is_object() => Ok(label::of_item(keys, item)),
            Grain::Keyed { .. } => {
                Err(format!("{}: element {at}: associative list with keys may not have {kind}", self.path))
            }
            Grain::Set => Ok(label::of_value(item)),
            _ => Ok(format!("i:{at}")),
        }
    }

    fn value(&mut self, ty: &Type, value: &Value) -> Result<(), String> {
        match ty {
            _ if value.is_null() => Ok(()),
            // Read by decoders of their own, later.
            Type::Any | Type::Quantity | Type::IntOrString => Ok(()),
            Type::String | Type::Bytes | Type::Time | Type::MicroTime if !value.is_string() => {
                self.fail(&format!("expected string, got &value.valueUnstructured{{Value:{}}}", source_of(value)))
            }
            Type::Boolean if !value.is_boolean() => {
                self.fail(&format!("expected boolean, got &{{{}}}", text_of(value)))
            }
            Type::Int32 | Type::Int64 | Type::Number if !value.is_number() => {
                self.fail(&format!("expected numeric (int or float), got {}", type_of(value)))
            }
            Type::Struct(index) => self.structure(self.definitions.at(*index), value),
            Type::List(inner) => {
                let Value::Array(items) = value else {
                    return self.fail(&format!("expected list, got &{{{}}}", text_of(value)));
                };
                for (at, item) in items.iter().enumerate() {
                    self.below(&format!("[{at}]"), |walk| walk.value(inner, item))?;
                }
                Ok(())
            }
            Type::Map(inner) => {
                let Some(map) = self.map_of(value)? else { return Ok(()) };
                for (name, item) in by_name(map) {
                    self.below(&format!(".{name}"), |walk| walk.value(inner, item))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn map_of<'v>(&self, value: &'v Value) -> Result<Option<&'v Map<String, Value>>, String> {
        match value {
            Value::Null => Ok(None),
            Value::Object(map) => Ok(Some(map)),
            other => Err(format!("{}: expected map, got &{{{}}}", self.path, text_of(other))),
        }
    }
}

fn by_name(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn findings_read_as_kubernetes_words_them() {
        let schema = Schema::named("io.k8s.api.apps.v1.Deployment").unwrap();
        let check = |spec: Value, expected: &str| {
            let found = finding(schema, &json!({"apiVersion": "apps/v1", "spec": spec}));
            assert_eq!(found.as_deref().unwrap_or_default(), expected, "{spec}");
        };
        let with = |container: Value| json!({"template": {"spec": {"containers": [container]}}});
        check(json!({"replicas": 1, "template": null}), "");
        check(json!({"replicas": "x"}), ".spec.replicas: expected numeric (int or float), got string");
        check(json!({"replicas": [1]}), ".spec.replicas: expected numeric (int or float), got []interface {}");
        check(json!({"foo": 1, "bar": 2, "replicas": "x"}), ".spec.bar: field not declared in schema");
        check(json!({"template": []}), ".spec.template: expected map, got &{[]}");
        check(
            json!({"template": {"metadata": {"labels": {"a": 1}}}}),
            ".spec.template.metadata.labels.a: expected string, got &value.valueUnstructured{Value:1}",
        );
        let c = ".spec.template.spec.containers";
        check(
            with(json!({"name": "c", "image": {"a": "b"}})),
            &format!(
                "{c}[name=\"c\"].image: expected string, got &value.valueUnstructured{{Value:map[string]interface {{}}{{\"a\":\"b\"}}}}"
            ),
        );
        check(with(json!({"name": "c", "tty": "x"})), &format!("{c}[name=\"c\"].tty: expected boolean, got &{{x}}"));
        check(
            with(json!({"name": "c", "ports": {"a": 1}})),
            &format!("{c}[name=\"c\"].ports: expected list, got &{{map[a:1]}}"),
        );
        check(
            with(json!({"name": "c", "ports": ["a"]})),
            &format!("{c}[name=\"c\"].ports: element 0: associative list with keys may not have non-map elements"),
        );
        check(
            with(json!({"name": "c", "args": [1]})),
            &format!("{c}[name=\"c\"].args[0]: expected string, got &value.valueUnstructured{{Value:1}}"),
        );
        check(
            with(json!({"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]})),
            &format!("{c}[name=\"a\"].ports: duplicate entries for key [containerPort=1,protocol=\"TCP\"]"),
        );
        check(with(json!({"name": "a", "args": ["x", "x"]})), "");
    }
}
