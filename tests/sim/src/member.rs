//! A member: a machine with a disk, and the process on it while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use raft_state::port::{Member as Seat, Standing};
use raft_state::{Feed, State};
use tests_solo::TestKeyring;
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::consensus::{Body, Config, Entry, Id, LogId, Output, Payload, Raft, Timing};
use crate::disk::{Disk, SharedImage, Write};
use crate::judge::Judge;
use crate::rng::Rng;
use crate::store::{Registry, Request, Requests, SimStore};
use crate::tasks::Group;

/// Before a refused proposal or read is tried again.
const RETRY_US: u64 = 10_000;
/// A proposal that was not seen for so long is sent again.
const DOUBT_US: u64 = 400_000;

/// A machine. Its disk outlives its processes.
pub struct Machine {
    /// Its member's id.
    pub id: Id,
    /// Its disk.
    pub disk: Disk,
    /// How often a process was started on it.
    pub starts: u64,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// The process stands still until then.
    pub paused_until_us: u64,
    /// How far its wall clock is off.
    pub skew_us: i64,
    /// How long a sync takes, shortest and longest.
    pub sync_us: (u64, u64),
    /// When the sync that runs now is done.
    pub sync_due_us: Option<(u64, u64)>,
}

/// What a process tells the world.
#[derive(Default)]
pub struct Told {
    /// Letters to send.
    pub letters: Vec<(Id, Body)>,
    /// Compactions of the image that run beside: up to which revision.
    pub compactions: Vec<u64>,
}

struct Read {
    done: oneshot::Sender<()>,
    /// Known once the leader has confirmed it.
    index: Option<u64>,
    asked_us: u64,
}

/// A running process.
pub struct Process {
    /// Member and start.
    pub group: Group,
    /// Its consensus.
    pub raft: Raft,
    /// What callers see.
    pub store: Arc<SimStore>,
    /// The state's files as they are in memory.
    pub image: SharedImage,
    state: State,
    applied: LogId,
    feed: Arc<Feed>,
    registry: Arc<Mutex<Registry>>,
    fresh: Vec<u64>,
    refused: BTreeSet<u64>,
    reads: BTreeMap<u64, Read>,
    tickets: u64,
    way: (Option<Id>, u64),
    retry_due_us: u64,
    /// The largest applied index that is on the disk.
    flushed: u64,
}

/// What a process is started with.
pub struct Birth {
    /// Its world's requests.
    pub requests: Requests,
    /// Its world's time.
    pub clock: Clock,
    /// How fast consensus is.
    pub timing: Timing,
    /// Its own randomness.
    pub rng: Rng,
}

impl Process {
    /// Starts from what the disk holds; `None` when that does not load.
    pub fn start(machine: &mut Machine, birth: Birth) -> Option<Self> {
        let Birth { requests, clock, timing, mut rng } = birth;
        machine.starts += 1;
        let group = (machine.id, machine.starts);
        let (recovered, image) = machine.disk.recover();
        let keyring: Arc<TestKeyring> = Arc::new(TestKeyring);
        let state = image.load(keyring.clone())?;
        let applied = image.applied;
        let shared = SharedImage::new(image, clock.clone());
        let feed = Feed::new(state.snapshot(), Arc::new(shared.clone()), keyring);
        let registry = Arc::new(Mutex::new(Registry::default()));
        let boot = rng.draw();
        let standing = watch::Sender::new(Standing { id: machine.id, ..Standing::default() });
        let store = Arc::new(SimStore {
            group,
            boot,
            feed: feed.clone(),
            registry: registry.clone(),
            standing,
            requests,
            clock: clock.clone(),
        });
        let raft = Raft::new(machine.id, recovered, timing, clock.now_us(), rng);
        Some(Self {
            group,
            raft,
            store,
            image: shared,
            state,
            applied,
            feed,
            registry,
            fresh: Vec::new(),
            refused: BTreeSet::new(),
            reads: BTreeMap::new(),
            // An answer to an earlier process must not pass for one to this.
            tickets: group.1 << 32,
            way: (None, 0),
            retry_due_us: u64::MAX,
            flushed: applied.index,
        })
    }

