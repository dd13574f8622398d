//! Putting a member together.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use api_proto::peer::peer_server::PeerServer;
use openraft::SnapshotPolicy;
use parking_lot::Mutex;
use raft_state::port::{Standing, Store};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::config::{NodeConfig, Timing};
use crate::disk::LogDisk;
use crate::exit::Exit;
use crate::faults::Faults;
use crate::leader::{Contact, LeaderView};
use crate::log::Log;
use crate::machine::{self, Applied, Opened};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::peer::dial::{Dialer, MESSAGE_BYTES_MAX, WINDOW_BYTES};
use crate::peer::identity::require_master;
use crate::peer::network::Network;
use crate::peer::server::PeerService;
use crate::peer::snapshot::Receiver;
use crate::reads::{Reads, Rounds};
use crate::registry::Registry;
use crate::route::Router;
use crate::standing::Observer;
use crate::successor::Successor;
use crate::types::{Address, Raft};
use crate::view::View;
use crate::watchdog::Flushes;
use crate::wire::Letterhead;
use crate::{batch, compact, snapshots, watchdog};

/// Threads for the Raft core and the peer port: one that computes while another waits in a syscall.
const THREADS: usize = 2;

/// How far behind the store a watcher of a quiet resource may believe itself to be.
const WAKE_WATCHERS_EVERY: Duration = Duration::from_millis(500);

/// Raft's threads go before others where the system lets them.
const NICENESS: i32 = -10;

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error("the configuration is not usable: {0}")]
    Config(String),
    /// The peer port cannot be opened.
    #[error("listening on the peer address {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificates do not make a TLS configuration.
    #[error("the peer certificates are not usable: {0}")]
    Tls(String),
    /// The data folder cannot be used: in use, damaged, or of an unknown version.
    #[error("the data in {folder}: {reason}", folder = .folder.display())]
    Data {
        /// The data folder.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Raft refuses to start from what it found.
    #[error("Raft does not start: {0}")]
    Raft(String),
    /// The system gives us no threads.
    #[error("starting threads: {0}")]
    Threads(#[from] io::Error),
}

/// What tests put in place of the world.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Links that can be cut.
    pub faults: Option<Arc<Faults>>,
    /// Instead of ending the process.
    pub exit: Exit,
}

/// The threads of a member, and its data folder.
pub(crate) struct Host {
    runtime: Runtime,
    disk: Disk,
}

/// What is to be let go of at the end.
pub(crate) struct Disk {
    view: Arc<View>,
    applier: JoinHandle<()>,
    dialer: Arc<Dialer>,
    lock: raft_log::Folder,
}

impl Host {
    /// Ends the threads, waiting for what they are at, and lets go of the data folder. Not to be called from a runtime's
    /// own thread.
    pub(crate) fn end(self, patience: Duration) {
        let Disk { view, applier, dialer, lock } = self.disk;
        self.runtime.shutdown_timeout(patience);
        dialer.close();
        view.close();
        if applier.join().is_err() {
            tracing::error!("the thread that applies the log panicked");
        }
        drop(lock);
    }

    /// Ends the threads without waiting.
    pub(crate) fn abandon(self) {
        self.disk.dialer.close();
        self.disk.view.close();
        self.runtime.shutdown_background();
    }
}

pub(crate) async fn start(config: NodeConfig, hooks: Hooks) -> Result<Arc<Node>, StartError> {
    check(&config)?;
    let name = format!("raft-{}", config.name);
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name(name)
        .enable_all()
        .on_thread_start(|| {
            // Only root may; without it the threads are as nice as any.
            let _ = rustix::process::setpriority_process(None, NICENESS);
        })
        .build()?;
    let assembled = runtime.spawn(assemble(config, hooks)).await;
    let (node, disk) = match assembled {
        Ok(Ok(assembled)) => assembled,
        Ok(Err(e)) => {
            runtime.shutdown_background();
            return Err(e);
        }
        Err(e) => {
            runtime.shutdown_background();
            return Err(StartError::Raft(e.to_string()));
        }
    };
    *node.host.lock() = Some(Host { runtime, disk });
    Ok(node)
}

fn check(config: &NodeConfig) -> Result<(), StartError> {
    let complain = |what: String| Err(StartError::Config(what));
    if config.id == 0 {
        return complain("member ids begin at 1".to_owned());
    }
    if config.peer_listen.port() == 0 {
        return complain("the peer port must be known to the others, so it cannot be 0".to_owned());
    }
    if config.cluster_id.is_empty() {
        return complain("the cluster has no id".to_owned());
    }
    let ids: std::collections::BTreeSet<u64> = config.initial_members.iter().map(|m| m.id).collect();
    if ids.len() != config.initial_members.len() {
        return complain("two initial members have the same id".to_owned());
    }
    Ok(())
}

