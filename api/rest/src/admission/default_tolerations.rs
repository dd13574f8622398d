//! DefaultTolerationSeconds: pods stay for five minutes on a node that is not ready or not reachable.

use serde_json::json;

use super::{Attributes, Operation, Plugin};
use crate::Status;

pub(super) const PLUGIN: Plugin = Plugin { name: "DefaultTolerationSeconds", admit };

const SECONDS: i64 = 300;

fn admit(a: &mut Attributes<'_>) -> Result<(), Status> {
    // At updates too: a client that leaves them out does not mean to take them away, and could not.
    if a.context.kind.kind != "Pod" || !a.subresource.is_empty() || a.operation == Operation::Delete {
        return Ok(());
    }
    let mut tolerations = a.object["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|t| {
            let effect = t["effect"].as_str().unwrap_or_default();
            let named = t["key"].as_str().unwrap_or_default();
            (named == key || named.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !tolerated {
            tolerations
                .push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}));
        }
    }
    a.object["spec"]["tolerations"] = tolerations.into();
    Ok(())
}
