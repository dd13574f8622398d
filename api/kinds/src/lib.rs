//! The vocabulary: every built-in kind and what it says about itself: names, scope, subresources, defaults, validation,
//! update rules, table columns. One file a kind (or family), one [`registry`]. Discovery, routes, storage keys, watches
//! and tables derive from it.
//!
//! Pure. Objects are `serde_json::Value`s that the schema engine has already checked for shape and pruned: functions here
//! may rely on field types, not on the presence of fields.

pub mod apps;
pub mod cause;
pub mod core;
pub mod kind;
pub mod meta;
pub mod names;
pub mod networking;
pub mod path;
pub mod pod;
pub mod quantity;
pub mod registry;
pub mod scale;
pub mod scheduling;
pub mod selector;
pub mod time;

pub use cause::{Cause, Causes, Reason};
pub use kind::{Cell, Column, Kind, Scope, Strategy, Subresource};