fn raft_config(config: &NodeConfig) -> Result<openraft::Config, StartError> {
    let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let Timing { heartbeat, election_min, election_max, .. } = config.timing;
    openraft::Config {
        cluster_name: config.cluster_id.clone(),
        heartbeat_interval: ms(heartbeat),
        election_timeout_min: ms(election_min),
        election_timeout_max: ms(election_max),
        enable_pre_vote: Some(true),
        // A leader that lost its quorum stops heartbeating, so that the rest can elect another.
        quorum_loss_probe_interval: Some(ms(election_max) * 2 + ms(heartbeat)),
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
    .map_err(|e| StartError::Config(e.to_string()))
}

async fn assemble(config: NodeConfig, hooks: Hooks) -> Result<(Arc<Node>, Disk), StartError> {
    let listener = TcpListener::bind(config.peer_listen)
        .await
        .map_err(|source| StartError::Listen { address: config.peer_listen, source })?;
    let tls = server_tls(&config)?;
    let metrics = Arc::new(Metrics::default());
    let flushes = Arc::new(Flushes::default());
    let registry = Arc::new(Registry::new(boot_id()));
    let Stores { lock, log, state } = open(&config, &metrics, &flushes, &registry, hooks.faults.clone()).await?;
    let Opened { machine, view, applied, thread } = state;
    let log_size = log.size();
    let received = config.data_dir.join("incoming");
    let receiver = Receiver::new(received)
        .map_err(|e| StartError::Data { folder: config.data_dir.clone(), reason: e.to_string() })?;

    let letterhead = Letterhead { cluster: config.cluster_id.clone(), id: config.id };
    let dialer = Arc::new(Dialer::new(letterhead.clone(), &config.tls, &config.timing, hooks.faults.clone()));
    let connections = dialer.clone();
    let network = Network { dialer: dialer.clone() };
    let raft = Raft::build(config.id, Arc::new(raft_config(&config)?), network, log, machine)
        .await
        .map_err(|e| StartError::Raft(e.to_string()))?;

    let contact = Arc::new(Contact::default());
    let (leader_sender, leader) = watch::channel(LeaderView::default());
    let (standing_sender, standing) =
        watch::channel(Standing { id: config.id, name: config.name.clone(), ..Standing::default() });
    let (broken, broken_streams) = mpsc::unbounded_channel();
    let (batches, items) = mpsc::unbounded_channel();
    let (fresh, new_proposals) = mpsc::unbounded_channel();
    let (reads, read_waiters) = Reads::new();
    let (closing, closed) = watch::channel(false);
    let stopping = Arc::new(AtomicBool::new(false));

    let service = PeerService {
        raft: raft.clone(),
        letterhead,
        contact: contact.clone(),
        broken,
        batches: batches.clone(),
        reads: reads.clone(),
        snapshots: receiver,
    };
    serve(listener, tls, service, closed)?;

    let observer = Observer {
        raft: raft.clone(),
        name: config.name.clone(),
        timing: config.timing,
        contact: contact.clone(),
        applied: applied.clone(),
        metrics: metrics.clone(),
        standing: standing_sender,
        leader: leader_sender,
        stopping: stopping.clone(),
        exit: hooks.exit.clone(),
    };
    let router = Router::new(config.id, registry.clone(), dialer.clone(), leader.clone(), batches, metrics.clone());
    let rounds = Rounds {
        raft: raft.clone(),
        dialer: dialer.clone(),
        leader: leader.clone(),
        metrics: metrics.clone(),
        patience: config.timing.election_max * 2,
    };
    raft.run();
    tokio::spawn(observer.run());
    tokio::spawn(batch::run(raft.clone(), items, config.limits, metrics.clone()));
    tokio::spawn(router.run(new_proposals));
    tokio::spawn(rounds.run(read_waiters));
    tokio::spawn(Successor { raft: raft.clone(), dialer, leader, contact: contact.clone() }.run(broken_streams));
    tokio::spawn(watchdog::watch(raft.clone(), flushes, config.timing.fsync_stall, hooks.exit));
    tokio::spawn(snapshots::run(raft.clone(), log_size, config.limits, metrics.clone()));
    tokio::spawn(wake_watchers(view.clone(), applied.clone()));
    tokio::spawn(form_cluster(raft.clone(), config.clone()));

    let disk = Disk { view: view.clone(), applier: thread, dialer: connections, lock };
    let node = Arc::new(Node {
        id: config.id,
        raft,
        registry,
        fresh,
        reads,
        view,
        applied,
        standing: standing.clone(),
        metrics,
        timing: config.timing,
        limits: config.limits,
        stopping,
        closing,
        host: Mutex::new(None),
    });
    let store: Arc<dyn Store> = node.clone();
    tokio::spawn(compact::run(Arc::downgrade(&store), standing, config.compaction));
    Ok((node, disk))
}

/// What lies in the data folder.
struct Stores {
    lock: raft_log::Folder,
    log: Log,
    state: Opened,
}

/// Opens log and state, off the runtime's threads: the state is read whole.
async fn open(
    config: &NodeConfig,
    metrics: &Arc<Metrics>,
    flushes: &Arc<Flushes>,
    registry: &Arc<Registry>,
    faults: Option<Arc<Faults>>,
) -> Result<Stores, StartError> {
    let (id, folder, keyring) = (config.id, config.data_dir.clone(), config.keyring.clone());
    let (metrics, flushes, registry) = (metrics.clone(), flushes.clone(), registry.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let lock = raft_log::Folder::lock(&folder)?;
        let disk = LogDisk::open(&folder.join("log"), move || {
            if let Some(faults) = &faults {
                faults.wait_for_disk(id);
            }
        })?;
        let log = Log::new(disk, flushes, metrics.clone());
        let state = machine::open(&folder, keyring, metrics, registry)?;
        Ok::<_, io::Error>(Stores { lock, log, state })
    });
    opened
        .await
        .map_err(io::Error::other)
        .and_then(|opened| opened)
        .map_err(|e| StartError::Data { folder: config.data_dir.clone(), reason: e.to_string() })
}

