//! The replicated state machine: an MVCC keyspace with revisions, epochs, compaction, the event feed and the window of
//! retried commands.
//!
//! Pure: equal command sequences give equal states, byte for byte. Time, randomness and identifiers come in through the
//! commands; nothing here reads a clock, spawns, blocks or does I/O. [`port::Store`] is what the layers above build on.
//!
//! Invariants:
//! - a command that changes anything takes the next revision; epochs, refusals and compactions take none;
//! - `apply` is total: every command has an outcome, a refusal is an outcome too;
//! - a [`Snapshot`] is O(1) to take, needs no lock to read, and never changes afterwards;
//! - what was published on the [`feed::Feed`] is ordered by revision, without gaps;
//! - a transaction takes one revision, and changes everything it says or nothing.

pub mod apply;
pub mod command;
pub mod entry;
pub mod event;
pub mod feed;
pub mod history;
pub mod keys;
pub mod lease;
pub mod port;
pub mod record;
pub mod roster;
pub mod seal;
pub mod snapshot;
pub mod txn;
pub mod whole;
pub mod window;

pub use apply::{Applied, Stamped, State};
pub use command::{Action, Command, CommandId, Expect, ObjectCommand, Outcome, Payload, Refusal};
pub use entry::Entry;
pub use event::Event;
pub use feed::Feed;
pub use history::History;
pub use keys::{KeyRange, RangeEnd};
pub use lease::Lease;
pub use record::{Delta, Place, Record};
pub use roster::{JoinToken, Roster, RosterChange};
pub use seal::Keyring;
pub use snapshot::{Recount, Snapshot};
pub use txn::Txn;

/// The cluster-wide revision counter. `metadata.resourceVersion` is the mod revision of an entry, in decimal.
pub type Revision = u64;

/// The number of a manager's term of office; grows with every [`Command::OpenEpoch`].
pub type Epoch = u64;
