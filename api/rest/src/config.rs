//! What the API needs from outside.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raft_state::Keyring;

use crate::token::TokenKeys;

/// Configuration, and the world as functions, so that a simulation can replace them.
#[derive(Clone)]
pub struct Config {
    /// Seals Secrets.
    pub keyring: Arc<dyn Keyring>,
    /// Signs tokens of ServiceAccounts.
    pub tokens: Arc<dyn TokenKeys>,
    /// The cluster's authority, PEM.
    pub ca_pem: String,
    /// Microseconds since the epoch.
    pub now_us: fn() -> i64,
    /// Random bits.
    pub random: fn() -> u128,
    /// First two octets of the Services' network (a /16).
    pub service_network: [u8; 2],
    /// Ports on nodes, first and last.
    pub node_ports: (u16, u16),
    /// The longest that a request may take unless it asks for less.
    pub request_timeout: Duration,
}

impl Config {
    /// Defaults with these keys and this authority.
    pub fn new(keyring: Arc<dyn Keyring>, tokens: Arc<dyn TokenKeys>, ca_pem: String) -> Self {
        Self {
            keyring,
            tokens,
            ca_pem,
            now_us: || {
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
            },
            random: || uuid::Uuid::new_v4().as_u128(),
            service_network: [10, 96],
            node_ports: (30_000, 32_767),
            request_timeout: Duration::from_secs(60),
        }
    }

    /// Five characters of those that Kubernetes makes names of.
    pub fn suffix(&self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut bits = (self.random)();
        (0..5)
            .map(|_| {
                let letter = ALPHABET[(bits % ALPHABET.len() as u128) as usize];
                bits /= ALPHABET.len() as u128;
                char::from(letter)
            })
            .collect()
    }

    /// A fresh uid.
    pub fn uid(&self) -> String {
        uuid::Builder::from_random_bytes((self.random)().to_be_bytes()).into_uuid().to_string()
    }
}
