//! Lease (coordination.k8s.io/v1).

use serde_json::Value;

use crate::findings::{Findings, NEGATIVE};
use crate::kind::{age, column};
use crate::path::{Path, has, integer, part, remove, text};
use crate::{Causes, Kind, Strategy};

/// Lease.
pub static LEASE: Kind = Kind {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    schema: "io.k8s.api.coordination.v1.Lease",
    strategy: Strategy {
        prepare_create: drop_coordination,
        prepare_update: |new, _| drop_coordination(new),
        validate,
        create_on_update: true,
        unconditional_update: false,
        ..Strategy::PLAIN
    },
    columns: &[column("Holder"), column("Age")],
    cells: |object, now_us| vec![text(&object["spec"], "holderIdentity").into(), age(object, now_us)],
    ..Kind::BASE
};

/// Coordinated leader election (KEP-4355) is off: its fields are taken for nothing.
fn drop_coordination(lease: &mut Value) {
    if let Some(spec) = part(lease, "spec") {
        for field in ["strategy", "preferredHolder"] {
            remove(spec, field);
        }
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let (spec, at) = (&object["spec"], Path::root("spec"));
    if has(spec, "leaseDurationSeconds") && integer(spec, "leaseDurationSeconds") <= 0 {
        findings.invalid(at.field("leaseDurationSeconds"), &spec["leaseDurationSeconds"], "must be greater than 0");
    }
    if integer(spec, "leaseTransitions") < 0 {
        findings.invalid(at.field("leaseTransitions"), &spec["leaseTransitions"], NEGATIVE);
    }
    findings.done()
}
