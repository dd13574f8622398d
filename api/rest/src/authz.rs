//! Who may do what, until RBAC lands: administrators everything, nodes what nodes do, nobody else anything.

use api_kinds::Kind;

use crate::{Identity, Status};

/// What is about to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a> {
    /// `get`, `list`, `watch`, `create` …
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) plural: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// Whether an identity may do it.
pub(crate) fn allowed(identity: &Identity, attributes: Attributes<'_>) -> bool {
    identity.is_in("system:masters") || identity.node().is_some_and(|node| node_may(node, attributes))
}

/// What the Node authorizer and the role `system:node` let a node do. Which objects it may touch, admission narrows.
fn node_may(node: &str, a: Attributes<'_>) -> bool {
    let reads = matches!(a.verb, "get" | "list" | "watch");
    match (a.group, a.plural, a.subresource) {
        ("", "nodes", "") => reads || a.verb == "create" || a.name == node,
        ("", "nodes", "status") => a.name == node,
        ("", "pods", "") => reads || matches!(a.verb, "create" | "delete"),
        ("", "pods", "status") => matches!(a.verb, "get" | "update" | "patch"),
        ("", "pods", "eviction") | ("", "serviceaccounts", "token") => a.verb == "create",
        ("", "services" | "configmaps" | "secrets" | "serviceaccounts" | "endpoints" | "namespaces", _)
        | ("discovery.k8s.io", "endpointslices", _) => reads,
        ("", "events", _) => matches!(a.verb, "create" | "update" | "patch"),
        ("coordination.k8s.io", "leases", _) => {
            a.namespace == "kube-node-lease" && (a.verb == "create" || a.name == node)
        }
        _ => false,
    }
}

/// Refuses what is not allowed, in Kubernetes' words.
pub(crate) fn check(identity: &Identity, attributes: Attributes<'_>) -> Result<(), Status> {
    if allowed(identity, attributes) {
        return Ok(());
    }
    let Attributes { verb, group, plural, subresource, namespace, name } = attributes;
    let resource = if subresource.is_empty() { plural.to_owned() } else { format!("{plural}/{subresource}") };
    let dotted = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let named = if name.is_empty() { dotted } else { format!("{dotted} {name:?}") };
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    Err(Status::not_authorized(format!(
        "{named} is forbidden: User {:?} cannot {verb} resource {resource:?} in API group {group:?} {place}",
        identity.user
    )))
}

/// The attributes of a request for a kind.
pub(crate) fn of<'a>(
    verb: &'a str,
    kind: &Kind,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
) -> Attributes<'a> {
    Attributes { verb, group: kind.group, plural: kind.plural, subresource, namespace, name }
}
