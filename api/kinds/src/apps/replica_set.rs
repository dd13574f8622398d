//! ReplicaSet.

use super::{count, default_template, validate_workload, wide_cells};
use crate::kind::{SCALE, age, column, integer, status, wide};
use crate::path::Findings;
use crate::{Kind, Strategy};

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
        default: default_template,
        validate: |object| {
            let mut findings = Findings::default();
            validate_workload(object, &mut findings);
            findings.done()
        },
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable("spec.selector", &new["spec"]["selector"], &old["spec"]["selector"]);
            findings.done()
        },
        ..Strategy::SPEC_AND_STATUS
    },
    columns: &[
        integer("Desired"),
        integer("Current"),
        integer("Ready"),
        column("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |object, now_us| {
        let [containers, images, selector] = wide_cells(object);
        vec![
            object["spec"]["replicas"].as_i64().unwrap_or(0).into(),
            count(object, "replicas").into(),
            count(object, "readyReplicas").into(),
            age(object, now_us),
            containers,
            images,
            selector,
        ]
    },
    selectable: &[("status.replicas", |o| count(o, "replicas").to_string())],
    ..Kind::BASE
};
