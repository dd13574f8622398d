//! Service.

mod printing;
mod update;
mod validate;

use serde_json::{Value, json};

use crate::kind::{column, keep_all_but_status, set_generation, status, wide};
use crate::path::{default, default_text, each_mut, is_true, items, part, remove, set, text};
use crate::{Kind, Strategy, names};

/// Service.
pub static SERVICE: Kind = Kind {
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    schema: "io.k8s.api.core.v1.Service",
    subresources: &[
        crate::Subresource {
            name: "proxy",
            kind: "ServiceProxyOptions",
            group_version: None,
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        status("Service"),
    ],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.shift_remove("generation");
            }
            set(object, "status", json!({"loadBalancer": {}}));
            families(object);
        },
        prepare_update: |new, old| {
            families(new);
            update::prepare(new, old);
        },
        prepare_status: |new, old| {
            keep_all_but_status(new, old);
            if let Some(generation) = old["metadata"]["generation"].as_i64() {
                set_generation(new, generation);
            }
        },
        validate: validate::service,
        validate_update: update::validate,
        validate_status: validate::load_balancer,
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
    cells: printing::cells,
    selectable: &[
        ("spec.clusterIP", |o| text(&o["spec"], "clusterIP").to_owned()),
        ("spec.type", |o| text(&o["spec"], "type").to_owned()),
    ],
    // Since 1.36 a Service's name need not start with a letter (KEP-5311).
    name_rule: names::dns1123_label,
    returns_deleted: true,
    ..Kind::BASE
};

/// `ClusterIP`, `NodePort` …
fn kind(object: &Value) -> &str {
    text(&object["spec"], "type")
}

/// Whether a Service has no address of its own, but its endpoints'.
pub fn is_headless(object: &Value) -> bool {
    text(&object["spec"], "clusterIP") == "None"
        || items(&object["spec"], "clusterIPs").first().is_some_and(|ip| ip == "None")
}

/// Whether a Service gets an address of the cluster.
pub fn has_cluster_ip(object: &Value) -> bool {
    kind(object) != "ExternalName" && !is_headless(object)
}

/// Whether a Service may have ports on every node.
fn may_have_node_ports(object: &Value) -> bool {
    matches!(kind(object), "NodePort" | "LoadBalancer")
}

/// Whether a Service gets ports on every node.
pub fn has_node_ports(object: &Value) -> bool {
    may_have_node_ports(object)
        && (kind(object) != "LoadBalancer" || object["spec"]["allocateLoadBalancerNodePorts"] != false)
}

/// Whether traffic from outside the cluster can come in.
fn is_reachable_from_outside(object: &Value) -> bool {
    may_have_node_ports(object) || (kind(object) == "ClusterIP" && !items(&object["spec"], "externalIPs").is_empty())
}

/// Whether a load balancer asks each node if it has endpoints.
fn has_health_check(object: &Value) -> bool {
    kind(object) == "LoadBalancer" && text(&object["spec"], "externalTrafficPolicy") == "Local"
}

fn set_defaults(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    default_text(spec, "type", "ClusterIP");
    default_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => drop(remove(spec, "sessionAffinityConfig")),
        "ClientIP" if !spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_number() => {
            set(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10_800}}));
        }
        _ => {}
    }
    for port in each_mut(spec, "ports") {
        default_text(port, "protocol", "TCP");
        if port.get("targetPort").is_none_or(|t| t.is_null() || *t == 0 || *t == "") {
            let number = port["port"].clone();
            set(port, "targetPort", number);
        }
    }
    traffic(object);
    let Some(status) = part(object, "status").and_then(|s| part(s, "loadBalancer")) else { return };
    for ingress in each_mut(status, "ingress").filter(|i| !text(i, "ip").is_empty()) {
        default(ingress, "ipMode", || "VIP".into());
    }
}

fn traffic(object: &mut Value) {
    let (outside, kind) = (is_reachable_from_outside(object), kind(object).to_owned());
    let Some(spec) = part(object, "spec") else { return };
    if outside {
        default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        default(spec, "internalTrafficPolicy", || "Cluster".into());
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", || true.into());
    }
}

/// The cluster has one family of addresses. That is no default: it is nobody's, as the address is. A headless Service whose endpoints somebody else chooses may have both.
fn families(object: &mut Value) {
    if kind(object) == "ExternalName" {
        return;
    }
    let headless = is_headless(object);
    let Some(spec) = part(object, "spec") else { return };
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() && items(spec, "clusterIPs").is_empty() {
        set(spec, "clusterIPs", json!([address]));
    }
    let free = headless && spec["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    let policy = if free { "RequireDualStack" } else { "SingleStack" };
    default(spec, "ipFamilyPolicy", || policy.into());
    if items(spec, "ipFamilies").is_empty() {
        let both = free && text(spec, "ipFamilyPolicy") != "SingleStack";
        set(spec, "ipFamilies", if both { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) });
    }
}

/// Whether a Service's endpoints count before they are ready.
pub fn publishes_not_ready(object: &Value) -> bool {
    is_true(&object["spec"], "publishNotReadyAddresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_kubernetes_own() {
        let check = |spec: Value, expected: Value| {
            let mut object = json!({"spec": spec});
            set_defaults(&mut object);
            families(&mut object);
            assert_eq!(object["spec"], expected);
            let once = object.clone();
            set_defaults(&mut object);
            families(&mut object);
            assert_eq!(object, once);
        };
        check(
            json!({"ports": [{"port": 80}], "selector": {"app": "a"}}),
            json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "selector": {"app": "a"}, "type": "ClusterIP",
                   "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}),
        );
        check(
            json!({"type": "LoadBalancer", "ports": [{"port": 80, "targetPort": "http", "protocol": "UDP"}], "sessionAffinity": "ClientIP"}),
            json!({"type": "LoadBalancer", "ports": [{"port": 80, "targetPort": "http", "protocol": "UDP"}], "sessionAffinity": "ClientIP",
                   "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}, "externalTrafficPolicy": "Cluster",
                   "internalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": true, "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}),
        );
        check(
            json!({"clusterIP": "None"}),
            json!({"clusterIP": "None", "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                   "clusterIPs": ["None"], "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}),
        );
        check(
            json!({"type": "ExternalName", "externalName": "a.example.com"}),
            json!({"type": "ExternalName", "externalName": "a.example.com", "sessionAffinity": "None"}),
        );
    }
}
