//! What clients do, one workload a file, one row each in [`ALL`].

mod append;
mod bank;
mod cas;
mod controllers;
mod following;
mod lease;
mod lock;
mod nodes;
mod object_client;
mod objects;
mod register;
mod set;
mod watch;

use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;

use crate::world::World;

pub use bank::{ACCOUNTS, BALANCE};
pub use controllers::SLACK;

/// What a client does.
pub type Run = fn(Arc<World>, usize) -> BoxFuture<'static, Result<()>>;

/// What a workload needs to be possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The Kubernetes API.
    Nothing,
    /// The etcd face.
    Etcd,
}

/// A workload.
pub struct Workload {
    /// As the command line and histories name it.
    pub name: &'static str,
    /// What it does, for people.
    pub text: &'static str,
    /// How many clients run it.
    pub clients: usize,
    /// Simulated nodes that it needs.
    pub nodes: usize,
    /// What it needs.
    pub need: Need,
    /// One client, until the round is over.
    pub run: Run,
    /// One last look, when all faults are over.
    pub last: Option<Run>,
}

/// One row each.
pub static ALL: &[&Workload] = &[
    &register::WORKLOAD,
    &cas::WORKLOAD,
    &objects::WORKLOAD,
    &set::WORKLOAD,
    &watch::WORKLOAD,
    &controllers::WORKLOAD,
    &nodes::WORKLOAD,
    &append::WORKLOAD,
    &bank::WORKLOAD,
    &lease::WORKLOAD,
    &lock::WORKLOAD,
];

/// The workload of a name.
pub fn named(name: &str) -> Option<&'static Workload> {
    ALL.iter().copied().find(|workload| workload.name == name)
}
