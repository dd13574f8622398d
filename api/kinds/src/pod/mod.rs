//! Pod, and what everything with a pod template shares with it.

mod defaults;
mod printing;
mod qos;
mod validate;

use serde_json::{Value, json};

pub use defaults::pod_spec as default_spec;
pub use qos::class as qos_class;
pub(crate) use validate::port as check_port;
pub use validate::{Context, spec as validate_spec};

use crate::kind::{
    Subresource, bump_generation, column, keep_all_but_status, keep_status, set_generation, status, wide,
};
use crate::path::{Findings, text};
use crate::{Causes, Kind, Strategy};

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
        default: |object| {
            if let Some(spec) = object.get_mut("spec") {
                defaults::pod_spec(spec);
            }
        },
        prepare_create: |object| {
            object["status"] = json!({"phase": "Pending", "qosClass": qos::class(&object["spec"])});
            set_generation(object, 1);
        },
        prepare_update: |new, old| {
            keep_status(new, old);
            bump_generation(new, old);
        },
        prepare_status: |new, old| {
            keep_all_but_status(new, old);
            // The class of a pod is decided once.
            if let Some(class) = old["status"].get("qosClass") {
                new["status"]["qosClass"] = class.clone();
            }
        },
        validate: |object| validate::spec(&object["spec"], "spec", Context::Pod),
        validate_update,
        grace_period_s: |object| object["spec"]["terminationGracePeriodSeconds"].as_i64().or(Some(30)),
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
    ..Kind::BASE
};

/// Of a pod's spec, only images, the deadline, added tolerations and a shortened grace may change; whom it is bound to
/// changes through `/binding`.
fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let mut allowed = old["spec"].clone();
    for list in ["containers", "initContainers"] {
        let images = new["spec"][list].as_array();
        for (index, container) in allowed[list].as_array_mut().into_iter().flatten().enumerate() {
            if let Some(image) = images.and_then(|all| all.get(index)).and_then(|c| c.get("image")) {
                container["image"] = image.clone();
            }
        }
    }
    if let (Value::Object(allowed), Value::Object(spec)) = (&mut allowed, &new["spec"]) {
        for field in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"] {
            match spec.get(field) {
                Some(value) => drop(allowed.insert(field.to_owned(), value.clone())),
                None => drop(allowed.shift_remove(field)),
            }
        }
    }
    let kept = |toleration: &Value| new["spec"]["tolerations"].as_array().is_some_and(|all| all.contains(toleration));
    if old["spec"]["tolerations"].as_array().is_some_and(|all| !all.iter().all(kept)) {
        findings.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
    }
    if allowed != new["spec"] {
        findings.forbidden("spec", "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
    }
    findings.done()
}
