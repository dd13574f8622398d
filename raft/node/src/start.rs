//! Putting a member together.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use raft_log::Identity;
use raft_state::port::{Standing, Store};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::compare::{self, Witness};
use crate::config::NodeConfig;
use crate::disk::LogDisk;
use crate::exit::Exit;
use crate::faults::Faults;
use crate::fence::Retired;
use crate::fenced::{self, Fence};
use crate::form::form_cluster;
use crate::ground::{Found, Ground};
use crate::holds::Holds;
use crate::host::{self, Disk, Host};
use crate::leader::{Contact, LeaderView};
use crate::leases::{Keeper, Leases};
use crate::level::Levels;
use crate::log::{Log, Memory};
use crate::machine::{self, Applied, Audience, Opened};
use crate::members::admin::Admin;
use crate::members::admission::{self, Admission};
use crate::members::observe::Observatory;
use crate::members::orders::Orders;
use crate::members::pilot::Changes;
use crate::members::{belonging, pilot};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::peer::dial::Dialer;
use crate::peer::gate::Gate;
use crate::peer::network::{Network, Suspicion};
use crate::peer::port::{self, Door};
use crate::peer::server::MemberService;
use crate::peer::snapshot::Receiver;
use crate::peer::warm;
use crate::reads::{Reads, Rounds};
use crate::rebuild::{self, Trouble};
use crate::registry::Registry;
use crate::retreat::{self, Leave, Retreat};
use crate::route::Router;
use crate::scrub::Scrubber;
use crate::simulated::{Dice, is_simulated};
use crate::space::Space;
use crate::standing::Observer;
use crate::successor::Successor;
use crate::trail::Trail;
use crate::types::Raft;
use crate::view::View;
use crate::watchdog::{Flushes, Watchdog};
use crate::wire::Letterhead;
use crate::{batch, compact, snapshots};

/// How far behind the store a watcher of a quiet resource may believe itself to be.
const WAKE_WATCHERS_EVERY: Duration = Duration::from_millis(500);
/// Events and entries stay in memory this long, and at most twice as long, when there is room for them.
const FORGET_EVERY: Duration = Duration::from_secs(300);

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
    /// What lies in the data folder is damaged, or was found to differ from what the others have, and there is nobody to
    /// rebuild this member from.
    #[error("this member is fenced, its data in {folder} are not served: {reason}", folder = .folder.display())]
    Fenced {
        /// The data folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Raft refuses to start from what it found.
    #[error("Raft does not start: {0}")]
    Raft(String),
    /// The system gives us no threads.
    #[error("starting threads: {0}")]
    Threads(#[from] io::Error),
}

impl StartError {
    fn of(config: &NodeConfig, trouble: Trouble) -> Self {
        let folder = config.data_dir.clone();
        match trouble {
            Trouble::Fenced(reason) => Self::Fenced { folder, reason },
            Trouble::Other(error) => Self::Data { folder, reason: error.to_string() },
        }
    }
}

/// What tests put in place of the world.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Links that can be cut.
    pub faults: Option<Arc<Faults>>,
    /// Another disk and network. The member then runs on the runtime that starts it, on which nothing may run beside.
    pub ground: Option<Arc<dyn Ground>>,
    /// Instead of ending the process.
    pub exit: Exit,
}

pub(crate) async fn start(config: NodeConfig, hooks: Hooks) -> Result<Arc<Node>, StartError> {
    config.check().map_err(StartError::Config)?;
    if hooks.ground.is_some() {
        return assemble(config, hooks).await.map(|(node, _)| node);
    }
    let mut starting = Starting(Some(host::runtime(&config.name)?));
    let work = starting.0.as_ref().map(|runtime| runtime.spawn(assemble(config, hooks)));
    let assembled = work.expect("a runtime was made").await;
    let (node, disk) = assembled.map_err(|e| StartError::Raft(e.to_string())).flatten()?;
    *node.host.lock() = starting.0.take().map(|runtime| Host { runtime, disk });
    Ok(node)
}

