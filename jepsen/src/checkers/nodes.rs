//! Nodes: a node whose agent is alive is never given up, whatever befalls masters and their clocks. A new leader gives each its
//! whole time anew, so that no outage of the masters is one of the nodes.

use std::collections::BTreeMap;

use super::{Checker, Evidence, Verdict};

/// The row.
pub static CHECKER: Checker =
    Checker { name: "nodes", text: "no node is given up while its agent lives: none is Unknown, none evicts", check };

fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let mut events = 0;
    // A node that is given up flaps: the first time is enough.
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for event in evidence.of("nodes").filter_map(|op| op.result()?["nodes"].as_array()).flatten() {
        events += 1;
        let (revision, name) = (&event[0], event[1].as_str().unwrap_or_default());
        let taints = event[3].as_array().map_or(0, Vec::len);
        let what = match event[2].as_str() {
            Some("Unknown") => format!("{name} is called Unknown at revision {revision}, though its agent lives"),
            _ if taints > 0 => format!("{name} evicts its pods at revision {revision}, though its agent lives"),
            _ => continue,
        };
        found.entry(name.to_owned()).or_insert(what);
    }
    for what in found.into_values() {
        verdict.find(what, Vec::new());
    }
    if events > 0 {
        verdict.looked_at = format!("{events} changes of nodes");
    }
    verdict
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::history::{End, Op};

    #[test]
    fn a_node_that_is_given_up_is_found_once() {
        let found = |nodes: Value, expected: usize, why: &str| {
            let op = Op {
                process: 1,
                workload: "nodes",
                f: "nodes",
                key: String::new(),
                input: Value::Null,
                master: 0,
                invoked: Duration::ZERO,
                completed: Some(Duration::from_secs(1)),
                end: End::Ok(json!({"nodes": nodes})),
            };
            let evidence = Evidence { ops: vec![op], ..Evidence::default() };
            assert_eq!(check(&evidence).anomalies.len(), expected, "{why}");
        };
        found(json!([[1, "n1", "", []], [2, "n1", "True", []]]), 0, "it registered and is ready");
        found(json!([[1, "n1", "True", []], [2, "n1", "Unknown", []], [3, "n1", "Unknown", ["x"]]]), 1, "given up");
        found(json!([[1, "n1", "True", ["x"]], [2, "n2", "Unknown", []]]), 2, "two are given up");
    }
}
