//! The state machine as openraft wants it. Applying happens on a thread of its own: neither a large entry nor a database
//! that makes room for it delays the Raft core.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use raft_log::{StateStore, codec};
use raft_state::whole::digest_of_words;
use raft_state::{Action, Command, CommandId, Epoch, Event, Feed, Keyring, ObjectCommand, Revision, Stamped, State};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::disk::{StoredId, StoredVoters, loaded_id, stored_id};
use crate::fence::Retired;
use crate::fenced::Fence;
use crate::ground::{Ground, Passed, StateDisk};
use crate::metrics::{Metrics, increment};
use crate::record;
use crate::registry::{Ids, Registry};
use crate::simulated::{beside, hesitate, is_simulated};
use crate::trail::Trail;
use crate::types::{Entry, LogId, Membership, Payload, SnapshotMeta, StoredMembership, TypeConfig};
use crate::view::View;

/// How far this member has applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Log index.
    pub(crate) index: u64,
    /// The store's revision there.
    pub(crate) revision: Revision,
    /// The epoch in force there.
    pub(crate) epoch: Epoch,
    /// Over the whole state there.
    pub(crate) hash: u128,
}

/// A [`Stamped`] on its way out, which encodes alike.
#[derive(serde::Serialize)]
struct Outgoing<'a> {
    id: CommandId,
    low_water: u64,
    command: &'a Command,
}

/// Encodes one proposal.
pub(crate) fn encode(ids: Ids, commands: &[Command]) -> Bytes {
    let stamp = |(command, sequence)| Outgoing {
        id: CommandId { boot: ids.boot, sequence },
        low_water: ids.low_water,
        command,
    };
    let stamped: Vec<Outgoing<'_>> = commands.iter().zip(ids.first..).map(stamp).collect();
    codec::encode_sized(&stamped, commands.iter().map(size).sum()).into()
}

/// About how many bytes a command makes.
fn size(command: &Command) -> usize {
    let value = match command {
        Command::Object(ObjectCommand { action: Action::Put(payload), .. }) => payload.len(),
        _ => 0,
    };
    value + 256
}

/// A membership with where it was written, as the state keeps it.
type StoredMembershipRecord = (Option<StoredId>, StoredVoters);

fn encode_membership(membership: &StoredMembership) -> Vec<u8> {
    let record: StoredMembershipRecord =
        (membership.log_id().as_ref().map(stored_id), StoredVoters::from(membership.membership()));
    codec::encode(&record)
}

/// What the membership adds to the hash over the whole state: where it was written, and who votes and who learns by it.
fn digest_of_membership(stored: &StoredMembership) -> u128 {
    let membership = stored.membership();
    let (at, term) = stored.log_id().as_ref().map_or((0, 0), |id| (id.index + 1, id.leader_id.term));
    let mut words = vec![at, term];
    let learners: BTreeSet<u64> = membership.learner_ids().collect();
    for ids in membership.get_joint_config().iter().chain([&learners]) {
        words.push(ids.len() as u64);
        words.extend(ids);
    }
    digest_of_words(b'M', &words)
}

fn decode_membership(bytes: &[u8]) -> io::Result<StoredMembership> {
    if bytes.is_empty() {
        return Ok(StoredMembership::default());
    }
    let (at, voters): StoredMembershipRecord = codec::decode("the membership", bytes)?;
    Ok(StoredMembership::new(at.map(loaded_id), Membership::try_from(voters)?))
}

pub(crate) fn encode_applied(id: &LogId, membership: &StoredMembership) -> raft_log::Applied {
    raft_log::Applied {
        index: id.index + 1,
        log_id: codec::encode(&stored_id(id)),
        membership: encode_membership(membership),
    }
}

/// What a database says it was applied up to.
pub(crate) fn decode_applied(applied: &raft_log::Applied) -> io::Result<SnapshotMeta> {
    let last_log_id = match applied.index {
        0 => None,
        _ => Some(loaded_id(codec::decode::<StoredId>("the applied index", &applied.log_id)?)),
    };
    Ok(SnapshotMeta { last_log_id, last_membership: decode_membership(&applied.membership)? })
}

