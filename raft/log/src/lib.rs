//! What a member keeps on disk: the Raft log and vote, the applied state, checkpoints. The sole user of RocksDB.
//!
//! Log and state are two databases, for in one the state's writes would queue behind the log's fsync. The log is
//! synced for every acknowledged append. The state has no write-ahead log: it is flushed now and then, atomically with the
//! index it was applied up to, and what it lacks after a crash is applied again from the log.
//!
//! Invariants:
//! - an append is reported done only when it is on the disk;
//! - log indexes are contiguous; a record whose checksum is wrong is reported, never served;
//! - every format begins with a version, and an unknown one is refused;
//! - state on disk is always that of one applied index, never a mixture.

pub mod codec;
mod database;
mod error;
mod folder;
mod identity;
mod journal;
mod log;
mod look;
mod renew;
mod state;
mod tail;
mod window;

pub use error::Error;
pub use folder::{Folder, make_folder};
pub use identity::Identity;
pub use journal::{check_block, journals};
pub use log::{Log, OnSync, Recovered};
pub use look::{Piece, Place, Reader, forget_cached};
pub use state::{Applied, Examined, OnUnreadable, StateStore};
