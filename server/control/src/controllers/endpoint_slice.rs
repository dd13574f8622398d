//! EndpointSlices and Endpoints: where the pods of a Service are.

use std::collections::BTreeMap;

use api_kinds::core::endpoints::ENDPOINTS;
use api_kinds::core::service::SERVICE;
use api_kinds::networking::endpoint_slice::ENDPOINT_SLICE;
use api_kinds::pod::POD;
use serde_json::{Value, json};

use crate::objects::{Labels, Pod};
use crate::{Change, Controller, Deletion, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("endpointslice-controller", wakes, reconcile);

/// Endpoints of one slice (`--max-endpoints-per-slice`).
const PER_SLICE: usize = 100;
/// Addresses that Endpoints hold at most.
const ENDPOINTS_MAX: usize = 1000;
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    if change.is(&SERVICE) || change.is(&ENDPOINTS) {
        return vec![change.key.clone()];
    }
    if change.is(&ENDPOINT_SLICE) {
        return change.both().filter_map(|m| Some(Key::new(&m.namespace, m.labels.get(SERVICE_LABEL)?))).collect();
    }
    if !change.is(&POD) {
        return Vec::new();
    }
    let mut keys: Vec<Key> = Vec::new();
    for (key, service) in view.list(&SERVICE, &change.key.namespace) {
        if change.both().any(|meta| selects(service, &meta.labels)) {
            keys.push(key.clone());
        }
    }
    keys
}

fn selects(service: &Value, labels: &Labels) -> bool {
    let selector = service["spec"]["selector"].as_object().filter(|s| !s.is_empty());
    selector.is_some_and(|s| s.iter().all(|(k, v)| labels.get(k) == v.as_str()))
}

fn reconcile(view: &View, key: &Key, _now: &Now) -> Plan {
    let mut plan = Plan::default();
    let Some(service) = view.get(&SERVICE, key) else { return plan };
    let without = service["spec"]["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    if without || service["spec"]["type"] == "ExternalName" || service["metadata"]["deletionTimestamp"].is_string() {
        return plan;
    }
    let pods: Vec<&Pod> = view
        .pods_in(&key.namespace)
        .filter(|pod| !pod.ip.is_empty() && !pod.finished() && selects(service, &pod.meta.labels))
        .map(|pod| &**pod)
        .collect();
    let mut groups: BTreeMap<String, (Value, Vec<&Pod>)> = BTreeMap::new();
    for pod in pods {
        let ports = ports(service, pod);
        groups.entry(ports.to_string()).or_insert_with(|| (ports, Vec::new())).1.push(pod);
    }
    slices(view, key, service, &groups, &mut plan);
    endpoints(view, key, service, &groups, &mut plan);
    plan
}

/// The Service's ports on a pod: named target ports may lie elsewhere on each.
fn ports(service: &Value, pod: &Pod) -> Value {
    let all = service["spec"]["ports"].as_array().into_iter().flatten();
    all.filter_map(|port| {
        let number = match &port["targetPort"] {
            Value::String(name) => {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                pod.ports.iter().find(|p| *p.name == **name && *p.protocol == *protocol)?.number
            }
            number => number.as_i64().filter(|n| *n != 0).or(port["port"].as_i64())?,
        };
        let mut found =
            json!({"name": port["name"].as_str().unwrap_or_default(), "port": number, "protocol": port["protocol"]});
        if let Some(protocol) = port["appProtocol"].as_str() {
            found["appProtocol"] = protocol.into();
        }
        Some(found)
    })
    .collect()
}

fn endpoint(pod: &Pod, publish_not_ready: bool) -> Value {
    let serving = pod.ready_since_us.is_some();
    let ready = publish_not_ready || (serving && !pod.meta.deleting);
    json!({
        "addresses": [pod.ip],
        "conditions": {"ready": ready, "serving": serving, "terminating": pod.meta.deleting},
        "nodeName": pod.node,
        "targetRef": {"kind": "Pod", "namespace": pod.meta.namespace, "name": pod.meta.name, "uid": pod.meta.uid},
    })
}

