//! Does a value have the shape of its type? What does not belong is dropped, and what cannot be read is refused with the
//! words of Go's decoder, which clients match on.

use serde_json::{Map, Value};

use crate::Schema;
use crate::definitions::{Definition, Definitions, Field, Type};
use crate::go::{embedded, kind_of};
use crate::parse::{join_field, join_index};
use crate::scalar::{Precision, canonical_quantity, canonical_time, invalid_at};
use crate::settle::fill;

/// What becomes of empty values that Kubernetes loses on their way through Go's structs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empties {
    /// They are dropped, as from every object that is stored.
    Dropped,
    /// They stay: who applies an empty value owns it.
    Kept,
}

/// Walks an object along its type: fields that the type does not know are removed and returned by path, nulls are dropped and
/// empty values as asked, values and structs that Go holds in place are filled in (unless empties are kept), times and quantities become canonical. One pass, in place; nothing is allocated
/// for what is in order.
///
/// # Errors
/// With Go's message, at the first field that holds something of another type.
pub(crate) fn shape(schema: Schema<'_>, object: &mut Value, empties: Empties) -> Result<Vec<String>, String> {
    let mut walk = Walk { definitions: schema.definitions(), empties, unknown: Vec::new() };
    walk.structure(schema.root, object).map_err(Mismatch::into_message)?;
    Ok(walk.unknown)
}

/// Something of another type; filled in while the walk unwinds.
struct Mismatch<'a> {
    reason: Reason,
    /// The struct whose field it is.
    owner: Option<&'a str>,
    /// Struct fields from the inside out. Go does not name map keys and indexes.
    path: Vec<&'a str>,
}

enum Reason {
    /// Go's `UnmarshalTypeError`.
    Type { found: String, wanted: String },
    /// The message of a type's own decoder.
    Other(String),
}

impl Mismatch<'_> {
    fn into_message(self) -> String {
        match self.reason {
            Reason::Other(message) => message,
            Reason::Type { found, wanted } => match self.owner {
                None => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
                Some(owner) => {
                    let path: Vec<&str> = self.path.into_iter().rev().collect();
                    let path = path.join(".");
                    format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}")
                }
            },
        }
    }
}

struct Walk<'a> {
    definitions: &'a Definitions,
    empties: Empties,
    /// Relative to the value under way, as duplicates are in [`crate::parse`].
    unknown: Vec<String>,
}

