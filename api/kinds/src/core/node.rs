//! Node.

use serde_json::{Value, json};

use crate::findings::Findings;
use crate::kind::{Subresource, age, column, keep_all_but_status, keep_status, status, wide};
use crate::path::{Path, default, entries, has, is_true, items, part, set, text};
use crate::pod::taint_effect;
use crate::quantity::{Quantity, canonicalize_list};
use crate::{Causes, Cell, Kind, Scope, Strategy, names};

/// Node.
pub static NODE: Kind = Kind {
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    scope: Scope::Cluster,
    schema: "io.k8s.api.core.v1.Node",
    subresources: &[
        Subresource {
            name: "proxy",
            kind: "NodeProxyOptions",
            group_version: None,
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        status("Node"),
    ],
    strategy: Strategy {
        default: set_defaults,
        // The status of a new node counts: kubelets register with it.
        prepare_update: keep_status,
        prepare_status: keep_all_but_status,
        validate,
        validate_update,
        validate_status: |new, old| {
            let mut causes = validate(new);
            causes.extend(validate_update(new, old));
            causes
        },
        ..Strategy::PLAIN
    },
    columns: &[
        column("Status"),
        column("Roles"),
        column("Age"),
        column("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ],
    cells,
    selectable: &[("spec.unschedulable", |object| is_true(&object["spec"], "unschedulable").to_string())],
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");

fn set_defaults(node: &mut Value) {
    if let Some(spec) = part(node, "spec") {
        pod_networks(spec);
    }
    let Some(status) = part(node, "status") else { return };
    if let Some(capacity) = status.get("capacity").filter(|c| c.is_object()).cloned() {
        default(status, "allocatable", || capacity);
    }
    for list in ["capacity", "allocatable"] {
        if let Some(list) = part(status, list) {
            canonicalize_list(list);
        }
    }
}

/// `podCIDR` is the first of `podCIDRs`.
fn pod_networks(spec: &mut Value) {
    let (one, first) = (text(spec, "podCIDR").to_owned(), spec["podCIDRs"][0].as_str().unwrap_or_default().to_owned());
    if one.is_empty() && !first.is_empty() {
        set(spec, "podCIDR", first.into());
    } else if !one.is_empty() && one != first {
        set(spec, "podCIDRs", json!([one]));
    }
}

fn validate(node: &Value) -> Causes {
    let mut findings = Findings::default();
    let (spec, status) = (&node["spec"], &node["status"]);
    taints(spec, &mut findings);
    for list in ["capacity", "allocatable"] {
        let at = Path::root("status");
        let at = at.field(list);
        for (name, amount) in entries(status, list) {
            if Quantity::of_json(amount).is_some_and(|q| q.sign().is_lt()) {
                findings.invalid(at.field(name), amount, crate::findings::NEGATIVE);
            }
        }
    }
    let at = SPEC.field("podCIDRs");
    let networks: Vec<&str> = items(spec, "podCIDRs").iter().filter_map(Value::as_str).collect();
    for (index, network) in networks.iter().enumerate() {
        findings.names(at.index(index), network, names::cidr(network));
    }
    let families = |v6: bool| networks.iter().filter(|n| n.contains(':') == v6).count();
    if families(true) > 1 || families(false) > 1 {
        findings.invalid(at, &spec["podCIDRs"], "may specify no more than one CIDR for each IP family");
    }
    findings.done()
}

/// Kubernetes, too, says `metadata.taints` here.
fn taints(spec: &Value, findings: &mut Findings) {
    let list = Path::root("metadata.taints");
    let mut seen = Vec::new();
    for (index, taint) in items(spec, "taints").iter().enumerate() {
        let at = list.index(index);
        let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        findings.names(at.field("key"), key, names::qualified_name(key));
        let messages = names::label_value(value);
        if !messages.is_empty() {
            findings.invalid(at.field("value"), value, &messages.join(";"));
        }
        taint_effect(effect, at.field("effect"), findings);
        if seen.contains(&(key, effect)) {
            findings.duplicate_because(at, taint, "taints must be unique by key and effect pair");
        }
        seen.push((key, effect));
    }
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let mut seen: Vec<&Value> = Vec::new();
    let at = Path::root("status.addresses");
    for (index, address) in items(&new["status"], "addresses").iter().enumerate() {
        if seen.contains(&address) {
            findings.duplicate(at.index(index), address);
        }
        seen.push(address);
    }
    let (new, old) = (&new["spec"], &old["spec"]);
    if !items(old, "podCIDRs").is_empty() && items(new, "podCIDRs") != items(old, "podCIDRs") {
        let message = "node updates may not change podCIDR except from \"\" to valid";
        findings.forbidden(SPEC.field("podCIDRs"), message);
    }
    let (id, before) = (text(new, "providerID"), text(old, "providerID"));
    if !before.is_empty() && id != before {
        let message =
            if id.is_empty() { "field cannot be cleared once set" } else { "field cannot be modified once set" };
        findings.invalid(SPEC.field("providerID"), &Value::Null, message);
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let (metadata, status) = (&object["metadata"], &object["status"]);
    let ready = items(status, "conditions").iter().find(|c| c["type"] == "Ready");
    let mut state = ready.map_or("Unknown", |c| if c["status"] == "True" { "Ready" } else { "NotReady" }).to_owned();
    if is_true(&object["spec"], "unschedulable") {
        state.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<&str> = entries(metadata, "labels")
        .filter_map(|(key, value)| match key {
            "kubernetes.io/role" => value.as_str(),
            key => key.strip_prefix("node-role.kubernetes.io/"),
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    let roles = if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") };
    let address = |kind: &str| {
        let found = items(status, "addresses").iter().find(|a| a["type"] == kind);
        found.map_or("<none>", |a| text(a, "address")).to_owned()
    };
    let info = &status["nodeInfo"];
    let known =
        |field: &str| if has(info, field) && !text(info, field).is_empty() { text(info, field) } else { "<unknown>" };
    let kernel = match text(info, "architecture") {
        "" => known("kernelVersion").to_owned(),
        architecture => format!("{} ({architecture})", known("kernelVersion")),
    };
    vec![
        state.into(),
        roles.into(),
        age(object, now_us),
        text(info, "kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        known("osImage").into(),
        kernel.into(),
        known("containerRuntimeVersion").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_judged_as_kubernetes_judges_them() {
        let check = |node: Value, expected: &[&str]| {
            let found: Vec<String> = validate(&node).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"spec": {"podCIDRs": ["10.0.0.0/24"], "taints": [{"key": "a", "effect": "NoSchedule"}]}}), &[]);
        check(json!({"spec": {"taints": [{"key": "a"}]}}), &["metadata.taints[0].effect: Required value"]);
        check(
            json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "value": "b", "effect": "NoSchedule"}]}}),
            &[
                "metadata.taints[1]: Duplicate value: {\"key\":\"a\",\"value\":\"b\",\"effect\":\"NoSchedule\"}: taints must be unique by key and effect pair",
            ],
        );
        check(
            json!({"spec": {"podCIDRs": ["x"]}}),
            &[
                "spec.podCIDRs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ],
        );
    }

    #[test]
    fn what_a_node_was_given_stays() {
        let old = json!({"spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "a"}});
        let new = json!({"spec": {"podCIDRs": ["10.0.1.0/24"], "providerID": "b"}});
        let found: Vec<String> = validate_update(&new, &old).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
                "spec.providerID: Invalid value: null: field cannot be modified once set",
            ]
        );
    }

    #[test]
    fn a_row_shows_state_and_roles() {
        let node = json!({
            "metadata": {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                       "nodeInfo": {"kubeletVersion": "v1", "kernelVersion": "6.1", "architecture": "amd64"}},
        });
        let row = cells(&node, 0);
        let shown: Vec<&str> = row.iter().filter_map(Value::as_str).collect();
        assert_eq!(
            shown,
            [
                "Ready,SchedulingDisabled",
                "control-plane,worker",
                "<unknown>",
                "v1",
                "10.0.0.1",
                "<none>",
                "<unknown>",
                "6.1 (amd64)",
                "<unknown>"
            ]
        );
    }
}
