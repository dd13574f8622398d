//! ReplicaSet.

use serde_json::{Value, json};

use super::{SPEC, count, validate_counts};
use crate::findings::Findings;
use crate::kind::{Column, SCALE, age, column, integer, set_generation, set_status, status, wide};
use crate::path::{default, part};
use crate::pod_template::{self, wide_cells};
use crate::{Causes, Cell, Kind, Strategy, path};

/// ReplicaSet.
pub static REPLICA_SET: Kind = Kind {
    group: "apps",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    schema: "io.k8s.api.apps.v1.ReplicaSet",
    subresources: &[SCALE, status("ReplicaSet")],
    strategy: Strategy {
        default: |object| {
            if let Some(spec) = part(object, "spec") {
                pod_template::default(spec);
                default(spec, "replicas", || 1.into());
            }
        },
        prepare_create: |object| {
            set_generation(object, 1);
            set_status(object, json!({"replicas": 0}));
        },
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable(SPEC.field("selector"), &new["spec"]["selector"], &old["spec"]["selector"]);
            findings.done()
        },
        validate_status,
        ..Strategy::SPEC_AND_STATUS
    },
    columns: COLUMNS,
    cells,
    selectable: &[("status.replicas", |o| count(o, "replicas").to_string())],
    ..Kind::BASE
};

/// Of a set of pods in a table; those of a ReplicationController too.
pub(crate) const COLUMNS: &[Column] = &[
    integer("Desired"),
    integer("Current"),
    integer("Ready"),
    column("Age"),
    wide("Containers"),
    wide("Images"),
    wide("Selector"),
];

/// Findings about how far a set of pods is; a ReplicationController's has no terminating ones.
pub(crate) fn validate_status(new: &Value, _: &Value) -> Causes {
    let mut findings = Findings::default();
    let counts = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ];
    let below = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    validate_counts(new, &counts, &below, &mut findings);
    findings.done()
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    findings.non_negatives(SPEC, spec, &["replicas", "minReadySeconds"]);
    pod_template::validate_selector(spec, "deployment", SPEC, &mut findings);
    pod_template::validate_endless(&spec["template"], "ReplicaSet", SPEC.field("template"), &mut findings);
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let [containers, images, selector] = wide_cells(&object["spec"]);
    vec![
        path::integer(&object["spec"], "replicas").into(),
        count(object, "replicas").into(),
        count(object, "readyReplicas").into(),
        age(object, now_us),
        containers,
        images,
        selector,
    ]
}
