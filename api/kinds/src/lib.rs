//! The vocabulary: every built-in kind and what it says about itself: names, scope, subresources, defaults, validation,
//! update rules, table columns. One file a kind (or family), one [`registry`]. Discovery, routes, storage keys, watches
//! and tables derive from it.
//!
//! Pure. Objects are `serde_json::Value`s that the schema engine has already checked for shape and pruned: functions here
//! may rely on field types, not on the presence of fields. What Kubernetes' types make of an object on its way in and out
//! beyond defaults (canonical quantities) happens in [`Strategy::default`]; what they make equal says [`equality`].

pub mod apps;
pub mod autoscaling;
pub mod batch;
pub mod cause;
pub mod core;
pub mod equality;
pub mod findings;
pub mod kind;
pub mod meta;
pub mod names;
pub mod networking;
pub mod path;
pub mod pod;
pub mod pod_template;
pub mod policy;
pub mod quantity;
pub mod rbac;
pub mod registry;
pub mod scale;
pub mod scheduling;
pub mod selector;
pub mod storage;
pub mod time;

pub use cause::{Cause, Causes, Reason};
pub use kind::{Cell, Column, Conversion, Kind, Scope, Strategy, Subresource};
