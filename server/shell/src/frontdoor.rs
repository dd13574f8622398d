//! The front door: one address for the API that survives any master's death.
//!
//! Bytes are passed through untouched, so that clients' certificates reach the masters and the front door holds no key.
//! A connection goes to the ready master with the fewest connections; a master that stops being ready gets no new ones,
//! and its old ones last as long as it does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
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

/// `trireme front-door`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the configuration lies.
    #[command(flatten)]
    _config: crate::config::Args,
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// API address of a master; given once for each.
    #[arg(long = "backend", required = true)]
    backends: Vec<SocketAddr>,
    /// The cluster's CA certificate.
    #[arg(long)]
    ca: std::path::PathBuf,
    /// Where its metrics are served, over mutual TLS.
    #[command(flatten)]
    metrics: crate::metrics_port::Args,
}

/// Runs a front door as a process.
pub async fn run_command(args: Args) -> Result<()> {
    let ca_pem = std::fs::read_to_string(&args.ca).with_context(|| format!("reading {}", args.ca.display()))?;
    let stop = crate::stop::on_signal()?;
    let door = Door::new(args.backends);
    let shown = door.clone();
    args.metrics.open(&ca_pem, move |registry| registry.register_collector(Box::new(shown)), stop.clone()).await?;
    serve(args.listen, door, &ca_pem, stop).await
}

#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    ready: AtomicBool,
    connections: AtomicUsize,
    /// Connections carried so far.
    carried: AtomicU64,
}

/// The masters behind a front door.
#[derive(Debug)]
struct Door {
    backends: Vec<Backend>,
    /// Connections that no master took.
    turned_away: AtomicU64,
}

impl Door {
    fn new(backends: Vec<SocketAddr>) -> Arc<Self> {
        let backends = backends.into_iter().map(Backend::new).collect();
        Arc::new(Self { backends, turned_away: AtomicU64::new(0) })
    }
}

impl Backend {
    fn new(address: SocketAddr) -> Self {
        let (ready, connections, carried) = Default::default();
        Self { address, ready, connections, carried }
    }
}

/// Serves until `stop` turns true.
async fn serve(listen: SocketAddr, door: Arc<Door>, ca_pem: &str, mut stop: watch::Receiver<bool>) -> Result<()> {
    let tls = crate::tls::anonymous_client(ca_pem)?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    for index in 0..door.backends.len() {
        tokio::spawn(watch_backend(door.clone(), index, tls.clone()));
    }
    tracing::info!(%listen, "front door open");
    crate::notify::ready("open");
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(tokio::spawn(carry(client, door.clone()))),
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

async fn watch_backend(door: Arc<Door>, index: usize, tls: Arc<ClientConfig>) {
    let backend = &door.backends[index];
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

async fn carry(mut client: TcpStream, door: Arc<Door>) {
    for index in order(&door.backends) {
        let backend = &door.backends[index];
        let Ok(Ok(mut server)) = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(backend.address)).await else {
            backend.ready.store(false, Ordering::Relaxed);
            continue;
        };
        backend.connections.fetch_add(1, Ordering::Relaxed);
        backend.carried.fetch_add(1, Ordering::Relaxed);
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        // How a connection ends is between its two ends.
        let _ = copy_bidirectional(&mut client, &mut server).await;
        backend.connections.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    door.turned_away.fetch_add(1, Ordering::Relaxed);
    tracing::warn!("no master accepts connections");
}

impl Collector for Door {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        type Count = fn(&Backend) -> u64;
        let gauges: [(&str, &str, Count); 2] = [
            ("trireme_front_master_ready", "Whether a master is ready", |b| u64::from(b.ready.load(Ordering::Relaxed))),
            ("trireme_front_connections", "Connections that are open", |b| {
                b.connections.load(Ordering::Relaxed) as u64
            }),
        ];
        for (name, help, count) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for backend in &self.backends {
                let labels = [("master", backend.address.to_string())];
                ConstGauge::new(count(backend)).encode(family.encode_family(&labels)?)?;
            }
        }
        let (name, help) = ("trireme_front_carried_connections", "Connections carried so far");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for backend in &self.backends {
            let labels = [("master", backend.address.to_string())];
            ConstCounter::new(backend.carried.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
        }
        let (name, help) = ("trireme_front_turned_away_connections", "Connections that no master took");
        let turned_away = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(self.turned_away.load(Ordering::Relaxed)).encode(turned_away)
    }
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
            carried: AtomicU64::new(0),
        };
        assert_eq!(order(&[backend(false, 0), backend(true, 5), backend(true, 2)]), vec![2, 1, 0]);
    }
}
