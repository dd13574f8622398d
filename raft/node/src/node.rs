//! One member of the cluster.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use planted_bugs::planted;
use raft_state::port::{
    BoxFuture, Cursor, Kind, LeaseTime, Member, ProposeError, ReadError, ReadLevel, Standing, Store, WatchError,
};
use raft_state::{Command, Outcome, Revision, Snapshot};
use raft_trace::Span;
use tokio::sync::watch;

use crate::compare::Word;
use crate::config::{Limits, NodeConfig, Timing};
use crate::host::Host;
use crate::leases::Leases;
use crate::level::Levels;
use crate::machine::Applied;
use crate::members::admin::{Admin, AdminError, ClusterStatus};
use crate::members::decide::Autopilot;
use crate::metrics::{Metrics, increment};
use crate::progress::Progress;
use crate::reads::Reads;
use crate::registry::Registry;
use crate::route::Entrance;
use crate::standing::{successor, successor_but};
use crate::start::{self, Hooks, StartError};
use crate::types::Raft;
use crate::view::View;

/// How long a stopping member waits for proposals that it has taken.
const FINISH_PROPOSALS: Duration = Duration::from_millis(500);

/// A member: its Raft core, its peer port, its log and its state.
///
/// Its own threads run all of it, so the methods may be called from any tokio runtime. Stop it with
/// [`Node::shutdown`]; one that is merely dropped stops without handing leadership over.
pub struct Node {
    pub(crate) id: u64,
    pub(crate) cluster_id: String,
    pub(crate) raft: Raft,
    pub(crate) registry: Arc<Registry>,
    pub(crate) entrance: Entrance,
    pub(crate) reads: Reads,
    pub(crate) leases: Leases,
    pub(crate) view: Arc<View>,
    pub(crate) applied: watch::Receiver<Applied>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) timing: Timing,
    pub(crate) limits: Limits,
    /// Whether writes are refused.
    pub(crate) word: Arc<Word>,
    pub(crate) levels: Arc<Levels>,
    /// Set before Raft is stopped on purpose.
    pub(crate) stopping: Arc<AtomicBool>,
    /// Others say that this member was removed.
    pub(crate) removed: Arc<AtomicBool>,
    pub(crate) admin: Admin,
    /// Ends the peer port.
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) host: Mutex<Option<Host>>,
}

/// The state of a member in one number, to be compared with that of others at the same index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHash {
    /// Log index.
    pub index: u64,
    /// The store's revision there.
    pub revision: Revision,
    /// Over the whole state.
    pub hash: u128,
}

impl Node {
    /// Starts a member and returns once its peer port is open and Raft runs; [`Store::standing`] says when it serves.
    ///
    /// # Errors
    /// When the configuration, a certificate, the peer port or the data folder is not usable.
    pub async fn start(config: NodeConfig) -> Result<Arc<Self>, StartError> {
        Self::start_with(config, Hooks::default()).await
    }

    /// As [`Node::start`], with what tests put in place of the world.
    ///
    /// # Errors
    /// As [`Node::start`].
    #[doc(hidden)]
    pub async fn start_with(config: NodeConfig, hooks: Hooks) -> Result<Arc<Self>, StartError> {
        start::start(config, hooks).await
    }

    /// Drawn at random when this member started: names it in command ids and epochs.
    pub fn boot_id(&self) -> u64 {
        self.registry.boot()
    }

    /// This member's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The hash over the whole state, with the log index as of which it holds.
    pub fn state_hash(&self) -> StateHash {
        let Applied { index, revision, hash, .. } = *self.applied.borrow();
        StateHash { index, revision, hash }
    }

    /// The cluster's id, as the data folder knows it: a recovered cluster has another than it was started with.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// What this member's build and its cluster can do.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Where the cluster stands, by its leader's word.
    ///
    /// # Errors
    /// When no leader answers before the deadline.
    pub async fn cluster_status(&self, deadline: Instant) -> Result<ClusterStatus, AdminError> {
        self.admin.status(deadline.into()).await
    }

