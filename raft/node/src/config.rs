//! How a member is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use raft_state::port::Member;

use crate::Keyring;

/// Everything that [`Node::start`](crate::Node::start) needs.
#[derive(Clone)]
pub struct NodeConfig {
    /// This member's id, never reused by another that starts from an empty folder.
    pub id: u64,
    /// As people call it (`m1`).
    pub name: String,
    /// Minted when the cluster was made; every peer message carries it.
    pub cluster_id: String,
    /// Log, state and snapshots live here. Nobody else may write to it.
    pub data_dir: PathBuf,
    /// Where peers connect to; port 0 is not allowed, for the others must know it.
    pub peer_listen: SocketAddr,
    /// The first voters, the same list on all of them. Read when the data folder is empty, and never again.
    pub initial_members: Vec<Member>,
    /// Identity on the peer port.
    pub tls: PeerTls,
    /// Opens sealed values.
    pub keyring: Arc<dyn Keyring>,
    /// Heartbeats, elections, leases.
    pub timing: Timing,
    /// When history is forgotten.
    pub compaction: Compaction,
    /// When the log is shortened, and what a record may hold.
    pub limits: Limits,
}

/// The peer port's certificates, PEM.
#[derive(Clone, Default)]
pub struct PeerTls {
    /// The authority that issued every master's certificate.
    pub ca_pem: String,
    /// This master's certificate: organization [`MASTERS_GROUP`](crate::MASTERS_GROUP), DNS name
    /// [`PEER_NAME`](crate::PEER_NAME), for server and client use.
    pub cert_pem: String,
    /// Its private key.
    pub key_pem: String,
}

/// The clocks of Raft. A follower stands for election `election_max + random(election_min..election_max)` after it last
/// heard its leader: with the defaults after 225–300 ms.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between heartbeats of an idle leader.
    pub heartbeat: Duration,
    /// Shortest election timeout; also how long one round of votes may take.
    pub election_min: Duration,
    /// Longest election timeout; also the leader's quorum lease.
    pub election_max: Duration,
    /// A leader whose disk is stuck for so long gives its office away.
    pub fsync_stall: Duration,
    /// How long [`Node::shutdown`](crate::Node::shutdown) waits for its successor.
    pub handover: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(30),
            election_min: Duration::from_millis(75),
            election_max: Duration::from_millis(150),
            fsync_stall: Duration::from_secs(1),
            handover: Duration::from_secs(3),
        }
    }
}

/// History older than `keep` is compacted every `every`, by a command of the leader.
#[derive(Clone, Copy, Debug)]
pub struct Compaction {
    /// Between compactions; zero turns them off.
    pub every: Duration,
    /// The least age of what is forgotten.
    pub keep: Duration,
}

impl Default for Compaction {
    fn default() -> Self {
        Self { every: Duration::from_secs(300), keep: Duration::from_secs(300) }
    }
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The log beyond the latest snapshot that makes the next snapshot.
    pub snapshot_log_bytes: u64,
    /// The log kept below the latest snapshot, for followers that lag a little.
    pub keep_log_bytes: u64,
    /// Commands that share one log entry; one proposal may fill it alone.
    pub batch_bytes: usize,
    /// The most that one proposal may hold.
    pub proposal_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { snapshot_log_bytes: 64 << 20, keep_log_bytes: 64 << 20, batch_bytes: 1 << 20, proposal_bytes: 16 << 20 }
    }
}