/// The threads of a member that is not there yet: let go of when it does not start, or nobody waits for it any longer.
struct Starting(Option<Runtime>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens the disk and the peer port, settles which member this is, and puts Raft between them.
async fn assemble(config: NodeConfig, hooks: Hooks) -> Result<(Arc<Node>, Disk), StartError> {
    let config = Arc::new(config);
    let door = open_door(&config, &hooks).await?;
    let shared = Shared {
        metrics: Arc::default(),
        flushes: Arc::default(),
        registry: Arc::new(Registry::new(Dice.id())),
        retired: Retired::default(),
        trail: Arc::default(),
        hooks,
    };
    let dialer = |identity: &Identity| {
        let letterhead =
            Letterhead { cluster: identity.cluster.clone(), id: identity.member, retired: shared.retired.clone() };
        Dialer::new(letterhead, &config.tls, &config.timing, &shared.hooks)
    };
    let stores = match open(&config, &shared).await {
        Err(Trouble::Fenced(why)) => match rebuild::begin_anew(&config, dialer, &why).await {
            Ok(()) => open(&config, &shared).await,
            Err(trouble) => Err(trouble),
        },
        opened => opened,
    };
    let Stores { lock, known, log_is_empty, log, state, database, received } =
        stores.map_err(|trouble| StartError::of(&config, trouble))?;
    let (closing, closed) = watch::channel(false);
    let gate = Gate { cluster: known.cluster.clone(), birth: known.birth, member: Arc::default() };
    door.serve(gate.clone(), closed, &config.timing);
    let asking = Identity { member: config.id, ..known.clone() };
    let admission = admission::settle(&config, known, log_is_empty, &dialer(&asking)).await;
    let admission =
        admission.map_err(|e| StartError::Data { folder: config.data_dir.clone(), reason: e.to_string() })?;
    let dialer = Arc::new(dialer(&admission.identity));
    let Opened { machine, store, view, applied, thread } = state;
    let (log_size, memory) = (log.size(), log.memory());
    let (alarm, rings) = retreat::alarm();
    let scrubber = database.map(|state| Scrubber {
        config: config.scrub,
        folder: config.data_dir.clone(),
        log: log.disk(),
        state,
        view: view.clone(),
        checkpoints: machine.checkpoints(),
        metrics: shared.metrics.clone(),
        alarm: alarm.clone(),
    });
    let raft_config = Arc::new(config.raft().map_err(StartError::Config)?);
    let suspicion = Suspicion { alarm, store, keyring: config.keyring.clone() };
    let holds = Holds::default();
    let (quiet, is_quiet) = watch::channel(false);
    let network = Network { dialer: dialer.clone(), suspicion, holds: holds.clone(), quiet: is_quiet };
    let raft = Raft::build(admission.identity.member, raft_config, network, log, machine)
        .await
        .map_err(|e| StartError::Raft(e.to_string()))?;
    tokio::spawn(snapshots::run(raft.clone(), log_size, config.limits, shared.metrics.clone(), holds));
    tokio::spawn(wake_watchers(view.clone(), memory, applied.clone()));
    if let Some(scrubber) = scrubber {
        tokio::spawn(scrubber.run());
    }
    let disk = Disk { view: view.clone(), applier: thread, dialer: dialer.clone(), lock };
    let port = Port { gate, closing, received };
    Ok((run(&config, shared, Core { raft, dialer, view, applied, quiet, rings }, port, admission), disk))
}

/// Opens the peer port, with nobody behind it yet.
async fn open_door(config: &NodeConfig, hooks: &Hooks) -> Result<Door, StartError> {
    if let Some(ground) = &hooks.ground {
        return Ok(Door::Ground(ground.clone()));
    }
    let listener = TcpListener::bind(config.peer_listen)
        .await
        .map_err(|source| StartError::Listen { address: config.peer_listen, source })?;
    let certificate = port::Certificate::new(config.tls.clone()).map_err(StartError::Tls)?;
    Ok(Door::Socket(listener, certificate))
}

/// What all parts of a member have in common.
struct Shared {
    metrics: Arc<Metrics>,
    flushes: Arc<Flushes>,
    registry: Arc<Registry>,
    retired: Retired,
    trail: Arc<Trail>,
    hooks: Hooks,
}

impl Shared {
    /// What this member answers when states are compared.
    fn witness(&self, config: &NodeConfig, id: u64, applied: watch::Receiver<Applied>) -> Arc<Witness> {
        let space = Arc::new(Space::new(&config.data_dir, config.limits.reserve_bytes));
        tokio::spawn(space.clone().watch(id, self.hooks.faults.clone()));
        let fence = Fence::new(&config.data_dir, self.hooks.exit.clone());
        let levels = Arc::new(Levels::new(config.level));
        Arc::new(Witness { trail: self.trail.clone(), space, word: Arc::default(), applied, fence, levels })
    }
}

/// Raft, and what it stands on.
struct Core {
    raft: Raft,
    dialer: Arc<Dialer>,
    view: Arc<View>,
    applied: watch::Receiver<Applied>,
    /// As the leader: nothing is to be sent to followers now.
    quiet: watch::Sender<bool>,
    /// This member's disk is damaged.
    rings: mpsc::UnboundedReceiver<String>,
}

/// The peer port: open, with nobody behind it yet.
struct Port {
    gate: Gate,
    closing: watch::Sender<bool>,
    received: Receiver,
}

/// Sets everything going.
fn run(config: &NodeConfig, shared: Shared, core: Core, port: Port, admission: Admission) -> Arc<Node> {
    let Core { raft, dialer, view, applied, quiet, rings } = core;
    let Admission { identity, begins } = admission;
    let id = identity.member;
    let witness = shared.witness(config, id, applied.clone());
    let Shared { metrics, flushes, registry, retired, hooks, .. } = shared;
    let contact = Arc::new(Contact::default());
    let (leader_sender, leader) = watch::channel(LeaderView::default());
    let (standing_sender, standing) = watch::channel(Standing { id, name: config.name.clone(), ..Standing::default() });
    let (broken, broken_streams) = mpsc::unbounded_channel();
    let (batches, items) = mpsc::unbounded_channel();
    let (reads, read_waiters) = Reads::new();
    let (leases, lease_asks) = Leases::new();
    let stopping = Arc::new(AtomicBool::new(false));
    let removed = Arc::new(AtomicBool::new(false));
    let (is_quiet, cedes) = (quiet.subscribe(), Arc::<AtomicBool>::default());
    let patience = config.timing.election_max * 2;

    let changes = Arc::new(Changes::new(raft.clone()));
    let observatory = Arc::new(Observatory::new(raft.clone()));
    let orders = Arc::new(Orders {
        raft: raft.clone(),
        changes: changes.clone(),
        observatory: observatory.clone(),
        retired,
        policy: config.autopilot,
        leave: Leave::default(),
    });
    let (router, entrance) =
        Router::new(id, registry.clone(), dialer.clone(), leader.clone(), batches.clone(), metrics.clone());
    let node = Arc::new_cyclic(|node: &Weak<Node>| Node {
        id,
        cluster_id: identity.cluster,
        raft: raft.clone(),
        registry: registry.clone(),
        entrance,
        reads: reads.clone(),
        leases: leases.clone(),
        view: view.clone(),
        applied: applied.clone(),
        standing: standing.clone(),
        metrics: metrics.clone(),
        timing: config.timing,
        limits: config.limits,
        word: witness.word.clone(),
        levels: witness.levels.clone(),
        stopping: stopping.clone(),
        removed: removed.clone(),
        admin: Admin {
            id,
            orders,
            dialer: dialer.clone(),
            leader: leader.clone(),
            standing: standing.clone(),
            store: node.clone(),
        },
        closing: port.closing,
        host: Mutex::new(None),
    });
    let service = MemberService {
        raft: raft.clone(),
        letterhead: dialer.letterhead.clone(),
        contact: contact.clone(),
        broken,
        batches,
        reads: reads.clone(),
        leases,
        snapshots: port.received,
        admin: node.admin.clone(),
        witness: witness.clone(),
        is_first_member: config.is_first_member(id),
    };
    // Nobody else sets it.
    let _ = port.gate.member.set(service);
    raft.run();
    let observer = Observer {
        raft: raft.clone(),
        name: config.name.clone(),
        timing: config.timing,
        contact: contact.clone(),
        dialer: dialer.clone(),
        applied: applied.clone(),
        reads: reads.clone(),
        metrics: metrics.clone(),
        standing: standing_sender,
        leader: leader_sender,
        stopping,
        removed: removed.clone(),
        word: witness.word.clone(),
        quiet,
        cedes: cedes.clone(),
        exit: hooks.exit.clone(),
    };
    tokio::spawn(observer.run());
    let retreat = Retreat {
        admin: node.admin.clone(),
        standing: standing.clone(),
        policy: config.autopilot,
        fence: witness.fence.clone(),
    };
    tokio::spawn(retreat.run(rings));
    tokio::spawn(batch::run(raft.clone(), items, config.limits, metrics.clone(), witness.levels.clone()));
    compare::start(raft.clone(), dialer.clone(), standing.clone(), witness);
    tokio::spawn(router.run());
    let rounds = Rounds {
        raft: raft.clone(),
        dialer: dialer.clone(),
        leader: leader.clone(),
        metrics,
        patience,
        quiet: is_quiet,
        asking: None,
    };
    tokio::spawn(rounds.run(read_waiters));
    let successor = Successor { raft: raft.clone(), dialer: dialer.clone(), leader: leader.clone(), contact };
    tokio::spawn(successor.run(broken_streams));
    let watchdog = Watchdog {
        raft: raft.clone(),
        flushes,
        standing: standing.clone(),
        timing: config.timing,
        cedes,
        exit: hooks.exit,
    };
    tokio::spawn(watchdog.run());
    tokio::spawn(pilot::run(changes, observatory, standing.clone(), config.autopilot));
    tokio::spawn(dialer.clone().follow(standing.clone()));
    if dialer.has_connections() {
        tokio::spawn(warm::keep(dialer.clone(), standing.clone()));
    }
    tokio::spawn(belonging::watch(
        dialer.clone(),
        belonging::started_with(config),
        standing.clone(),
        removed,
        node.closing.subscribe(),
    ));
    if let Some(members) = begins {
        tokio::spawn(form_cluster(raft, members, config.timing));
    }
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
        patience,
    };
    tokio::spawn(keeper.run());
    tokio::spawn(compact::run(Arc::downgrade(&store), standing, config.compaction));
    node
}

