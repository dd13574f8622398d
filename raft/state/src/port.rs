//! What the layers above see of replication: one trait, nothing of Raft.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{Command, Epoch, Event, Outcome, Revision, Snapshot};

/// A boxed future, so that the store can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The replicated store as one member offers it. Every member serves every call; `propose` and linearizable reads reach
/// the leader inside and are retried through elections until the deadline, each command applied at most once.
pub trait Store: Send + Sync + 'static {
    /// Proposes commands, each with its own outcome, in order. They share a log append where they can, and other
    /// callers' commands may stand between them. Returns once the outcomes are known **and applied on this member**, so
    /// that [`Store::snapshot`] afterwards holds them.
    fn propose(&self, commands: Vec<Command>, deadline: Instant) -> BoxFuture<'_, Result<Vec<Outcome>, ProposeError>>;

    /// A snapshot that is at least as fresh as `level` asks.
    fn read(&self, level: ReadLevel, deadline: Instant) -> BoxFuture<'_, Result<Snapshot, ReadError>>;

    /// This member's latest applied state, without waiting: for what may be stale (`resourceVersion=0`) and for
    /// whoever knows by other means that it is fresh.
    fn snapshot(&self) -> Snapshot;

    /// A cursor over the events of `prefix` with revisions above `after`. Works on every member at any uncompacted
    /// revision; one ahead of this member waits for it.
    fn watch(&self, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError>;

    /// Gives leases their full time anew, and says how long each runs; `None` for one that is not there. Makes no log
    /// entry: the leader counts, and answers only when a quorum has confirmed that it leads.
    fn lease_keep_alive(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>>;

    /// How long leases still run; `None` for one that is not there.
    fn lease_times(&self, ids: Vec<i64>, deadline: Instant)
    -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>>;

    /// Where this member and its cluster stand; changes can be awaited.
    fn standing(&self) -> watch::Receiver<Standing>;
}

/// How long a lease runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTime {
    /// Granted time to live, seconds.
    pub granted_s: i64,
    /// What is left of it, by the leader's clock.
    pub left: Duration,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadLevel {
    /// Reflects every write acknowledged before the call (read index, batched).
    Linearizable,
    /// This revision or a later one.
    AtLeast(Revision),
    /// Exactly the state at this revision, rebuilt from history when it is not the latest.
    Exact(Revision),
}

/// A position in the event stream of a prefix. Holds no buffer: it reads the ring, and history where the ring has moved on.
pub trait Cursor: Send {
    /// Waits for events beyond the position and takes them, in order, at most `max` but for the rest of the last
    /// revision, which is never split. Also returns when the store's
    /// revision has moved on without an event for this prefix, with an empty list.
    /// Dropping the future loses nothing.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Batch, WatchError>>;
}

/// What [`Cursor::next`] took.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In order of revision.
    pub events: Vec<Event>,
    /// Every event of the prefix up to this revision has now been taken: what a bookmark may say.
    pub progress: Revision,
}

/// Where a member stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// This member's id.
    pub id: u64,
    /// Its name, as given at start (`m1`).
    pub name: String,
    /// The leader as far as this member knows.
    pub leader: Option<u64>,
    /// Raft term.
    pub term: u64,
    /// Whether this member leads **and** its quorum lease holds: only then may the manager run.
    pub leads: bool,
    /// Whether this member can serve: it has caught up after its start and sees a leader with a quorum.
    pub ready: bool,
    /// Highest log index applied here.
    pub applied_index: u64,
    /// The store's revision here.
    pub revision: Revision,
    /// The epoch in force here.
    pub epoch: Epoch,
    /// Members by id: name, peer address, API address, voter or learner, kind.
    pub members: Vec<Member>,
    /// This member was removed from the cluster: its id is over for good.
    pub removed: bool,
    /// Why writes are refused, while they are. Reads go on.
    pub refusing: Option<Refusing>,
}

/// Why a store refuses writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusing {
    /// In short.
    pub because: WhyRefused,
    /// For people: who, and what to do.
    pub why: String,
}

impl std::fmt::Display for Refusing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

/// What kind of trouble makes a store refuse writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyRefused {
    /// Disks are nearly full. It heals by itself when there is room.
    NoSpace,
    /// The members hold different states, and no majority holds the same.
    Diverged,
}

/// A member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Raft node id.
    pub id: u64,
    /// As given at start.
    pub name: String,
    /// host:port of the peer port.
    pub peer_address: String,
    /// host:port of the API port; empty when it serves the store alone.
    pub api_address: String,
    /// Where clients of etcd's API reach it (`https://host:2379`); empty when it has no such face.
    pub etcd_url: String,
    /// Voter, or learner.
    pub voter: bool,
    /// What it is meant to be.
    pub kind: Kind,
}

/// What a member is meant to be. The leader brings the voters in line with it, one safe change at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A voter, as soon as it has caught up and the number of voters stays odd.
    #[default]
    Master,
    /// Was demoted: holds and serves everything, and votes again only when told to.
    Standby,
    /// A read replica: holds and serves everything, and never votes.
    Replica,
    /// On its way out of the cluster.
    Leaving,
}

/// Why a proposal has no outcomes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No quorum answered before the deadline. The commands may be applied later.
    #[error("no quorum acknowledged the write before its deadline; it may still be applied")]
    DeadlineExceeded,
    /// The member is shutting down or fenced; nothing was applied by this call.
    #[error("this member is stopping: {0}")]
    Stopping(String),
    /// The store refuses writes; nothing was applied.
    #[error("the store refuses writes: {0}")]
    ReadOnly(Refusing),
    /// The commands together are larger than a log record may be; nothing was applied.
    #[error("the request is too large: {bytes} bytes, at most {limit}")]
    TooLarge {
        /// Of the request.
        bytes: usize,
        /// The limit in force.
        limit: usize,
    },
}

/// Why a read has no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No quorum confirmed the read, or the revision was not reached, before the deadline.
    #[error("the read could not be confirmed before its deadline")]
    DeadlineExceeded {
        /// The revision that this member has reached.
        current: Revision,
    },
    /// The revision lies at or below the compaction floor.
    #[error("revision {requested} is compacted, the floor is {floor}")]
    Compacted {
        /// As asked for.
        requested: Revision,
        /// The floor in force.
        floor: Revision,
    },
    /// The member is shutting down or fenced.
    #[error("this member is stopping: {0}")]
    Stopping(String),
}

/// Why a watch ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Events after this revision are no longer kept; list again.
    #[error("revision {requested} is compacted, the floor is {floor}")]
    Compacted {
        /// As asked for.
        requested: Revision,
        /// The floor in force.
        floor: Revision,
    },
    /// The member is shutting down or fenced; resume on another.
    #[error("this member is stopping: {0}")]
    Stopping(String),
}
