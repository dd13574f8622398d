//! What the face asks of its own member beyond the store.

use std::time::Instant;

use raft_state::port::{BoxFuture, Member};

use crate::Status;

/// The member behind the face, for maintenance and membership.
pub trait Operator: Send + Sync + 'static {
    /// Bytes that log, state and snapshots take on this member's disk.
    fn disk_bytes(&self) -> u64;

    /// Bytes of memory that this process has, resident.
    fn memory_bytes(&self) -> u64;

    /// Hands leadership to this member and waits until it is seen to lead. Called on the leader, with another voter.
    ///
    /// # Errors
    /// When nobody has taken over before the deadline.
    fn move_leader(&self, to: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Status>>;

    /// Changes to the membership, where this member offers them.
    fn members(&self) -> Option<&dyn Members> {
        None
    }
}

/// Changes to the membership. Each returns once the change is in force.
pub trait Members: Send + Sync {
    /// The members by the leader's word.
    ///
    /// # Errors
    /// When no leader answers before the deadline.
    fn list(&self, deadline: Instant) -> BoxFuture<'_, Result<Vec<Member>, Status>>;

    /// Adds a member that will be reached at this peer address (host:port), as a learner when asked; its id.
    ///
    /// # Errors
    /// etcd's own: the address is taken, the cluster is not healthy enough.
    fn add(&self, peer_address: String, learner: bool, deadline: Instant) -> BoxFuture<'_, Result<u64, Status>>;

    /// Removes a member.
    ///
    /// # Errors
    /// etcd's own: no such member, or too few would be left.
    fn remove(&self, id: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Status>>;

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// etcd's own: no such member, no learner, not caught up.
    fn promote(&self, id: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Status>>;

    /// Gives a member another peer address.
    ///
    /// # Errors
    /// etcd's own: no such member, the address is taken.
    fn update(&self, id: u64, peer_address: String, deadline: Instant) -> BoxFuture<'_, Result<(), Status>>;
}
