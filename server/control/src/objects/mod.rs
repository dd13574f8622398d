//! What controllers read of objects.

mod event;
mod labels;
mod meta;
mod pod;
mod workload;

pub use event::EventTime;
pub use labels::Labels;
pub use meta::{Meta, Owner};
pub use pod::{NamedPort, Phase, Pod, Toleration};
pub use workload::{Deployment, ReplicaSet, RollingUpdate};
