//! Three members in one process, on loopback, with folders and certificates of their own.

#![allow(dead_code, missing_docs, unreachable_pub)]

mod late;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use late::Late;
use raft_node::faults::Faults;
use raft_node::{
    Autopilot, Compaction, Exit, Hooks, Keyring, Limits, MASTERS_GROUP, Node, NodeConfig, PEER_NAME, PeerTls, Scrub,
    StartError, Timing,
};
use raft_state::port::{Kind, Member, ProposeError, ReadLevel, Standing, Store};
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome, Payload};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio::sync::watch;

/// Longer than anything here takes, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Issues certificates of masters.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("an authority").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub fn issue(&self, organization: &str) -> PeerTls {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.subject_alt_names = vec![SanType::DnsName(PEER_NAME.try_into().expect("a name"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        PeerTls { ca_pem: self.pem.clone(), cert_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

/// What members said when they ended, by slot.
pub type Ends = Arc<Mutex<Vec<(u64, String)>>>;

/// The cluster and what it takes to start its members again.
pub struct Cluster {
    pub faults: Arc<Faults>,
    pub authority: Authority,
    /// By slot: a machine with an address and a folder. The first slots are the first members, under their own numbers.
    members: Vec<Member>,
    first: usize,
    folder: PathBuf,
    /// Removes the folder when it is this cluster's own.
    _own: Option<TempDir>,
    pub limits: Limits,
    pub compaction: Compaction,
    pub autopilot: Autopilot,
    pub scrub: Scrub,
    pub cluster_id: String,
    pub nodes: Vec<Option<Arc<Node>>>,
    /// Where members say why they end; without it the test ends with them.
    pub ends: Option<Ends>,
    writes: AtomicU64,
    /// Where members listen when the ways to them are late; by slot.
    behind: Vec<SocketAddr>,
    ways: Vec<Late>,
}

fn listen(member: &Member) -> SocketAddr {
    member.peer_address.parse().expect("an address")
}

/// A free port below those that outgoing connections take: a member's port must still be free when it starts again.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let start = u64::from(std::process::id()) * 97;
    loop {
        let port = 18_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Cluster {
    /// So many members, not yet started.
    pub fn new(count: u64) -> Self {
        let own = tempfile::tempdir().expect("a folder");
        let mut cluster = Self::in_folder(count, own.path());
        cluster._own = Some(own);
        cluster
    }

    /// The same, with their data in a folder that is there.
    pub fn in_folder(count: u64, folder: &Path) -> Self {
        let members = (1..=count)
            .map(|id| Member {
                id,
                name: format!("m{id}"),
                peer_address: free_address().to_string(),
                api_address: format!("127.0.0.1:{}", 6442 + id),
                etcd_url: String::new(),
                voter: true,
                kind: Kind::Master,
            })
            .collect();
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        Self {
            faults: Arc::default(),
            authority: Authority::new(),
            members,
            first: count as usize,
            folder: folder.to_owned(),
            _own: None,
            limits: Limits::default(),
            compaction: Compaction::default(),
            scrub: Scrub::default(),
            autopilot: Autopilot {
                fresh: Duration::from_millis(700),
                dead_after: Duration::from_millis(1000),
                lag_entries: 64,
                drain: Duration::from_millis(100),
            },
            cluster_id: "test".to_owned(),
            nodes: (0..count).map(|_| None).collect(),
            ends: None,
            writes: AtomicU64::new(0),
            behind: Vec::new(),
            ways: Vec::new(),
        }
    }

    /// As [`Cluster::new`], started.
    pub async fn start(count: u64) -> Self {
        let mut cluster = Self::new(count);
        cluster.start_all().await;
        cluster
    }

    /// The same, each reached by the others on a way on which everything is late.
    pub async fn start_late(count: u64, late: Duration) -> Self {
        let mut cluster = Self::new(count);
        for member in &cluster.members {
            let (from, to) = (member.peer_address.parse().expect("an address"), free_address());
            cluster.ways.push(Late::start(from, to, late).await);
            cluster.behind.push(to);
        }
        cluster.start_all().await;
        cluster
    }

    pub fn ways(&self) -> &[Late] {
        &self.ways
    }

    /// So many members that may end without taking the test with them.
    pub fn of_mortals(count: u64) -> (Self, Ends) {
        let mut cluster = Self::new(count);
        let ends = Ends::default();
        cluster.ends = Some(ends.clone());
        (cluster, ends)
    }

    /// A machine more, that asks the first members for an id when it is started.
    pub fn add_slot(&mut self, kind: Kind) -> u64 {
        let slot = self.members.len() as u64 + 1;
        self.members.push(Member {
            id: 0,
            name: format!("m{slot}"),
            peer_address: free_address().to_string(),
            api_address: format!("127.0.0.1:{}", 6442 + slot),
            etcd_url: String::new(),
            voter: false,
            kind,
        });
        self.nodes.push(None);
        slot
    }

    /// Adds a machine and starts it: its slot, and the id that it was given.
    pub async fn join(&mut self, kind: Kind) -> (u64, u64) {
        let slot = self.add_slot(kind);
        let node = self.start_one(slot).await;
        (slot, node.id())
    }

    pub fn config(&self, slot: u64) -> NodeConfig {
        let member = &self.members[slot as usize - 1];
        let is_first = slot as usize <= self.first;
        let peers = self.members.iter().map(|m| m.peer_address.clone()).filter(|a| *a != member.peer_address);
        NodeConfig {
            id: member.id,
            name: member.name.clone(),
            cluster_id: self.cluster_id.clone(),
            kind: member.kind,
            peer_address: member.peer_address.clone(),
            api_address: member.api_address.clone(),
            etcd_url: member.etcd_url.clone(),
            peers: if is_first { Vec::new() } else { peers.collect() },
            data_dir: self.folder.join(&member.name),
            peer_listen: self.behind.get(slot as usize - 1).copied().unwrap_or_else(|| listen(member)),
            initial_members: if is_first { self.members[..self.first].to_vec() } else { Vec::new() },
            tls: watch::Sender::new(self.authority.issue(MASTERS_GROUP)).subscribe(),
            keyring: keyring(),
            timing: Timing::default(),
            compaction: self.compaction,
            limits: self.limits,
            autopilot: self.autopilot,
            scrub: self.scrub,
            level: raft_node::LEVEL,
        }
    }

    pub async fn try_start(&self, config: NodeConfig) -> Result<Arc<Node>, StartError> {
        let name = config.name.clone();
        let exit = match self.ends.clone() {
            Some(said) => {
                let slot = self.members.iter().position(|member| member.name == name).expect("a member") as u64 + 1;
                Exit::with(move |why| said.lock().expect("a list").push((slot, why.to_owned())))
            }
            None => Exit::with(|why| panic!("{why}")),
        };
        let hooks = Hooks { faults: Some(self.faults.clone()), exit, ..Hooks::default() };
        Node::start_with(config, hooks).await
    }

    pub async fn start_one(&mut self, id: u64) -> Arc<Node> {
        let node = self.try_start(self.config(id)).await.expect("a member that starts");
        self.nodes[id as usize - 1] = Some(node.clone());
        node
    }

    pub async fn start_all(&mut self) {
        let slots = 1..=self.nodes.len() as u64;
        let started = futures::future::join_all(slots.map(|slot| self.try_start(self.config(slot)))).await;
        self.nodes = started.into_iter().map(|node| Some(node.expect("a member that starts"))).collect();
        self.leader().await;
    }

    pub fn node(&self, id: u64) -> &Arc<Node> {
        self.nodes[id as usize - 1].as_ref().expect("a running member")
    }

    pub fn running(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().flatten()
    }

    /// Waits until somebody leads, and says who.
    pub async fn leader(&self) -> u64 {
        self.leader_other_than(0).await
    }

    /// Waits until a running member other than `old` leads.
    pub async fn leader_other_than(&self, old: u64) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = self.running().map(|n| n.standing().borrow().clone()).find(|s| s.leads && s.id != old);
            if let Some(standing) = leader {
                return standing.id;
            }
            assert!(Instant::now() < deadline, "nobody leads: {:?}", self.standings());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub fn standings(&self) -> Vec<Standing> {
        self.running().map(|n| n.standing().borrow().clone()).collect()
    }

    /// A running member that does not lead.
    pub async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        self.standings().iter().map(|s| s.id).find(|id| *id != leader).expect("a follower")
    }

    /// Stops a member as SIGKILL would: no goodbye, nothing flushed.
    pub async fn kill(&mut self, id: u64) {
        let node = self.nodes[id as usize - 1].take().expect("a running member");
        node.kill().await;
    }

    pub async fn stop(&mut self, id: u64) {
        let node = self.nodes[id as usize - 1].take().expect("a running member");
        node.shutdown().await;
    }

    /// Creates one object at a member.
    pub async fn create(&self, id: u64, name: &str) -> Result<u64, ProposeError> {
        create(self.node(id), name, Instant::now() + PATIENCE).await
    }

    /// Creates an object with a name of its own and says which.
    pub async fn create_any(&self, id: u64) -> String {
        let name = format!("n{}", self.writes.fetch_add(1, Ordering::Relaxed));
        self.create(id, &name).await.expect("a write");
        name
    }
}

