//! Ingress (networking.k8s.io/v1). Stored and judged; no controller of ours acts on it.

use serde_json::{Value, json};

use super::typed_reference;
use crate::findings::Findings;
use crate::kind::{age, column, set_generation, set_status, status};
use crate::path::{Path, has, integer, items, text};
use crate::{Causes, Cell, Kind, Strategy, names};

/// Ingress.
pub static INGRESS: Kind = Kind {
    group: "networking.k8s.io",
    kind: "Ingress",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    schema: "io.k8s.api.networking.v1.Ingress",
    subresources: &[status("Ingress")],
    strategy: Strategy {
        prepare_create: |object| {
            set_generation(object, 1);
            set_status(object, json!({"loadBalancer": {}}));
        },
        validate,
        ..Strategy::SPEC_AND_STATUS
    },
    columns: &[column("Class"), column("Hosts"), column("Address"), column("Ports"), column("Age")],
    cells,
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    let rules = items(spec, "rules");
    if rules.is_empty() && !has(spec, "defaultBackend") {
        findings.invalid(SPEC, &Value::Null, "either `defaultBackend` or `rules` must be specified");
    }
    if has(spec, "defaultBackend") {
        backend(&spec["defaultBackend"], SPEC.field("defaultBackend"), &mut findings);
    }
    let list = SPEC.field("rules");
    for (index, one) in rules.iter().enumerate() {
        rule(one, list.index(index), &mut findings);
    }
    let list = SPEC.field("tls");
    for (index, tls) in items(spec, "tls").iter().enumerate() {
        let at = list.index(index);
        let hosts = at.field("hosts");
        for (index, host) in items(tls, "hosts").iter().filter_map(Value::as_str).enumerate() {
            findings.names(hosts.index(index), host, host_rule(host));
        }
        let secret = text(tls, "secretName");
        if !secret.is_empty() {
            findings.names(at.field("secretName"), secret, names::dns1123_subdomain(secret));
        }
    }
    if has(spec, "ingressClassName") {
        let class = text(spec, "ingressClassName");
        findings.names(SPEC.field("ingressClassName"), class, names::dns1123_subdomain(class));
    }
    findings.done()
}

fn host_rule(host: &str) -> Vec<String> {
    if host.contains('*') { names::wildcard_subdomain(host) } else { names::dns1123_subdomain(host) }
}

fn rule(rule: &Value, at: Path<'_>, findings: &mut Findings) {
    let host = text(rule, "host");
    if !host.is_empty() {
        if host.parse::<std::net::IpAddr>().is_ok() {
            findings.invalid(at.field("host"), host, "must be a DNS name, not an IP address");
        }
        findings.names(at.field("host"), host, host_rule(host));
    }
    if !has(rule, "http") {
        return;
    }
    let at = at.field("http");
    let list = at.field("paths");
    let paths = items(&rule["http"], "paths");
    if paths.is_empty() {
        findings.required(list, "");
    }
    for (index, one) in paths.iter().enumerate() {
        path(one, list.index(index), findings);
    }
}

fn path(path: &Value, at: Path<'_>, findings: &mut Findings) {
    if !has(path, "pathType") {
        return findings.required(at.field("pathType"), "pathType must be specified");
    }
    let (kind, route) = (text(path, "pathType"), text(path, "path"));
    let at_path = at.field("path");
    match kind {
        "Exact" | "Prefix" => {
            if !route.starts_with('/') {
                findings.invalid(at_path, route, "must be an absolute path");
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].iter().filter(|part| route.contains(**part)) {
                findings.invalid(at_path, route, &format!("must not contain '{part}'"));
            }
            for end in ["/..", "/."].iter().filter(|end| route.ends_with(**end)) {
                findings.invalid(at_path, route, &format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" => {
            if !route.is_empty() && !route.starts_with('/') {
                findings.invalid(at_path, route, "must be an absolute path");
            }
        }
        other => findings.unsupported(at.field("pathType"), other, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(&path["backend"], at.field("backend"), findings);
}

fn backend(backend: &Value, at: Path<'_>, findings: &mut Findings) {
    match (has(backend, "resource"), has(backend, "service")) {
        (true, true) => findings.invalid(at, "", "cannot set both resource and service backends"),
        (true, false) => typed_reference(&backend["resource"], at.field("resource"), findings),
        (false, true) => service(&backend["service"], at, findings),
        (false, false) => findings.invalid(at, "", "resource or service backend is required"),
    }
}

fn service(service: &Value, at: Path<'_>, findings: &mut Findings) {
    let at_service = at.field("service");
    match text(service, "name") {
        "" => findings.required(at_service.field("name"), ""),
        name => findings.names(at_service.field("name"), name, names::dns1123_label(name)),
    }
    let (name, number) = (text(&service["port"], "name"), integer(&service["port"], "number"));
    let at_port = at_service.field("port");
    match (name, number) {
        ("", 0) => findings.required(at, "port name or number is required"),
        ("", number) => {
            for message in names::port_number(number) {
                findings.invalid(at_port.field("number"), number, &message);
            }
        }
        (name, 0) => findings.names(at_port.field("name"), name, names::port_name(name)),
        _ => findings.invalid(at, "", "cannot set both port name & port number"),
    }
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let spec = &object["spec"];
    let class = if has(spec, "ingressClassName") { text(spec, "ingressClassName") } else { "<none>" };
    let rules = items(spec, "rules");
    let hosts: Vec<&str> = rules.iter().map(|r| text(r, "host")).filter(|h| !h.is_empty()).collect();
    let hosts = match hosts.len() {
        0 => "*".to_owned(),
        1..=3 => hosts.join(","),
        _ => format!("{} + {} more...", hosts[..3].join(","), rules.len() - 3),
    };
    let mut addresses: Vec<&str> = items(&object["status"]["loadBalancer"], "ingress")
        .iter()
        .map(|i| if text(i, "ip").is_empty() { text(i, "hostname") } else { text(i, "ip") })
        .filter(|a| !a.is_empty())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ports = if items(spec, "tls").is_empty() { "80" } else { "80, 443" };
    vec![class.into(), hosts.into(), addresses.join(",").into(), ports.into(), age(object, now_us)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingresses_are_judged_as_kubernetes_judges_them() {
        let check = |spec: Value, expected: &[&str]| {
            let found: Vec<String> = validate(&json!({"spec": spec})).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        let web = json!({"service": {"name": "web", "port": {"number": 80}}});
        let rule = |path: Value| json!({"rules": [{"host": "a.example.com", "http": {"paths": [path]}}]});
        check(rule(json!({"path": "/", "pathType": "Prefix", "backend": web})), &[]);
        check(json!({}), &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]);
        check(
            rule(json!({"path": "/", "backend": web})),
            &["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
        );
        check(
            rule(json!({"path": "a", "pathType": "Exact", "backend": web})),
            &["spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path"],
        );
        check(
            rule(json!({"path": "/", "pathType": "Exact", "backend": {"service": {"name": "web"}}})),
            &["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"],
        );
    }
}
