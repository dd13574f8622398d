//! Worlds in which the consensus that ships runs: openraft with raft/node around it, whole, from the proposal of a client to
//! apply, over a network, a disk and a time that are simulated.
//!
//! Each process has a runtime of its own with its own clock, which the world lets run for a millisecond at a time; one that
//! crashes is dropped with all its tasks, wherever they stand. Calls between members are carried by [`post`], frame by frame;
//! the log lies on a [`disk`] that forgets what was not synced. Workloads and checkers are those of the small worlds.

pub mod disk;
pub mod faults;
pub mod files;
pub mod ground;
mod line;
pub mod member;
pub mod plan;
pub mod post;
pub mod process;
pub mod run;
pub mod store;
pub mod world;
