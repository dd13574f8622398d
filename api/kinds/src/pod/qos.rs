//! The quality-of-service class of a pod.

use serde_json::Value;

use crate::path::items;
use crate::quantity::Quantity;

/// `Guaranteed` when every container limits cpu and memory to what it requests; `BestEffort` when none asks for either;
/// else `Burstable`. Resources of the pod as a whole, if there are any, count alone.
pub fn class(spec: &Value) -> &'static str {
    let (mut any, mut all_equal) = (false, true);
    let mut judge = |resources: &Value| {
        for name in ["cpu", "memory"] {
            let amount = |list: &str| Quantity::of_json(&resources[list][name]).filter(|q| q.sign().is_gt());
            let (request, limit) = (amount("requests"), amount("limits"));
            any |= request.is_some() || limit.is_some();
            all_equal &= limit.is_some() && request == limit;
        }
    };
    if spec["resources"].is_object() {
        judge(&spec["resources"]);
    } else {
        items(spec, "containers").iter().chain(items(spec, "initContainers")).for_each(|c| judge(&c["resources"]));
    }
    match (any, all_equal) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes_are_those_of_kubernetes() {
        let check = |containers: Value, expected: &str| assert_eq!(class(&json!({"containers": containers})), expected);
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        check(json!([{}]), "BestEffort");
        check(json!([{"resources": full}]), "Guaranteed");
        check(json!([{"resources": full}, {}]), "Burstable");
        check(json!([{"resources": {"requests": {"cpu": "1"}}}]), "Burstable");
        check(json!([{"resources": {"limits": {"example.com/gpu": "1"}}}]), "BestEffort");
    }
}
