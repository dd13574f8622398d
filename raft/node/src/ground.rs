//! What a member stands on: a disk, and a way to its peers. Production stands on raft/log and on connections with TLS; the
//! simulator puts its own in their place, and everything above stays what ships.

use std::io;
use std::path::Path;
use std::sync::Arc;

use raft_log::{Applied, Error, Examined, OnUnreadable, Recovered, StateStore};
use raft_state::history::History;
use raft_state::{Delta, Keyring, Revision, Snapshot, Stamped, State};
use tonic::Status;
use tonic::body::Body;

use crate::journal::Journal;

pub use futures::future::BoxFuture;

/// A call of the peer protocol on its way.
pub type Call = http::Request<Body>;

/// Its answer.
pub type Answer = http::Response<Body>;

/// What answers calls on a peer port.
pub type PeerPort = Arc<dyn Fn(Call) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A disk and a network for one member. For tests.
pub trait Ground: Send + Sync {
    /// Opens log and state of the data folder, which holds only what is beside them.
    ///
    /// # Errors
    /// When what is there makes no sense.
    fn open(&self, keyring: Arc<dyn Keyring>) -> io::Result<Found>;
    /// The peer port is open from now on, until this process ends.
    fn listen(&self, port: PeerPort);
    /// Carries a call to whoever listens at an address. Calls of one lane share a connection.
    fn call(&self, address: &str, lane: usize, call: Call) -> BoxFuture<'static, Result<Answer, Status>>;
    /// Whether the machine at an address answers that nobody listens there.
    fn is_refused(&self, address: &str) -> BoxFuture<'static, bool>;
    /// An entry was applied.
    fn applied(&self, passed: Passed<'_>);
}

/// What a data folder holds.
pub struct Found {
    /// The log.
    pub journal: Box<dyn Journal>,
    /// What it held.
    pub recovered: Recovered,
    /// The state's files.
    pub store: Arc<dyn StateDisk>,
    /// The state, loaded.
    pub state: State,
    /// Up to where it was applied.
    pub applied: Applied,
}

/// How the state came to be what it is.
pub struct Passed<'a> {
    /// Log index, from 1.
    pub index: u64,
    /// Term and id of the leader that wrote the entry.
    pub leader: (u64, u64),
    /// The entry's commands and what came of them; `None` when a whole state was taken in, or loaded at the start.
    pub entry: Option<(&'a [Stamped], &'a raft_state::Applied)>,
    /// The state now.
    pub after: &'a Snapshot,
}

/// The state's files. All methods but [`History::after`] block on the disk now and then. See [`StateStore`], whose these are.
#[allow(missing_docs, reason = "as in StateStore")]
pub trait StateDisk: History + Send + Sync {
    fn on_unreadable(&self, told: OnUnreadable);
    fn write(&self, delta: &Delta, applied: &Applied) -> Result<(), Error>;
    fn flush(&self) -> Result<(), Error>;
    fn compact(&self, to: Revision) -> Result<(), Error>;
    fn checkpoint(&self, path: &Path) -> Result<Applied, Error>;
    fn inspect(&self, path: &Path) -> Result<Applied, Error>;
    fn examine(&self, path: &Path, keyring: Arc<dyn Keyring>) -> Result<Examined, Error>;
    fn install(&self, received: &Path, examined: Examined) -> Result<(State, Applied), Error>;
}

impl StateDisk for StateStore {
    fn on_unreadable(&self, told: OnUnreadable) {
        self.on_unreadable(told);
    }

    fn write(&self, delta: &Delta, applied: &Applied) -> Result<(), Error> {
        self.write(delta, applied)
    }

    fn flush(&self) -> Result<(), Error> {
        self.flush()
    }

    fn compact(&self, to: Revision) -> Result<(), Error> {
        self.compact(to)
    }

    fn checkpoint(&self, path: &Path) -> Result<Applied, Error> {
        self.checkpoint(path)
    }

    fn inspect(&self, path: &Path) -> Result<Applied, Error> {
        Self::inspect(path)
    }

    fn examine(&self, path: &Path, keyring: Arc<dyn Keyring>) -> Result<Examined, Error> {
        Self::examine(path, keyring)
    }

    fn install(&self, received: &Path, examined: Examined) -> Result<(State, Applied), Error> {
        self.install(received, examined)
    }
}