    /// When the leader counts members as alive, caught up, dead.
    pub fn autopilot(&self) -> Autopilot {
        self.admin.orders.policy
    }

    /// Takes a new member in, as a learner, and says which id it has from now on. Autopilot promotes it when it is a master,
    /// has caught up, and the number of voters stays odd. `member.id` is not looked at. One without a name is a place kept:
    /// whoever joins with its peer address gets that id.
    ///
    /// # Errors
    /// When a living member has its name, or no leader did it before the deadline.
    pub async fn add_member(&self, member: &Member, deadline: Instant) -> Result<u64, AdminError> {
        self.admin.add(member, deadline.into()).await
    }

    /// Lets a master vote that was demoted, and waits until it does. When it cannot yet, says what it waits for.
    ///
    /// # Errors
    /// When it is a read replica or leaving, or no leader did it before the deadline.
    pub async fn promote(&self, id: u64, deadline: Instant) -> Result<String, AdminError> {
        self.admin.set_kind(id, Kind::Master, deadline.into()).await
    }

    /// Takes a voter's vote; it goes on as a learner until it is promoted. With no other master waiting, a second voter
    /// goes with it, so that their number stays odd.
    ///
    /// # Errors
    /// When the rest could not go on, or no leader did it before the deadline.
    pub async fn demote(&self, id: u64, deadline: Instant) -> Result<(), AdminError> {
        self.admin.set_kind(id, Kind::Standby, deadline.into()).await.map(drop)
    }

    /// Removes a member for good. While it lives it has [`Autopilot::drain`](crate::Autopilot::drain) to finish what it
    /// serves, or until it calls [`Node::leave`].
    ///
    /// # Errors
    /// When the rest could not go on, or no leader did it before the deadline.
    pub async fn remove(&self, id: u64, deadline: Instant) -> Result<(), AdminError> {
        self.admin.set_kind(id, Kind::Leaving, deadline.into()).await.map(drop)
    }

    /// Says where a member is to be reached by the others. Itself it must be told to listen there.
    ///
    /// # Errors
    /// When there is no such member, another has that address, or no leader did it before the deadline.
    pub async fn set_peer_address(&self, id: u64, peer_address: &str, deadline: Instant) -> Result<(), AdminError> {
        self.admin.set_address(id, peer_address, deadline.into()).await
    }

    /// Hands leadership to a member, whoever has it.
    ///
    /// # Errors
    /// When that member does not vote or does not answer, or it has not taken over before the deadline.
    pub async fn transfer(&self, to: u64, deadline: Instant) -> Result<(), AdminError> {
        self.admin.transfer(to, deadline.into()).await
    }

    /// This member was told to leave, and has stopped serving: the others need not wait for it any longer.
    ///
    /// # Errors
    /// When it was not told to leave, or no leader heard it before the deadline.
    pub async fn leave(&self, deadline: Instant) -> Result<(), AdminError> {
        self.admin.leave(deadline.into()).await
    }

    /// What this member counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Where Raft stands here, for people who look for a fault.
    pub fn describe(&self) -> String {
        self.raft.metrics().borrow_watched().to_string()
    }

    /// How far this member's log has come.
    pub fn progress(&self) -> Progress {
        Progress::of(&self.raft.metrics().borrow_watched())
    }

    /// Hands leadership over if this member has it, waits until the successor is seen (at most
    /// [`Timing::handover`]), then stops. Calls that still wait end with `Stopping`.
    pub async fn shutdown(&self) {
        if self.host.lock().is_none() {
            return;
        }
        self.hand_over().await;
        self.stopping.store(true, Ordering::Release);
        self.finish_proposals().await;
        self.registry.close();
        // Closed for those who still wait for the port; nobody may.
        let _ = self.closing.send(true);
        self.end_watches();
        if let Err(e) = self.raft.shutdown().await {
            tracing::warn!("the Raft core did not stop cleanly: {e}");
        }
        let view = self.view.clone();
        if let Err(e) = tokio::task::spawn_blocking(move || view.flush()).await {
            tracing::warn!("bringing the state to the disk: {e}");
        }
        self.end(Duration::from_secs(5)).await;
        tracing::info!(id = self.id, "this member has stopped");
    }

