//! Every filter against small clusters.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::scheduler::cluster::Cluster;
use crate::scheduler::pod::Pod;

fn pod(uid: &str, spec: Value) -> Pod {
    let meta = json!({"name": uid, "namespace": "default", "uid": uid, "labels": {"app": "web"}});
    Pod::parse(json!({"metadata": meta, "spec": spec}).to_string().as_bytes()).expect("a pod")
}

/// Two nodes in zone a and one in b; `n1` has a pod with the given spec, if any.
fn check(node_spec: Value, placed: Option<Value>, spec: Value, expected: [&str; 3]) {
    let mut cluster = Cluster::default();
    for (name, zone) in [("n1", "a"), ("n2", "a"), ("n3", "b")] {
        let own = if name == "n1" { node_spec.clone() } else { json!({}) };
        let allocatable = json!({"cpu": "1", "memory": "1Gi", "pods": "2", "x.io/gpu": "1"});
        let node = json!({
            "metadata": {"name": name, "labels": {"zone": zone, "host": name}},
            "spec": own, "status": {"allocatable": allocatable},
        });
        cluster.put_node(Node::read(node.to_string().as_bytes()).expect("a node"));
    }
    if let Some(placed) = placed {
        cluster.place(&Arc::new(pod("placed", placed)), "n1");
    }
    let pod = pod("new", spec.clone());
    let context = Context::new(&pod, &cluster);
    for ((_, node, slot), expected) in cluster.nodes().zip(expected) {
        let found = match super::check(&context, node, slot) {
            Ok(()) => String::new(),
            Err((_, rejection)) => rejection.reasons.join(", "),
        };
        assert_eq!(found, expected, "{spec} on {}", node.name);
    }
}

fn asks(requests: Value) -> Value {
    json!({"containers": [{"resources": {"requests": requests}}]})
}

#[test]
fn cordons_and_taints() {
    let cordoned = json!({"unschedulable": true});
    check(cordoned.clone(), None, json!({}), ["node(s) were unschedulable", "", ""]);
    check(cordoned, None, json!({"tolerations": [{"operator": "Exists"}]}), ["", "", ""]);
    let tainted = json!({"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]});
    let untolerated = ["node(s) had untolerated taint(s)", "", ""];
    check(tainted.clone(), None, json!({}), untolerated);
    check(tainted.clone(), None, json!({"tolerations": [{"key": "k", "value": "w"}]}), untolerated);
    check(tainted.clone(), None, json!({"tolerations": [{"key": "k", "value": "v"}]}), ["", "", ""]);
    check(
        tainted,
        None,
        json!({"tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute"}]}),
        untolerated,
    );
    let preferred = json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]});
    check(preferred, None, json!({}), ["", "", ""]);
}

#[test]
fn node_names_and_affinity() {
    let name = "node(s) didn't match the requested node name";
    check(json!({}), None, json!({"nodeName": "n2"}), [name, "", name]);
    let no = "node(s) didn't match Pod's node affinity/selector";
    check(json!({}), None, json!({"nodeSelector": {"zone": "b"}}), [no, no, ""]);
    let required = |terms: Value| {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    };
    let zone = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]});
    let field = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]});
    check(json!({}), None, required(json!([zone, field])), ["", no, ""]);
    check(json!({}), None, required(json!([{}])), [no, no, no]);
}

#[test]
fn resources_and_ports() {
    let half = || Some(asks(json!({"cpu": "500m", "memory": "512Mi"})));
    check(json!({}), half(), asks(json!({"cpu": "500m"})), ["", "", ""]);
    check(
        json!({}),
        half(),
        asks(json!({"cpu": "501m", "memory": "513Mi"})),
        ["Insufficient cpu, Insufficient memory", "", ""],
    );
    check(json!({}), None, asks(json!({"x.io/gpu": "2"})), ["Insufficient x.io/gpu"; 3]);
    let init = json!({
        "initContainers": [
            {"restartPolicy": "Always", "resources": {"requests": {"cpu": "300m"}}},
            {"resources": {"requests": {"cpu": "800m"}}},
        ],
        "containers": [{"resources": {"requests": {"cpu": "100m"}}}],
    });
    check(json!({}), None, init, ["Insufficient cpu"; 3]);
    let port = |port: Value| json!({"containers": [{"ports": [port]}]});
    let taken = ["node(s) didn't have free ports for the requested pod ports", "", ""];
    let http = || Some(port(json!({"hostPort": 80, "protocol": "TCP"})));
    check(json!({}), http(), port(json!({"hostPort": 80, "hostIP": "10.0.0.1"})), taken);
    check(json!({}), http(), port(json!({"hostPort": 80, "protocol": "UDP"})), ["", "", ""]);
}

#[test]
fn spreading() {
    let spread = |key: &str, when: &str| {
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "web"}}}]})
    };
    let skewed = "node(s) didn't match pod topology spread constraints";
    check(json!({}), Some(json!({})), spread("zone", "DoNotSchedule"), [skewed, skewed, ""]);
    check(json!({}), Some(json!({})), spread("host", "DoNotSchedule"), [skewed, "", ""]);
    check(json!({}), Some(json!({})), spread("zone", "ScheduleAnyway"), ["", "", ""]);
    let missing = "node(s) didn't match pod topology spread constraints (missing required label)";
    check(json!({}), None, spread("rack", "DoNotSchedule"), [missing; 3]);
}

#[test]
fn affinity_between_pods() {
    let rule = |kind: &str, app: &str| {
        json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}}]}}})
    };
    let (near, apart) = ("node(s) didn't match pod affinity rules", "node(s) didn't match pod anti-affinity rules");
    let repelled = "node(s) didn't satisfy existing pods anti-affinity rules";
    check(json!({}), Some(json!({})), rule("podAffinity", "web"), ["", "", near]);
    check(json!({}), None, rule("podAffinity", "web"), ["", "", ""]);
    check(json!({}), None, rule("podAffinity", "db"), [near; 3]);
    check(json!({}), Some(json!({})), rule("podAntiAffinity", "web"), [apart, apart, ""]);
    check(json!({}), Some(rule("podAntiAffinity", "web")), json!({}), [repelled, repelled, ""]);
}