/// What lies in the data folder.
struct Stores {
    /// `None` where nobody else could come.
    lock: Option<raft_log::Folder>,
    /// Whose folder it is.
    known: Identity,
    log_is_empty: bool,
    log: Log,
    state: Opened,
    /// The state's, where it has one.
    database: Option<Arc<raft_log::StateStore>>,
    /// Where snapshots of others arrive.
    received: Receiver,
}

/// Opens log and state, on a thread of its own: the state is read whole.
async fn open(config: &NodeConfig, shared: &Shared) -> Result<Stores, Trouble> {
    let config_of = config.clone();
    let (id, folder, keyring) = (config.id, config.data_dir.clone(), config.keyring.clone());
    let (metrics, flushes, faults) = (shared.metrics.clone(), shared.flushes.clone(), shared.hooks.faults.clone());
    let astray = faults.clone();
    let ground = shared.hooks.ground.clone();
    let audience = Audience {
        metrics: metrics.clone(),
        registry: shared.registry.clone(),
        retired: shared.retired.clone(),
        trail: shared.trail.clone(),
        fence: Fence::new(&folder, shared.hooks.exit.clone()),
        ground: shared.hooks.ground.clone(),
        goes_astray: Box::new(move |command| astray.as_ref().is_some_and(|faults| faults.goes_astray(id, command))),
    };
    let work = move || {
        let lock = if ground.is_some() { None } else { Some(raft_log::Folder::lock(&folder)?) };
        if let Some(why) = fenced::reason(&folder)? {
            return Err(Trouble::Fenced(why));
        }
        let (disk, database, loaded): (_, _, machine::Loaded) = match ground {
            Some(ground) => {
                let Found { journal, recovered, store, state, applied } = ground.open(keyring.clone())?;
                (LogDisk::on(journal, recovered)?, None, (store, state, applied))
            }
            None => {
                let disk = LogDisk::open(&folder.join("log"), move || {
                    if let Some(faults) = &faults {
                        faults.wait_for_disk(id);
                    }
                })?;
                let (store, state, applied) = machine::load(&folder, keyring.clone())?;
                (disk, Some(store.clone()), (store, state, applied))
            }
        };
        let nothing_logged = disk.extent().1.is_none();
        let state = machine::open(&folder, loaded, keyring.clone(), audience)?;
        rebuild::check_together(&disk, state.machine.applied())?;
        let log = Log::new(disk, flushes, metrics.clone());
        // A restored cluster begins with a state and no log.
        let log_is_empty = nothing_logged && state.machine.applied().is_none();
        let known = admission::remembered(&folder, &config_of, log_is_empty)?;
        let received = Receiver::new(folder.join("incoming"), state.store.clone(), keyring, metrics)?;
        Ok(Stores { lock, known, log_is_empty, log, state, database, received })
    };
    if is_simulated() {
        return work();
    }
    let (done, opened) = oneshot::channel();
    std::thread::Builder::new().name("open".to_owned()).spawn(move || {
        // The database's threads and apply inherit it.
        host::be_ordinary();
        // Whoever asked may have given up.
        drop(done.send(work()));
    })?;
    opened.await.map_err(|gone| Trouble::Other(io::Error::other(gone))).flatten()
}

/// Watchers wake for events of their own resource. Now and then they learn that the store has moved on without one, so
/// that what they remember does not fall behind compaction. What is old by then is forgotten on the way.
async fn wake_watchers(view: Arc<View>, memory: Memory, mut applied: watch::Receiver<Applied>) {
    let mut ticks = tokio::time::interval(WAKE_WATCHERS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut forgot = tokio::time::Instant::now();
    while applied.changed().await.is_ok() {
        ticks.tick().await;
        view.wake_all();
        if forgot.elapsed() >= FORGET_EVERY {
            view.forget_old();
            memory.forget_old();
            forgot = tokio::time::Instant::now();
        }
    }
}
