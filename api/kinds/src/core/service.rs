//! Service.

use serde_json::{Value, json};

use crate::kind::{age, column, drop_status, keep_all_but_status, keep_status, status, wide};
use crate::path::{Findings, default, each_mut, items, text};
use crate::{Causes, Cell, Kind, Strategy, names, scale};

/// Service.
pub static SERVICE: Kind = Kind {
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    schema: "io.k8s.api.core.v1.Service",
    subresources: &[status("Service")],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            drop_status(object);
            object["status"] = json!({"loadBalancer": {}});
        },
        prepare_update: |new, old| {
            keep_status(new, old);
            carry_over(new, old);
        },
        prepare_status: keep_all_but_status,
        validate,
        validate_update,
        ..Strategy::PLAIN
    },
    columns: &[
        column("Type"),
        column("Cluster-IP"),
        column("External-IP"),
        column("Port(s)"),
        column("Age"),
        wide("Selector"),
    ],
    cells,
    selectable: &[
        ("spec.clusterIP", |o| text(&o["spec"], "clusterIP").to_owned()),
        ("spec.type", |o| text(&o["spec"], "type").to_owned()),
    ],
    name_rule: names::dns1035_label,
    ..Kind::BASE
};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

fn kind(object: &Value) -> &str {
    text(&object["spec"], "type")
}

/// Whether a Service gets ports on every node.
pub fn has_node_ports(object: &Value) -> bool {
    matches!(kind(object), "NodePort")
        || (kind(object) == "LoadBalancer" && object["spec"]["allocateLoadBalancerNodePorts"] != false)
}

/// Whether a Service gets an address of the cluster.
pub fn has_cluster_ip(object: &Value) -> bool {
    kind(object) != "ExternalName" && object["spec"]["clusterIP"] != "None"
}

fn set_defaults(object: &mut Value) {
    default(object, "spec", || json!({}));
    let Some(spec) = object.get_mut("spec") else { return };
    default(spec, "type", || "ClusterIP".into());
    default(spec, "sessionAffinity", || "None".into());
    if spec["sessionAffinity"] == "ClientIP" {
        default(spec, "sessionAffinityConfig", || json!({"clientIP": {"timeoutSeconds": 10_800}}));
    }
    for port in each_mut(spec, "ports") {
        default(port, "protocol", || "TCP".into());
        let number = port["port"].clone();
        if port.get("targetPort").is_none_or(|t| *t == 0 || *t == "") {
            port["targetPort"] = number;
        }
    }
    let kind = text(spec, "type").to_owned();
    if kind == "ExternalName" {
        return;
    }
    default(spec, "internalTrafficPolicy", || "Cluster".into());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default(spec, "externalTrafficPolicy", || "Cluster".into());
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", || true.into());
    }
    default(spec, "ipFamilies", || json!(["IPv4"]));
    default(spec, "ipFamilyPolicy", || "SingleStack".into());
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() {
        default(spec, "clusterIPs", || json!([address]));
    }
}

