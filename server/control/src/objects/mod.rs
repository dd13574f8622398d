//! What controllers read of objects.

mod meta;
mod pod;
mod workload;

pub use meta::{Meta, Owner};
pub use pod::{Phase, Pod};
pub use workload::{Deployment, ReplicaSet, RollingUpdate};
