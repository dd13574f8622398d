//! The threads that a member runs on.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::peer::dial::Dialer;
use crate::view::View;

/// Threads for the Raft core and the peer port, at most. Nothing on them waits; where cores are few a second one would be
/// woken for work that the first is about to take.
const THREADS_MAX: usize = 2;

/// One thread for so many cores.
const CORES_PER_THREAD: usize = 2;

/// Raft's threads go before others where the system lets them.
const NICENESS: i32 = -10;

/// Gives the calling thread, a child of one of Raft's, the priority of any other.
pub(crate) fn be_ordinary() {
    // Stepping back is always allowed.
    let _ = rustix::process::setpriority_process(None, 0);
}

/// A runtime for Raft and the peer port alone, so that no load on the API delays a heartbeat.
pub(crate) fn runtime(name: &str) -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Builder::new_multi_thread()
        .worker_threads((cores / CORES_PER_THREAD).clamp(1, THREADS_MAX))
        .thread_name(format!("raft-{name}"))
        .enable_all()
        .on_thread_start(|| {
            // Only root may; without it the threads are as nice as any.
            let _ = rustix::process::setpriority_process(None, NICENESS);
        })
        .build()
}

/// The threads of a member, and its data folder.
pub(crate) struct Host {
    pub(crate) runtime: Runtime,
    pub(crate) disk: Disk,
}

/// What is to be let go of at the end.
pub(crate) struct Disk {
    pub(crate) view: Arc<View>,
    pub(crate) applier: Option<JoinHandle<()>>,
    pub(crate) dialer: Arc<Dialer>,
    /// `None` where nobody else could come.
    pub(crate) lock: Option<raft_log::Folder>,
}

impl Host {
    /// Ends the threads, waiting for what they are at, and lets go of the data folder. Not to be called from a runtime's
    /// own thread.
    pub(crate) fn end(self, patience: Duration) {
        let Disk { view, applier, dialer, lock } = self.disk;
        self.runtime.shutdown_timeout(patience);
        dialer.close();
        view.close();
        if applier.is_some_and(|applier| applier.join().is_err()) {
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
