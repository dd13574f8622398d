//! The node's decisions: what to start, what to stop, what to report.
//!
//! Pure: the shell feeds in the pods that the API wants here, what its runtime has observed, and the time; out come
//! actions for the runtime and the status for the API. The simulated runtime and CRI share all of it.
//!
//! Invariants:
//! - a container is started only when every init container before it has succeeded;
//! - a pod that is being deleted starts nothing any more, and is removed from the API only when nothing of it runs;
//! - a pod that has Succeeded or Failed stays so.

pub mod lifecycle;
pub mod node;
pub mod pod;
pub mod status;

pub use lifecycle::{Action, Observation, PodRun, Step};
pub use pod::PodSpec;
