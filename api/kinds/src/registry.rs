//! Every built-in kind, one row each.

use crate::{Kind, apps, core, networking, pod, scheduling};

/// All kinds, in the order discovery lists them.
pub static KINDS: &[&Kind] = &[
    &core::config_map::CONFIG_MAP,
    &core::endpoints::ENDPOINTS,
    &core::event::EVENT,
    &core::namespace::NAMESPACE,
    &core::node::NODE,
    &pod::POD,
    &core::secret::SECRET,
    &core::service_account::SERVICE_ACCOUNT,
    &core::service::SERVICE,
    &apps::deployment::DEPLOYMENT,
    &apps::replica_set::REPLICA_SET,
    &core::lease::LEASE,
    &networking::endpoint_slice::ENDPOINT_SLICE,
    &networking::ip_address::IP_ADDRESS,
    &scheduling::PRIORITY_CLASS,
];

/// The kind served at `/apis/<group>/<version>/<plural>`.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.plural == plural && k.group == group && k.version == version)
}

/// The kind of an object's `apiVersion` and `kind`.
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.kind == kind && k.api_version() == api_version)
}

/// The kind of a group and plural, whatever the version.
pub fn by_plural(group: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.plural == plural && k.group == group)
}
