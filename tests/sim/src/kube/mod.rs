//! Kubernetes over a world's store: the API in process, the manager that ships on every member, and nodes whose pods pretend
//! to run. What reads a clock or draws bits in them reads and draws those of the world.

pub mod manager;
pub mod node;
pub mod seen;
pub mod user;

use std::sync::Arc;

use api_rest::token::{PublicKey, TokenKeys};
use api_rest::{Api, Config};
use raft_state::port::Store;
use tests_solo::TestKeyring;

use crate::clock;

/// The cluster's authority; nobody here looks into it.
const AUTHORITY: &str = "the authority's certificate";

/// Nobody asks for a token here.
struct NoTokens;

impl TokenKeys for NoTokens {
    fn sign(&self, _message: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn verify(&self, _key_id: &str, _message: &[u8], _signature: &[u8]) -> bool {
        false
    }

    fn public(&self) -> Vec<PublicKey> {
        Vec::new()
    }
}

/// The API over a member's store, by the clock and the dice of whoever runs.
pub fn api(store: Arc<dyn Store>) -> Arc<Api> {
    let config = Config::new(Arc::new(TestKeyring), Arc::new(NoTokens), AUTHORITY.to_owned());
    Api::new(store, Config { now_us: clock::wall_us, random: clock::random_bits, ..config })
}
