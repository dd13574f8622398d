//! A member as clients find it: what they ask runs inside its process, and ends with it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use raft_node::Node;
use raft_state::port::{BoxFuture, Cursor, LeaseTime, ProposeError, ReadError, ReadLevel, Standing, Store, WatchError};
use raft_state::{Command, Outcome, Revision, Snapshot};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;

/// See the module.
pub struct InProcess {
    /// The member.
    pub node: Arc<Node>,
    /// Of its process.
    pub handle: Handle,
    /// Of the world.
    pub clock: Clock,
}

impl InProcess {
    /// Has something asked inside the process; `None` when there is no answer in time, or the process is gone.
    fn ask<T, F>(
        &self,
        deadline: Instant,
        ask: impl FnOnce(Arc<Node>, Instant) -> F + Send + 'static,
    ) -> BoxFuture<'_, Option<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send,
    {
        let at_us = self.clock.us_of(deadline);
        let left = Duration::from_micros(at_us.saturating_sub(self.clock.now_us()));
        let node = self.node.clone();
        let (done, answer) = oneshot::channel();
        self.handle.spawn(async move {
            // Its own clock counts.
            let until = (tokio::time::Instant::now() + left).into_std();
            // Whoever asked may have left.
            let _ = done.send(ask(node, until).await);
        });
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = answer => answer.ok(),
                // It may be paused.
                () = self.clock.sleep_until(at_us + 100_000) => None,
            }
        })
    }
}

fn gone() -> String {
    "the process ended, or stands still".to_owned()
}

impl Store for InProcess {
    fn propose(&self, commands: Vec<Command>, deadline: Instant) -> BoxFuture<'_, Result<Vec<Outcome>, ProposeError>> {
        let asked = self.ask(deadline, |node, until| async move { node.propose(commands, until).await });
        Box::pin(async move { asked.await.unwrap_or_else(|| Err(ProposeError::Stopping(gone()))) })
    }

    fn read(&self, level: ReadLevel, deadline: Instant) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        let asked = self.ask(deadline, move |node, until| async move { node.read(level, until).await });
        Box::pin(async move { asked.await.unwrap_or_else(|| Err(ReadError::Stopping(gone()))) })
    }

    fn snapshot(&self) -> Snapshot {
        self.node.snapshot()
    }

    fn watch(&self, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError> {
        self.node.watch(prefix, after)
    }

    fn lease_keep_alive(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        let asked = self.ask(deadline, |node, until| async move { node.lease_keep_alive(ids, until).await });
        Box::pin(async move { asked.await.unwrap_or_else(|| Err(ReadError::Stopping(gone()))) })
    }

    fn lease_times(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        let asked = self.ask(deadline, |node, until| async move { node.lease_times(ids, until).await });
        Box::pin(async move { asked.await.unwrap_or_else(|| Err(ReadError::Stopping(gone()))) })
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.node.standing()
    }
}
