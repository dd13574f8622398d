//! All controllers, one file each.

mod deployment;
mod endpoint_slice;
mod event_ttl;
mod garbage_collector;
mod namespace;
mod node_lifecycle;
mod pod_gc;
mod replica_set;
mod replication_controller;
mod rollout;
mod root_ca;
mod service_account;
mod system_namespaces;
mod taint_eviction;

use crate::Controller;

/// One row each.
pub static ALL: &[&Controller] = &[
    &deployment::CONTROLLER,
    &replica_set::CONTROLLER,
    &replication_controller::CONTROLLER,
    &namespace::CONTROLLER,
    &system_namespaces::CONTROLLER,
    &service_account::CONTROLLER,
    &root_ca::CONTROLLER,
    &node_lifecycle::CONTROLLER,
    &taint_eviction::CONTROLLER,
    &pod_gc::CONTROLLER,
    &endpoint_slice::CONTROLLER,
    &garbage_collector::CONTROLLER,
    &event_ttl::CONTROLLER,
];
