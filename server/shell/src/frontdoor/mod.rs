//! The front door: one address for the API that survives any master's death.
//!
//! Bytes are passed through untouched, so that clients' certificates reach the masters and the front door holds no key.
//! A connection goes to the ready master with the fewest connections that answers it; a master that stops being ready gets no
//! new ones, and its old ones last as long as it does. Which masters there are it learns from those it knows, so that masters
//! may come and go.

mod greeting;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustls::ClientConfig;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::greeting::{Greeting, Heard};
use crate::{health, masters};

/// How often each master is asked.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// How often a ready master is asked which masters there are.
const LEARN_INTERVAL: Duration = Duration::from_secs(1);
/// A master that does not answer within this is not ready.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// A master that does not accept within this is passed over.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
/// How long each master has to answer a client's first words, in the first round through them and in those after: all may be
/// short of processors. Then the client is told to come again.
const PATIENCE: [Duration; 3] = [Duration::from_millis(400), Duration::from_secs(1), Duration::from_secs(3)];

/// `trireme front-door`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the configuration lies.
    #[command(flatten)]
    _config: crate::config::Args,
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// API address of a master; given once for each that is known. They tell of the others.
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
    let door = Door::new(args.backends, crate::tls::anonymous_client(&ca_pem)?);
    let shown = door.clone();
    args.metrics.open(&ca_pem, move |registry| registry.register_collector(Box::new(shown)), stop.clone()).await?;
    serve(args.listen, door, stop).await
}

#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    ready: AtomicBool,
    connections: AtomicUsize,
    /// Connections carried so far.
    carried: AtomicU64,
    /// The cluster has no such master any more.
    gone: AtomicBool,
}

impl Backend {
    fn new(address: SocketAddr) -> Arc<Self> {
        let (ready, connections, carried, gone) = Default::default();
        Arc::new(Self { address, ready, connections, carried, gone })
    }
}

/// A connection that is open to a master, for as long as this lives.
struct Open<'b>(&'b Backend);

impl<'b> Open<'b> {
    fn count(backend: &'b Backend) -> Self {
        backend.connections.fetch_add(1, Ordering::Relaxed);
        Self(backend)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The masters behind a front door.
#[derive(Debug)]
struct Door {
    backends: RwLock<Vec<Arc<Backend>>>,
    /// As given at the start; kept, for they may be all that is known after the others are gone.
    given: Vec<SocketAddr>,
    tls: Arc<ClientConfig>,
    /// Connections that no master took.
    turned_away: AtomicU64,
}

impl Door {
    fn new(given: Vec<SocketAddr>, tls: Arc<ClientConfig>) -> Arc<Self> {
        let door = Arc::new(Self { backends: RwLock::default(), given, tls, turned_away: AtomicU64::new(0) });
        door.become_these(&BTreeSet::new());
        door
    }

    /// Takes up masters that came, and lets go of those that are neither in the cluster nor given.
    fn become_these(self: &Arc<Self>, members: &BTreeSet<SocketAddr>) {
        let wanted: BTreeSet<SocketAddr> = self.given.iter().chain(members).copied().collect();
        let mut backends = self.backends.write();
        backends.retain(|backend| {
            let stays = wanted.contains(&backend.address);
            if !stays {
                tracing::info!(master = %backend.address, "this master has left the cluster");
                backend.gone.store(true, Ordering::Relaxed);
            }
            stays
        });
        for address in wanted {
            if backends.iter().all(|backend| backend.address != address) {
                let backend = Backend::new(address);
                backends.push(backend.clone());
                tokio::spawn(watch_backend(backend, self.tls.clone()));
            }
        }
    }

    /// Learns from ready masters which there are.
    async fn learn(self: Arc<Self>) {
        let mut tick = tokio::time::interval(LEARN_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let asked = order(&self.backends.read()).into_iter().find(|backend| backend.ready.load(Ordering::Relaxed));
            let Some(asked) = asked else { continue };
            let Some(named) = masters::ask(asked.address, &self.tls, PROBE_LIMIT).await else { continue };
            let mut members = BTreeSet::new();
            for name in named {
                members.extend(tokio::net::lookup_host(&name).await.ok().and_then(|mut found| found.next()));
            }
            if !members.is_empty() {
                self.become_these(&members);
            }
        }
    }
}

/// Serves until `stop` turns true.
async fn serve(listen: SocketAddr, door: Arc<Door>, mut stop: watch::Receiver<bool>) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    let learning = tokio::spawn(door.clone().learn());
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
            () = crate::stop::told(&mut stop) => {
                learning.abort();
                return Ok(());
            }
        }
    }
}

