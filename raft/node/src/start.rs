//! Putting a member together.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use raft_state::port::{Standing, Store};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::NodeConfig;
use crate::disk::LogDisk;
use crate::exit::Exit;
use crate::faults::Faults;
use crate::form::form_cluster;
use crate::host::{self, Disk, Host};
use crate::leader::{Contact, LeaderView};
use crate::leases::{Keeper, Leases};
use crate::log::Log;
use crate::machine::{self, Applied, Opened};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::peer::dial::Dialer;
use crate::peer::network::Network;
use crate::peer::port;
use crate::peer::server::PeerService;
use crate::peer::snapshot::Receiver;
use crate::reads::{Reads, Rounds};
use crate::registry::Registry;
use crate::route::Router;
use crate::standing::Observer;
use crate::successor::Successor;
use crate::types::Raft;
use crate::view::View;
use crate::watchdog::Flushes;
use crate::wire::Letterhead;
use crate::{batch, compact, snapshots, watchdog};

/// How far behind the store a watcher of a quiet resource may believe itself to be.
const WAKE_WATCHERS_EVERY: Duration = Duration::from_millis(500);

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

pub(crate) async fn start(config: NodeConfig, hooks: Hooks) -> Result<Arc<Node>, StartError> {
    config.check().map_err(StartError::Config)?;
    let runtime = host::runtime(&config.name)?;
    let assembled = runtime.spawn(assemble(config, hooks)).await;
    match assembled.map_err(|e| StartError::Raft(e.to_string())).flatten() {
        Ok((node, disk)) => {
            *node.host.lock() = Some(Host { runtime, disk });
            Ok(node)
        }
        Err(e) => {
            runtime.shutdown_background();
            Err(e)
        }
    }
}

/// Opens the disk and the peer port and puts Raft between them.
async fn assemble(config: NodeConfig, hooks: Hooks) -> Result<(Arc<Node>, Disk), StartError> {
    let listener = TcpListener::bind(config.peer_listen)
        .await
        .map_err(|source| StartError::Listen { address: config.peer_listen, source })?;
    let server = port::Certificate::new(config.tls.clone()).map_err(StartError::Tls)?;
    let shared = Shared {
        metrics: Arc::default(),
        flushes: Arc::default(),
        registry: Arc::new(Registry::new(boot_id())),
        hooks,
    };
    let Stores { lock, log, state, received } = open(&config, &shared).await?;
    let Opened { machine, view, applied, thread } = state;
    let log_size = log.size();
    let letterhead = Letterhead { cluster: config.cluster_id.clone(), id: config.id };
    let faults = shared.hooks.faults.clone();
    let dialer = Arc::new(Dialer::new(letterhead, &config.tls, &config.timing, faults));
    let raft_config = Arc::new(config.raft().map_err(StartError::Config)?);
    let network = Network { dialer: dialer.clone() };
    let raft = Raft::build(config.id, raft_config, network, log, machine)
        .await
        .map_err(|e| StartError::Raft(e.to_string()))?;
    tokio::spawn(snapshots::run(raft.clone(), log_size, config.limits, shared.metrics.clone()));
    let disk = Disk { view: view.clone(), applier: thread, dialer: dialer.clone(), lock };
    let port = Port { listener, server, received };
    Ok((run(config, shared, Core { raft, dialer, view, applied }, port), disk))
}

/// What all parts of a member have in common.
struct Shared {
    metrics: Arc<Metrics>,
    flushes: Arc<Flushes>,
    registry: Arc<Registry>,
    hooks: Hooks,
}

/// Raft, and what it stands on.
struct Core {
    raft: Raft,
    dialer: Arc<Dialer>,
    view: Arc<View>,
    applied: watch::Receiver<Applied>,
}

/// The peer port, not yet open.
struct Port {
    listener: TcpListener,
    server: port::Certificate,
    received: Receiver,
}

