//! Fields that nobody gave an object and that Kubernetes shows all the same: its Go structs have them, and its encoder leaves
//! out only what says that it may be.

use serde_json::{Map, Value};

use crate::Schema;
use crate::definitions::{Definition, Definitions, Type};

/// Gives a struct everything that every one of its type has.
pub(crate) fn fill(definitions: &Definitions, definition: &Definition, map: &mut Map<String, Value>) {
    for place in &definition.unset().kept {
        let field = definition.field_at(*place);
        if !map.contains_key(field.name()) {
            let value = match field.ty {
                Type::Struct(below) => Value::Object(zero(definitions, definitions.at(below))),
                _ => field.zero().unwrap_or_default(),
            };
            map.insert(field.name().to_owned(), value);
        }
    }
    for place in &definition.unset().null {
        map.entry(definition.field_at(*place).name()).or_insert(Value::Null);
    }
}

/// A struct that was given nothing.
pub(crate) fn zero(definitions: &Definitions, definition: &Definition) -> Map<String, Value> {
    let mut map = Map::new();
    fill(definitions, definition, &mut map);
    map
}

/// Makes of an object what is stored and shown: a part that was made anew is filled, and lists, maps and times that are empty and
/// yet not left out are `null`. It is the last to happen to an object: until then `[]` is another value than none, and its
/// writer's.
pub fn settle(schema: Schema<'_>, object: &mut Value) {
    let Value::Object(map) = object else { return };
    let (definitions, root) = (schema.definitions(), schema.root);
    fill(definitions, root, map);
    if let Some(Type::Struct(status)) = root.field("status").map(|field| &field.ty)
        && let Some(Value::Object(status_map)) = map.get_mut("status")
    {
        fill(definitions, definitions.at(*status), status_map);
    }
    structure(definitions, root, map);
}

fn structure(definitions: &Definitions, definition: &Definition, map: &mut Map<String, Value>) {
    for place in &definition.unset().null {
        match map.get_mut(definition.field_at(*place).name()) {
            Some(value) if is_empty(value) => *value = Value::Null,
            _ => {}
        }
    }
    for place in &definition.unset().on_the_way {
        let field = definition.field_at(*place);
        if let Some(value) = map.get_mut(field.name()) {
            below(definitions, &field.ty, value);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn below(definitions: &Definitions, ty: &Type, value: &mut Value) {
    match (ty, value) {
        (Type::Struct(place), Value::Object(map)) => structure(definitions, definitions.at(*place), map),
        (Type::List(inner), Value::Array(items)) => items.iter_mut().for_each(|item| below(definitions, inner, item)),
        (Type::Map(inner), Value::Object(map)) => map.values_mut().for_each(|item| below(definitions, inner, item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{FieldValidation, check};

    #[test]
    fn what_go_does_not_leave_out_is_there() {
        let check = |schema: &str, mut object: Value, expected: Value| {
            let schema = Schema::named(schema).unwrap();
            check(schema, &mut object, &[], FieldValidation::Strict).unwrap();
            settle(schema, &mut object);
            assert_eq!(object, expected);
            let once = object.clone();
            settle(schema, &mut object);
            assert_eq!(object, once, "done twice");
        };
        check("io.k8s.api.rbac.v1.Role", json!({"rules": []}), json!({"metadata": {}, "rules": null}));
        check("io.k8s.api.rbac.v1.Role", json!({}), json!({"metadata": {}, "rules": null}));
        check(
            "io.k8s.api.core.v1.NodeStatus",
            json!({"conditions": [{"type": "Ready", "status": "True"}], "images": [], "nodeInfo": {"machineID": "m"}}),
            json!({
                "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": null, "lastTransitionTime": null}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
                "nodeInfo": {
                    "machineID": "m", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "", "architecture": "",
                    "containerRuntimeVersion": "", "kubeletVersion": "", "kubeProxyVersion": "", "operatingSystem": "",
                },
            }),
        );
        check(
            "io.k8s.api.policy.v1.PodDisruptionBudget",
            json!({"spec": {"minAvailable": 1}}),
            json!({
                "metadata": {}, "spec": {"minAvailable": 1},
                "status": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
            }),
        );
    }
}
