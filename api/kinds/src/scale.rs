//! Scale (autoscaling/v1): the number of replicas of a workload, seen through `/scale`. Nothing is stored under it.

use serde_json::{Map, Value, json};

use crate::findings::{Findings, NEGATIVE};
use crate::path::{Path, integer, set as set_field, text};
use crate::selector::Selector;
use crate::{Causes, Kind, Strategy};

/// Scale.
pub static SCALE: Kind = Kind {
    group: "autoscaling",
    kind: "Scale",
    plural: "scales",
    singular: "scale",
    schema: "io.k8s.api.autoscaling.v1.Scale",
    verbs: &[],
    strategy: Strategy { validate, ..Strategy::PLAIN },
    ..Kind::BASE
};

fn validate(scale: &Value) -> Causes {
    let mut findings = Findings::default();
    let replicas = integer(&scale["spec"], "replicas");
    if replicas < 0 {
        findings.invalid(Path::root("spec.replicas"), replicas, NEGATIVE);
    }
    findings.done()
}

/// The Scale of a workload.
pub fn of(object: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let selector = &object["spec"]["selector"];
    let selector = match text(object, "kind") {
        "ReplicationController" => Selector::from_map(selector),
        _ => Selector::from_object(selector),
    };
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": integer(&object["spec"], "replicas")},
        "status": {
            "replicas": integer(&object["status"], "replicas"),
            "selector": selector.to_string(),
        },
    })
}

/// Sets a workload's replicas to those of a Scale.
///
/// # Errors
/// When the Scale names another object or asks for less than nothing.
pub fn set(object: &mut Value, scale: &Value) -> Result<(), String> {
    let name = text(&scale["metadata"], "name");
    if !name.is_empty() && object["metadata"]["name"] != name {
        return Err(format!("the name of the scale object ({name}) does not match the name on the URL"));
    }
    if let Some(cause) = validate(scale).first() {
        return Err(cause.to_string());
    }
    set_field(&mut object["spec"], "replicas", integer(&scale["spec"], "replicas").into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_scaled_through_its_scale() {
        let mut object = json!({
            "metadata": {"name": "web", "namespace": "d", "uid": "u", "resourceVersion": "5"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"b": "2", "a": "1"}}}, "status": {"replicas": 1},
        });
        let mut scale = of(&object);
        assert_eq!(scale["status"], json!({"replicas": 1, "selector": "a=1,b=2"}));
        scale["spec"]["replicas"] = 5.into();
        set(&mut object, &scale).unwrap();
        assert_eq!(object["spec"]["replicas"], 5);
        scale["spec"]["replicas"] = (-1).into();
        assert_eq!(
            set(&mut object, &scale).unwrap_err(),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        );
        assert!(set(&mut object, &json!({"metadata": {"name": "api"}})).is_err());
    }
}
