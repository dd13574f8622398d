//! What a kube-apiserver 1.37.2 made of objects and of changes to them, sound and unsound: the same defaults, generations
//! and findings, word for word, here. `recorded.json` holds bases, the changes made to each, and the answers; where ours
//! differ on purpose, [`DIFFERENT`] says why.

use std::collections::BTreeSet;

use api_kinds::core::service::{has_cluster_ip, has_node_ports};
use api_kinds::equality::same;
use api_kinds::{Causes, Kind, meta, registry};
use serde_json::{Map, Value, json};

/// A message without what depends on how Go prints structs, and without differences that are for people only.
fn plain(message: &str) -> String {
    let start = ["Invalid value: ", "Duplicate value: ", "Unsupported value: "]
        .iter()
        .find(|start| message.starts_with(**start));
    let line = message.split('\n').next().unwrap_or_default();
    match start {
        Some(start) if line[start.len()..].starts_with(['{', '[']) => {
            let end = line.rfind("}: ").max(line.rfind("]: ")).map_or(line.len(), |at| at + 1);
            format!("{start}…{}", &line[end..])
        }
        _ => line.to_owned(),
    }
}

fn set(object: &mut Value, pointer: &str, value: &Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    let mut at = object;
    for part in parent.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Array(items) => &mut items[part.parse::<usize>().unwrap()],
            other => {
                if other[&part].is_null() {
                    other[&part] = Value::Object(Map::new());
                }
                &mut other[&part]
            }
        };
    }
    match at {
        Value::Array(items) if name == "-" => items.push(value.clone()),
        Value::Array(items) if value.is_null() => drop(items.remove(name.parse().unwrap())),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
        Value::Object(map) if value.is_null() => drop(map.shift_remove(&name)),
        other => other[&name] = value.clone(),
    }
}

fn change(object: &mut Value, sets: &Value) {
    for pair in sets.as_array().into_iter().flatten() {
        set(object, pair[0].as_str().unwrap(), &pair[1]);
    }
}

/// What the API makes of a new object, short of admission.
fn create(kind: &Kind, object: &mut Value) -> Causes {
    if kind.namespaced() {
        object["metadata"]["namespace"] = "default".into();
    }
    object["metadata"]["uid"] = "UID".into();
    (kind.strategy.default)(object);
    (kind.strategy.prepare_create)(object);
    let mut causes = meta::validate(kind, object);
    causes.extend((kind.strategy.validate)(object));
    causes.extend((kind.strategy.validate_create)(object));
    causes
}

fn update(kind: &Kind, new: &mut Value, old: &Value, subresource: &str) -> Causes {
    (kind.strategy.default)(new);
    let mut causes = Causes::new();
    if subresource == "status" {
        (kind.strategy.prepare_status)(new, old);
        causes.extend((kind.strategy.validate_status)(new, old));
    } else {
        (kind.strategy.prepare_update)(new, old);
        causes.extend((kind.strategy.validate)(new));
        causes.extend((kind.strategy.validate_update)(new, old));
    }
    causes.extend(meta::validate(kind, new));
    causes.extend(meta::validate_update(new, old));
    causes
}

const ADDRESS: &str = "10.96.0.1";
const FIRST_NODE_PORT: i64 = 30_900;

/// What the API allots to a Service.
fn allot(object: &mut Value) {
    if object["kind"] != "Service" {
        return;
    }
    if has_cluster_ip(object) && object["spec"]["clusterIP"].is_null() {
        object["spec"]["clusterIP"] = ADDRESS.into();
        object["spec"]["clusterIPs"] = json!([ADDRESS]);
    }
    if has_node_ports(object) {
        for (index, port) in object["spec"]["ports"].as_array_mut().into_iter().flatten().enumerate() {
            port["nodePort"] = (FIRST_NODE_PORT + i64::try_from(index).unwrap()).into();
        }
    }
}

/// The recorded answers do not show what was allotted.
fn take_back(object: &mut Value) {
    if object["kind"] != "Service" {
        return;
    }
    let Some(spec) = object["spec"].as_object_mut() else { return };
    if spec.get("clusterIP").is_some_and(|ip| ip == ADDRESS) {
        spec.shift_remove("clusterIP");
        spec.shift_remove("clusterIPs");
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if port["nodePort"].as_i64().is_some_and(|n| n >= FIRST_NODE_PORT) {
            port.as_object_mut().unwrap().shift_remove("nodePort");
        }
    }
}

/// A set, for Kubernetes' own order is that of Go's maps.
fn words(causes: impl Iterator<Item = (String, String, String)>) -> BTreeSet<(String, String, String)> {
    causes.map(|(reason, field, message)| (reason, field, plain(&message))).collect()
}

fn replay(bases: &Value, case: &Value) -> Result<(), String> {
    let base = case["base"].as_str().unwrap();
    let mut object = bases[base].clone();
    let (version, name) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let kind = match version {
        "events.k8s.io/v1" => &api_kinds::core::event::EVENTS_K8S_IO_EVENT,
        _ => registry::by_kind(version, name).unwrap(),
    };
    change(&mut object, &case["old"]);
    let found = match case["update"].as_str() {
        None => {
            change(&mut object, &case["set"]);
            create(kind, &mut object)
        }
        Some(subresource) => {
            let causes = create(kind, &mut object);
            assert_eq!(causes, [], "{case}");
            allot(&mut object);
            let old = object.clone();
            change(&mut object, &case["set"]);
            let causes = update(kind, &mut object, &old, subresource);
            take_back(&mut object);
            causes
        }
    };
    let found = words(found.iter().map(|c| (c.reason.as_str().to_owned(), c.field.clone(), c.message.clone())));
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let expected = case["causes"].as_array();
    let expected = words(expected.into_iter().flatten().map(|c| (text(&c[0]), text(&c[1]), text(&c[2]))));
    if found != expected {
        let missing: Vec<_> = expected.difference(&found).collect();
        let extra: Vec<_> = found.difference(&expected).collect();
        return Err(format!("missing {missing:#?}\nextra {extra:#?}"));
    }
    if case["out"].is_object() {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.shift_remove("uid");
        }
        if !same(&object, &case["out"]) {
            return Err(format!("{object}\nis not\n{}", case["out"]));
        }
    }
    Ok(())
}

/// Cases that are answered otherwise on purpose: base, changes, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[];

#[test]
fn answers_are_those_of_a_kube_apiserver() {
    let recorded: Value = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let mut failures = Vec::new();
    for case in recorded["cases"].as_array().unwrap() {
        let id = format!("{} {}", case["base"].as_str().unwrap(), json!([case["old"], case["set"], case["update"]]));
        let excused = DIFFERENT
            .iter()
            .any(|(base, changes, _)| case["base"] == *base && case["set"].to_string().as_str() == *changes);
        match replay(&recorded["bases"], case) {
            Ok(()) if excused => failures.push(format!("{id}: is the same by now")),
            Err(why) if !excused => failures.push(format!("{id}: {why}")),
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n\n"));
}
