//! Node.

use serde_json::Value;

use crate::kind::{age, bump_generation, column, keep_all_but_status, keep_status, status, wide};
use crate::path::{Findings, items, text};
use crate::{Causes, Cell, Kind, Scope, Strategy, names};

/// Node.
pub static NODE: Kind = Kind {
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    scope: Scope::Cluster,
    schema: "io.k8s.api.core.v1.Node",
    subresources: &[status("Node")],
    strategy: Strategy {
        // The status of a new node counts: kubelets register with it.
        prepare_update: |new, old| {
            keep_status(new, old);
            bump_generation(new, old);
        },
        prepare_status: keep_all_but_status,
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            if !text(&old["spec"], "podCIDR").is_empty() {
                findings.immutable("spec.podCIDR", &new["spec"]["podCIDR"], &old["spec"]["podCIDR"]);
            }
            if !text(&old["spec"], "providerID").is_empty() {
                findings.immutable("spec.providerID", &new["spec"]["providerID"], &old["spec"]["providerID"]);
            }
            findings.done()
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
    selectable: &[("spec.unschedulable", |object| (object["spec"]["unschedulable"] == true).to_string())],
    ..Kind::BASE
};

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let mut seen = Vec::new();
    for (path, taint) in items(&object["spec"], "taints", "spec") {
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        findings.names(&format!("{path}.key"), key, names::qualified_name(key));
        findings.names(&format!("{path}.value"), text(taint, "value"), names::label_value(text(taint, "value")));
        if effect.is_empty() {
            findings.required(&format!("{path}.effect"), "");
        } else if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
            findings.unsupported(&format!("{path}.effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
        if seen.contains(&(key, effect)) {
            findings.duplicate(&path, taint);
        }
        seen.push((key, effect));
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let mut state = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["type"] == "Ready")
        .map_or("Unknown", |c| if c["status"] == "True" { "Ready" } else { "NotReady" })
        .to_owned();
    if object["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<&str> = object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    let roles = if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") };
    let address = |kind: &str| {
        let all = object["status"]["addresses"].as_array().into_iter().flatten();
        all.clone().find(|a| a["type"] == kind).map_or("<none>", |a| text(a, "address")).to_owned()
    };
    let info = |field: &str| {
        let value = text(&object["status"]["nodeInfo"], field);
        if value.is_empty() { "<unknown>".to_owned() } else { value.to_owned() }
    };
    vec![
        state.into(),
        roles.into(),
        age(object, now_us),
        text(&object["status"]["nodeInfo"], "kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}