type Run = Vec<(Entry, Option<ApplyResponder<TypeConfig>>)>;

enum Job {
    Apply(Run, oneshot::Sender<io::Result<()>>),
    Install(Checkpoint, oneshot::Sender<io::Result<()>>),
}

/// openraft's handle of the state.
pub(crate) struct Machine {
    jobs: mpsc::UnboundedSender<Job>,
    checkpoints: Arc<Checkpoints>,
    /// What the last job left.
    position: watch::Receiver<SnapshotMeta>,
}

/// What opening the state gives.
pub(crate) struct Opened {
    pub(crate) machine: Machine,
    pub(crate) store: Arc<dyn StateDisk>,
    pub(crate) view: Arc<View>,
    pub(crate) applied: watch::Receiver<Applied>,
    /// `None` in a simulation.
    pub(crate) thread: Option<JoinHandle<()>>,
}

/// What the state machine tells others.
pub(crate) struct Audience {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) retired: Retired,
    pub(crate) trail: Arc<Trail>,
    pub(crate) fence: Fence,
    /// For tests: who sees what is applied.
    pub(crate) ground: Option<Arc<dyn Ground>>,
    /// For tests: whether to leave out the commands of an entry with this one.
    pub(crate) goes_astray: Box<dyn Fn(&Command) -> bool + Send + Sync>,
}

/// The state under a folder. Blocks: it is read whole.
pub(crate) fn load(
    folder: &Path,
    keyring: Arc<dyn Keyring>,
) -> io::Result<(Arc<StateStore>, State, raft_log::Applied)> {
    let (store, state, found) = StateStore::open(&folder.join("state"), keyring)?;
    Ok((Arc::new(store), state, found))
}

/// The state's files, the state, and up to where it was applied.
pub(crate) type Loaded = (Arc<dyn StateDisk>, State, raft_log::Applied);

/// Takes up a state and starts the thread that applies. Blocks.
pub(crate) fn open(folder: &Path, loaded: Loaded, keyring: Arc<dyn Keyring>, audience: Audience) -> io::Result<Opened> {
    let Audience { metrics, registry, retired, trail, fence, ground, goes_astray } = audience;
    let (store, state, found) = loaded;
    let reported = fence.clone();
    store.on_unreadable(Box::new(move |error| reported.unreadable(error)));
    let position = decode_applied(&found)?;
    let checkpoints = Arc::new(Checkpoints::open(&folder.join("snapshots"), store.clone(), metrics.clone())?);
    let snapshot = state.snapshot();
    let (view, feed) = View::new(snapshot, store.clone(), keyring);
    let (position_sender, position_receiver) = watch::channel(position.clone());
    let (applied_sender, applied) = watch::channel(Applied::default());
    let (jobs, queue) = mpsc::unbounded_channel();
    let applier = Applier {
        state,
        store: store.clone(),
        feed,
        checkpoints: checkpoints.clone(),
        metrics,
        registry,
        retired,
        trail,
        fence,
        ground,
        goes_astray,
        of_membership: digest_of_membership(&position.last_membership),
        position: position_sender,
        applied: applied_sender,
    };
    applier.announce();
    applier.begin_trail();
    applier.pass_whole();
    let thread = if is_simulated() {
        tokio::spawn(applier.run_beside(queue));
        None
    } else {
        Some(std::thread::Builder::new().name("apply".to_owned()).spawn(move || applier.run(queue))?)
    };
    let machine = Machine { jobs, checkpoints, position: position_receiver };
    Ok(Opened { machine, store, view, applied, thread })
}

/// Owns the state.
struct Applier {
    state: State,
    store: Arc<dyn StateDisk>,
    feed: Arc<Feed>,
    checkpoints: Arc<Checkpoints>,
    metrics: Arc<Metrics>,
    registry: Arc<Registry>,
    retired: Retired,
    trail: Arc<Trail>,
    fence: Fence,
    ground: Option<Arc<dyn Ground>>,
    goes_astray: Box<dyn Fn(&Command) -> bool + Send + Sync>,
    position: watch::Sender<SnapshotMeta>,
    /// The summand of the membership in the hash over the whole state.
    of_membership: u128,
    applied: watch::Sender<Applied>,
}

