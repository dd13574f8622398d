//! What runs while a master does, and in which order it ends.

use std::future::Future;

use anyhow::{Context, Result};
use raft_node::Node;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Servers and the manager.
#[derive(Default)]
pub(super) struct Work {
    servers: Vec<JoinHandle<()>>,
    manager: Option<JoinHandle<()>>,
    /// Runs beside, and may be cut short.
    aside: JoinSet<()>,
    /// Tells the servers to drain.
    close: watch::Sender<bool>,
    /// Tells the manager to stop.
    halt: watch::Sender<bool>,
}

impl Work {
    /// Begins a server, which drains when it is told to.
    pub(super) fn serve<F>(&mut self, server: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.servers.push(tokio::spawn(server(self.close.subscribe())));
    }

    /// Begins the manager.
    pub(super) fn manage<F>(&mut self, manager: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.manager = Some(tokio::spawn(manager(self.halt.subscribe())));
    }

    /// Begins what is cut short when the master ends.
    pub(super) fn aside(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.aside.spawn(work);
    }

    /// Ends the manager, hands leadership over, and ends the servers. They go on while leadership moves, and drain after:
    /// requests in flight see a slower answer, not an error. Watches would last for half an hour, so they are ended: their
    /// clients resume at another master, for this one accepts no connection any more.
    pub(super) async fn end(mut self, node: &Node) -> Result<()> {
        self.aside.shutdown().await;
        self.halt.send_replace(true);
        if let Some(manager) = self.manager {
            manager.await.context("the manager")?;
        }
        node.hand_over().await;
        self.close.send_replace(true);
        node.end_watches();
        for server in self.servers {
            server.await.context("a server")?;
        }
        Ok(())
    }
}