impl Drop for Cluster {
    /// Waits for the members' threads: the database does not like to be used while the process exits.
    fn drop(&mut self) {
        let nodes: Vec<_> = self.nodes.drain(..).flatten().collect();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                for node in nodes {
                    node.kill().await;
                }
            });
        });
        ended.join().expect("members that end");
    }
}

/// The key of a test object.
pub fn key(name: &str) -> Bytes {
    Bytes::from(format!("/registry/core/configmaps/default/{name}"))
}

/// Waits until something is there.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Creates an object; the revision it took.
pub fn create_command(name: &str) -> Command {
    let json = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
    let splice_at = json.find("\"name\"").expect("a name") as u32;
    Command::Object(ObjectCommand {
        key: key(name),
        epoch: None,
        expect: Expect::Absent,
        action: Action::Put(Payload::Object { json: Bytes::from(json), splice_at }),
    })
}

pub async fn create(node: &Node, name: &str, deadline: Instant) -> Result<u64, ProposeError> {
    let outcomes = node.propose(vec![create_command(name)], deadline).await?;
    match outcomes.as_slice() {
        [Outcome::Done { revision }] => Ok(*revision),
        other => panic!("creating {name}: {other:?}"),
    }
}

/// Whether a linearizable read at a member sees an object.
pub async fn sees(node: &Node, name: &str) -> bool {
    let snapshot = node.read(ReadLevel::Linearizable, Instant::now() + PATIENCE).await.expect("a read");
    snapshot.get(&key(name)).is_some()
}

pub fn keyring() -> Arc<dyn Keyring> {
    /// Turns every bit around.
    struct Turned;
    impl Keyring for Turned {
        fn open(&self, _key: &[u8], _key_id: u32, _nonce: &[u8; 12], ciphertext: &[u8]) -> Option<Bytes> {
            Some(ciphertext.iter().map(|b| !b).collect())
        }
        fn seal(&self, _key: &[u8], json: &[u8], splice_at: u32) -> Payload {
            Payload::Sealed { key_id: 1, nonce: [0; 12], ciphertext: json.iter().map(|b| !b).collect(), splice_at }
        }
    }
    Arc::new(Turned)
}
