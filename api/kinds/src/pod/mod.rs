//! Pod, and what everything with a pod template shares with it.

pub mod binding;
mod containers;
mod defaults;
mod dns;
mod env;
pub mod ephemeral;
mod mounts;
mod printing;
mod probes;
mod qos;
mod resources;
mod scheduling;
mod security;
mod spec;
mod status;
mod update;
mod volumes;

use serde_json::{Value, json};

pub(crate) use containers::{port_number as check_port_number, port_number_or_name as check_port};
pub use defaults::pod_spec as default_spec;
pub use qos::class as qos_class;
pub(crate) use resources::{is_standard as is_standard_resource, quantity as check_quantity, resource_name};
pub(crate) use scheduling::{node_selector, taint_effect};
pub use spec::validate as validate_spec;

use crate::kind::{
    Subresource, bump_generation, column, keep_all_but_status, keep_status, set_generation, status, wide,
};
use crate::path::{default, has, integer, items, part, set, text};
use crate::{Kind, Strategy};

/// Pod.
pub static POD: Kind = Kind {
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    schema: "io.k8s.api.core.v1.Pod",
    subresources: &[
        Subresource { name: "attach", kind: "PodAttachOptions", group_version: None, verbs: &["create", "get"] },
        Subresource { name: "binding", kind: "Binding", group_version: None, verbs: &["create"] },
        Subresource {
            name: "ephemeralcontainers",
            kind: "Pod",
            group_version: None,
            verbs: &["get", "patch", "update"],
        },
        Subresource { name: "eviction", kind: "Eviction", group_version: Some(("policy", "v1")), verbs: &["create"] },
        Subresource { name: "exec", kind: "PodExecOptions", group_version: None, verbs: &["create", "get"] },
        Subresource { name: "log", kind: "Pod", group_version: None, verbs: &["get"] },
        Subresource {
            name: "portforward",
            kind: "PodPortForwardOptions",
            group_version: None,
            verbs: &["create", "get"],
        },
        status("Pod"),
    ],
    strategy: Strategy {
        default: defaults::pod,
        prepare_create,
        prepare_update: |new, old| {
            keep_status(new, old);
            bump_generation(new, old);
        },
        prepare_status,
        validate: spec::validate_pod,
        validate_create: ephemeral::validate_create,
        validate_update: update::validate,
        validate_status: status::validate,
        grace_period_s: |pod| Some(grace_period_s(pod)),
        ..Strategy::PLAIN
    },
    columns: &[
        column("Ready"),
        column("Status"),
        column("Restarts"),
        column("Age"),
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ],
    cells: printing::cells,
    selectable: &[
        ("spec.nodeName", |o| text(&o["spec"], "nodeName").to_owned()),
        ("spec.restartPolicy", |o| text(&o["spec"], "restartPolicy").to_owned()),
        ("spec.schedulerName", |o| text(&o["spec"], "schedulerName").to_owned()),
        ("spec.serviceAccountName", |o| text(&o["spec"], "serviceAccountName").to_owned()),
        ("spec.hostNetwork", |o| (o["spec"]["hostNetwork"] == true).to_string()),
        ("status.phase", |o| text(&o["status"], "phase").to_owned()),
        ("status.podIP", |o| text(&o["status"], "podIP").to_owned()),
        ("status.nominatedNodeName", |o| text(&o["status"], "nominatedNodeName").to_owned()),
    ],
    returns_deleted: true,
    ..Kind::BASE
};

/// A new pod waits for its node; the class of its service is decided here, once.
fn prepare_create(pod: &mut Value) {
    set_generation(pod, 1);
    scheduling::merge_label_keys(pod);
    let now = pod["metadata"]["creationTimestamp"].clone();
    if let Some(spec) = part(pod, "spec") {
        resources::default_pod(spec);
    }
    let mut status = json!({"phase": "Pending", "qosClass": qos::class(&pod["spec"])});
    if !items(&pod["spec"], "schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "lastProbeTime": null, "lastTransitionTime": now,
            "reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    set(pod, "status", status);
}

fn prepare_status(new: &mut Value, old: &Value) {
    keep_all_but_status(new, old);
    if let Some(owners) = old["metadata"].get("ownerReferences") {
        set(&mut new["metadata"], "ownerReferences", owners.clone());
    } else if let Some(metadata) = new["metadata"].as_object_mut() {
        metadata.shift_remove("ownerReferences");
    }
    if let (Some(status), Some(class)) = (new.get_mut("status"), old["status"].get("qosClass")) {
        default(status, "qosClass", || class.clone());
    }
}

/// How long a pod has to end: its own grace; none before it has a node, and none when it has ended already.
fn grace_period_s(pod: &Value) -> i64 {
    if text(&pod["spec"], "nodeName").is_empty() || matches!(text(&pod["status"], "phase"), "Failed" | "Succeeded") {
        return 0;
    }
    match &pod["spec"] {
        spec if !has(spec, "terminationGracePeriodSeconds") => 0,
        spec => match integer(spec, "terminationGracePeriodSeconds") {
            negative if negative < 0 => 1,
            seconds => seconds,
        },
    }
}
