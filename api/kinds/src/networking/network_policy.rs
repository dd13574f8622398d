//! NetworkPolicy (networking.k8s.io/v1). Stored and judged; nothing enforces it yet.

use serde_json::{Value, json};

use crate::findings::Findings;
use crate::kind::{age, bump_generation, column, set_generation};
use crate::path::{Path, default_text, each_mut, has, items, part, set, text};
use crate::{Causes, Kind, Strategy, names, selector};

/// NetworkPolicy.
pub static NETWORK_POLICY: Kind = Kind {
    group: "networking.k8s.io",
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    singular: "networkpolicy",
    short_names: &["netpol"],
    schema: "io.k8s.api.networking.v1.NetworkPolicy",
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| set_generation(object, 1),
        prepare_update: bump_generation,
        validate,
        ..Strategy::PLAIN
    },
    columns: &[column("Pod-Selector"), column("Age")],
    cells: |object, now_us| vec![selector::format(&object["spec"]["podSelector"]).into(), age(object, now_us)],
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");

fn set_defaults(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    for direction in ["ingress", "egress"] {
        for port in each_mut(spec, direction).flat_map(|rule| each_mut(rule, "ports")) {
            default_text(port, "protocol", "TCP");
        }
    }
    if items(spec, "policyTypes").is_empty() {
        let both = !items(spec, "egress").is_empty();
        set(spec, "policyTypes", if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    selector::validate(&spec["podSelector"], SPEC.field("podSelector"), &mut findings);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let list = SPEC.field(direction);
        for (index, rule) in items(spec, direction).iter().enumerate() {
            let at = list.index(index);
            let (at_ports, at_peers) = (at.field("ports"), at.field(peers));
            for (index, one) in items(rule, "ports").iter().enumerate() {
                port(one, at_ports.index(index), &mut findings);
            }
            for (index, one) in items(rule, peers).iter().enumerate() {
                peer(one, at_peers.index(index), &mut findings);
            }
        }
    }
    let types = items(spec, "policyTypes");
    let at = SPEC.field("policyTypes");
    if types.len() > 2 {
        findings.invalid(at, &spec["policyTypes"], "may not specify more than two policyTypes");
    } else {
        for (index, kind) in types.iter().filter_map(Value::as_str).enumerate() {
            findings.one_of(at.index(index), kind, &["Ingress", "Egress"]);
        }
    }
    findings.done()
}

fn port(port: &Value, at: Path<'_>, findings: &mut Findings) {
    findings.one_of(at.field("protocol"), text(port, "protocol"), &["TCP", "UDP", "SCTP"]);
    let (end, at_end) = (port["endPort"].as_i64(), at.field("endPort"));
    match &port["port"] {
        Value::Null => {
            if let Some(end) = end {
                findings.invalid(at_end, end, "may not be specified when `port` is not specified");
            }
        }
        Value::String(name) => {
            if let Some(end) = end {
                findings.invalid(at_end, end, "may not be specified when `port` is non-numeric");
            }
            findings.names(at.field("port"), name, names::port_name(name));
        }
        number => {
            let first = number.as_i64().unwrap_or(0);
            crate::pod::check_port_number(at.field("port"), first, findings);
            if let Some(end) = end {
                if end < first {
                    findings.invalid(at_end, end, "must be greater than or equal to `port`");
                }
                crate::pod::check_port_number(at_end, end, findings);
            }
        }
    }
}

fn peer(peer: &Value, at: Path<'_>, findings: &mut Findings) {
    let mut peers = 0;
    for field in ["podSelector", "namespaceSelector"].into_iter().filter(|field| has(peer, field)) {
        peers += 1;
        selector::validate(&peer[field], at.field(field), findings);
    }
    let block = has(peer, "ipBlock");
    if block {
        ip_block(&peer["ipBlock"], at.field("ipBlock"), findings);
    }
    match (peers, block) {
        (0, false) => findings.required(at, "must specify a peer"),
        (1.., true) => findings.forbidden(at, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

fn ip_block(block: &Value, at: Path<'_>, findings: &mut Findings) {
    let network = text(block, "cidr");
    if network.is_empty() {
        return findings.required(at.field("cidr"), "");
    }
    let messages = names::cidr(network);
    let sound = messages.is_empty();
    findings.names(at.field("cidr"), network, messages);
    let list = at.field("except");
    for (index, except) in items(block, "except").iter().filter_map(Value::as_str).enumerate() {
        let messages = names::cidr(except);
        if sound && messages.is_empty() && !is_within(except, network) {
            findings.invalid(list.index(index), except, "must be a strict subset of `cidr`");
        }
        findings.names(list.index(index), except, messages);
    }
}

/// Whether a network lies within another, and is smaller.
fn is_within(inner: &str, outer: &str) -> bool {
    let parse = |network: &str| {
        let (address, bits) = network.split_once('/')?;
        let bits: u32 = bits.parse().ok()?;
        match address.parse().ok()? {
            std::net::IpAddr::V4(v4) => Some((u128::from(u32::from(v4)) << 96, bits, true)),
            std::net::IpAddr::V6(v6) => Some((u128::from(v6), bits, false)),
        }
    };
    let (Some((a, a_bits, a_v4)), Some((b, b_bits, b_v4))) = (parse(inner), parse(outer)) else { return false };
    let mask = u128::MAX.checked_shl(128 - b_bits).unwrap_or(0);
    a_v4 == b_v4 && a_bits > b_bits && a & mask == b & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_judged_as_kubernetes_judges_them() {
        let check = |spec: Value, expected: &[&str]| {
            let mut object = json!({"spec": spec});
            set_defaults(&mut object);
            let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"podSelector": {}}), &[]);
        check(
            json!({"podSelector": {}, "ingress": [{"from": [{}]}]}),
            &["spec.ingress[0].from[0]: Required value: must specify a peer"],
        );
        check(
            json!({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]}),
            &[
                "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            ],
        );
        check(
            json!({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}]}),
            &[],
        );
        check(
            json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 79}]}]}),
            &["spec.ingress[0].ports[0].endPort: Invalid value: 79: must be greater than or equal to `port`"],
        );
    }

    #[test]
    fn egress_rules_make_an_egress_policy() {
        let mut object = json!({"spec": {"podSelector": {}, "egress": [{}]}});
        set_defaults(&mut object);
        assert_eq!(object["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    }
}
