//! Every built-in kind, one row each.

use crate::{Kind, apps, autoscaling, batch, core, networking, pod, policy, rbac, scale, scheduling, storage};

/// All kinds, in the order discovery lists them.
pub static KINDS: &[&Kind] = &[
    &core::config_map::CONFIG_MAP,
    &core::endpoints::ENDPOINTS,
    &core::event::EVENT,
    &core::limit_range::LIMIT_RANGE,
    &core::namespace::NAMESPACE,
    &core::node::NODE,
    &storage::claim::PERSISTENT_VOLUME_CLAIM,
    &storage::volume::PERSISTENT_VOLUME,
    &pod::POD,
    &core::replication_controller::REPLICATION_CONTROLLER,
    &core::resource_quota::RESOURCE_QUOTA,
    &core::secret::SECRET,
    &core::service_account::SERVICE_ACCOUNT,
    &core::service::SERVICE,
    &apps::controller_revision::CONTROLLER_REVISION,
    &apps::daemon_set::DAEMON_SET,
    &apps::deployment::DEPLOYMENT,
    &apps::replica_set::REPLICA_SET,
    &apps::stateful_set::STATEFUL_SET,
    &autoscaling::HORIZONTAL_POD_AUTOSCALER,
    &batch::cron_job::CRON_JOB,
    &batch::job::JOB,
    &core::lease::LEASE,
    &core::event::EVENTS_K8S_IO_EVENT,
    &networking::endpoint_slice::ENDPOINT_SLICE,
    &networking::ingress_class::INGRESS_CLASS,
    &networking::ingress::INGRESS,
    &networking::ip_address::IP_ADDRESS,
    &networking::network_policy::NETWORK_POLICY,
    &networking::service_cidr::SERVICE_CIDR,
    &policy::POD_DISRUPTION_BUDGET,
    &rbac::CLUSTER_ROLE_BINDING,
    &rbac::CLUSTER_ROLE,
    &rbac::ROLE_BINDING,
    &rbac::ROLE,
    &scheduling::PRIORITY_CLASS,
    &storage::storage_class::STORAGE_CLASS,
];

/// Kinds that only subresources take or answer: nothing is stored under them, and they are no resources of their own.
pub static VIRTUAL: &[&Kind] = &[&pod::binding::BINDING, &policy::EVICTION, &scale::SCALE];

/// The kind served at `/apis/<group>/<version>/<plural>`.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.plural == plural && k.group == group && k.version == version)
}

/// The kind of an object's `apiVersion` and `kind`, virtual ones included.
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    KINDS.iter().chain(VIRTUAL).copied().find(|k| k.kind == kind && k.group == group && k.version == version)
}

/// The kind of a group and plural, whatever the version.
pub fn by_plural(group: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.plural == plural && k.group == group)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let mut seen = BTreeSet::new();
        for kind in KINDS.iter().chain(VIRTUAL) {
            assert!(seen.insert((kind.group, kind.plural)), "{} is there twice", kind.plural);
            assert!(kind.schema.ends_with(&format!(".{}.{}", kind.version, kind.kind)), "{}", kind.schema);
            assert_eq!(by_kind(&kind.api_version(), kind.kind).map(|k| k.plural), Some(kind.plural));
        }
        let mut short = BTreeSet::new();
        for name in KINDS.iter().filter(|k| k.stored_as.is_none()).flat_map(|k| k.short_names) {
            assert!(short.insert(name), "{name} is short for two kinds");
        }
    }

    #[test]
    fn every_function_bears_an_empty_object() {
        for kind in KINDS.iter().chain(VIRTUAL) {
            let mut object = json!({"metadata": {"name": "a", "uid": "u"}});
            let strategy = &kind.strategy;
            (strategy.default)(&mut object);
            (strategy.prepare_create)(&mut object);
            (strategy.validate)(&object);
            let old = object.clone();
            (strategy.prepare_update)(&mut object, &old);
            (strategy.validate_update)(&object, &old);
            (strategy.prepare_status)(&mut object, &old);
            (strategy.validate_status)(&object, &old);
            (strategy.grace_period_s)(&object);
            kind.selectable.iter().for_each(|(_, read)| drop(read(&object)));
            assert_eq!(kind.table_cells(&object, 0).len(), kind.table_columns().count(), "{}", kind.kind);
        }
    }

    #[test]
    fn defaults_are_set_once() {
        for kind in KINDS {
            let mut object = json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}});
            (kind.strategy.default)(&mut object);
            let once = object.clone();
            (kind.strategy.default)(&mut object);
            assert_eq!(object, once, "{}", kind.kind);
        }
    }
}
