//! Calls of those that are no part of a master: users and nodes, at whichever master serves.

use std::sync::Arc;

use api_rest::call::{Address, Caller, Verb};
use api_rest::{Identity, Status};
use raft_state::{Revision, Snapshot};

use crate::client::Cluster;
use crate::rng::Rng;

/// How long a call may take.
const LIMIT_US: u64 = 2_000_000;
/// The namespace of everything that users make.
pub const NAMESPACE: &str = "default";

/// Somebody who calls.
pub struct User {
    /// Whom.
    pub cluster: Arc<Cluster>,
    /// Which member serves the next call, and whatever else is drawn.
    pub rng: Rng,
    name: &'static str,
}

/// An object in the users' namespace.
pub fn address(group: &'static str, plural: &'static str, name: &str) -> Address {
    Address { group, plural, namespace: NAMESPACE.to_owned(), name: name.to_owned() }
}

impl User {
    /// One of a name.
    pub fn new(cluster: Arc<Cluster>, rng: Rng, name: &'static str) -> Self {
        Self { cluster, rng, name }
    }

    /// Waits for up to so many microseconds.
    pub async fn pause(&mut self, most_us: u64) {
        let us = self.rng.between(1, most_us);
        self.cluster.clock.sleep(us).await;
    }

    /// What a member that serves now holds: perhaps not the newest.
    pub fn look(&mut self) -> Option<Snapshot> {
        Some(self.cluster.any(&mut self.rng)?.snapshot())
    }

    /// Has a member do something; `None` when none serves.
    pub async fn call(&mut self, address: &Address, verb: Verb) -> Option<Result<Revision, Status>> {
        let store = self.cluster.any(&mut self.rng)?;
        let clock = &self.cluster.clock;
        let caller = Caller {
            identity: Identity::component(self.name),
            manager: self.name.to_owned(),
            epoch: None,
            deadline: clock.instant(clock.now_us() + LIMIT_US),
            trusted: false,
        };
        // On the heap: what users do beside it stays small.
        Some(Box::pin(super::api(store).call(&caller, address, verb)).await)
    }
}
