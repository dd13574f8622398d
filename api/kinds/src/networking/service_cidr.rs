//! ServiceCIDR (networking.k8s.io/v1): a range of Service addresses.

use serde_json::{Value, json};

use crate::findings::{Findings, IMMUTABLE};
use crate::kind::{age, column, keep_all_but_status, keep_status, set_status, status};
use crate::path::{Path, items};
use crate::{Causes, Kind, Scope, Strategy, names};

/// ServiceCIDR.
pub static SERVICE_CIDR: Kind = Kind {
    group: "networking.k8s.io",
    kind: "ServiceCIDR",
    plural: "servicecidrs",
    singular: "servicecidr",
    scope: Scope::Cluster,
    schema: "io.k8s.api.networking.v1.ServiceCIDR",
    subresources: &[status("ServiceCIDR")],
    strategy: Strategy {
        prepare_create: |object| set_status(object, json!({})),
        prepare_update: keep_status,
        prepare_status: keep_all_but_status,
        validate,
        validate_update,
        ..Strategy::PLAIN
    },
    columns: &[column("CIDRs"), column("Age")],
    cells: |object, now_us| {
        let ranges: Vec<&str> = items(&object["spec"], "cidrs").iter().filter_map(Value::as_str).collect();
        vec![ranges.join(",").into(), age(object, now_us)]
    },
    ..Kind::BASE
};

const CIDRS: Path<'static> = Path::root("spec.cidrs");

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let ranges: Vec<&str> = items(&object["spec"], "cidrs").iter().filter_map(Value::as_str).collect();
    if ranges.is_empty() {
        findings.required(CIDRS, "at least one CIDR required");
    } else if ranges.len() > 2 {
        findings.invalid(CIDRS, &object["spec"], "may only hold up to 2 values");
    } else {
        for (index, range) in ranges.iter().enumerate() {
            findings.names(CIDRS.index(index), range, names::cidr(range));
        }
        if ranges.len() == 2 && ranges[0].contains(':') == ranges[1].contains(':') {
            let message = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            findings.invalid(CIDRS, &object["spec"]["cidrs"], message);
        }
    }
    findings.done()
}

/// A second range may be added.
fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let (after, before) = (items(&new["spec"], "cidrs"), items(&old["spec"], "cidrs"));
    if after.len() < before.len() || (after.len() > before.len() && before.len() != 1) {
        findings.invalid(CIDRS, &new["spec"]["cidrs"], IMMUTABLE);
    } else {
        for (index, (after, before)) in after.iter().zip(before).enumerate() {
            if after != before {
                findings.invalid(CIDRS.index(index), after, IMMUTABLE);
            }
        }
    }
    findings.done()
}
