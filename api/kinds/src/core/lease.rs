//! Lease (coordination.k8s.io/v1).

use serde_json::Value;

use crate::findings::{Findings, NEGATIVE};
use crate::kind::{age, column};
use crate::path::{Path, has, integer, text};
use crate::{Causes, Kind, Strategy, names};

/// Lease.
pub static LEASE: Kind = Kind {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    schema: "io.k8s.api.coordination.v1.Lease",
    strategy: Strategy { validate, create_on_update: true, unconditional_update: false, ..Strategy::PLAIN },
    columns: &[column("Holder"), column("Age")],
    cells: |object, now_us| vec![text(&object["spec"], "holderIdentity").into(), age(object, now_us)],
    ..Kind::BASE
};

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let (spec, at) = (&object["spec"], Path::root("spec"));
    if has(spec, "leaseDurationSeconds") && integer(spec, "leaseDurationSeconds") <= 0 {
        findings.invalid(at.field("leaseDurationSeconds"), &spec["leaseDurationSeconds"], "must be greater than 0");
    }
    if integer(spec, "leaseTransitions") < 0 {
        findings.invalid(at.field("leaseTransitions"), &spec["leaseTransitions"], NEGATIVE);
    }
    let strategy = text(spec, "strategy");
    if has(spec, "strategy") {
        let at = at.field("strategy");
        if strategy.contains('/') {
            findings.names(at.field("strategy"), strategy, names::qualified_name(strategy));
        } else {
            findings.one_of(at.field("strategy"), strategy, &["OldestEmulationVersion"]);
        }
    }
    if !text(spec, "preferredHolder").is_empty() && strategy.is_empty() {
        findings.forbidden(at.field("preferredHolder"), "may only be specified if `strategy` is defined");
    }
    findings.done()
}
