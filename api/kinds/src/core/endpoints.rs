//! Endpoints, the older form of EndpointSlices.

use serde_json::Value;

use crate::kind::{age, column};
use crate::path::text;
use crate::{Cell, Kind};

/// Endpoints.
pub static ENDPOINTS: Kind = Kind {
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    schema: "io.k8s.api.core.v1.Endpoints",
    columns: &[column("Endpoints"), column("Age")],
    cells: |object, now_us| vec![shown(object), age(object, now_us)],
    ..Kind::BASE
};

fn shown(object: &Value) -> Cell {
    let mut all = Vec::new();
    for subset in object["subsets"].as_array().into_iter().flatten() {
        let ports: Vec<i64> =
            subset["ports"].as_array().into_iter().flatten().filter_map(|p| p["port"].as_i64()).collect();
        for address in subset["addresses"].as_array().into_iter().flatten() {
            let ip = text(address, "ip");
            if ports.is_empty() {
                all.push(ip.to_owned());
            }
            all.extend(ports.iter().map(|port| format!("{ip}:{port}")));
        }
    }
    shorten(all).into()
}

/// At most three, and how many more there are.
pub(crate) fn shorten(all: Vec<String>) -> String {
    match all.len() {
        0 => "<none>".to_owned(),
        1..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}
