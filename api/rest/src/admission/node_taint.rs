//! TaintNodesByCondition: a new node takes no pods until it has been seen ready.

use serde_json::json;

use super::{Attributes, Plugin};
use crate::Status;

pub(super) const PLUGIN: Plugin = Plugin { name: "TaintNodesByCondition", admit };

fn admit(a: &mut Attributes<'_>) -> Result<(), Status> {
    if !a.creates("Node") {
        return Ok(());
    }
    let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    let mut taints = a.object["spec"]["taints"].as_array().cloned().unwrap_or_default();
    if !taints.iter().any(|t| t["key"] == taint["key"] && t["effect"] == taint["effect"]) {
        taints.push(taint);
        a.object["spec"]["taints"] = taints.into();
    }
    Ok(())
}