fn owner(service: &Value) -> Value {
    json!([{
        "apiVersion": "v1", "kind": "Service", "name": service["metadata"]["name"], "uid": service["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }])
}

fn slices(view: &View, key: &Key, service: &Value, groups: &BTreeMap<String, (Value, Vec<&Pod>)>, plan: &mut Plan) {
    let publish = service["spec"]["publishNotReadyAddresses"] == true;
    let uid = service["metadata"]["uid"].as_str().unwrap_or_default();
    let mut wanted: Vec<(Value, Vec<Value>)> = Vec::new();
    for (ports, pods) in groups.values() {
        for some in pods.chunks(PER_SLICE) {
            wanted.push((ports.clone(), some.iter().map(|pod| endpoint(pod, publish)).collect()));
        }
    }
    if wanted.is_empty() {
        wanted.push((Value::Array(Vec::new()), Vec::new()));
    }
    let mut existing: Vec<(Key, Value)> = view
        .dependents(uid)
        .filter(|(id, _)| std::ptr::eq(id.kind(), &ENDPOINT_SLICE))
        .filter_map(|(_, key)| Some((key.clone(), Value::clone(view.get(&ENDPOINT_SLICE, key)?))))
        .collect();
    existing.retain(|(_, slice)| {
        slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    });
    for (ports, endpoints) in wanted {
        // Slices keep what they hold as far as they can: a slice that shares endpoints is the one to update.
        let shares = |slice: &Value| {
            slice["endpoints"].as_array().is_some_and(|held| {
                held.iter().any(|h| endpoints.iter().any(|e| e["targetRef"]["uid"] == h["targetRef"]["uid"]))
            })
        };
        let best = existing.iter().position(|(_, s)| s["ports"] == ports && shares(s));
        let place = best.or_else(|| (!existing.is_empty()).then_some(0));
        let (target, at, current) = match place.map(|i| existing.remove(i)) {
            Some((slice_key, slice)) => {
                let at = view.meta(&ENDPOINT_SLICE, &slice_key).map(|m| m.revision);
                (Target::of(&ENDPOINT_SLICE, &slice_key.namespace, &slice_key.name), at, Some(slice))
            }
            None => (Target::of(&ENDPOINT_SLICE, &key.namespace, ""), None, None),
        };
        match (current, at) {
            (Some(slice), Some(at)) => {
                let held = slice["endpoints"].as_array().cloned().unwrap_or_default();
                let held_ports = slice["ports"].as_array().cloned().unwrap_or_default();
                if held != endpoints || Value::Array(held_ports) != ports {
                    let patch = json!({"endpoints": endpoints, "ports": ports});
                    plan.push(Intent::Patch { target, at: Some(at), patch });
                }
            }
            _ => plan.push(Intent::Create { target, object: slice(key, service, ports, endpoints) }),
        }
    }
    for (key, slice) in existing {
        let uid = slice["metadata"]["uid"].as_str().map(str::to_owned);
        plan.push(Intent::Delete {
            target: Target::of(&ENDPOINT_SLICE, &key.namespace, &key.name),
            deletion: Deletion { uid, ..Deletion::default() },
        });
    }
}

fn slice(key: &Key, service: &Value, ports: Value, endpoints: Vec<Value>) -> Value {
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(SERVICE_LABEL.to_owned(), key.name.clone().into());
    labels.insert("endpointslice.kubernetes.io/managed-by".to_owned(), "endpointslice-controller.k8s.io".into());
    if service["spec"]["clusterIP"] == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), "".into());
    }
    json!({
        "metadata": {
            "generateName": format!("{}-", key.name), "namespace": key.namespace, "labels": labels, "ownerReferences": owner(service),
        },
        "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
    })
}

fn endpoints(view: &View, key: &Key, service: &Value, groups: &BTreeMap<String, (Value, Vec<&Pod>)>, plan: &mut Plan) {
    let publish = service["spec"]["publishNotReadyAddresses"] == true;
    let subsets: Vec<Value> = groups
        .values()
        .map(|(ports, pods)| {
            let address = |pod: &&&Pod| {
                json!({
                    "ip": pod.ip, "nodeName": pod.node,
                    "targetRef": {"kind": "Pod", "namespace": pod.meta.namespace, "name": pod.meta.name, "uid": pod.meta.uid},
                })
            };
            let live = || pods.iter().filter(|pod| !pod.meta.deleting).take(ENDPOINTS_MAX);
            let ready: Vec<Value> = live().filter(|pod| publish || pod.ready()).map(|pod| address(&pod)).collect();
            let waiting: Vec<Value> = live().filter(|pod| !publish && !pod.ready()).map(|pod| address(&pod)).collect();
            let mut subset = json!({});
            for (field, list) in [("addresses", ready), ("notReadyAddresses", waiting)] {
                if !list.is_empty() {
                    subset[field] = list.into();
                }
            }
            let named = ports.as_array().into_iter().flatten().map(|port| {
                let mut port = port.clone();
                if port["name"] == ""
                    && let Some(map) = port.as_object_mut()
                {
                    map.shift_remove("name");
                }
                port
            });
            subset["ports"] = named.collect();
            subset
        })
        .filter(|subset| subset["addresses"].is_array() || subset["notReadyAddresses"].is_array())
        .collect();
    let target = Target::of(&ENDPOINTS, &key.namespace, &key.name);
    let Some(current) = view.get(&ENDPOINTS, key) else {
        let labels = service["metadata"]["labels"].clone();
        let object = json!({"metadata": {"name": key.name, "namespace": key.namespace, "labels": labels, "ownerReferences": owner(service)}, "subsets": subsets});
        plan.push(Intent::Create { target, object });
        return;
    };
    if current["subsets"].as_array().cloned().unwrap_or_default() != subsets {
        let at = view.meta(&ENDPOINTS, key).map(|meta| meta.revision);
        plan.push(Intent::Patch { target, at, patch: json!({"subsets": subsets}) });
    }
}
