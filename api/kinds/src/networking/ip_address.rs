//! IPAddress (networking.k8s.io/v1, KEP-1880): a claim on one Service address, so that no two Services have the same.

use serde_json::Value;

use crate::kind::{age, column};
use crate::path::{Findings, text};
use crate::{Kind, Scope, Strategy};

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
        validate: |object| {
            let mut findings = Findings::default();
            let parent = &object["spec"]["parentRef"];
            if parent.is_null() {
                findings.required("spec.parentRef", "");
            }
            let name = text(&object["metadata"], "name");
            if name.parse::<std::net::IpAddr>().is_err() {
                findings.invalid(
                    "metadata.name",
                    &Value::from(name),
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                );
            }
            findings.done()
        },
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable("spec.parentRef", &new["spec"]["parentRef"], &old["spec"]["parentRef"]);
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[column("ParentRef"), column("Age")],
    cells: |object, now_us| {
        let parent = &object["spec"]["parentRef"];
        let shown = format!("{}/{}/{}", text(parent, "resource"), text(parent, "namespace"), text(parent, "name"));
        vec![shown.into(), age(object, now_us)]
    },
    name_rule: |_| Vec::new(),
    ..Kind::BASE
};
