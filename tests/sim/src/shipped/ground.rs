//! What a simulated process stands on: its machine's disk and files, and the network of the world.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use raft_node::ground::{Answer, BoxFuture, Call, Found, Ground, Passed, PeerPort};
use raft_state::{Applied, Delta, Keyring, Snapshot, Stamped};
use tokio::runtime::Handle;
use tonic::Status;

use super::disk::{DiskLog, SharedDisk};
use super::files::Files;
use super::post::Post;
use crate::consensus::LogId;
use crate::tasks::Group;

/// Leaders of one term are told apart by their id, which is below this.
const IDS: u64 = 1000;

/// What one process applied, or took in whole.
pub struct Seen {
    /// Which process.
    pub group: Group,
    /// Where it is now.
    pub at: LogId,
    /// The commands, and what came of them.
    pub entry: Option<(Vec<Stamped>, Applied)>,
    /// The state now.
    pub after: Snapshot,
}

/// All that was seen since somebody looked.
pub type SeenAll = Arc<Mutex<Vec<Seen>>>;

/// See the module.
pub struct Place {
    /// Which process.
    pub group: Group,
    /// Its machine's disk.
    pub disk: SharedDisk,
    /// Its machine's files.
    pub files: Arc<Files>,
    /// The network.
    pub post: Arc<Post>,
    /// Where it tells what it applies.
    pub seen: SeenAll,
}

/// The address of a machine's peer port.
pub fn address(id: u64) -> String {
    format!("m{id}:2380")
}

fn machine_at(address: &str) -> u64 {
    address.strip_prefix('m').and_then(|rest| rest.split(':').next()?.parse().ok()).unwrap_or(0)
}

/// What came of an entry, without what it means for the disk.
fn results(applied: &Applied) -> Applied {
    let (outcomes, events) = (applied.outcomes.clone(), applied.events.clone());
    Applied { outcomes, events, delta: Delta::default() }
}

impl Ground for Place {
    fn open(&self, keyring: Arc<dyn Keyring>) -> io::Result<Found> {
        let recovered = self.disk.lock().unwrap_or_else(PoisonError::into_inner).recover();
        let (state, applied) = self.files.found().load(keyring)?;
        let journal = Box::new(DiskLog::open(self.disk.clone()));
        Ok(Found { journal, recovered, store: self.files.clone(), state, applied })
    }

    fn listen(&self, port: PeerPort) {
        self.post.listens(self.group, port, Handle::current());
    }

    fn call(&self, address: &str, lane: usize, call: Call) -> BoxFuture<'static, Result<Answer, Status>> {
        self.post.call(self.group, machine_at(address), lane, call)
    }

    fn is_refused(&self, address: &str) -> BoxFuture<'static, bool> {
        let (refused, took_us) = self.post.is_refused(self.group.0, machine_at(address));
        Box::pin(async move {
            tokio::time::sleep(Duration::from_micros(took_us)).await;
            refused
        })
    }

    fn applied(&self, passed: Passed<'_>) {
        let (term, leader) = passed.leader;
        let at = LogId { term: term * IDS + leader, index: passed.index };
        let entry = passed.entry.map(|(commands, applied)| (commands.to_vec(), results(applied)));
        let seen = Seen { group: self.group, at, entry, after: passed.after.clone() };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}
