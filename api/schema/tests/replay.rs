//! Lives of objects as a real kube-apiserver recorded them (`recorded/`), lived again with this crate: the same owners at
//! every step, the same fields, the same refusals.

use api_schema::apply::{ApplyError, Writer, apply, resets, track_update, typed};
use api_schema::patch::{PatchError, json, merge, strategic};
use api_schema::{FieldValidation, Schema, check};
use serde_json::Value;

fn text<'v>(step: &'v Value, field: &str) -> &'v str {
    step[field].as_str().unwrap_or_default()
}

/// Without what the server writes at every turn.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for name in ["managedFields", "generation", "resourceVersion", "uid", "creationTimestamp", "namespace"] {
            metadata.shift_remove(name);
        }
    }
    object
}

/// Fields that defaulting, allocation and admission add; the schema crate does none of that.
const ADDED: [&str; 39] = [
    "allocateLoadBalancerNodePorts",
    "apiVersion",
    "clusterIP",
    "clusterIPs",
    "defaultMode",
    "dnsPolicy",
    "enableServiceLinks",
    "failureThreshold",
    "imagePullPolicy",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "lastState",
    "maxSurge",
    "maxUnavailable",
    "observedGeneration",
    "periodSeconds",
    "priority",
    "preemptionPolicy",
    "progressDeadlineSeconds",
    "protocol",
    "qosClass",
    "resources",
    "restartPolicy",
    "revisionHistoryLimit",
    "rollingUpdate",
    "replicas",
    "schedulerName",
    "scheme",
    "securityContext",
    "sessionAffinity",
    "status",
    "strategy",
    "successThreshold",
    "targetPort",
    "terminationGracePeriodSeconds",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "timeoutSeconds",
];

/// Where ours is not what the server has, defaults aside.
fn differences(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                match theirs.get(name) {
                    Some(their) => differences(value, their, &format!("{path}.{name}"), found),
                    // Go does not write empty lists and maps.
                    None if value.as_array().is_some_and(Vec::is_empty) => {}
                    None if value.as_object().is_some_and(serde_json::Map::is_empty) => {}
                    None => found.push(format!("{path}.{name} should be gone")),
                }
            }
            for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
                let added = ADDED.contains(&name.as_str()) || (name == "type" && path.ends_with("hostPath"));
                let added = added || (name == "type" && path.ends_with("spec"));
                if !added && !theirs[name].is_null() {
                    found.push(format!("{path}.{name} is missing"));
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                differences(ours, theirs, &format!("{path}[{at}]"), found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{path} is {ours}, should be {theirs}")),
    }
}

/// When the server did the step: its writer's entry says so.
fn now_us(step: &Value) -> i64 {
    let entries = step["after"]["metadata"]["managedFields"].as_array();
    let times = entries.into_iter().flatten().filter_map(|entry| api_kinds::time::parse(entry["time"].as_str()?));
    times.max().unwrap_or(0)
}

fn patch(schema: Schema<'_>, step: &Value, object: &mut Value) -> Result<(), PatchError> {
    match text(step, "op") {
        "strategic" => strategic::apply(schema, object, &step["body"]),
        "merge" => merge::apply(object, &step["body"]),
        _ => json::apply(object, &step["body"]),
    }
}

