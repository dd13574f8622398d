//! PriorityClass (scheduling.k8s.io/v1).

use serde_json::{Value, json};

use crate::kind::{age, column, integer};
use crate::path::{Findings, default, text};
use crate::{Kind, Scope, Strategy};

/// The highest value that users' classes may have.
pub const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;

/// Name and value of the classes that every cluster has.
pub const SYSTEM_CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

/// PriorityClass.
pub static PRIORITY_CLASS: Kind = Kind {
    group: "scheduling.k8s.io",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    scope: Scope::Cluster,
    schema: "io.k8s.api.scheduling.v1.PriorityClass",
    strategy: Strategy {
        default: |object| {
            default(object, "preemptionPolicy", || "PreemptLowerPriority".into());
            default(object, "value", || 0.into());
        },
        validate: |object| {
            let mut findings = Findings::default();
            let name = text(&object["metadata"], "name");
            let known = SYSTEM_CLASSES.iter().any(|(n, v, _)| *n == name && object["value"] == *v);
            if name.starts_with("system-") && !known {
                findings.forbidden(
                    "metadata.name",
                    "priority class names with 'system-' prefix are reserved for system use only",
                );
            } else if !known && object["value"].as_i64().is_some_and(|v| v > HIGHEST_USER_PRIORITY) {
                let message = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
                findings.forbidden("value", &message);
            }
            findings.done()
        },
        validate_update: |new, old| {
            let mut findings = Findings::default();
            if new["value"] != old["value"] {
                findings.forbidden("value", "may not be changed in an update.");
            }
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[integer("Value"), column("Global-Default"), column("Age"), column("PreemptionPolicy")],
    cells: |object, now_us| {
        vec![
            object["value"].clone(),
            (object["globalDefault"] == true).to_string().into(),
            age(object, now_us),
            text(object, "preemptionPolicy").into(),
        ]
    },
    ..Kind::BASE
};

/// A class that every cluster has, as an object.
pub fn system_class((name, value, description): (&str, i64, &str)) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
    })
}
