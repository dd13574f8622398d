//! EndpointSlice (discovery.k8s.io/v1).

use serde_json::{Value, json};

use crate::core::endpoints::{endpoint_ip, protocol, shorten};
use crate::equality::same;
use crate::findings::Findings;
use crate::kind::{age, column, set_generation};
use crate::path::{Path, default, default_text, each_mut, has, integer, items, remove, text};
use crate::{Causes, Cell, Kind, Strategy, meta, names};

/// EndpointSlice.
pub static ENDPOINT_SLICE: Kind = Kind {
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    schema: "io.k8s.api.discovery.v1.EndpointSlice",
    strategy: Strategy {
        default: |object| {
            for endpoint in each_mut(object, "endpoints") {
                default(endpoint, "conditions", || json!({}));
            }
            for port in each_mut(object, "ports") {
                default(port, "name", || "".into());
                default_text(port, "protocol", "TCP");
            }
        },
        prepare_create: |object| {
            set_generation(object, 1);
            // The first version's topology; `zone` and `nodeName` came in its place.
            for endpoint in each_mut(object, "endpoints") {
                remove(endpoint, "deprecatedTopology");
            }
        },
        prepare_update: |new, old| {
            let generation = integer(&old["metadata"], "generation");
            let parts = ["endpoints", "ports", "addressType"];
            let changed = parts.iter().any(|field| !same(&new[*field], &old[*field]))
                || !same(&new["metadata"]["labels"], &old["metadata"]["labels"]);
            set_generation(new, generation + i64::from(changed));
        },
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable_unshown(Path::root("addressType"), &new["addressType"], &old["addressType"]);
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[column("AddressType"), column("Ports"), column("Endpoints"), column("Age")],
    cells,
    ..Kind::BASE
};

const TYPES: &[&str] = &["FQDN", "IPv4", "IPv6"];
const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const HINTS_MAX: usize = 8;

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let kind = text(object, "addressType");
    match kind {
        "" => findings.required(Path::root("addressType"), ""),
        kind => findings.one_of(Path::root("addressType"), kind, TYPES),
    }
    ports(object, &mut findings);
    let list = Path::root("endpoints");
    let endpoints = items(object, "endpoints");
    if endpoints.len() > ENDPOINTS_MAX {
        findings.too_many(list, endpoints.len(), ENDPOINTS_MAX);
        return findings.done();
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        one(endpoint, kind, list.index(index), &mut findings);
    }
    findings.done()
}

fn ports(object: &Value, findings: &mut Findings) {
    let list = Path::root("ports");
    let ports = items(object, "ports");
    if ports.len() > PORTS_MAX {
        return findings.too_many(list, ports.len(), PORTS_MAX);
    }
    let mut seen = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let (at, name) = (list.index(index), text(port, "name"));
        if !name.is_empty() {
            findings.names(at.field("name"), name, names::dns1123_label(name));
        }
        if seen.contains(&name) {
            findings.duplicate(at.field("name"), name);
        }
        seen.push(name);
        protocol(port, at, findings);
    }
}

fn one(endpoint: &Value, kind: &str, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("addresses");
    let addresses = items(endpoint, "addresses");
    if addresses.is_empty() {
        findings.required(list, "");
    } else if addresses.len() > ADDRESSES_MAX {
        findings.too_many(list, addresses.len(), ADDRESSES_MAX);
    }
    for (index, address) in addresses.iter().filter_map(Value::as_str).enumerate() {
        let at = list.index(index);
        let messages = match kind {
            "IPv4" => names::legacy_ip_address(address),
            "IPv6" => names::ip_address(address),
            "FQDN" => names::dns1123_subdomain(address.strip_suffix('.').unwrap_or(address)),
            _ => Vec::new(),
        };
        if messages.is_empty() && kind.starts_with("IPv") {
            if address.contains(':') != (kind == "IPv6") {
                findings.invalid(list, address, &format!("must be an {kind} address"));
            }
            endpoint_ip(address, at, findings);
        }
        findings.names(at, address, messages);
    }
    let (node, host) = (text(endpoint, "nodeName"), text(endpoint, "hostname"));
    if has(endpoint, "nodeName") {
        findings.names(at.field("nodeName"), node, names::dns1123_subdomain(node));
    }
    if has(endpoint, "hostname") {
        findings.names(at.field("hostname"), host, names::dns1123_label(host));
    }
    meta::labels(endpoint, at, "deprecatedTopology", findings);
    hints(&endpoint["hints"], at.field("hints"), findings);
}

fn hints(hints: &Value, at: Path<'_>, findings: &mut Findings) {
    for (field, rule) in
        [("forZones", names::label_value as meta::NameRule), ("forNodes", names::dns1123_subdomain as meta::NameRule)]
    {
        let (list, all) = (at.field(field), items(hints, field));
        if all.len() > HINTS_MAX {
            findings.too_many(list, all.len(), HINTS_MAX);
            continue;
        }
        for (index, hint) in all.iter().enumerate() {
            let (at, name) = (list.index(index), text(hint, "name"));
            if all[..index].iter().any(|other| text(other, "name") == name) {
                findings.duplicate(at.field("name"), name);
            }
            findings.names(at.field("name"), name, rule(name));
        }
    }
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let or_unset = |list: Vec<String>| if list.is_empty() { "<unset>".to_owned() } else { shorten(&list) };
    let port = |p: &Value| match (p["port"].as_i64(), text(p, "name")) {
        (Some(number), _) => number.to_string(),
        (None, "") => "*".to_owned(),
        (None, name) => name.to_owned(),
    };
    let ports = items(object, "ports").iter().map(port).collect();
    let addresses = items(object, "endpoints")
        .iter()
        .flat_map(|e| items(e, "addresses"))
        .filter_map(Value::as_str)
        .map(str::to_owned);
    vec![
        text(object, "addressType").into(),
        or_unset(ports).into(),
        or_unset(addresses.collect()).into(),
        age(object, now_us),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_judged_as_kubernetes_judges_them() {
        let check = |object: Value, expected: &[&str]| {
            let mut object = object;
            (ENDPOINT_SLICE.strategy.default)(&mut object);
            let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}), &[]);
        check(json!({"endpoints": []}), &["addressType: Required value"]);
        check(
            json!({"addressType": "IPv4", "endpoints": [{"addresses": []}]}),
            &["endpoints[0].addresses: Required value"],
        );
        check(
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["2001:db8::1"]}]}),
            &["endpoints[0].addresses: Invalid value: \"2001:db8::1\": must be an IPv4 address"],
        );
        check(
            json!({"addressType": "IPv4", "ports": [{"port": 1}, {"port": 2}]}),
            &["ports[1].name: Duplicate value: \"\""],
        );
    }

    #[test]
    fn a_row_shows_ports_and_addresses() {
        let row = cells(
            &json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80, "name": "a"}]}),
            0,
        );
        assert_eq!(row[..3], [json!("IPv4"), json!("80"), json!("10.0.0.1")]);
        assert_eq!(cells(&json!({}), 0)[1], "<unset>");
    }
}
