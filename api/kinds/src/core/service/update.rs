//! What an update of a Service keeps, gives up and may not change.

use serde_json::Value;

use super::validate::SPEC;
use super::{has_cluster_ip, has_health_check, is_headless, is_reachable_from_outside, kind, may_have_node_ports};
use crate::Causes;
use crate::equality::same;
use crate::findings::Findings;
use crate::kind::keep_status;
use crate::path::{each_mut, integer, items, part, remove, set, text};

/// Keeps the status, what was allotted and the client does not mention, and drops what the type no longer has.
pub(super) fn prepare(new: &mut Value, old: &Value) {
    keep_status(new, old);
    keep_allotted(new, old);
    drop_dependent(new, old);
    if kind(new) != "LoadBalancer"
        && let Some(status) = part(new, "status")
    {
        set(status, "loadBalancer", serde_json::json!({}));
    }
}

fn keep_allotted(new: &mut Value, old: &Value) {
    let both = has_cluster_ip(new) && has_cluster_ip(old);
    if both && text(&new["spec"], "clusterIP").is_empty() {
        copy(new, old, "clusterIP");
        copy(new, old, "clusterIPs");
    } else if !text(&new["spec"], "clusterIP").is_empty() && new["spec"]["clusterIPs"] == old["spec"]["clusterIPs"] {
        // Only the older of the two fields was changed.
        let address = new["spec"]["clusterIP"].clone();
        if new["spec"]["clusterIPs"][0] != address {
            set(&mut new["spec"], "clusterIPs", serde_json::json!([address]));
        }
    }
    if may_have_node_ports(new) && may_have_node_ports(old) {
        let before: Vec<Value> = items(&old["spec"], "ports").to_vec();
        let taken: Vec<i64> = items(&new["spec"], "ports").iter().map(|p| integer(p, "nodePort")).collect();
        for port in each_mut(&mut new["spec"], "ports").filter(|port| integer(port, "nodePort") == 0) {
            let same = before.iter().find(|p| p["port"] == port["port"] && p["protocol"] == port["protocol"]);
            if let Some(number) = same.map(|p| integer(p, "nodePort")).filter(|n| *n != 0 && !taken.contains(n)) {
                set(port, "nodePort", number.into());
            }
        }
    }
    if has_health_check(new) && has_health_check(old) && integer(&new["spec"], "healthCheckNodePort") == 0 {
        copy(new, old, "healthCheckNodePort");
    }
}

fn copy(new: &mut Value, old: &Value, field: &str) {
    if let Some(value) = old["spec"].get(field) {
        set(&mut new["spec"], field, value.clone());
    }
}

/// What belongs to the old type alone, and came back unchanged, goes with it.
fn drop_dependent(new: &mut Value, old: &Value) {
    let unchanged = |new: &Value, field: &str| same(&new["spec"][field], &old["spec"][field]);
    let addressed = |object: &Value| kind(object) != "ExternalName";
    if addressed(old) && !addressed(new) {
        if unchanged(new, "clusterIP") && unchanged(new, "clusterIPs") {
            remove(&mut new["spec"], "clusterIP");
            remove(&mut new["spec"], "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            drop_if(unchanged(new, field), new, field);
        }
    }
    if may_have_node_ports(old) && !may_have_node_ports(new) {
        let before: Vec<i64> = items(&old["spec"], "ports").iter().map(|p| integer(p, "nodePort")).collect();
        let known =
            items(&new["spec"], "ports").iter().map(|p| integer(p, "nodePort")).all(|n| n == 0 || before.contains(&n));
        if known {
            each_mut(&mut new["spec"], "ports").for_each(|port| drop(remove(port, "nodePort")));
        }
    }
    drop_if(
        has_health_check(old) && !has_health_check(new) && unchanged(new, "healthCheckNodePort"),
        new,
        "healthCheckNodePort",
    );
    if kind(old) == "LoadBalancer" && kind(new) != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            drop_if(unchanged(new, field), new, field);
        }
    }
    let closed = is_reachable_from_outside(old) && !is_reachable_from_outside(new);
    drop_if(closed && unchanged(new, "externalTrafficPolicy"), new, "externalTrafficPolicy");
}

fn drop_if(gone: bool, new: &mut Value, field: &str) {
    if gone {
        remove(&mut new["spec"], field);
    }
}

/// Findings about an update of a Service.
pub(super) fn validate(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    if kind(new) != "ExternalName" && kind(old) != "ExternalName" && !(is_headless(new) && is_headless(old)) {
        addresses(&new["spec"], &old["spec"], &mut findings);
    }
    if kind(new) == "LoadBalancer"
        && kind(old) == "LoadBalancer"
        && !same(&new["spec"]["loadBalancerClass"], &old["spec"]["loadBalancerClass"])
    {
        let class = &new["spec"]["loadBalancerClass"];
        findings.invalid(SPEC.field("loadBalancerClass"), class, "may not change once set");
    }
    let port = |object: &Value| integer(&object["spec"], "healthCheckNodePort");
    if has_health_check(new) && has_health_check(old) && port(old) != 0 && port(new) != port(old) {
        findings.forbidden(SPEC.field("healthCheckNodePort"), "field is immutable");
    }
    findings.done()
}

fn addresses(new: &Value, old: &Value, findings: &mut Findings) {
    let (after, before) = (items(new, "clusterIPs"), items(old, "clusterIPs"));
    let at = SPEC.field("clusterIPs");
    if after.is_empty() && !before.is_empty() {
        findings.invalid(at.index(0), &serde_json::json!([]), "primary clusterIP can not be unset");
    }
    for (index, (after, before)) in after.iter().zip(before).enumerate() {
        if after != before {
            findings.invalid(at.index(index), &new["clusterIPs"], "may not change once set");
        }
    }
    let (after, before) = (items(new, "ipFamilies"), items(old, "ipFamilies"));
    if before.iter().zip(after).any(|(before, after)| before != after) {
        findings.invalid(SPEC.field("ipFamilies").index(0), &new["ipFamilies"], "may not change once set");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::SERVICE;
    use super::*;

    fn old() -> Value {
        json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"],
                        "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster",
                        "sessionAffinity": "None", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30080}]},
               "status": {"loadBalancer": {}}})
    }

    #[test]
    fn what_was_allotted_stays() {
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        (SERVICE.strategy.default)(&mut new);
        prepare(&mut new, &old());
        assert_eq!(new["spec"]["clusterIP"], "10.0.0.1");
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
        assert_eq!(validate(&new, &old()), []);
    }

    #[test]
    fn the_address_may_not_change() {
        let mut new = old();
        new["spec"]["clusterIP"] = json!("10.0.0.2");
        prepare(&mut new, &old());
        assert_eq!(
            validate(&new, &old())[0].to_string(),
            "spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"
        );
    }

    #[test]
    fn a_change_of_type_drops_what_the_old_one_had() {
        let mut new = old();
        new["spec"]["type"] = json!("ClusterIP");
        prepare(&mut new, &old());
        assert!(new["spec"]["ports"][0].get("nodePort").is_none());
        assert!(new["spec"].get("externalTrafficPolicy").is_none());
        assert_eq!((SERVICE.strategy.validate)(&new), []);
        let mut new = old();
        new["spec"]["type"] = json!("ExternalName");
        new["spec"]["externalName"] = json!("a.example.com");
        prepare(&mut new, &old());
        assert!(new["spec"].get("clusterIP").is_none());
        assert_eq!((SERVICE.strategy.validate)(&new), []);
    }
}
