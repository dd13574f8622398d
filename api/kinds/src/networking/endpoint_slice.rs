//! EndpointSlice (discovery.k8s.io/v1).

use serde_json::Value;

use crate::core::endpoints::shorten;
use crate::kind::{age, column};
use crate::path::{Findings, default, each_mut, items, text};
use crate::{Causes, Cell, Kind, Strategy};

/// EndpointSlice.
pub static ENDPOINT_SLICE: Kind = Kind {
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    schema: "io.k8s.api.discovery.v1.EndpointSlice",
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| crate::kind::set_generation(object, 1),
        prepare_update: |new, old| {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
            let changed = ["endpoints", "ports", "addressType"].iter().any(|field| new[field] != old[field]);
            crate::kind::set_generation(new, generation + i64::from(changed));
        },
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable("addressType", &new["addressType"], &old["addressType"]);
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[column("AddressType"), column("Ports"), column("Endpoints"), column("Age")],
    cells,
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    for port in each_mut(object, "ports") {
        default(port, "name", || "".into());
        default(port, "protocol", || "TCP".into());
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    const TYPES: &[&str] = &["IPv4", "IPv6", "FQDN"];
    match text(object, "addressType") {
        "" => findings.required("addressType", ""),
        kind if !TYPES.contains(&kind) => findings.unsupported("addressType", kind, TYPES),
        _ => {}
    }
    for (path, endpoint) in items(object, "endpoints", "") {
        let addresses = endpoint["addresses"].as_array().map_or(0, Vec::len);
        if addresses == 0 {
            findings.required(&format!("{path}.addresses"), "must contain at least 1 address");
        }
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let ports: Vec<String> = object["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| p["port"].as_i64().map_or_else(|| "*".to_owned(), |port| port.to_string()))
        .collect();
    let ports = if ports.is_empty() { "<unset>".to_owned() } else { shorten(ports) };
    let addresses: Vec<String> = object["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|e| e["addresses"].as_array().into_iter().flatten())
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    let addresses = if addresses.is_empty() { "<unset>".to_owned() } else { shorten(addresses) };
    vec![text(object, "addressType").into(), ports.into(), addresses.into(), age(object, now_us)]
}
