//! Raft: the replicated store of one member, on openraft.
//!
//! [`Node`] is what the layers above see as [`raft_state::port::Store`]. Inside, the Raft core, the peer port and their
//! timers run on a runtime of their own, so that no load on the API delays a heartbeat; the log is written by a thread
//! of its own, and applied by another.
//!
//! Invariants:
//! - an outcome is returned only when its entry is committed by a quorum and applied on this member;
//! - a command is applied at most once, however often and through however many leaders it was sent: its id is
//!   (boot of the member that took it, sequence), and the state keeps the outcomes of ids that may still be in flight;
//! - a linearizable read waits for an index that a quorum confirmed after the read began, never for a clock;
//! - a leader that no quorum has answered within the lease refuses writes and reads, and says so in its standing;
//! - a learner votes only when it has caught up; an id that was removed, or whose folder was emptied, never votes again;
//! - every peer message names protocol version, cluster, sender and addressee, and is refused when one of them is wrong;
//! - members compare the hashes of their states at equal log indexes; whoever differs from a majority is fenced;
//! - what lies on the disk is read and checked in the background; a member that finds damage steps back when the others can
//!   do without it, and a snapshot is checked whole before it takes the place of anything;
//! - whatever breaks storage or the Raft core ends the process; what is damaged on the disk is never served: the member is
//!   fenced, and rebuilt from its peers under a new id.

mod batch;
mod checkpoint;
mod compact;
mod compare;
mod config;
mod disk;
mod exit;
pub mod faults;
mod fence;
mod fenced;
mod form;
mod forward;
pub mod ground;
mod holds;
mod host;
pub mod journal;
mod leader;
mod leases;
mod level;
mod log;
mod machine;
mod members;
mod metrics;
mod node;
mod pace;
mod peer;
mod pressure;
mod progress;
mod proof;
mod reads;
mod rebuild;
mod record;
mod registry;
mod retreat;
mod route;
mod runtime;
mod scrub;
pub mod seed;
mod silence;
pub mod simulated;
mod size;
mod snapshots;
mod space;
mod standing;
mod start;
mod successor;
mod trail;
mod types;
mod view;
mod watchdog;
mod wire;

pub use config::{Compaction, Limits, NodeConfig, PeerTls, Scrub, Timing};
pub use exit::Exit;
pub use level::{Feature, LEVEL, Levels};
pub use members::admin::{AdminError, ClusterStatus, MemberStatus};
pub use members::decide::Autopilot;
pub use members::recover::{LEAP, Survivor, recover, survey};
pub use metrics::{Histogram, Metrics};
pub use node::{Node, StateHash};
pub use peer::identity::{MASTERS_GROUP, PEER_NAME, REPLICAS_GROUP};
pub use progress::{Progress, Role};
pub use start::{Hooks, StartError};
pub use wire::PROTOCOL;

pub use raft_log::Identity;
pub use raft_state::Keyring;
