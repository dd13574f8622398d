//! A machine with its disk, and the process on it while it runs: a runtime of its own, whose clock the world lets run.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use raft_node::faults::Faults;
use raft_node::{Exit, Hooks, Node, NodeConfig, StartError};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::disk::SharedDisk;
use super::files::Files;
use super::ground::{Place, SeenAll};
use super::post::Post;
use crate::tasks::Group;

/// A machine. Its disk outlives its processes.
pub struct Machine {
    /// Its number.
    pub id: u64,
    /// Its disk.
    pub disk: SharedDisk,
    /// The files of its state.
    pub files: Arc<Files>,
    /// What lies beside log and state.
    pub folder: PathBuf,
    /// One of the first members, or one that joins.
    pub is_first: bool,
    /// How often a process was started on it.
    pub starts: u64,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// The process stands still until then.
    pub paused_until_us: u64,
    /// Since when it does.
    pub paused_since_us: u64,
    /// How fast its clock runs, in millionths.
    pub rate_ppm: u64,
    /// It was removed from the cluster, and does not come back.
    pub is_removed: bool,
}

/// How the start of a process went.
type Started = Arc<Mutex<Option<Result<Arc<Node>, StartError>>>>;

/// A running process.
pub struct Process {
    /// Machine and start.
    pub group: Group,
    /// The member, once it has begun.
    pub node: Option<Arc<Node>>,
    /// Why it ended itself.
    pub exit: Arc<Mutex<Option<String>>>,
    /// Its threads, as it were.
    pub runtime: Runtime,
    started: Started,
    begun: Instant,
    /// Its own time since it began, in millionths of microseconds.
    local: u128,
    seen_us: u64,
}

impl Process {
    /// Starts one on a machine.
    ///
    /// # Panics
    /// When there is no runtime to be had.
    pub fn start(machine: &Machine, config: NodeConfig, post: Arc<Post>, seen: SeenAll, now_us: u64) -> Self {
        let group = (machine.id, machine.starts);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let exit = Arc::<Mutex<Option<String>>>::default();
        let told = exit.clone();
        let faults = Arc::new(Faults::default());
        for id in 0..100 {
            faults.fill_disk(id, Some(1 << 40));
        }
        let place = Place { group, disk: machine.disk.clone(), files: machine.files.clone(), post, seen };
        let hooks = Hooks {
            faults: Some(faults),
            ground: Some(Arc::new(place)),
            exit: Exit::with(move |why| {
                told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_owned());
            }),
        };
        let started = Started::default();
        let slot = started.clone();
        runtime.spawn(async move {
            let node = Node::start_with(config, hooks).await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
        });
        let begun = runtime.block_on(async { Instant::now() });
        Self { group, node: None, exit, runtime, started, begun, local: 0, seen_us: now_us }
    }

    /// Lets it run until now. `rate_ppm` is how fast its clock is.
    pub fn run(&mut self, now_us: u64, rate_ppm: u64) {
        self.local += u128::from(now_us - self.seen_us) * u128::from(rate_ppm);
        self.seen_us = now_us;
        let until = self.begun + Duration::from_micros(u64::try_from(self.local / 1_000_000).unwrap_or(u64::MAX));
        self.runtime.block_on(async { tokio::time::sleep_until(until).await });
    }

    /// It stood still until now: its clock jumps.
    pub fn skip(&mut self, now_us: u64) {
        let slept = Duration::from_micros(now_us - self.seen_us);
        self.local += slept.as_micros() * 1_000_000;
        self.seen_us = now_us;
        self.runtime.block_on(async { tokio::time::advance(slept).await });
    }

    /// What came of its start, once.
    pub fn take_started(&mut self) -> Option<Result<Arc<Node>, StartError>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why it ended itself.
    pub fn exited(&self) -> Option<String> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
