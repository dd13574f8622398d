//! NodeRestriction: a node touches itself and the pods bound to it, nothing else.

use super::{Attributes, Operation, Plugin};
use crate::Status;

pub(super) const PLUGIN: Plugin = Plugin { name: "NodeRestriction", admit };

fn admit(a: &mut Attributes<'_>) -> Result<(), Status> {
    let Some(node) = a.context.identity.node() else { return Ok(()) };
    let kind = a.context.kind;
    let refuse =
        |why: String| Err(Status::forbidden(kind, a.object["metadata"]["name"].as_str().unwrap_or_default(), &why));
    match kind.kind {
        "Node" if a.name() != node => refuse(format!("node {node:?} is not allowed to modify node {:?}", a.name())),
        "Node" if a.operation == Operation::Update && a.subresource.is_empty() => {
            let taints = |object: &serde_json::Value| object["spec"]["taints"].clone();
            if a.old.is_some_and(|old| taints(old) != taints(a.object)) {
                return refuse(format!("node {node:?} is not allowed to modify taints"));
            }
            Ok(())
        }
        "Pod" if a.operation == Operation::Create => {
            let mirror = a.object["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some();
            if mirror && a.object["spec"]["nodeName"] == node {
                return Ok(());
            }
            refuse(format!(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
            ))
        }
        "Pod" => {
            let bound = a.old.map_or(&a.object["spec"]["nodeName"], |old| &old["spec"]["nodeName"]);
            if bound == node {
                return Ok(());
            }
            refuse(format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"))
        }
        _ => Ok(()),
    }
}
