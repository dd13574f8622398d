//! Validation of a Service.

use serde_json::{Value, json};

use super::{has_health_check, is_headless, is_reachable_from_outside, kind};
use crate::core::endpoints::{endpoint_ip, protocol};
use crate::findings::Findings;
use crate::path::{Path, count, has, integer, items, text};
use crate::pod::{check_port, check_port_number};
use crate::{Causes, meta, names};

pub(super) const SPEC: Path<'static> = Path::root("spec");
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const DISTRIBUTIONS: &[&str] = &["PreferClose", "PreferSameZone", "PreferSameNode"];
const AFFINITY_SECONDS_MAX: i64 = 86_400;

/// Findings about a Service.
pub(super) fn service(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    let headless = is_headless(object);
    if count(spec, "ports") == 0 && !headless && kind(object) != "ExternalName" {
        findings.required(SPEC.field("ports"), "");
    }
    by_type(object, &mut findings);
    ports(object, &mut findings);
    meta::labels(spec, SPEC, "selector", &mut findings);
    affinity(spec, &mut findings);
    addresses(object, &mut findings);
    let list = SPEC.field("externalIPs");
    for (index, ip) in items(spec, "externalIPs").iter().filter_map(Value::as_str).enumerate() {
        let messages = names::legacy_ip_address(ip);
        if messages.is_empty() {
            endpoint_ip(ip, list.index(index), &mut findings);
        }
        findings.names(list.index(index), ip, messages);
    }
    match kind(object) {
        "" => findings.required(SPEC.field("type"), ""),
        kind => findings.one_of(SPEC.field("type"), kind, TYPES),
    }
    balancing(object, &mut findings);
    traffic(object, &mut findings);
    findings.done()
}

fn by_type(object: &Value, findings: &mut Findings) {
    let spec = &object["spec"];
    match kind(object) {
        kind @ ("LoadBalancer" | "NodePort") if is_headless(object) => {
            let message = format!("may not be set to 'None' for {kind} services");
            findings.invalid(SPEC.field("clusterIPs").index(0), "None", &message);
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if has(spec, field) && spec[field].as_array().is_none_or(|list| !list.is_empty()) {
                    findings.forbidden(SPEC.field(field), "may not be set for ExternalName services");
                }
            }
            let name = text(spec, "externalName");
            match name.strip_suffix('.').unwrap_or(name) {
                "" => findings.required(SPEC.field("externalName"), ""),
                name => findings.names(SPEC.field("externalName"), name, names::dns1123_subdomain(name)),
            }
        }
        _ => {}
    }
}

fn ports(object: &Value, findings: &mut Findings) {
    let ports = items(&object["spec"], "ports");
    let list = SPEC.field("ports");
    let mut names_seen = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let at = list.index(index);
        match text(port, "name") {
            "" if ports.len() > 1 => findings.required(at.field("name"), ""),
            "" => {}
            name => {
                findings.names(at.field("name"), name, names::dns1123_label(name));
                if names_seen.contains(&name) {
                    findings.duplicate(at.field("name"), name);
                }
                names_seen.push(name);
            }
        }
        check_port_number(at.field("port"), integer(port, "port"), findings);
        protocol(port, at, findings);
        check_port(at.field("targetPort"), &port["targetPort"], findings);
    }
    let (mut own, mut of_nodes) = (Vec::new(), Vec::new());
    for (index, port) in ports.iter().enumerate() {
        let at = list.index(index);
        let (number, node, protocol) = (integer(port, "port"), integer(port, "nodePort"), text(port, "protocol"));
        if node != 0 {
            if kind(object) == "ClusterIP" {
                findings.forbidden(at.field("nodePort"), "may not be used when `type` is 'ClusterIP'");
            }
            if of_nodes.contains(&(node, protocol)) {
                findings.duplicate(at.field("nodePort"), node);
            }
            of_nodes.push((node, protocol));
        }
        if own.contains(&(number, protocol)) {
            findings.duplicate(at, &json!({"port": number, "protocol": protocol}));
        }
        own.push((number, protocol));
    }
}

