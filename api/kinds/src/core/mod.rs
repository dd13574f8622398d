//! Kinds of the core group (and Lease, which is as plain).

pub mod config_map;
pub mod endpoints;
pub mod event;
pub mod lease;
pub mod namespace;
pub mod node;
pub mod secret;
pub mod service;
pub mod service_account;
