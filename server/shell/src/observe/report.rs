//! What a master says of itself at `/trireme/standing`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use raft_state::port::Store;
use serde::{Deserialize, Serialize};

use super::certificates::Certificate;
use super::history::Sample;
use super::{Observed, process, store};
use crate::apiclient::{self, Client};
use crate::backups;
use crate::pki::Pair;

/// Where it is served.
pub const PATH: &str = "/trireme/standing";

/// One master's view of itself and its cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// Member id.
    pub id: u64,
    /// `m1`
    pub name: String,
    /// `leader`, `follower`, `candidate` or `learner`
    pub role: String,
    /// Whether it leads, with a quorum behind it.
    pub leads: bool,
    /// Whether it serves.
    pub ready: bool,
    /// The leader's id, as far as it knows.
    pub leader: Option<u64>,
    /// Raft term.
    pub term: u64,
    /// Last entry of its log.
    pub last_index: u64,
    /// Last entry that it knows to be committed.
    pub committed_index: u64,
    /// Highest log index applied.
    pub applied_index: u64,
    /// Last entry in its latest snapshot.
    pub snapshot_index: u64,
    /// The store's revision.
    pub revision: u64,
    /// History up to here is forgotten.
    pub compacted: u64,
    /// The manager's epoch.
    pub epoch: u64,
    /// At the leader: entries that each other member lacks, by id.
    pub lag: BTreeMap<u64, u64>,
    /// Elections that it won since it started.
    pub elections_won: u64,
    /// Changes of leader that it saw since it started.
    pub leader_changes: u64,
    /// Watches open here.
    pub watches: u64,
    /// Revisions that the slowest of them lacks.
    pub watch_lag: u64,
    /// Objects stored, by `<resource>.<group>`; what there is none of is left out.
    pub objects: BTreeMap<String, usize>,
    /// What its manager does; `None` where none is in office.
    pub manager: Option<Manager>,
    /// Its certificates.
    pub certificates: Vec<Certificate>,
    /// The backups that are made by the clock; `None` where none are.
    pub backups: Option<backups::Report>,
    /// Memory, processor time, descriptors.
    pub process: process::Usage,
    /// The last second.
    pub recent: Sample,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Of the build.
    pub version: String,
    /// What the build can do.
    pub level: u32,
    /// What all members' builds can do.
    pub cluster_level: u32,
}

/// What a manager in office does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Manager {
    /// Its epoch.
    pub epoch: u64,
    /// The controllers' queues.
    pub controllers: Vec<Queue>,
    /// Pods to be tried next.
    pub pods_active: usize,
    /// Pods tried again after a pause.
    pub pods_backoff: usize,
    /// Pods that fit nowhere now.
    pub pods_unschedulable: usize,
    /// Pods placed whose binding is on its way.
    pub pods_in_flight: usize,
    /// Pods bound since the process started.
    pub bound: u64,
}

/// One controller's queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// The controller.
    pub name: String,
    /// Keys to be looked at.
    pub ready: usize,
    /// Keys whose plans are being carried out.
    pub in_flight: usize,
    /// Keys whose last plan failed.
    pub failing: usize,
    /// Keys looked at within the last half second.
    pub looked: u64,
}

impl Observed {
    /// This master, now.
    pub fn report(&self) -> Report {
        use std::sync::atomic::Ordering::Relaxed;
        let (progress, metrics) = (self.node.progress(), self.node.metrics());
        let (standing, snapshot) = (self.node.standing().borrow().clone(), self.node.snapshot());
        Report {
            id: standing.id,
            name: standing.name,
            role: progress.role.name().to_owned(),
            leads: standing.leads,
            ready: standing.ready,
            leader: standing.leader,
            term: standing.term,
            last_index: progress.last_index,
            committed_index: progress.committed_index,
            applied_index: standing.applied_index,
            snapshot_index: progress.snapshot_index,
            revision: standing.revision,
            compacted: snapshot.compacted(),
            epoch: standing.epoch,
            lag: metrics.replication_lag(),
            elections_won: metrics.elections_won.load(Relaxed),
            leader_changes: metrics.leader_changes.load(Relaxed),
            watches: self.requests.watches_open(),
            watch_lag: self.requests.watch_lag(snapshot.revision()),
            objects: store::counts(&snapshot).filter(|(_, count)| *count > 0).collect(),
            manager: manager(&self.manager.now()),
            certificates: self.certificates.all(),
            backups: self.backups.report(),
            process: process::usage(),
            recent: self.history.latest(),
            uptime_s: self.begun.elapsed().as_secs(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            level: self.node.levels().own(),
            cluster_level: self.node.levels().cluster(),
        }
    }
}

fn manager(now: &server_manager::Now) -> Option<Manager> {
    let queue = |depth: &server_manager::Depth| Queue {
        name: depth.name.to_owned(),
        ready: depth.ready,
        in_flight: depth.in_flight,
        failing: depth.failing,
        looked: depth.looked_since,
    };
    Some(Manager {
        epoch: now.epoch?,
        controllers: now.controllers.iter().map(queue).collect(),
        pods_active: now.scheduler.active,
        pods_backoff: now.scheduler.backoff,
        pods_unschedulable: now.scheduler.unschedulable,
        pods_in_flight: now.scheduler.in_flight,
        bound: now.bound,
    })
}

/// Asks a master, with the certificate whose files begin with `stem`.
pub async fn ask(address: SocketAddr, ca: &Path, stem: &Path) -> Result<Report> {
    let ca_pem = std::fs::read_to_string(ca).with_context(|| format!("reading {}", ca.display()))?;
    let pair = Pair::read(stem)?;
    let client = Client::new(apiclient::Options::new(vec![address.to_string()], ca_pem, pair.cert_pem, pair.key_pem))?;
    Ok(serde_json::from_value(client.get(PATH).await?)?)
}
