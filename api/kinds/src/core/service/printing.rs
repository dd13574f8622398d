//! A Service's row in tables.

use serde_json::Value;

use super::kind;
use crate::Cell;
use crate::kind::age;
use crate::path::{integer, items, text};
use crate::selector::Selector;

pub(super) fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let spec = &object["spec"];
    let ports: Vec<String> = items(spec, "ports")
        .iter()
        .map(|port| match integer(port, "nodePort") {
            0 => format!("{}/{}", integer(port, "port"), text(port, "protocol")),
            node => format!("{}:{node}/{}", integer(port, "port"), text(port, "protocol")),
        })
        .collect();
    let none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
    let address = items(spec, "clusterIPs").first().and_then(Value::as_str).unwrap_or_default();
    vec![
        kind(object).into(),
        none(address.to_owned()).into(),
        external(object).into(),
        none(ports.join(",")).into(),
        age(object, now_us),
        none(Selector::from_map(&spec["selector"]).to_string()).into(),
    ]
}

fn external(object: &Value) -> String {
    let chosen = || items(&object["spec"], "externalIPs").iter().filter_map(Value::as_str);
    match kind(object) {
        "ExternalName" => text(&object["spec"], "externalName").to_owned(),
        "LoadBalancer" => {
            let mut assigned: Vec<&str> = items(&object["status"]["loadBalancer"], "ingress")
                .iter()
                .map(|point| if text(point, "ip").is_empty() { text(point, "hostname") } else { text(point, "ip") })
                .filter(|address| !address.is_empty())
                .collect();
            assigned.sort_unstable();
            assigned.dedup();
            assigned.extend(chosen());
            if assigned.is_empty() { "<pending>".to_owned() } else { assigned.join(",") }
        }
        _ if chosen().next().is_some() => chosen().collect::<Vec<_>>().join(","),
        _ => "<none>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_shows_how_to_reach_it() {
        let check = |object: Value, expected: [&str; 4]| {
            let row = cells(&object, 0);
            let shown: Vec<&str> = row[..4].iter().filter_map(Value::as_str).collect();
            assert_eq!(shown, expected);
        };
        check(
            json!({"spec": {"type": "NodePort", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}}),
            ["NodePort", "10.0.0.1", "<none>", "80:30080/TCP"],
        );
        check(json!({"spec": {"type": "LoadBalancer"}}), ["LoadBalancer", "<none>", "<pending>", "<none>"]);
        check(
            json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}),
            ["LoadBalancer", "<none>", "1.2.3.4", "<none>"],
        );
        check(
            json!({"spec": {"type": "ExternalName", "externalName": "a.b"}}),
            ["ExternalName", "<none>", "a.b", "<none>"],
        );
    }
}