/// Tells the processes of one member's life apart. Unguessable it need not be, only never the same twice.
fn boot_id() -> u64 {
    loop {
        let id = rand::random();
        if id != 0 {
            return id;
        }
    }
}

fn server_tls(config: &NodeConfig) -> Result<Server, StartError> {
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&config.tls.cert_pem, &config.tls.key_pem))
        .client_ca_root(Certificate::from_pem(&config.tls.ca_pem));
    let server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)));
    server.tls_config(tls).map_err(|e| StartError::Tls(e.to_string()))
}

fn serve(
    listener: TcpListener,
    server: Server,
    service: PeerService,
    mut closed: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = PeerServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let guarded = InterceptedService::new(service, require_master);
    let serving = server.serve_with_incoming_shutdown(guarded, incoming, async move {
        // Dropped or set: either way it is over.
        let _ = closed.wait_for(|closed| *closed).await;
    });
    tokio::spawn(async move {
        if let Err(e) = serving.await {
            tracing::error!("the peer port broke: {e}");
        }
    });
    Ok(())
}

/// Watchers wake for events of their own resource. Now and then they learn that the store has moved on without one, so
/// that what they remember does not fall behind compaction.
async fn wake_watchers(view: Arc<View>, mut applied: watch::Receiver<Applied>) {
    let mut ticks = tokio::time::interval(WAKE_WATCHERS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while applied.changed().await.is_ok() {
        ticks.tick().await;
        view.wake_all();
    }
}

/// Forms the cluster: once, when every folder is empty. Any initial member can, all with the same membership; the lowest
/// id goes first, for whoever forms a cluster stands for election at once and would unseat who leads already.
async fn form_cluster(raft: Raft, config: NodeConfig) {
    if !config.initial_members.iter().any(|m| m.id == config.id) {
        tracing::info!("this member waits to be added to the cluster");
        return;
    }
    let rank = config.initial_members.iter().filter(|m| m.id < config.id).count();
    let turn = config.timing.election_max * 2 * u32::try_from(rank).unwrap_or(u32::MAX);
    if rank > 0 && raft.wait(Some(turn)).metrics(|m| m.last_log_index.is_some(), "the log begins").await.is_ok() {
        return;
    }
    let members: BTreeMap<u64, Address> = config.initial_members.iter().map(|m| (m.id, Address::from(m))).collect();
    match raft.initialize(members).await {
        Ok(()) => tracing::info!("a new cluster begins"),
        // This member has a past, or another one was faster.
        Err(openraft::error::RaftError::APIError(openraft::error::InitializeError::NotAllowed(_))) => {}
        Err(e) => tracing::error!("forming the cluster: {e}"),
    }
}
