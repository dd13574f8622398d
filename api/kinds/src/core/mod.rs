//! Kinds of the core group but pods (and Lease, which is as plain).

pub mod config_map;
pub mod endpoints;
pub mod event;
pub mod lease;
pub mod limit_range;
pub mod namespace;
pub mod node;
pub mod replication_controller;
pub mod resource_quota;
pub mod secret;
pub mod service;
pub mod service_account;
