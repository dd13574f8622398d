//! The quality-of-service class of a pod.

use serde_json::Value;

use crate::quantity::Quantity;

/// `Guaranteed` when every container limits what it requests, cpu and memory; `BestEffort` when none asks for either;
/// else `Burstable`.
pub fn class(spec: &Value) -> &'static str {
    let (mut any, mut all_equal) = (false, true);
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array().into_iter().flatten() {
            for resource in ["cpu", "memory"] {
                let amount = |kind: &str| {
                    container["resources"][kind][resource]
                        .as_str()
                        .and_then(Quantity::parse)
                        .filter(|q| q.sign().is_gt())
                };
                let (request, limit) = (amount("requests"), amount("limits"));
                any |= request.is_some() || limit.is_some();
                all_equal &= limit.is_some() && request == limit;
            }
        }
    }
    match (any, all_equal) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