fn replay(recording: &str) {
    let recording: Value = serde_json::from_str(recording).unwrap();
    let schema = Schema::named(text(&recording, "schema")).unwrap();
    let mut live: Option<Value> = None;
    for (at, step) in recording["steps"].as_array().unwrap().iter().enumerate() {
        let name = format!("step {at}: {} by {}", text(step, "op"), text(step, "manager"));
        let subresource = text(step, "subresource");
        let writer = Writer {
            manager: text(step, "manager"),
            api_version: text(&recording, "apiVersion"),
            subresource,
            now_us: now_us(step),
            reset: resets(schema.root.short_name(), subresource),
        };
        let refused = step["refused"].as_str();
        let ours = match text(step, "op") {
            "apply" => one_apply(schema, live.as_ref(), step, &writer),
            _ => one_write(schema, live.as_ref(), step, &writer, &name),
        };
        match (ours, refused) {
            (Err(ours), Some(theirs)) => assert!(theirs.ends_with(&ours), "{name}: {ours:?} should be {theirs:?}"),
            // Validation is not this crate's.
            (Ok(_), Some(theirs)) => assert!(theirs.contains(" is invalid: "), "{name}: should be refused: {theirs}"),
            (Err(ours), None) => panic!("{name}: refused: {ours}"),
            (Ok(ours), None) => {
                let (ours, theirs) = (&ours["metadata"]["managedFields"], &step["after"]["metadata"]["managedFields"]);
                assert_eq!(ours, theirs, "{name}: owners\nours   {ours}\ntheirs {theirs}\n");
            }
        }
        if step["after"].is_object() {
            live = Some(step["after"].clone());
        }
    }
}

fn one_apply(schema: Schema<'_>, live: Option<&Value>, step: &Value, writer: &Writer<'_>) -> Result<Value, String> {
    let message = |error: ApplyError| error.of_object(&step["body"]);
    let mut config = step["body"].clone();
    // The API leaves status to its subresource, and everything else to the main resource.
    if let Value::Object(map) = &mut config {
        map.retain(|name, _| match writer.subresource {
            "status" => matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"),
            _ => name != "status",
        });
    }
    let config = typed(schema, &config).map_err(message)?;
    let applied = apply(schema, live, &config, writer, step["force"] == true).map_err(message)?;
    if step["after"].is_object() && writer.subresource.is_empty() {
        let mut found = Vec::new();
        differences(&bare(&applied), &bare(&step["after"]), "", &mut found);
        assert_eq!(found, Vec::<String>::new(), "apply of {}", step["body"]);
    }
    Ok(applied)
}

fn one_write(
    schema: Schema<'_>,
    live: Option<&Value>,
    step: &Value,
    writer: &Writer<'_>,
    name: &str,
) -> Result<Value, String> {
    if let (Some(live), "strategic" | "merge" | "json") = (live, text(step, "op")) {
        let mut patched = live.clone();
        patch(schema, step, &mut patched).map_err(|error| match error {
            // Of these Kubernetes says nothing more.
            PatchError::DoesNotApply(_) if text(step, "op") == "json" => {
                "the server rejected our request due to an error in our request".to_owned()
            }
            other => other.to_string(),
        })?;
        check(schema, &mut patched, &[], FieldValidation::Ignore).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        differences(&bare(&patched), &bare(&step["after"]), "", &mut found);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
    let mut new = step["after"].clone();
    if !new.is_object() {
        return Ok(new);
    }
    let metadata = new["metadata"].as_object_mut().unwrap();
    metadata.shift_remove("managedFields");
    if let Some(sent) = step.get("sentManagedFields") {
        metadata.insert("managedFields".to_owned(), sent.clone());
    }
    if live.is_none() {
        // What admission adds comes after the bookkeeping.
        let sent = &step["body"]["spec"];
        if let Some(spec) = new["spec"].as_object_mut() {
            spec.retain(|name, _| {
                sent.get(name).is_some() || !matches!(name.as_str(), "tolerations" | "preemptionPolicy" | "taints")
            });
        }
    }
    track_update(schema, live, &mut new, writer);
    Ok(new)
}

#[test]
fn a_deployment_that_is_updated_and_patched() {
    replay(include_str!("recorded/update.json"));
}

#[test]
fn a_deployment_that_is_applied_by_several() {
    replay(include_str!("recorded/apply.json"));
}

#[test]
fn a_service() {
    replay(include_str!("recorded/service.json"));
}

#[test]
fn a_config_map_with_many_managers() {
    replay(include_str!("recorded/configmap.json"));
}

#[test]
fn a_node() {
    replay(include_str!("recorded/node.json"));
}

#[test]
fn a_pod() {
    replay(include_str!("recorded/pod.json"));
}
