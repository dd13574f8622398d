//! The Store trait over the model: what the layers above see of a simulated member.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use planted_bugs::planted;
use raft_state::port::{BoxFuture, Cursor, LeaseTime, ProposeError, ReadError, ReadLevel, Standing, Store, WatchError};
use raft_state::{Command, CommandId, Feed, Outcome, Revision, Snapshot, Stamped};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::consensus::Proposal;
use crate::tasks::Group;

/// What callers ask of a process.
pub enum Request {
    /// A proposal was entered: by its first sequence.
    Propose(u64),
    /// A linearizable read: answered once the member has applied enough.
    Read(oneshot::Sender<()>),
}

/// Requests of all callers in the world, in order, taken up after each step.
pub type Requests = Arc<Mutex<Vec<(Group, Request)>>>;

struct Waiting {
    proposal: Arc<Proposal>,
    entered_us: u64,
    done: oneshot::Sender<Vec<Outcome>>,
}

/// Proposals of one process that wait for their outcomes, as `raft/node` keeps them.
#[derive(Default)]
pub struct Registry {
    next: u64,
    closed: bool,
    waiting: BTreeMap<u64, Waiting>,
}

impl Registry {
    /// The proposal, while somebody waits for it.
    pub fn proposal(&self, first: u64) -> Option<Arc<Proposal>> {
        self.waiting.get(&first).map(|waiting| waiting.proposal.clone())
    }

    /// All that wait since this time or longer.
    pub fn waiting_since(&self, at_us: u64) -> Vec<u64> {
        self.waiting.iter().filter(|(_, w)| w.entered_us <= at_us).map(|(first, _)| *first).collect()
    }

    /// Hands outcomes over.
    pub fn complete(&mut self, first: u64, outcomes: Vec<Outcome>) {
        if let Some(waiting) = self.waiting.remove(&first) {
            // Whoever waited may have left just now.
            let _ = waiting.done.send(outcomes);
        }
    }

    fn enter(&mut self, boot: u64, commands: Vec<Command>, now_us: u64) -> (u64, oneshot::Receiver<Vec<Outcome>>) {
        let first = self.next + 1;
        self.next += commands.len() as u64;
        let low_water = self.waiting.first_key_value().map_or(first, |(lowest, _)| *lowest) - 1;
        let commands = commands
            .into_iter()
            .zip(first..)
            .map(|(command, sequence)| Stamped { id: CommandId { boot, sequence }, low_water, command })
            .collect();
        let (done, outcomes) = oneshot::channel();
        let proposal = Arc::new(Proposal { boot, first, commands });
        if self.closed {
            return (first, outcomes);
        }
        self.waiting.insert(first, Waiting { proposal, entered_us: now_us, done });
        (first, outcomes)
    }
}

/// One process' store.
pub struct SimStore {
    /// Which process.
    pub group: Group,
    /// Drawn when it started.
    pub boot: u64,
    /// Its published state.
    pub feed: Arc<Feed>,
    /// Its waiting proposals.
    pub registry: Arc<Mutex<Registry>>,
    /// Where it stands.
    pub standing: watch::Sender<Standing>,
    /// Its world's requests.
    pub requests: Requests,
    /// Its world's time.
    pub clock: Clock,
}

struct Leave<'a>(&'a Mutex<Registry>, u64);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&self.1);
    }
}

impl SimStore {
    fn ask(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push((self.group, request));
    }

    /// The process is gone: whoever waits is told so.
    pub fn close(&self) {
        {
            let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
            registry.closed = true;
            registry.waiting.clear();
        }
        self.feed.stop("the process ended".to_owned());
    }

    async fn propose_now(&self, commands: Vec<Command>, deadline: Instant) -> Result<Vec<Outcome>, ProposeError> {
        let now_us = self.clock.now_us();
        let (first, outcomes) =
            self.registry.lock().unwrap_or_else(PoisonError::into_inner).enter(self.boot, commands, now_us);
        let _leave = Leave(&self.registry, first);
        self.ask(Request::Propose(first));
        tokio::select! {
            biased;
            outcomes = outcomes => {
                outcomes.map_err(|_| ProposeError::Stopping("the process ended; it may have been applied".to_owned()))
            }
            () = self.clock.sleep_until(self.clock.us_of(deadline)) => Err(ProposeError::DeadlineExceeded),
        }
    }

    async fn confirm(&self, deadline: Instant) -> Result<(), ReadError> {
        let (done, confirmed) = oneshot::channel();
        self.ask(Request::Read(done));
        tokio::select! {
            biased;
            confirmed = confirmed => confirmed.map_err(|_| ReadError::Stopping("the process ended".to_owned())),
            () = self.clock.sleep_until(self.clock.us_of(deadline)) => Err(self.late()),
        }
    }

    async fn reach(&self, revision: Revision, deadline: Instant) -> Result<(), ReadError> {
        let mut reached = self.feed.revision();
        tokio::select! {
            biased;
            reached = reached.wait_for(|reached| *reached >= revision) => {
                reached.map(drop).map_err(|_| ReadError::Stopping("the process ended".to_owned()))
            }
            () = self.clock.sleep_until(self.clock.us_of(deadline)) => Err(self.late()),
        }
    }

    fn late(&self) -> ReadError {
        ReadError::DeadlineExceeded { current: self.feed.snapshot().revision() }
    }
}

impl Store for SimStore {
    fn propose(&self, commands: Vec<Command>, deadline: Instant) -> BoxFuture<'_, Result<Vec<Outcome>, ProposeError>> {
        Box::pin(self.propose_now(commands, deadline))
    }

    fn read(&self, level: ReadLevel, deadline: Instant) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        Box::pin(async move {
            match level {
                ReadLevel::Linearizable => {
                    if !planted!(StaleFollowerRead) {
                        self.confirm(deadline).await?;
                    }
                    Ok(self.feed.snapshot())
                }
                ReadLevel::AtLeast(revision) => {
                    self.reach(revision, deadline).await?;
                    Ok(self.feed.snapshot())
                }
                ReadLevel::Exact(revision) => {
                    self.reach(revision, deadline).await?;
                    self.feed.at(revision).await
                }
            }
        })
    }

    fn snapshot(&self) -> Snapshot {
        self.feed.snapshot()
    }

    fn watch(&self, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError> {
        self.feed.watch(prefix, after)
    }

    fn lease_keep_alive(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        self.lease_times(ids, deadline)
    }

    /// Nobody counts here: no workload of these worlds leases.
    fn lease_times(
        &self,
        _ids: Vec<i64>,
        _deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        Box::pin(std::future::ready(Err(ReadError::Stopping("leases are not counted in this world".to_owned()))))
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }
}