    /// Applied up to here.
    pub fn applied(&self) -> LogId {
        self.applied
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A caller asks.
    pub fn ask(&mut self, now_us: u64, request: Request) {
        match request {
            Request::Propose(first) => self.fresh.push(first),
            Request::Read(done) => {
                self.tickets += 1;
                let ticket = self.tickets;
                self.reads.insert(ticket, Read { done, index: None, asked_us: now_us });
                self.raft.read(now_us, ticket);
            }
        }
    }

    /// When it wants to be driven again at the latest.
    pub fn next_due_us(&self) -> u64 {
        self.raft.next_due_us().min(self.retry_due_us)
    }

    /// Time has passed, or something has come in: does whatever there is to do.
    pub fn drive(&mut self, now_us: u64, disk: &mut Disk, judge: &mut Judge) -> Told {
        let mut told = Told::default();
        self.raft.tick(now_us);
        self.route(now_us, &mut told);
        loop {
            let outputs = self.raft.take();
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                self.carry_out(now_us, output, disk, judge, &mut told);
            }
        }
        self.apply(judge, &mut told);
        self.finish_reads();
        self.announce();
        told
    }

    fn carry_out(&mut self, now_us: u64, output: Output, disk: &mut Disk, judge: &mut Judge, told: &mut Told) {
        match output {
            Output::Send(to, Body::Snapshot { term, round, .. }) => {
                // A checkpoint says itself how far it reaches.
                let mut image = self.image.with(|image| image.clone());
                let claimed = image.applied;
                if planted_bugs::planted!(SnapshotIndexFromMemory) {
                    image = disk.recover().1;
                }
                let image = Box::new(image);
                told.letters.push((to, Body::Snapshot { term, image, claimed, round }));
            }
            Output::Send(to, body) => told.letters.push((to, body)),
            Output::Write(number, write) => disk.write(number, write),
            Output::Install(image) => self.install(&image, judge),
            Output::Readable(ticket, index) => {
                if let Some(read) = self.reads.get_mut(&ticket) {
                    match index {
                        Some(index) => read.index = read.index.or(Some(index)),
                        None => self.retry_due_us = self.retry_due_us.min(now_us + RETRY_US),
                    }
                }
            }
            Output::Refused(first) => {
                self.refused.insert(first);
                self.retry_due_us = self.retry_due_us.min(now_us + RETRY_US);
            }
        }
    }

    /// Proposals find their way to the leader, again and again, as in `raft/node/src/route.rs`.
    fn route(&mut self, now_us: u64, told: &mut Told) {
        let way = (self.raft.leader(), self.raft.term());
        let mut due = std::mem::take(&mut self.fresh);
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if way != self.way {
            self.way = way;
            self.refused.clear();
            due = registry.waiting_since(now_us);
            self.retry_due_us = now_us + DOUBT_US;
            for read in self.reads.values_mut() {
                read.asked_us = 0;
            }
        } else if now_us >= self.retry_due_us {
            due.extend(std::mem::take(&mut self.refused));
            due.extend(registry.waiting_since(now_us.saturating_sub(DOUBT_US)));
            due.sort_unstable();
            due.dedup();
            self.retry_due_us = now_us + DOUBT_US;
        }
        let proposals: Vec<_> = due.iter().filter_map(|first| registry.proposal(*first)).collect();
        drop(registry);
        if !proposals.is_empty() || !self.reads.is_empty() {
            self.retry_due_us = self.retry_due_us.min(now_us + DOUBT_US);
        }
        match way.0 {
            Some(leader) if leader == self.group.0 => {
                let taken = proposals.is_empty() || self.raft.propose(now_us, proposals);
                self.refused.extend(due.into_iter().filter(|_| !taken));
            }
            Some(leader) => {
                told.letters.extend(proposals.into_iter().map(|proposal| (leader, Body::Forward { proposal })));
            }
            // Sent as soon as there is a leader.
            None => {}
        }
        self.ask_again(now_us);
    }

    fn ask_again(&mut self, now_us: u64) {
        self.reads.retain(|_, read| !read.done.is_closed());
        let stale = now_us.saturating_sub(DOUBT_US / 4);
        let again: Vec<u64> =
            self.reads.iter().filter(|(_, r)| r.index.is_none() && r.asked_us <= stale).map(|(t, _)| *t).collect();
        if self.raft.leader().is_some() {
            for ticket in again {
                if let Some(read) = self.reads.get_mut(&ticket) {
                    read.asked_us = now_us;
                }
                self.raft.read(now_us, ticket);
            }
        }
    }

