//! What the FailedScheduling event says.

use std::collections::BTreeMap;

/// When the cluster is empty.
pub const NO_NODES: &str = "no nodes available to schedule pods";

/// `0/5 nodes are available: 2 …, 3 ….`: the sentences in the order of their text, as Kubernetes sorts them.
pub fn unavailable(nodes: usize, reasons: &BTreeMap<String, usize>) -> String {
    let mut parts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    format!("0/{nodes} nodes are available: {}.", parts.join(", "))
}

/// What is added when preemption does not help.
pub fn no_victims(nodes: usize, crowded: usize) -> String {
    let mut reasons = BTreeMap::new();
    if crowded > 0 {
        reasons.insert("No preemption victims found for incoming pod".to_owned(), crowded);
    }
    if crowded < nodes {
        reasons.insert("Preemption is not helpful for scheduling".to_owned(), nodes - crowded);
    }
    format!(" preemption: {}", unavailable(nodes, &reasons))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_kubernetes() {
        let reasons =
            BTreeMap::from([("node(s) had untolerated taint(s)".to_owned(), 2), ("Insufficient cpu".to_owned(), 3)]);
        assert_eq!(
            unavailable(5, &reasons),
            "0/5 nodes are available: 2 node(s) had untolerated taint(s), 3 Insufficient cpu."
        );
        assert_eq!(
            no_victims(5, 5),
            " preemption: 0/5 nodes are available: 5 No preemption victims found for incoming pod."
        );
        assert_eq!(
            no_victims(5, 3),
            " preemption: 0/5 nodes are available: 2 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod."
        );
    }
}