/// What was allotted stays, when a client sends the Service without it.
fn carry_over(new: &mut Value, old: &Value) {
    if has_cluster_ip(new) && has_cluster_ip(old) && text(&new["spec"], "clusterIP").is_empty() {
        new["spec"]["clusterIP"] = old["spec"]["clusterIP"].clone();
        new["spec"]["clusterIPs"] = old["spec"]["clusterIPs"].clone();
    }
    if !has_node_ports(new) {
        return;
    }
    let before: Vec<Value> = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in each_mut(&mut new["spec"], "ports") {
        let same = before.iter().find(|p| p["port"] == port["port"] && p["protocol"] == port["protocol"]);
        if let Some(number) =
            same.and_then(|p| p.get("nodePort")).filter(|_| port["nodePort"].as_i64().unwrap_or(0) == 0)
        {
            port["nodePort"] = number.clone();
        }
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    let kind = kind(object);
    if !TYPES.contains(&kind) {
        findings.unsupported("spec.type", kind, TYPES);
    }
    let headless = spec["clusterIP"] == "None";
    let ports = spec["ports"].as_array().map_or(0, Vec::len);
    if ports == 0 && !headless && kind != "ExternalName" {
        findings.required("spec.ports", "");
    }
    let (mut seen_names, mut seen) = (Vec::new(), Vec::new());
    for (path, port) in items(spec, "ports", "spec") {
        let name = text(port, "name");
        if name.is_empty() && ports > 1 {
            findings.required(&format!("{path}.name"), "");
        } else if !name.is_empty() {
            findings.names(&format!("{path}.name"), name, names::dns1123_label(name));
            if seen_names.contains(&name) {
                findings.duplicate(&format!("{path}.name"), &port["name"]);
            }
            seen_names.push(name);
        }
        crate::pod::check_port(&port["port"], &format!("{path}.port"), &mut findings);
        if port["port"].as_i64().unwrap_or(0) == 0 {
            findings.invalid(&format!("{path}.port"), &json!(0), "must be between 1 and 65535, inclusive");
        }
        let protocol = text(port, "protocol");
        if !["TCP", "UDP", "SCTP"].contains(&protocol) {
            findings.unsupported(&format!("{path}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
        match &port["targetPort"] {
            Value::String(name) => findings.names(&format!("{path}.targetPort"), name, names::port_name(name)),
            number => crate::pod::check_port(number, &format!("{path}.targetPort"), &mut findings),
        }
        let id = (port["port"].as_i64(), protocol);
        if seen.contains(&id) {
            findings.duplicate(&path, &json!({"port": port["port"], "protocol": protocol}));
        }
        seen.push(id);
        if port["nodePort"].as_i64().is_some_and(|p| p != 0) && kind == "ClusterIP" {
            findings.forbidden(&format!("{path}.nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
    }
    crate::meta::labels(spec.get("selector"), "spec.selector", &mut findings);
    if !["None", "ClientIP"].contains(&text(spec, "sessionAffinity")) {
        findings.unsupported("spec.sessionAffinity", text(spec, "sessionAffinity"), &["ClientIP", "None"]);
    }
    if kind == "ExternalName" && text(spec, "externalName").is_empty() {
        findings.required("spec.externalName", "");
    }
    let address = text(spec, "clusterIP");
    if !address.is_empty() && address != "None" && address.parse::<std::net::IpAddr>().is_err() {
        findings.invalid(
            "spec.clusterIPs[0]",
            &spec["clusterIP"],
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
    }
    findings.done()
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    if has_cluster_ip(old) && has_cluster_ip(new) && !text(&old["spec"], "clusterIP").is_empty() {
        findings.immutable("spec.clusterIP", &new["spec"]["clusterIP"], &old["spec"]["clusterIP"]);
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let spec = &object["spec"];
    let ports: Vec<String> = spec["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| match port["nodePort"].as_i64() {
            Some(node) if node != 0 => format!("{}:{node}/{}", port["port"], text(port, "protocol")),
            _ => format!("{}/{}", port["port"], text(port, "protocol")),
        })
        .collect();
    let external: Vec<&str> = match kind(object) {
        "ExternalName" => vec![text(spec, "externalName")],
        _ => {
            let assigned = object["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
            let assigned = assigned.map(|i| if text(i, "ip").is_empty() { text(i, "hostname") } else { text(i, "ip") });
            let chosen = spec["externalIPs"].as_array().into_iter().flatten().filter_map(Value::as_str);
            assigned.chain(chosen).collect()
        }
    };
    let none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
    let external = match (external.is_empty(), kind(object)) {
        (true, "LoadBalancer") => "<pending>".to_owned(),
        _ => none(external.join(",")),
    };
    let selector = scale::selector_text(&json!({"matchLabels": spec["selector"]}));
    vec![
        kind(object).into(),
        none(text(spec, "clusterIP").to_owned()).into(),
        external.into(),
        none(ports.join(",")).into(),
        age(object, now_us),
        none(selector).into(),
    ]
}