/// Sets everything going.
fn run(config: NodeConfig, shared: Shared, core: Core, port: Port) -> Arc<Node> {
    let Shared { metrics, flushes, registry, hooks } = shared;
    let Core { raft, dialer, view, applied } = core;
    let contact = Arc::new(Contact::default());
    let (leader_sender, leader) = watch::channel(LeaderView::default());
    let (standing_sender, standing) =
        watch::channel(Standing { id: config.id, name: config.name.clone(), ..Standing::default() });
    let (broken, broken_streams) = mpsc::unbounded_channel();
    let (batches, items) = mpsc::unbounded_channel();
    let (fresh, new_proposals) = mpsc::unbounded_channel();
    let (reads, read_waiters) = Reads::new();
    let (leases, lease_asks) = Leases::new();
    let (closing, closed) = watch::channel(false);
    let stopping = Arc::new(AtomicBool::new(false));

    let service = PeerService {
        raft: raft.clone(),
        letterhead: dialer.letterhead.clone(),
        contact: contact.clone(),
        broken,
        batches: batches.clone(),
        reads: reads.clone(),
        leases: leases.clone(),
        snapshots: port.received,
    };
    port::serve(port.listener, port.server, service, closed);
    raft.run();
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
    tokio::spawn(observer.run());
    tokio::spawn(batch::run(raft.clone(), items, config.limits, metrics.clone()));
    let router = Router::new(config.id, registry.clone(), dialer.clone(), leader.clone(), batches, metrics.clone());
    tokio::spawn(router.run(new_proposals));
    let rounds = Rounds {
        raft: raft.clone(),
        dialer: dialer.clone(),
        leader: leader.clone(),
        metrics: metrics.clone(),
        patience: config.timing.election_max * 2,
        asking: None,
    };
    tokio::spawn(rounds.run(read_waiters));
    tokio::spawn(
        Successor { raft: raft.clone(), dialer: dialer.clone(), leader: leader.clone(), contact }.run(broken_streams),
    );
    tokio::spawn(watchdog::watch(raft.clone(), flushes, config.timing.fsync_stall, hooks.exit));
    tokio::spawn(wake_watchers(view.clone(), applied.clone()));
    tokio::spawn(form_cluster(raft.clone(), config.clone()));

    let node = Arc::new(Node {
        id: config.id,
        raft,
        registry,
        fresh,
        reads: reads.clone(),
        leases,
        view: view.clone(),
        applied: applied.clone(),
        standing: standing.clone(),
        metrics,
        timing: config.timing,
        limits: config.limits,
        stopping,
        closing,
        host: Mutex::new(None),
    });
    let store: Arc<dyn Store> = node.clone();
    let keeper = Keeper {
        boot: node.boot_id(),
        store: Arc::downgrade(&store),
        view,
        applied,
        standing: standing.clone(),
        leader,
        dialer,
        reads,
        asks: lease_asks,
        patience: config.timing.election_max * 2,
    };
    tokio::spawn(keeper.run());
    tokio::spawn(compact::run(Arc::downgrade(&store), standing, config.compaction));
    node
}

/// What lies in the data folder.
struct Stores {
    lock: raft_log::Folder,
    log: Log,
    state: Opened,
    /// Where snapshots of others arrive.
    received: Receiver,
}

/// Opens log and state, on a thread of its own: the state is read whole.
async fn open(config: &NodeConfig, shared: &Shared) -> Result<Stores, StartError> {
    let (id, folder, keyring) = (config.id, config.data_dir.clone(), config.keyring.clone());
    let (metrics, flushes, registry) = (shared.metrics.clone(), shared.flushes.clone(), shared.registry.clone());
    let faults = shared.hooks.faults.clone();
    let work = move || {
        let lock = raft_log::Folder::lock(&folder)?;
        let disk = LogDisk::open(&folder.join("log"), move || {
            if let Some(faults) = &faults {
                faults.wait_for_disk(id);
            }
        })?;
        let log = Log::new(disk, flushes, metrics.clone());
        let state = machine::open(&folder, keyring, metrics, registry)?;
        let received = Receiver::new(folder.join("incoming"))?;
        Ok::<_, io::Error>(Stores { lock, log, state, received })
    };
    let (done, opened) = oneshot::channel();
    std::thread::Builder::new().name("open".to_owned()).spawn(move || {
        // The database's threads and apply inherit it.
        host::be_ordinary();
        // Whoever asked may have given up.
        drop(done.send(work()));
    })?;
    opened
        .await
        .map_err(io::Error::other)
        .flatten()
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
