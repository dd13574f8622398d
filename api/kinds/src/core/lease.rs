//! Lease (coordination.k8s.io/v1).

use serde_json::Value;

use crate::kind::{age, column};
use crate::path::{Findings, text};
use crate::{Kind, Strategy};

/// Lease.
pub static LEASE: Kind = Kind {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    schema: "io.k8s.api.coordination.v1.Lease",
    strategy: Strategy {
        validate: |object| {
            let mut findings = Findings::default();
            let duration = &object["spec"]["leaseDurationSeconds"];
            if duration.as_i64().is_some_and(|s| s <= 0) {
                findings.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0");
            }
            findings.not_negative("spec.leaseTransitions", &object["spec"]["leaseTransitions"]);
            findings.done()
        },
        create_on_update: true,
        unconditional_update: false,
        ..Strategy::PLAIN
    },
    columns: &[column("Holder"), column("Age")],
    cells: |object, now_us| vec![Value::from(text(&object["spec"], "holderIdentity")), age(object, now_us)],
    ..Kind::BASE
};
