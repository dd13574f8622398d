//! IPAddress (networking.k8s.io/v1, KEP-1880): a claim on one Service address, so that no two Services have the same.

use serde_json::Value;

use crate::findings::Findings;
use crate::kind::{age, column};
use crate::path::{Path, text};
use crate::{Causes, Kind, Scope, Strategy, names};

/// IPAddress.
pub static IP_ADDRESS: Kind = Kind {
    group: "networking.k8s.io",
    kind: "IPAddress",
    plural: "ipaddresses",
    singular: "ipaddress",
    short_names: &["ip"],
    scope: Scope::Cluster,
    schema: "io.k8s.api.networking.v1.IPAddress",
    strategy: Strategy {
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            let at = Path::root("spec.parentRef");
            findings.immutable_unshown(at, &new["spec"]["parentRef"], &old["spec"]["parentRef"]);
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[column("ParentRef"), column("Age")],
    cells: |object, now_us| vec![parent(&object["spec"]["parentRef"]).into(), age(object, now_us)],
    selectable: &[("spec.parentRef.name", |o| text(&o["spec"]["parentRef"], "name").to_owned())],
    name_rule: names::ip_address,
    ..Kind::BASE
};

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let (parent, at) = (&object["spec"]["parentRef"], Path::root("spec.parentRef"));
    if !parent.is_object() {
        findings.required(at, "");
        return findings.done();
    }
    let group = text(parent, "group");
    if !group.is_empty() {
        findings.names(at.field("group"), group, names::dns1123_subdomain(group));
    }
    for field in ["resource", "name"] {
        match text(parent, field) {
            "" => findings.required(at.field(field), ""),
            name => findings.names(at.field(field), name, names::path_segment(name)),
        }
    }
    let namespace = text(parent, "namespace");
    findings.names(at.field("namespace"), namespace, names::path_segment(namespace));
    findings.done()
}

/// `services/default/web`
fn parent(parent: &Value) -> String {
    if !parent.is_object() {
        return "<none>".to_owned();
    }
    let mut shown = text(parent, "resource").to_lowercase();
    if !text(parent, "group").is_empty() {
        shown = format!("{shown}.{}", text(parent, "group").to_lowercase());
    }
    for part in [text(parent, "namespace"), text(parent, "name")].into_iter().filter(|p| !p.is_empty()) {
        shown = format!("{shown}/{part}");
    }
    shown
}
