//! Where masters live: their addresses, their network, their disk.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::Arc;

use super::compose::Compose;
use super::network::Weather;

/// A place for a cluster. Addresses of a master never change.
pub trait Site: Send + Sync {
    /// The API of master `index`.
    fn api(&self, index: usize) -> SocketAddr;

    /// The peer port of master `index`.
    fn peer(&self, index: usize) -> SocketAddr;

    /// The etcd port of master `index`.
    fn etcd(&self, index: usize) -> SocketAddr;

    /// Starts a process of master `index`, or of the nodes, in its network.
    ///
    /// # Errors
    /// The system's.
    fn spawn(&self, index: Option<usize>, command: &mut Command) -> io::Result<Child>;

    /// The weather between masters, where it is in our hands.
    fn weather(&self) -> Option<Arc<Weather>> {
        None
    }

    /// Whether there is room for one more master than there are from the beginning.
    fn has_room(&self) -> bool {
        true
    }

    /// The masters' containers, where they are no processes of ours.
    fn containers(&self) -> Option<&Compose> {
        None
    }
}

/// All on loopback, each master on ports of its own.
pub struct Loopback {
    /// The first of forty ports.
    pub base_port: u16,
}

impl Loopback {
    fn at(&self, offset: u16, index: usize) -> SocketAddr {
        let index = u16::try_from(index).expect("a handful of masters");
        ([127, 0, 0, 1], self.base_port + offset + index).into()
    }
}

impl Site for Loopback {
    fn api(&self, index: usize) -> SocketAddr {
        self.at(0, index)
    }

    fn peer(&self, index: usize) -> SocketAddr {
        self.at(10, index)
    }

    fn etcd(&self, index: usize) -> SocketAddr {
        self.at(20, index)
    }

    fn spawn(&self, _index: Option<usize>, command: &mut Command) -> io::Result<Child> {
        command.spawn()
    }
}
