//! Scale (autoscaling/v1): the number of replicas of a workload, seen through `/scale`.

use serde_json::{Value, json};

use crate::path::text;
use crate::selector::{Operator, Selector};

/// The Scale of a workload.
pub fn of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {
            "replicas": object["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector_text(&object["spec"]["selector"]),
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
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        return Err("spec.replicas: Invalid value: must be greater than or equal to 0".to_owned());
    }
    object["spec"]["replicas"] = replicas.into();
    Ok(())
}

/// A label selector as a query would say it.
pub fn selector_text(selector: &Value) -> String {
    let mut terms: Vec<String> = Selector::from_object(selector)
        .0
        .into_iter()
        .map(|requirement| {
            let key = requirement.key;
            match requirement.operator {
                Operator::In(values) if values.len() == 1 => format!("{key}={}", values[0]),
                Operator::In(values) => format!("{key} in ({})", values.join(",")),
                Operator::NotIn(values) => format!("{key} notin ({})", values.join(",")),
                Operator::Exists => key,
                Operator::DoesNotExist => format!("!{key}"),
                Operator::Gt(bound) => format!("{key}>{bound}"),
                Operator::Lt(bound) => format!("{key}<{bound}"),
            }
        })
        .collect();
    terms.sort();
    terms.join(",")
}