fn affinity(spec: &Value, findings: &mut Findings) {
    let affinity = text(spec, "sessionAffinity");
    match affinity {
        "" => findings.required(SPEC.field("sessionAffinity"), ""),
        affinity => findings.one_of(SPEC.field("sessionAffinity"), affinity, &["ClientIP", "None"]),
    }
    if affinity == "ClientIP" {
        let seconds = integer(&spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds");
        if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds) {
            let at = SPEC.field("sessionAffinityConfig");
            let at = at.field("clientIP");
            let message = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
            findings.invalid(at.field("timeoutSeconds"), seconds, &message);
        }
    }
}

/// Addresses and families of addresses.
fn addresses(object: &Value, findings: &mut Findings) {
    if kind(object) == "ExternalName" {
        return;
    }
    let spec = &object["spec"];
    let list = SPEC.field("clusterIPs");
    let all: Vec<&str> = items(spec, "clusterIPs").iter().filter_map(Value::as_str).collect();
    match (text(spec, "clusterIP"), all.first()) {
        ("", Some(_)) => findings.invalid(list, &spec["clusterIPs"], "must be empty when `clusterIP` is not specified"),
        ("", None) => {}
        (_, None) => findings.required(list, ""),
        (address, Some(first)) if address != *first => {
            findings.invalid(list, &spec["clusterIPs"], "first value must match `clusterIP`");
        }
        _ => {}
    }
    let at = SPEC.field("ipFamilies");
    let families: Vec<&str> = items(spec, "ipFamilies").iter().filter_map(Value::as_str).collect();
    for (index, family) in families.iter().enumerate() {
        findings.one_of(at.index(index), family, &["IPv4", "IPv6"]);
        if families[..index].contains(family) {
            findings.duplicate(at.index(index), *family);
        }
    }
    if has(spec, "ipFamilyPolicy") {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        findings.one_of(SPEC.field("ipFamilyPolicy"), text(spec, "ipFamilyPolicy"), &supported);
    }
    if all.first() == Some(&"None") {
        if all.len() > 1 {
            findings.invalid(list, &spec["clusterIPs"], "'None' must be the first and only value");
        }
        return;
    }
    for (index, address) in all.iter().enumerate() {
        findings.names(list.index(index), address, names::legacy_ip_address(address));
        let family = families.get(index).copied().unwrap_or_default();
        if matches!((family, address.contains(':')), ("IPv4", true) | ("IPv6", false))
            && names::legacy_ip_address(address).is_empty()
        {
            let message = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            findings.invalid(list.index(index), *address, &message);
        }
    }
    if all.len() > 2 {
        findings.invalid(list, &spec["clusterIPs"], "may only hold up to 2 values");
    }
    cluster_families(spec, &families, is_headless(object), findings);
}

/// This cluster has IPv4 addresses only.
fn cluster_families(spec: &Value, families: &[&str], headless: bool, findings: &mut Findings) {
    if headless {
        return;
    }
    if text(spec, "ipFamilyPolicy") == "RequireDualStack" {
        let message = "this cluster is not configured for dual-stack services";
        findings.invalid(SPEC.field("ipFamilyPolicy"), text(spec, "ipFamilyPolicy"), message);
    }
    for (index, family) in families.iter().enumerate().filter(|(_, family)| **family == "IPv6") {
        findings.invalid(SPEC.field("ipFamilies").index(index), *family, "not configured on this cluster");
    }
}

fn balancing(object: &Value, findings: &mut Findings) {
    let spec = &object["spec"];
    let balanced = kind(object) == "LoadBalancer";
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    let ranges = items(spec, "loadBalancerSourceRanges");
    let list = SPEC.field("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !balanced {
        findings.forbidden(list, ONLY);
    }
    for (index, range) in ranges.iter().filter_map(Value::as_str).map(str::trim).enumerate() {
        findings.names(list.index(index), range, names::cidr(range));
    }
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if has(spec, field) && !balanced {
            findings.forbidden(SPEC.field(field), ONLY);
        }
    }
    if balanced && has(spec, "loadBalancerClass") {
        let class = text(spec, "loadBalancerClass");
        findings.names(SPEC.field("loadBalancerClass"), class, names::qualified_name(class));
    }
}

