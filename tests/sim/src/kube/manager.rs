//! The manager that ships, with its controllers and its scheduler, in a simulated process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use raft_state::port::{BoxFuture, Store};
use server_manager::{Options, Runtime};
use tokio::sync::watch;

use super::{AUTHORITY, api};
use crate::clock::{self, Clock};
use crate::tasks::{Group, Spawner};

/// A process of the small worlds: its tasks end with it, and stand still while it does.
pub struct OfWorld {
    /// Which process.
    pub group: Group,
    /// The world's time.
    pub clock: Clock,
    /// Where its tasks are spawned.
    pub spawner: Spawner,
}

impl Runtime for OfWorld {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.spawner.spawn(self.group, future);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.clock.sleep(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    fn now_us(&self) -> i64 {
        clock::wall_us()
    }

    fn now(&self) -> Instant {
        self.clock.instant(self.clock.now_us())
    }
}

/// A process that has a runtime of its own: the larger worlds'.
pub struct OfProcess;

impl Runtime for OfProcess {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn now_us(&self) -> i64 {
        clock::wall_us()
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// Serves terms of office over a member's store until its process ends.
pub fn begin(store: Arc<dyn Store>, boot_id: u64, runtime: Arc<dyn Runtime>) {
    // Nobody stops it: its process ends.
    let (_, stop) = watch::channel(false);
    let options = Options {
        api: api(store.clone()),
        store,
        runtime: runtime.clone(),
        boot_id,
        ca_pem: AUTHORITY.to_owned(),
        metrics: Arc::default(),
    };
    runtime.spawn(Box::pin(server_manager::run(options, stop)));
}