    fn apply(&mut self, judge: &mut Judge, told: &mut Told) {
        while let Some(entry) = self.raft.committed_after(self.applied.index) {
            let config = match &entry.payload {
                Payload::Config(config) => Some(config),
                _ => None,
            };
            let proposals = match &entry.payload {
                Payload::Proposals(proposals) => proposals.as_slice(),
                _ => &[],
            };
            let commands: Vec<_> = proposals.iter().flat_map(|p| p.commands.iter().cloned()).collect();
            let applied = self.state.apply(&commands);
            self.applied = entry.id;
            self.image.with(|image| image.write(&applied.delta, entry.id, config));
            if let Some((_, to)) = applied.delta.compacted {
                told.compactions.push(to);
            }
            judge.applied(self.group, &entry, &commands, &applied, &self.state.snapshot());
            self.feed.publish(self.state.snapshot(), applied.events);
            self.hand_over(&entry, applied.outcomes);
        }
    }

    fn hand_over(&self, entry: &Entry, outcomes: Vec<raft_state::Outcome>) {
        let Payload::Proposals(proposals) = &entry.payload else { return };
        let mut outcomes = outcomes.into_iter();
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        for proposal in proposals {
            let own: Vec<_> = outcomes.by_ref().take(proposal.commands.len()).collect();
            if proposal.boot == self.store.boot {
                registry.complete(proposal.first, own);
            }
        }
    }

    fn install(&mut self, image: &crate::disk::Image, judge: &mut Judge) {
        let Some(state) = image.load(Arc::new(TestKeyring)) else {
            judge.fault(self.group, "snapshot", "a snapshot does not load: its hash is another".to_owned());
            return;
        };
        self.state = state;
        self.applied = image.applied;
        self.image.with(|own| *own = image.clone());
        judge.installed(self.group, self.applied, &self.state.snapshot());
        self.feed.reset(self.state.snapshot());
    }

    fn finish_reads(&mut self) {
        let applied = self.applied.index;
        let ready: Vec<u64> =
            self.reads.iter().filter(|(_, r)| r.index.is_some_and(|index| index <= applied)).map(|(t, _)| *t).collect();
        for ticket in ready {
            if let Some(read) = self.reads.remove(&ticket) {
                // Whoever asked may have left.
                let _ = read.done.send(());
            }
        }
    }

    /// Brings the state to the disk, and forgets the log below it but for `keep` entries.
    pub fn flush(&mut self, disk: &mut Disk, keep: u64) {
        let image = self.image.with(|image| image.clone());
        let flushed = image.applied.index;
        if flushed > self.flushed {
            // Numbered as the last write of the log: it is there when that is.
            disk.write(disk.unsynced().unwrap_or(0), Write::Flush(image));
        }
        // The log is purged below what an earlier flush brought to the disk for certain.
        self.raft.purge(self.flushed.saturating_sub(keep));
        self.flushed = flushed;
    }

    /// Tells everybody where this member stands.
    fn announce(&self) {
        let snapshot = self.state.snapshot();
        let config = self.raft.config();
        let leads = self.raft.is_leader() && self.raft.has_quorum();
        let ready = self.raft.leader().is_some();
        self.store.standing.send_if_modified(|standing| {
            let next = (self.raft.leader(), self.raft.term(), leads, ready, snapshot.epoch());
            let same = next == (standing.leader, standing.term, standing.leads, standing.ready, standing.epoch);
            if same && standing.members.len() == config.all().count() {
                return false;
            }
            (standing.leader, standing.term, standing.leads, standing.ready, standing.epoch) = next;
            standing.revision = snapshot.revision();
            standing.applied_index = self.applied.index;
            standing.members = seats(config);
            true
        });
    }
}

fn seats(config: &Config) -> Vec<Seat> {
    let seat = |id: Id| Seat {
        id,
        name: format!("m{id}"),
        peer_address: format!("10.0.0.{id}:2380"),
        api_address: format!("10.0.0.{id}:6443"),
        etcd_url: String::new(),
        voter: config.voters.contains(&id),
        kind: raft_state::port::Kind::Master,
    };
    config.all().map(seat).collect()
}