impl<'a> Walk<'a> {
    fn structure(&mut self, definition: &'a Definition, value: &mut Value) -> Result<(), Mismatch<'a>> {
        let Value::Object(map) = value else { return Err(mismatch(value, definition.go_name())) };
        let mut failure = None;
        let mut stray = false;
        let mut kept = 0;
        for (name, value) in map.iter_mut() {
            let Some(field) = definition.field(name) else {
                stray = true;
                self.unknown.push(name.clone());
                continue;
            };
            if value.is_null() {
                stray = true;
                continue;
            }
            let known = self.unknown.len();
            if let Err(mut mismatch) = self.value(&field.ty, value) {
                mismatch.owner.get_or_insert(definition.short_name());
                mismatch.path.push(field.name());
                mismatch.path.extend(embedded(definition.short_name(), field.name()));
                failure = Some(mismatch);
                break;
            }
            stray |= self.empties == Empties::Dropped && field.hides(value);
            kept += usize::from(field.is_kept() || field.is_null_when_unset());
            self.locate(known, |path| join_field(name, path));
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if stray {
            let stays = |field: &Field, value: &Value| self.empties == Empties::Kept || !field.hides(value);
            map.retain(|name, value| {
                !value.is_null() && definition.field(name).is_some_and(|field| stays(field, value))
            });
        }
        if self.empties == Empties::Dropped && kept < definition.kept() {
            fill(self.definitions, definition, map);
        }
        Ok(())
    }

    fn locate(&mut self, known: usize, place: impl Fn(&str) -> String) {
        for path in &mut self.unknown[known..] {
            *path = place(path);
        }
    }

    fn value(&mut self, ty: &'a Type, value: &mut Value) -> Result<(), Mismatch<'a>> {
        match (ty, &mut *value) {
            (Type::Any, _)
            | (Type::String | Type::IntOrString, Value::String(_))
            | (Type::Boolean, Value::Bool(_))
            | (Type::Number, Value::Number(_)) => Ok(()),
            (Type::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
            (Type::Int32 | Type::IntOrString, Value::Number(number)) if fits_int32(number) => Ok(()),
            (Type::Struct(index), _) => self.structure(self.definitions.at(*index), value),
            (Type::List(inner), Value::Array(items)) => self.list(inner, items),
            (Type::Map(inner), Value::Object(map)) => self.map(inner, map),
            (Type::Time, Value::String(text)) => time(text, Precision::Seconds),
            (Type::MicroTime, Value::String(text)) => time(text, Precision::Micros),
            (Type::Quantity, Value::String(_) | Value::Number(_)) => quantity(value),
            (Type::Bytes, Value::String(text)) => bytes(text),
            (Type::Time | Type::MicroTime, _) => Err(mismatch(value, "string")),
            (Type::IntOrString, _) => Err(mismatch(value, "int32")),
            (Type::Quantity, _) => Err(other(crate::scalar::QUANTITY_MALFORMED)),
            _ => Err(mismatch(value, &go_type(ty, self.definitions))),
        }
    }

    fn list(&mut self, inner: &'a Type, items: &mut [Value]) -> Result<(), Mismatch<'a>> {
        for (index, item) in items.iter_mut().enumerate() {
            if item.is_null() {
                *item = zero(inner);
                continue;
            }
            let known = self.unknown.len();
            self.value(inner, item)?;
            self.locate(known, |path| join_index(index, path));
        }
        Ok(())
    }

    fn map(&mut self, inner: &'a Type, map: &mut Map<String, Value>) -> Result<(), Mismatch<'a>> {
        for (name, item) in map.iter_mut() {
            if item.is_null() {
                *item = zero(inner);
                continue;
            }
            let known = self.unknown.len();
            self.value(inner, item)?;
            self.locate(known, |path| join_field(name, path));
        }
        Ok(())
    }
}

fn fits_int32(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

fn mismatch<'a>(value: &Value, wanted: &str) -> Mismatch<'a> {
    let found = match value {
        // Only numbers that a number was wanted for are quoted.
        Value::Number(number) if wanted.starts_with("int") || wanted.starts_with("float") => format!("number {number}"),
        _ => kind_of(value).to_owned(),
    };
    Mismatch { reason: Reason::Type { found, wanted: wanted.to_owned() }, owner: None, path: Vec::new() }
}

fn other<'a>(message: impl Into<String>) -> Mismatch<'a> {
    Mismatch { reason: Reason::Other(message.into()), owner: None, path: Vec::new() }
}

fn time<'a>(text: &mut String, precision: Precision) -> Result<(), Mismatch<'a>> {
    if let Some(canonical) = canonical_time(text, precision).map_err(other)? {
        *text = canonical;
    }
    Ok(())
}

fn quantity<'a>(value: &mut Value) -> Result<(), Mismatch<'a>> {
    let canonical = match value {
        Value::String(text) => canonical_quantity(text).map_err(other)?,
        Value::Number(number) => {
            let text = number.to_string();
            Some(canonical_quantity(&text).map_err(other)?.unwrap_or(text))
        }
        _ => None,
    };
    if let Some(canonical) = canonical {
        *value = Value::String(canonical);
    }
    Ok(())
}

fn bytes<'a>(text: &mut String) -> Result<(), Mismatch<'a>> {
    if let Some(at) = invalid_at(text) {
        return Err(other(format!("illegal base64 data at input byte {at}")));
    }
    if text.contains(['\r', '\n']) {
        text.retain(|c| c != '\r' && c != '\n');
    }
    Ok(())
}

/// What Go's decoder makes of a null in a list or map.
fn zero(ty: &Type) -> Value {
    match ty {
        Type::String | Type::Bytes => Value::String(String::new()),
        Type::Quantity => Value::String("0".to_owned()),
        Type::Boolean => Value::Bool(false),
        Type::Int32 | Type::Int64 | Type::Number | Type::IntOrString => 0.into(),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Map(_) | Type::Struct(_) => Value::Object(Map::new()),
        Type::Any | Type::Time | Type::MicroTime => Value::Null,
    }
}

fn go_type(ty: &Type, definitions: &Definitions) -> String {
    match ty {
        Type::Any => "interface {}".to_owned(),
        Type::String => "string".to_owned(),
        Type::Bytes => "[]uint8".to_owned(),
        Type::Time => "v1.Time".to_owned(),
        Type::MicroTime => "v1.MicroTime".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Int32 => "int32".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Number => "float64".to_owned(),
        Type::Quantity => "resource.Quantity".to_owned(),
        Type::IntOrString => "intstr.IntOrString".to_owned(),
        Type::List(inner) => format!("[]{}", go_type(inner, definitions)),
        Type::Map(inner) if **inner == Type::Quantity => "v1.ResourceList".to_owned(),
        Type::Map(inner) => format!("map[string]{}", go_type(inner, definitions)),
        Type::Struct(index) => definitions.at(*index).go_name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Schema<'static> {
        Schema::named("io.k8s.api.apps.v1.Deployment").unwrap()
    }

    fn pod_with(container: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    }

    #[test]
    fn unknown_fields_and_nulls_are_dropped() {
        let mut object = json!({
            "kind": "Deployment", "metadata": {"name": "a", "labels": null, "creationTimestamp": null},
            "spec": {"foo": 1, "template": {"spec": {"containers": [{"name": "c"}, {"name": "d", "imagee": "x"}]}}},
        });
        let unknown = shape(deployment(), &mut object, Empties::Dropped).unwrap();
        assert_eq!(unknown, ["spec.foo", "spec.template.spec.containers[1].imagee"]);
        assert_eq!(
            object,
            json!({
                "kind": "Deployment", "metadata": {"name": "a"}, "status": {},
                "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": [
                    {"name": "c", "resources": {}}, {"name": "d", "resources": {}},
                ]}}},
            })
        );
    }

    #[test]
    fn empty_values_are_lost_where_go_omits_them() {
        let mut object = json!({
            "metadata": {"name": "a", "labels": {}, "annotations": {}, "ownerReferences": [], "generateName": ""},
            "spec": {
                "replicas": 0, "paused": false, "minReadySeconds": 0, "strategy": {}, "selector": {"matchLabels": {}},
                "template": {"spec": {
                    "nodeSelector": {}, "securityContext": {}, "hostNetwork": false, "automountServiceAccountToken": false,
                    "volumes": [{"name": "v", "emptyDir": {"medium": ""}}, {"name": "", "configMap": {"optional": false}}],
                    "containers": [{"name": "", "args": [], "env": [{"name": "A", "value": ""}], "resources": {"limits": {}}}],
                }},
            },
        });
        shape(deployment(), &mut object, Empties::Dropped).unwrap();
        assert_eq!(
            object,
            json!({
                "metadata": {"name": "a"}, "status": {},
                "spec": {
                    "replicas": 0, "strategy": {}, "selector": {},
                    "template": {"metadata": {}, "spec": {
                        "securityContext": {}, "automountServiceAccountToken": false,
                        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "", "configMap": {"optional": false}}],
                        "containers": [{"name": "", "env": [{"name": "A"}], "resources": {}}],
                    }},
                },
            })
        );
    }

    #[test]
    fn another_type_is_refused_in_gos_words() {
        let check = |object: Value, expected: &str| {
            let error = shape(deployment(), &mut object.clone(), Empties::Dropped).unwrap_err();
            assert_eq!(error, expected, "{object}");
        };
        let field = |rest: &str| format!("json: cannot unmarshal {rest}");
        check(
            json!({"spec": {"replicas": "3"}}),
            &field("string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        );
        check(
            json!({"spec": {"replicas": 1.5}}),
            &field("number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        );
        check(
            json!({"spec": {"replicas": 3_000_000_000_i64}}),
            &field("number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        );
        check(
            json!({"metadata": {"labels": {"a": 1}}}),
            &field("number into Go struct field ObjectMeta.metadata.labels of type string"),
        );
        check(json!({"metadata": []}), &field("array into Go struct field Deployment.metadata of type v1.ObjectMeta"));
        check(
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            &field("object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"),
        );
        check(
            json!({"spec": {"template": {"spec": {"imagePullSecrets": ["a"]}}}}),
            &field(
                "string into Go struct field PodSpec.spec.template.spec.imagePullSecrets of type v1.LocalObjectReference",
            ),
        );
        check(
            pod_with(json!({"env": [{"name": "a", "value": 3}]})),
            &field("number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string"),
        );
        check(
            pod_with(json!({"livenessProbe": {"httpGet": {"port": {}}}})),
            &field(
                "object into Go struct field HTTPGetAction.spec.template.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32",
            ),
        );
        check(json!([]), "json: cannot unmarshal array into Go value of type v1.Deployment");
        check(
            pod_with(json!({"resources": {"limits": {"cpu": "lots"}}})),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
    }

    #[test]
    fn quantities_times_and_bytes_become_canonical() {
        let mut object = pod_with(json!({"name": "c", "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}}}));
        object["metadata"] = json!({"creationTimestamp": "2024-01-01T01:00:00+01:00"});
        assert_eq!(shape(deployment(), &mut object, Empties::Dropped).unwrap(), Vec::<String>::new());
        assert_eq!(object["metadata"]["creationTimestamp"], "2024-01-01T00:00:00Z");
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["resources"]["limits"], json!({"cpu": "1", "memory": "1Gi"}));

        let secret = Schema::named("io.k8s.api.core.v1.Secret").unwrap();
        let mut object = json!({"data": {"a": "YWJj\nYWJj", "b": null}});
        shape(secret, &mut object, Empties::Dropped).unwrap();
        assert_eq!(object["data"], json!({"a": "YWJjYWJj", "b": ""}));
        let error = shape(secret, &mut json!({"data": {"a": "not base64"}}), Empties::Dropped).unwrap_err();
        assert_eq!(error, "illegal base64 data at input byte 3");
    }
}