impl Applier {
    fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            self.job(job);
        }
    }

    /// The same as a task, in a simulation.
    async fn run_beside(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = jobs.recv().await {
            hesitate().await;
            self.job(job);
        }
    }

    fn job(&mut self, job: Job) {
        // Whoever asked may have stopped; the state goes on all the same.
        match job {
            Job::Apply(run, done) => drop(done.send(self.apply(run))),
            Job::Install(checkpoint, done) => drop(done.send(self.install(checkpoint))),
        }
    }

    fn apply(&mut self, run: Run) -> io::Result<()> {
        let started = Instant::now();
        self.metrics.applied_entries.fetch_add(run.len() as u64, Ordering::Relaxed);
        let mut done = Vec::with_capacity(run.len());
        let mut events = Vec::new();
        for (entry, responder) in run {
            let completed = self.one(entry, &mut events)?;
            done.push((completed, responder));
        }
        // Once for the whole run: after each snapshot that readers hold, the next writes copy what they touch of the maps.
        self.feed.publish(self.state.snapshot(), events);
        // What is told to callers must be visible to them.
        self.announce();
        for (completed, responder) in done {
            for (id, outcomes) in completed {
                self.registry.applied(id, || outcomes);
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        self.metrics.apply_us.record_elapsed(started);
        Ok(())
    }

    /// Applies one entry; the outcomes of each proposal in it by its first id.
    fn one(&mut self, entry: Entry, events: &mut Vec<Event>) -> io::Result<Vec<(CommandId, Vec<raft_state::Outcome>)>> {
        let mut proposals = Vec::new();
        let mut membership = None;
        match entry.payload {
            Payload::Blank => {}
            Payload::Membership(changed) => membership = Some(StoredMembership::new(Some(entry.log_id), changed)),
            Payload::Normal(commands) => {
                let parts = record::split(commands.0).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "an entry that is no list of proposals")
                })?;
                for part in parts {
                    let stamped: Vec<Stamped> = codec::decode("a proposal", &part)?;
                    proposals.push(stamped);
                }
            }
        }
        let ids: Vec<(CommandId, usize)> =
            proposals.iter().filter_map(|p| p.first().map(|first| (first.id, p.len()))).collect();
        let mut commands: Vec<Stamped> = proposals.into_iter().flatten().collect();
        if commands.iter().any(|stamped| (self.goes_astray)(&stamped.command)) {
            commands.clear();
        }
        let mut applied = self.state.apply(&commands);
        if let Some(membership) = &membership {
            let ids = |m: &StoredMembership| m.membership().nodes().map(|(id, _)| *id).collect::<Vec<_>>();
            self.state.membership(&ids(&self.position.borrow().last_membership), &ids(membership), &mut applied);
            self.of_membership = digest_of_membership(membership);
        }
        self.position.send_modify(|position| {
            position.last_log_id = Some(entry.log_id);
            if let Some(membership) = membership {
                position.last_membership = membership;
            }
        });
        let mark = encode_applied(&entry.log_id, &self.position.borrow().last_membership);
        self.store.write(&applied.delta, &mark)?;
        if let Some((_, to)) = applied.delta.compacted {
            self.compact(to);
        }
        self.trail.push(entry.log_id.index, self.whole());
        self.pass(&entry.log_id, Some((&commands, &applied)));
        events.extend(applied.events);
        let mut outcomes = applied.outcomes.into_iter();
        Ok(ids.into_iter().map(|(id, count)| (id, outcomes.by_ref().take(count).collect())).collect())
    }

    /// Deletes what nobody can read any more, beside everything else.
    fn compact(&self, to: Revision) {
        let (store, metrics, fence) = (self.store.clone(), self.metrics.clone(), self.fence.clone());
        let spawned = beside("compact", move || {
            let started = Instant::now();
            match store.compact(to) {
                Ok(()) => metrics.compaction_us.record_elapsed(started),
                Err(e) if e.is_damage() => fence.unreadable(&e),
                Err(e) => tracing::warn!("deleting history up to revision {to}: {e}"),
            }
        });
        if let Err(e) = spawned {
            tracing::warn!("deleting history up to revision {to}: {e}");
        }
    }

    fn install(&mut self, checkpoint: Checkpoint) -> io::Result<()> {
        let started = Instant::now();
        let examined =
            checkpoint.take_examined().ok_or_else(|| io::Error::other("a snapshot that nobody has checked"))?;
        let (state, applied) = self.store.install(checkpoint.path(), examined)?;
        let position = decode_applied(&applied)?;
        self.of_membership = digest_of_membership(&position.last_membership);
        self.position.send_replace(position);
        self.state = state;
        self.checkpoints.outdate();
        self.feed.reset(self.state.snapshot());
        self.begin_trail();
        self.pass_whole();
        self.announce();
        self.registry.skip();
        increment(&self.metrics.snapshots_installed);
        self.metrics.snapshot_install_us.record_elapsed(started);
        tracing::info!(revision = self.state.snapshot().revision(), "a snapshot is installed");
        Ok(())
    }

    /// The hash by which members compare their states.
    fn whole(&self) -> u128 {
        self.state.whole().wrapping_add(self.of_membership)
    }

    /// What came before says nothing about the state that is here now.
    fn begin_trail(&self) {
        if let Some(last) = self.position.borrow().last_log_id {
            self.trail.begin(last.index, self.whole());
        }
    }

    /// Has the whole state seen, where somebody looks.
    fn pass_whole(&self) {
        if let Some(last) = self.position.borrow().last_log_id {
            self.pass(&last, None);
        }
    }

    fn pass(&self, id: &LogId, entry: Option<(&[Stamped], &raft_state::Applied)>) {
        if let Some(ground) = &self.ground {
            let leader = (id.leader_id.term, id.leader_id.node_id);
            ground.applied(Passed { index: id.index + 1, leader, entry, after: &self.state.snapshot() });
        }
    }

    fn announce(&self) {
        let snapshot = self.state.snapshot();
        let index = self.position.borrow().last_log_id.map_or(0, |id| id.index);
        let (revision, epoch, hash) = (snapshot.revision(), snapshot.epoch(), self.whole());
        self.retired.set(snapshot.roster().retired());
        self.applied.send_replace(Applied { index, revision, epoch, hash });
    }
}

