//! Endpoints, the older form of EndpointSlices.

use serde_json::Value;

use crate::findings::Findings;
use crate::kind::{age, column};
use crate::path::{Path, default_text, each_mut, has, integer, items, text};
use crate::pod::check_port_number;
use crate::{Causes, Kind, Strategy, names};

/// Endpoints.
pub static ENDPOINTS: Kind = Kind {
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    schema: "io.k8s.api.core.v1.Endpoints",
    strategy: Strategy {
        default: |object| {
            for port in each_mut(object, "subsets").flat_map(|subset| each_mut(subset, "ports")) {
                default_text(port, "protocol", "TCP");
            }
        },
        validate,
        create_on_update: true,
        ..Strategy::PLAIN
    },
    columns: &[column("Endpoints"), column("Age")],
    cells: |object, now_us| vec![shown(object).into(), age(object, now_us)],
    warning: Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    ..Kind::BASE
};

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let list = Path::root("subsets");
    for (index, subset) in items(object, "subsets").iter().enumerate() {
        let at = list.index(index);
        if items(subset, "addresses").is_empty() && items(subset, "notReadyAddresses").is_empty() {
            findings.required(at, "must specify `addresses` or `notReadyAddresses`");
        }
        for field in ["addresses", "notReadyAddresses"] {
            let list = at.field(field);
            for (index, address) in items(subset, field).iter().enumerate() {
                endpoint_address(address, list.index(index), &mut findings);
            }
        }
        let ports = items(subset, "ports");
        let list = at.field("ports");
        for (index, port) in ports.iter().enumerate() {
            endpoint_port(port, ports.len() > 1, list.index(index), &mut findings);
        }
    }
    findings.done()
}

fn endpoint_address(address: &Value, at: Path<'_>, findings: &mut Findings) {
    let ip = text(address, "ip");
    findings.names(at.field("ip"), ip, names::legacy_ip_address(ip));
    let (host, node) = (text(address, "hostname"), text(address, "nodeName"));
    if !host.is_empty() {
        findings.names(at.field("hostname"), host, names::dns1123_label(host));
    }
    if has(address, "nodeName") {
        findings.names(at.field("nodeName"), node, names::dns1123_subdomain(node));
    }
    endpoint_ip(ip, at.field("ip"), findings);
}

fn endpoint_port(port: &Value, needs_name: bool, at: Path<'_>, findings: &mut Findings) {
    match text(port, "name") {
        "" if needs_name => findings.required(at.field("name"), ""),
        "" => {}
        name => findings.names(at.field("name"), name, names::dns1123_label(name)),
    }
    check_port_number(at.field("port"), integer(port, "port"), findings);
    protocol(port, at, findings);
}

/// Findings about the protocols of a port.
pub(crate) fn protocol(port: &Value, at: Path<'_>, findings: &mut Findings) {
    match text(port, "protocol") {
        "" => findings.required(at.field("protocol"), ""),
        protocol => findings.one_of(at.field("protocol"), protocol, &["SCTP", "TCP", "UDP"]),
    }
    if has(port, "appProtocol") {
        let protocol = text(port, "appProtocol");
        findings.names(at.field("appProtocol"), protocol, names::qualified_name(protocol));
    }
}

/// Findings about an address that traffic is to be sent to.
pub(crate) fn endpoint_ip(ip: &str, at: Path<'_>, findings: &mut Findings) {
    let Ok(address) = ip.parse::<std::net::IpAddr>() else {
        return findings.invalid(at, ip, "must be a valid IP address");
    };
    if address.is_unspecified() {
        findings.invalid(at, ip, &format!("may not be unspecified ({ip})"));
    }
    if address.is_loopback() {
        findings.invalid(at, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (link_local, multicast) = match address {
        std::net::IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    if link_local {
        findings.invalid(at, ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if multicast {
        findings.invalid(at, ip, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

fn shown(object: &Value) -> String {
    if items(object, "subsets").is_empty() {
        return "<none>".to_owned();
    }
    let mut all = Vec::new();
    for subset in items(object, "subsets") {
        let addresses = || items(subset, "addresses").iter().map(|a| text(a, "ip"));
        if items(subset, "ports").is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in items(subset, "ports") {
            let port = integer(port, "port");
            let joined = |ip: &str| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
            all.extend(addresses().map(joined));
        }
    }
    shorten(&all)
}

/// At most three, and how many more there are.
pub(crate) fn shorten(all: &[String]) -> String {
    match all.len() {
        0..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn endpoints_are_judged_as_kubernetes_judges_them() {
        let check = |subset: Value, expected: &[&str]| {
            let found: Vec<String> = validate(&json!({"subsets": [subset]})).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80, "protocol": "TCP"}]}), &[]);
        check(json!({}), &["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]);
        check(
            json!({"addresses": [{"ip": "127.0.0.1"}]}),
            &[
                "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            ],
        );
    }

    #[test]
    fn a_row_shows_three_of_them() {
        let addresses: Vec<Value> = (1..=5).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
        let object = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
        assert_eq!(shown(&object), "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...");
        assert_eq!(shown(&json!({})), "<none>");
    }
}