fn traffic(object: &Value, findings: &mut Findings) {
    let spec = &object["spec"];
    let external = text(spec, "externalTrafficPolicy");
    let at = SPEC.field("externalTrafficPolicy");
    if !is_reachable_from_outside(object) {
        if !external.is_empty() {
            findings.invalid(at, external, "may only be set for externally-accessible services");
        }
    } else if external.is_empty() {
        findings.required(at, "");
    } else {
        findings.one_of(at, external, &["Cluster", "Local"]);
    }
    let check = integer(spec, "healthCheckNodePort");
    if check != 0 && !has_health_check(object) {
        let message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        findings.invalid(SPEC.field("healthCheckNodePort"), check, message);
    } else if check != 0 {
        check_port_number(SPEC.field("healthCheckNodePort"), check, findings);
    }
    let at = SPEC.field("internalTrafficPolicy");
    if has(spec, "internalTrafficPolicy") {
        findings.one_of(at, text(spec, "internalTrafficPolicy"), &["Cluster", "Local"]);
    } else if matches!(kind(object), "ClusterIP" | "NodePort" | "LoadBalancer") {
        findings.required(at, "");
    }
    if has(spec, "trafficDistribution") {
        findings.one_of(SPEC.field("trafficDistribution"), text(spec, "trafficDistribution"), DISTRIBUTIONS);
    }
}

/// Findings about the status of a Service.
pub(super) fn load_balancer(new: &Value, _old: &Value) -> Causes {
    let mut findings = Findings::default();
    let list = Path::root("status.loadBalancer.ingress");
    let ingress = items(&new["status"]["loadBalancer"], "ingress");
    if kind(new) != "LoadBalancer" && !ingress.is_empty() {
        findings.forbidden(list, "may only be used when `spec.type` is 'LoadBalancer'");
        return findings.done();
    }
    for (index, point) in ingress.iter().enumerate() {
        let at = list.index(index);
        let (ip, host) = (text(point, "ip"), text(point, "hostname"));
        if !ip.is_empty() {
            findings.names(at.field("ip"), ip, names::legacy_ip_address(ip));
        }
        match (has(point, "ipMode"), ip.is_empty()) {
            (false, false) => findings.required(at.field("ipMode"), "must be specified when `ip` is set"),
            (true, true) => findings.forbidden(at.field("ipMode"), "may not be specified when `ip` is not set"),
            (true, false) => findings.one_of(at.field("ipMode"), text(point, "ipMode"), &["Proxy", "VIP"]),
            (false, true) => {}
        }
        if !host.is_empty() {
            findings.names(at.field("hostname"), host, names::dns1123_subdomain(host));
            if host.parse::<std::net::IpAddr>().is_ok() {
                findings.invalid(at.field("hostname"), host, "must be a DNS name, not an IP address");
            }
        }
    }
    findings.done()
}

#[cfg(test)]
mod tests {
    use super::super::SERVICE;
    use super::*;

    #[test]
    fn services_are_judged_as_kubernetes_judges_them() {
        let check = |spec: Value, expected: &[&str]| {
            let mut object = json!({"spec": spec});
            (SERVICE.strategy.default)(&mut object);
            super::super::families(&mut object);
            let found: Vec<String> = service(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"ports": [{"port": 80}]}), &[]);
        check(json!({}), &["spec.ports: Required value"]);
        check(json!({"clusterIP": "None"}), &[]);
        check(json!({"type": "ExternalName"}), &["spec.externalName: Required value"]);
        check(
            json!({"type": "Other", "ports": [{"port": 80}]}),
            &[
                "spec.type: Unsupported value: \"Other\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ],
        );
        check(
            json!({"ports": [{"port": 80}, {"port": 80, "name": "b"}]}),
            &[
                "spec.ports[0].name: Required value",
                "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
            ],
        );
        check(
            json!({"ports": [{"port": 0}]}),
            &[
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        );
        check(
            json!({"ports": [{"port": 80, "nodePort": 30000}]}),
            &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        );
        check(
            json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]}),
            &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        );
        check(
            json!({"clusterIP": "x", "ports": [{"port": 80}]}),
            &[
                "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ],
        );
        check(
            json!({"ipFamilies": ["IPv6"], "ports": [{"port": 80}]}),
            &["spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"],
        );
        check(
            json!({"externalTrafficPolicy": "Local", "ports": [{"port": 80}]}),
            &[
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
            ],
        );
        check(json!({"ipFamilyPolicy": "PreferDualStack", "ports": [{"port": 80}]}), &[]);
    }
}