impl Machine {
    pub(crate) fn checkpoints(&self) -> Arc<Checkpoints> {
        self.checkpoints.clone()
    }

    /// Up to where the state was applied when it was opened, or since; `None` when this member has no past.
    pub(crate) fn applied(&self) -> Option<LogId> {
        self.position.borrow().last_log_id
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that applies the log is gone")
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Checkpoint;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let position = self.position.borrow().clone();
        Ok((position.last_log_id, position.last_membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut run = Vec::new();
        while let Some(entry) = entries.next().await {
            run.push(entry?);
        }
        let (done, applied) = oneshot::channel();
        self.jobs.send(Job::Apply(run, done)).map_err(|_| gone())?;
        applied.await.map_err(|_| gone())?
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { checkpoints: self.checkpoints.clone() }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, snapshot: Checkpoint) -> Result<(), io::Error> {
        let (done, installed) = oneshot::channel();
        self.jobs.send(Job::Install(snapshot, done)).map_err(|_| gone())?;
        installed.await.map_err(|_| gone())?
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, Checkpoint>>, io::Error> {
        self.checkpoints.current().await
    }
}

/// Builds snapshots.
pub(crate) struct Builder {
    checkpoints: Arc<Checkpoints>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Checkpoint;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, Checkpoint>, io::Error> {
        self.checkpoints.build().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_goes_out_as_it_will_be_read() {
        let commands = [Command::MintMember, Command::Compact { revision: 9 }];
        let ids = Ids { boot: 7, first: 3, low_water: 2 };
        let read: Vec<Stamped> = codec::decode("a proposal", &encode(ids, &commands)).expect("a proposal");
        let expected = commands.into_iter().zip(3..).map(|(command, sequence)| Stamped {
            id: CommandId { boot: 7, sequence },
            low_water: 2,
            command,
        });
        assert_eq!(read, expected.collect::<Vec<_>>());
    }
}
