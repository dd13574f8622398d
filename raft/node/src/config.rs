//! How a member is set up.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::SnapshotPolicy;
use raft_state::port::{Kind, Member};
use tokio::sync::watch;

use crate::Keyring;
use crate::members::decide::Autopilot;

/// Everything that [`Node::start`](crate::Node::start) needs.
#[derive(Clone)]
pub struct NodeConfig {
    /// This member's id: as a first member, or as it was admitted under. 0 when it has to ask for one. Used while the data
    /// folder is empty; from then on the folder knows.
    pub id: u64,
    /// As people call it (`m1`).
    pub name: String,
    /// Minted when the cluster was made; every peer message carries it. Used while the data folder is empty.
    pub cluster_id: String,
    /// What it is meant to be.
    pub kind: Kind,
    /// host:port by which the others reach its peer port.
    pub peer_address: String,
    /// host:port by which clients reach its API.
    pub api_address: String,
    /// By which clients of etcd's API reach it; empty when it does not serve that.
    pub etcd_url: String,
    /// Log, state and snapshots live here. Nobody else may write to it.
    pub data_dir: PathBuf,
    /// Where peers connect to; port 0 is not allowed, for the others must know it.
    pub peer_listen: SocketAddr,
    /// The first voters, the same list on all of them. Read when the data folder is empty, and never again.
    pub initial_members: Vec<Member>,
    /// Peer addresses of members beside those: whom to ask for an id.
    pub peers: Vec<String>,
    /// Identity on the peer port. Another one that is sent is used from the next connection on; what is open goes on.
    pub tls: watch::Receiver<PeerTls>,
    /// Opens sealed values.
    pub keyring: Arc<dyn Keyring>,
    /// Heartbeats, elections, leases.
    pub timing: Timing,
    /// When history is forgotten.
    pub compaction: Compaction,
    /// When the log is shortened, and what a record may hold.
    pub limits: Limits,
    /// How what lies on the disk is checked.
    pub scrub: Scrub,
    /// When members count as alive, dead, caught up.
    pub autopilot: Autopilot,
    /// The level that this member admits to, [`LEVEL`](crate::LEVEL) or below.
    pub level: u32,
}

impl NodeConfig {
    /// What makes no sense about it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.initial_members.iter().any(|m| m.id == 0) {
            return Err("member ids begin at 1".to_owned());
        }
        if self.id == 0 && self.peers.is_empty() && self.initial_members.is_empty() {
            return Err("this member has no id, and nobody to ask for one".to_owned());
        }
        if self.peer_listen.port() == 0 {
            return Err("the peer port must be known to the others, so it cannot be 0".to_owned());
        }
        if self.cluster_id.is_empty() {
            return Err("the cluster has no id".to_owned());
        }
        let ids: BTreeSet<u64> = self.initial_members.iter().map(|m| m.id).collect();
        if ids.len() != self.initial_members.len() {
            return Err("two initial members have the same id".to_owned());
        }
        Ok(())
    }

    /// Whether an id is a first member's.
    pub(crate) fn is_first_member(&self, id: u64) -> bool {
        self.initial_members.iter().any(|m| m.id == id)
    }

    /// Whether the cluster has given this member its id already.
    pub(crate) fn was_admitted(&self) -> bool {
        self.id != 0 && !self.is_first_member(self.id)
    }

    /// As the others are to know it.
    pub(crate) fn this_member(&self) -> Member {
        Member {
            id: self.id,
            name: self.name.clone(),
            peer_address: self.peer_address.clone(),
            api_address: self.api_address.clone(),
            etcd_url: self.etcd_url.clone(),
            voter: false,
            kind: self.kind,
        }
    }

    /// The same in openraft's terms.
    pub(crate) fn raft(&self) -> Result<openraft::Config, String> {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let Timing { heartbeat, election_min, election_max, .. } = self.timing;
        openraft::Config {
            cluster_name: self.cluster_id.clone(),
            heartbeat_interval: ms(heartbeat),
            election_timeout_min: ms(election_min),
            election_timeout_max: ms(election_max),
            enable_pre_vote: Some(true),
            // openraft's would silence a leader that was late for a lease, and so have it unseated: `silence` is more patient.
            quorum_loss_probe_interval: None,
            // It would lead on in its old term, and entries that reached others but not its own disk would be numbered twice.
            enable_leader_restore: Some(false),
            // Snapshots are made and the log is purged by bytes, in `snapshots`, and never by openraft itself.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            replication_lag_threshold: u64::MAX,
            // The transfer has no limit of its own: it ends with the connection or the leader.
            install_snapshot_timeout: 3_600_000,
            // Bounded by bytes where they are read.
            max_payload_entries: 256,
            broadcast_submitted_on_append: Some(true),
            ..openraft::Config::default()
        }
        .validate()
        .map_err(|e| e.to_string())
    }
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
/// heard its leader: with the defaults after 270–300 ms.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between heartbeats of an idle leader.
    pub heartbeat: Duration,
    /// Shortest election timeout; also how long one round of votes, or an order to take over, may take: a round trip of 60 ms
    /// and what the disk adds fit in twice.
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
            election_min: Duration::from_millis(120),
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

/// How what lies on the disk, and nobody reads, is read and checked in the background.
#[derive(Clone, Copy, Debug)]
pub struct Scrub {
    /// Between two passes; zero turns them off.
    pub every: Duration,
    /// How fast it reads; zero turns it off.
    pub bytes_per_second: u64,
}

impl Default for Scrub {
    fn default() -> Self {
        Self { every: Duration::from_secs(6 * 3600), bytes_per_second: 4 << 20 }
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
    /// Room on the disk below which writes are refused.
    pub reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            snapshot_log_bytes: 64 << 20,
            keep_log_bytes: 64 << 20,
            batch_bytes: 1 << 20,
            proposal_bytes: 16 << 20,
            // What is in the buffers of log and state, and what flushes, an election and a small compaction need besides.
            reserve_bytes: 128 << 20,
        }
    }
}
