//! NamespaceLifecycle: objects are made in namespaces that exist and stay; some namespaces may not go.

use super::{Attributes, Operation, Plugin};
use crate::Status;

pub(super) const PLUGIN: Plugin = Plugin { name: "NamespaceLifecycle", admit };

const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

fn admit(a: &mut Attributes<'_>) -> Result<(), Status> {
    let kind = a.context.kind;
    if a.operation == Operation::Delete && kind.kind == "Namespace" && IMMORTAL.contains(&a.name()) {
        return Err(Status::forbidden(kind, a.name(), "this namespace may not be deleted"));
    }
    if a.operation != Operation::Create || !kind.namespaced() {
        return Ok(());
    }
    let namespace = &a.context.namespace;
    let namespaces = &api_kinds::core::namespace::NAMESPACE;
    let found = a.look_up(&namespaces.key("", namespace)).ok_or_else(|| Status::not_found(namespaces, namespace))?;
    let terminating = found["metadata"]["deletionTimestamp"].is_string();
    // Events tell how the end comes about.
    if terminating && kind.kind != "Event" {
        return Err(Status::namespace_terminating(kind, a.name(), namespace));
    }
    Ok(())
}