async fn watch_backend(backend: Arc<Backend>, tls: Arc<ClientConfig>) {
    let mut tick = tokio::time::interval(PROBE_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !backend.gone.load(Ordering::Relaxed) {
        tick.tick().await;
        let ready = health::ready(backend.address, &tls, PROBE_LIMIT).await;
        if backend.ready.swap(ready, Ordering::Relaxed) != ready {
            tracing::info!(master = %backend.address, ready, "readiness changed");
        }
    }
}

/// The order in which to try the masters: ready ones first, then by load.
fn order(backends: &[Arc<Backend>]) -> Vec<Arc<Backend>> {
    let mut order = backends.to_vec();
    order.sort_by_key(|backend| (!backend.ready.load(Ordering::Relaxed), backend.connections.load(Ordering::Relaxed)));
    order
}

/// Takes a client to a master that answers.
async fn carry(mut client: TcpStream, door: Arc<Door>) {
    let _ = client.set_nodelay(true);
    let Some(mut greeting) = Greeting::of(&mut client).await else { return };
    for patience in PATIENCE {
        let mut is_anyone_there = false;
        let tried = order(&door.backends.read());
        for backend in tried {
            let connecting = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(backend.address));
            let Ok(Ok(mut master)) = connecting.await else {
                backend.ready.store(false, Ordering::Relaxed);
                continue;
            };
            is_anyone_there = true;
            let _ = master.set_nodelay(true);
            let _counted = Open::count(&backend);
            match greeting.offer(&mut client, &mut master, patience).await {
                Heard::Answer => {
                    backend.carried.fetch_add(1, Ordering::Relaxed);
                    // How a connection ends is between its two ends.
                    let _ = copy_bidirectional(&mut client, &mut master).await;
                    return;
                }
                // Its probe will say when it is back.
                Heard::Silence => backend.ready.store(false, Ordering::Relaxed),
                Heard::ClientGone => return,
            }
        }
        if !is_anyone_there {
            break;
        }
    }
    door.turned_away.fetch_add(1, Ordering::Relaxed);
    tracing::warn!("no master answers connections");
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
            for backend in self.backends.read().iter() {
                let labels = [("master", backend.address.to_string())];
                ConstGauge::new(count(backend)).encode(family.encode_family(&labels)?)?;
            }
        }
        let (name, help) = ("trireme_front_carried_connections", "Connections carried so far");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for backend in self.backends.read().iter() {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn ready_masters_with_few_connections_come_first() {
        let backend = |port, ready, connections| {
            Arc::new(Backend {
                address: address(port),
                ready: AtomicBool::new(ready),
                connections: AtomicUsize::new(connections),
                carried: AtomicU64::new(0),
                gone: AtomicBool::new(false),
            })
        };
        let ports: Vec<u16> = order(&[backend(1, false, 0), backend(2, true, 5), backend(3, true, 2)])
            .iter()
            .map(|backend| backend.address.port())
            .collect();
        assert_eq!(ports, [3, 2, 1]);
    }

    #[tokio::test]
    async fn masters_come_and_go_and_those_given_stay() {
        crate::tls::install_provider();
        let authority = crate::pki::Authority::generate().unwrap();
        let tls = crate::tls::anonymous_client(&authority.cert_pem).unwrap();
        let door = Door::new(vec![address(1)], tls);
        let check = |members: &[u16], expected: &[u16]| {
            door.become_these(&members.iter().copied().map(address).collect());
            let mut known: Vec<u16> = door.backends.read().iter().map(|b| b.address.port()).collect();
            known.sort_unstable();
            assert_eq!(known, expected, "{members:?}");
        };
        check(&[1, 2, 3], &[1, 2, 3]);
        check(&[2, 4], &[1, 2, 4]);
        check(&[], &[1]);
    }

    /// A master that accepts connections, reads, and answers only if it is well.
    async fn master(is_well: bool) -> SocketAddr {
        let listener = TcpListener::bind(address(0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if is_well {
                    tokio::spawn(async move {
                        let (mut from, mut to) = stream.split();
                        tokio::io::copy(&mut from, &mut to).await
                    });
                } else {
                    open.push(stream);
                }
            }
        });
        at
    }

    #[tokio::test]
    async fn a_client_is_taken_from_a_silent_master_to_one_that_answers() {
        crate::tls::install_provider();
        let authority = crate::pki::Authority::generate().unwrap();
        let (paused, well) = (master(false).await, master(true).await);
        let door = Door::new(vec![paused, well], crate::tls::anonymous_client(&authority.cert_pem).unwrap());
        let backend = |at: SocketAddr| door.backends.read().iter().find(|b| b.address == at).unwrap().clone();
        // So that it comes first.
        backend(paused).ready.store(true, Ordering::Relaxed);
        let listener = TcpListener::bind(address(0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let carried = tokio::spawn(carry(listener.accept().await.unwrap().0, door.clone()));
        client.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
        assert!(!backend(paused).ready.load(Ordering::Relaxed));
        assert_eq!(backend(well).carried.load(Ordering::Relaxed), 1);
        client.write_all(b"again").await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"again");
        drop(client);
        carried.await.unwrap();
        assert_eq!(backend(well).connections.load(Ordering::Relaxed), 0);
        assert_eq!(backend(paused).connections.load(Ordering::Relaxed), 0);
    }
}
