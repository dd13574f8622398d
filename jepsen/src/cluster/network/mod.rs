//! A network of our own: every master in a network namespace, and between them a relay that we hold in hand.
//!
//! Nothing of it is seen outside: each namespace has a loopback and a tun device whose other end is the relay, a thread
//! of this process. Packets go nowhere else.

mod namespace;
mod relay;
mod tun;
mod weather;

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustix::thread::UnshareFlags;

use super::Site;
use namespace::Namespace;
use relay::Relay;

pub use weather::{Link, Weather};

/// The clients' address, beside those of the masters.
const CLIENTS: u8 = 100;

/// The address of master `index`.
fn address(index: usize) -> [u8; 4] {
    [10, 77, 0, u8::try_from(index + 1).expect("a handful of masters")]
}

/// Masters apart from each other, and one place more for a master that joins.
pub struct Network {
    namespaces: Vec<Namespace>,
    weather: Arc<Weather>,
    _relay: Relay,
}

/// Moves this thread, and all that it starts from now on, into a network namespace without any way out, and into one of
/// mounts that nobody else sees and that go with the last process in it.
///
/// # Errors
/// When the system does not let us: not root, or no such kernel, or a tool is missing. The thread is where it was then.
pub fn enter() -> Result<()> {
    let home = Namespace::current()?;
    namespace::unshare(UnshareFlags::NEWNET | UnshareFlags::NEWNS).context("making namespaces")?;
    let made = namespace::run("mount", &["--make-rprivate", "/"])
        .and_then(|()| namespace::run("ip", &["link", "set", "lo", "up"]));
    if made.is_err() {
        // Half way there is nowhere: not even loopback is up.
        home.enter()?;
    }
    made
}

impl Network {
    /// Makes a namespace for each master and one more, and joins them, and this one, by a relay. Links between masters are
    /// `usual` unless a fault makes them worse.
    ///
    /// # Errors
    /// When the kernel has no tun, or `ip` is missing.
    pub fn new(masters: usize, seed: u64, usual: Link) -> Result<Self> {
        let mut namespaces = Vec::new();
        let mut ends = Vec::new();
        for index in 0..=masters {
            let namespace = Namespace::new()?;
            ends.push((address(index), namespace.within(|| tun::open(address(index)))?));
            namespaces.push(namespace);
        }
        let clients = [10, 77, 0, CLIENTS];
        ends.push((clients, tun::open(clients)?));
        let weather = Arc::new(Weather::new(masters + 1, usual));
        let relay = Relay::start(ends, weather.clone(), seed)?;
        Ok(Self { namespaces, weather, _relay: relay })
    }
}

impl Site for Network {
    fn api(&self, index: usize) -> SocketAddr {
        (address(index), 6443).into()
    }

    fn peer(&self, index: usize) -> SocketAddr {
        (address(index), 2380).into()
    }

    fn etcd(&self, index: usize) -> SocketAddr {
        (address(index), 2379).into()
    }

    fn spawn(&self, index: Option<usize>, command: &mut Command) -> io::Result<Child> {
        match index {
            Some(index) => self.namespaces[index].within(|| Ok(command.spawn()?)).map_err(io::Error::other),
            None => command.spawn(),
        }
    }

    fn weather(&self) -> Option<Arc<Weather>> {
        Some(self.weather.clone())
    }
}