    /// Ends every watch, for good: whoever watches goes on at another member. Reads and writes are served as before.
    pub fn end_watches(&self) {
        self.view.stop("the member is stopping");
    }

    /// Stops everything at once, as if the process had been killed: no goodbye to anybody. For tests.
    #[doc(hidden)]
    pub async fn kill(&self) {
        self.stopping.store(true, Ordering::Release);
        self.end(Duration::from_secs(5)).await;
        self.registry.close();
        self.view.stop("the member was killed");
    }

    async fn end(&self, patience: Duration) {
        let Some(host) = self.host.lock().take() else { return };
        // Waiting for threads belongs on a thread that may wait.
        let ended = tokio::task::spawn_blocking(move || host.end(patience)).await;
        if let Err(e) = ended {
            tracing::warn!("ending this member's threads: {e}");
        }
    }

    /// Hands leadership over if this member has it, and waits until the successor is seen (at most [`Timing::handover`]).
    pub async fn hand_over(&self) {
        let metrics = self.raft.metrics();
        let mut standing = self.standing.clone();
        let deadline = tokio::time::Instant::now() + self.timing.handover;
        let mut tried = BTreeSet::new();
        loop {
            let now = metrics.borrow_watched().clone();
            if now.current_leader != Some(self.id) || !standing.borrow().leads {
                return;
            }
            // One that did not take over may be out of reach.
            let Some(to) = successor_but(&now, &tried).or_else(|| successor(&now)) else { return };
            tried.insert(to);
            tracing::info!(to, "handing leadership over");
            if self.raft.trigger().transfer_leader(to).await.is_err() {
                return;
            }
            // A transfer is a letter, not a call: it has worked when somebody else is seen to lead.
            let seen = standing.wait_for(|s| s.leader.is_some_and(|leader| leader != self.id));
            let attempt = (tokio::time::Instant::now() + self.timing.election_max * 2).min(deadline);
            match tokio::time::timeout_at(attempt, seen).await {
                Ok(_) => return,
                Err(_) if tokio::time::Instant::now() < deadline => {}
                Err(_) => {
                    tracing::warn!("nobody took leadership over in time");
                    return;
                }
            }
        }
    }

    /// Lets what is on its way arrive, through the successor perhaps.
    async fn finish_proposals(&self) {
        let deadline = tokio::time::Instant::now() + FINISH_PROPOSALS;
        while !self.registry.waiting().is_empty() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn propose_now(&self, commands: Vec<Command>, deadline: Instant) -> Result<Vec<Outcome>, ProposeError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        self.refuse_when_stopping().map_err(ProposeError::Stopping)?;
        if let Some(refusing) = self.word.refuses(&commands) {
            return Err(ProposeError::ReadOnly(refusing));
        }
        let started = tokio::time::Instant::now();
        let limit = self.limits.proposal_bytes;
        // From here to the outcome applied on this member.
        let span = raft_trace::current().map(|request| Span::part_of(request, "propose"));
        let trace = span.as_ref().map(Span::context);
        let (first, encoded, outcomes) = self.registry.enter(&commands, trace, |ids, commands| {
            let encoded = crate::machine::encode(ids, commands);
            if encoded.len() > limit {
                return Err(ProposeError::TooLarge { bytes: encoded.len(), limit });
            }
            Ok(encoded)
        })?;
        drop(commands);
        let _leave = Leave { registry: &self.registry, first };
        if !self.entrance.send(first, encoded, trace) {
            return Err(stopping());
        }
        match tokio::time::timeout_at(deadline.into(), outcomes).await {
            Ok(Ok(outcomes)) => {
                self.metrics.propose_us.record_elapsed(started);
                Ok(outcomes)
            }
            Ok(Err(_)) => Err(stopping()),
            Err(_) => {
                increment(&self.metrics.propose_timeouts);
                Err(ProposeError::DeadlineExceeded)
            }
        }
    }

