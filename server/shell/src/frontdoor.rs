//! The front door: one address for the API that survives any master's death.
//!
//! Bytes are passed through untouched, so that clients' certificates reach the masters and the front door holds no key.
//! A connection goes to the ready master with the fewest connections; a master that stops being ready gets no new ones,
//! and its old ones last as long as it does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::ClientConfig;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::health;

/// How often each master is asked.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// A master that does not answer within this is not ready.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// A master that does not accept within this is passed over.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);

/// What a front door needs to know.
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The masters' API addresses.
    pub backends: Vec<SocketAddr>,
    /// The cluster's authority, PEM.
    pub ca_pem: String,
}

/// `trireme front-door`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// API address of a master; given once for each.
    #[arg(long = "backend", required = true)]
    backends: Vec<SocketAddr>,
    /// The cluster's CA certificate.
    #[arg(long)]
    ca: std::path::PathBuf,
}

/// Runs a front door as a process.
pub async fn run_command(args: Args) -> Result<()> {
    let ca_pem = std::fs::read_to_string(&args.ca).with_context(|| format!("reading {}", args.ca.display()))?;
    run(Options { listen: args.listen, backends: args.backends, ca_pem }, crate::stop::on_signal()?).await
}

struct Backend {
    address: SocketAddr,
    ready: AtomicBool,
    connections: AtomicUsize,
}

/// Serves until `stop` turns true.
pub async fn run(options: Options, mut stop: watch::Receiver<bool>) -> Result<()> {
    let tls = crate::tls::anonymous_client(&options.ca_pem)?;
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("listening on {}", options.listen))?;
    let backends: Arc<Vec<Backend>> = Arc::new(
        options
            .backends
            .iter()
            .map(|&address| Backend { address, ready: AtomicBool::new(false), connections: AtomicUsize::new(0) })
            .collect(),
    );
    for index in 0..backends.len() {
        tokio::spawn(watch_backend(backends.clone(), index, tls.clone()));
    }
    tracing::info!(listen = %options.listen, "front door open");
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(tokio::spawn(carry(client, backends.clone()))),
                // Out of file descriptors, most likely: the next connection may fare better, this loop must not spin.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(PROBE_INTERVAL).await;
                }
            },
            () = crate::stop::told(&mut stop) => return Ok(()),
        }
    }
}

async fn watch_backend(backends: Arc<Vec<Backend>>, index: usize, tls: Arc<ClientConfig>) {
    let backend = &backends[index];
    let mut tick = tokio::time::interval(PROBE_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let ready = health::ready(backend.address, &tls, PROBE_LIMIT).await;
        if backend.ready.swap(ready, Ordering::Relaxed) != ready {
            tracing::info!(master = %backend.address, ready, "readiness changed");
        }
    }
}

/// The order in which to try the masters: ready ones first, then by load.
fn order(backends: &[Backend]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..backends.len()).collect();
    order.sort_by_key(|&i| {
        (!backends[i].ready.load(Ordering::Relaxed), backends[i].connections.load(Ordering::Relaxed))
    });
    order
}

async fn carry(mut client: TcpStream, backends: Arc<Vec<Backend>>) {
    for index in order(&backends) {
        let backend = &backends[index];
        let Ok(Ok(mut server)) = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(backend.address)).await else {
            backend.ready.store(false, Ordering::Relaxed);
            continue;
        };
        backend.connections.fetch_add(1, Ordering::Relaxed);
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        // How a connection ends is between its two ends.
        let _ = copy_bidirectional(&mut client, &mut server).await;
        backend.connections.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    tracing::warn!("no master accepts connections");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_masters_with_few_connections_come_first() {
        let backend = |ready, connections| Backend {
            address: ([127, 0, 0, 1], 1).into(),
            ready: AtomicBool::new(ready),
            connections: AtomicUsize::new(connections),
        };
        assert_eq!(order(&[backend(false, 0), backend(true, 5), backend(true, 2)]), vec![2, 1, 0]);
    }
}
