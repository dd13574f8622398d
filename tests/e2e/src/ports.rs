//! Ports that no other test takes, of this process or another.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use rand::Rng;

/// How many a cluster takes from its base port on.
const COUNT: u16 = 40;

/// The ports of one cluster, its own until dropped.
///
/// That all of them are free is not enough: a cluster listens only a while after that was seen, and another test may
/// look in between. So the base port is claimed by a socket in the abstract namespace (unix(7)), which is as wide as
/// that of the ports, leaves no file behind, and is free again when its process ends.
#[derive(Debug)]
pub struct Ports {
    base: u16,
    _claim: UnixListener,
}

impl Ports {
    /// Claims ports that are free now.
    #[must_use]
    pub fn claim() -> Self {
        let mut random = rand::rng();
        loop {
            // Below the ephemeral range, so that outgoing connections of other tests do not take them meanwhile.
            if let Some(ports) = Self::claim_from(random.random_range(250..800) * COUNT) {
                return ports;
            }
        }
    }

    fn claim_from(base: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("trireme-e2e-ports-{base}")).expect("a short name");
        let claim = UnixListener::bind_addr(&name).ok()?;
        let are_free = (base..base + COUNT).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        are_free.then_some(Self { base, _claim: claim })
    }

    /// The first of them.
    #[must_use]
    pub fn base(&self) -> u16 {
        self.base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_claimed_once_though_nothing_listens_yet() {
        let ports = Ports::claim();
        assert!(Ports::claim_from(ports.base()).is_none(), "claimed twice");
        let base = ports.base();
        drop(ports);
        // Another test may have been quicker.
        let again = Ports::claim_from(base).unwrap_or_else(Ports::claim);
        let listener = TcpListener::bind(("127.0.0.1", again.base() + COUNT - 1)).expect("free");
        let base = again.base();
        drop(again);
        assert!(Ports::claim_from(base).is_none(), "claimed though something listens");
        drop(listener);
    }
}