    async fn read_now(&self, level: ReadLevel, deadline: Instant) -> Result<Snapshot, ReadError> {
        self.refuse_when_stopping().map_err(ReadError::Stopping)?;
        match level {
            ReadLevel::Linearizable if planted!(StaleFollowerRead) => Ok(self.view.snapshot()),
            ReadLevel::Linearizable => {
                let index = self.within(deadline, self.reads.index(false)).await?;
                let index = index.map_err(|_| ReadError::Stopping("the member is stopping".to_owned()))?;
                self.reach(deadline, |applied| applied.index >= index).await?;
                Ok(self.view.snapshot())
            }
            ReadLevel::AtLeast(revision) => {
                self.reach(deadline, |applied| applied.revision >= revision).await?;
                Ok(self.view.snapshot())
            }
            ReadLevel::Exact(revision) => {
                self.reach(deadline, |applied| applied.revision >= revision).await?;
                self.view.exact(revision).await
            }
        }
    }

    async fn ask_leases(
        &self,
        ids: Vec<i64>,
        renew: bool,
        deadline: Instant,
    ) -> Result<Vec<Option<LeaseTime>>, ReadError> {
        self.refuse_when_stopping().map_err(ReadError::Stopping)?;
        let times = self.within(deadline, self.leases.ask(ids, renew, false)).await?;
        times.map_err(|_| ReadError::Stopping("the member is stopping".to_owned()))
    }

    /// Waits until this member has applied enough.
    async fn reach(&self, deadline: Instant, enough: impl FnMut(&Applied) -> bool) -> Result<(), ReadError> {
        let mut applied = self.applied.clone();
        let reached = self.within(deadline, applied.wait_for(enough)).await?;
        reached.map(drop).map_err(|_| ReadError::Stopping("the member is stopping".to_owned()))
    }

    async fn within<T>(&self, deadline: Instant, work: impl Future<Output = T>) -> Result<T, ReadError> {
        match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(done) => Ok(done),
            Err(_) => Err(ReadError::DeadlineExceeded { current: self.applied.borrow().revision }),
        }
    }

    fn refuse_when_stopping(&self) -> Result<(), String> {
        if self.removed.load(Ordering::Acquire) {
            return Err("the member was removed from the cluster".to_owned());
        }
        if self.stopping.load(Ordering::Acquire) { Err("the member is stopping".to_owned()) } else { Ok(()) }
    }
}

fn stopping() -> ProposeError {
    ProposeError::Stopping("the member is stopping; the commands may have been applied".to_owned())
}

impl Store for Node {
    fn propose(&self, commands: Vec<Command>, deadline: Instant) -> BoxFuture<'_, Result<Vec<Outcome>, ProposeError>> {
        Box::pin(self.propose_now(commands, deadline))
    }

    fn read(&self, level: ReadLevel, deadline: Instant) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        Box::pin(self.read_now(level, deadline))
    }

    fn snapshot(&self) -> Snapshot {
        self.view.snapshot()
    }

    fn watch(&self, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError> {
        self.refuse_when_stopping().map_err(WatchError::Stopping)?;
        self.view.watch(prefix, after)
    }

    fn lease_keep_alive(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        Box::pin(self.ask_leases(ids, true, deadline))
    }

    fn lease_times(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        Box::pin(self.ask_leases(ids, false, deadline))
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(host) = self.host.lock().take() {
            host.abandon();
        }
    }
}

/// Ends the wait for a proposal, also when its future is dropped.
struct Leave<'a> {
    registry: &'a Registry,
    first: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.registry.leave(self.first);
    }
}
