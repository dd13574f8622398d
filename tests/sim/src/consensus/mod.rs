//! A model of consensus: Raft (Ongaro, Ousterhout, "In search of an understandable consensus algorithm", 2014), small but
//! whole, so that the code above it meets every fault that the shipped one can pass on: elections, rival leaders,
//! conflicting tails, snapshot installs, membership changes one server at a time (Ongaro's thesis, 4.1), read index
//! (thesis, 6.4), and a log whose tail is lost unless it was synced.
//!
//! A [`Raft`] is a value: messages and times go in, messages and disk writes come out.

mod election;
mod leader;
mod log;
mod message;
mod replication;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft_state::Stamped;

use crate::disk::{Image, Write};
use crate::rng::Rng;

pub use log::Log;
pub use message::{Body, Message};

/// A member's id. A wiped member comes back under a new one.
pub type Id = u64;

/// Names a log entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId {
    /// Of the leader that wrote it.
    pub term: u64,
    /// Counts up from 1.
    pub index: u64,
}

/// Who votes and who only listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Voters.
    pub voters: BTreeSet<Id>,
    /// Learners.
    pub learners: BTreeSet<Id>,
}

impl Config {
    /// Everybody.
    pub fn all(&self) -> impl Iterator<Item = Id> + '_ {
        self.voters.iter().chain(&self.learners).copied()
    }

    /// Whether these are a majority of the voters.
    pub fn quorum(&self, of: impl Fn(Id) -> bool) -> bool {
        self.voters.iter().filter(|id| of(**id)).count() * 2 > self.voters.len()
    }
}

/// Commands of one caller, all or none of which an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Boot of the member that took them.
    pub boot: u64,
    /// Sequence of the first.
    pub first: u64,
    /// With their ids.
    pub commands: Vec<Stamped>,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A new leader's first.
    Blank,
    /// In force from when it is appended.
    Config(Config),
    /// Proposals that share the entry.
    Proposals(Vec<Arc<Proposal>>),
}

/// A log entry.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: LogId,
    /// What it holds.
    pub payload: Payload,
}

/// How fast things go, microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between heartbeats.
    pub heartbeat_us: u64,
    /// Shortest and longest wait for a leader.
    pub election_us: (u64, u64),
}

/// Who asked for a read index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// This member's own reads, by ticket.
    Own(u64),
    /// Those of another member.
    Other(Id, u64),
}

/// What a [`Raft`] wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Send(Id, Body),
    /// Bring this to the disk; [`Raft::synced`] is told the number when it is there.
    Write(u64, Write),
    /// Put this snapshot in the place of the state.
    Install(Image),
    /// A read may go ahead once this index is applied; `None` when this member does not lead.
    Readable(u64, Option<u64>),
    /// The log did not take a proposal: by its first sequence.
    Refused(u64),
}

/// What a member does.
#[derive(Clone, Debug)]
enum Role {
    Follower,
    Candidate { granted: BTreeSet<Id> },
    Leader(Leader),
}

/// What a leader knows.
#[derive(Clone, Debug, Default)]
struct Leader {
    peers: BTreeMap<Id, Peer>,
    round: u64,
    heartbeat_due_us: u64,
    reads: Vec<(u64, u64, Reader)>,
    /// The first entry of its term: nothing is read and no configuration changed before it is committed.
    first: u64,
    /// The index of the last round that a quorum confirmed: for a bug that is planted.
    confirmed: Option<u64>,
}

/// What a leader knows of a peer.
#[derive(Clone, Debug)]
struct Peer {
    next: u64,
    matched: u64,
    round: u64,
    heard_us: u64,
    /// A snapshot is on its way; nothing else is sent until then.
    snapshot_until_us: u64,
    /// It lacks what comes before the entries that it was sent: what goes out is a guess, and the next one waits for its
    /// answer. To send on ahead would make a new guess of each answer, and letters that are doubled would multiply.
    probing: bool,
}

/// One member's consensus.
pub struct Raft {
    id: Id,
    term: u64,
    voted_for: Option<Id>,
    role: Role,
    leader: Option<Id>,
    log: Log,
    commit: u64,
    /// Entries up to here are on this member's disk.
    durable: u64,
    /// The configuration in force, and those before it by index, for a tail that is cut.
    config: Config,
    configs: BTreeMap<u64, Config>,
    timing: Timing,
    election_due_us: u64,
    now_us: u64,
    rng: Rng,
    writes: u64,
    synced: u64,
    /// Answers that wait for a write.
    waiting: Vec<(u64, Waiting)>,
    out: Vec<Output>,
}

#[derive(Debug)]
enum Waiting {
    Send(Id, Body),
    /// Entries up to here are durable, when the term is still this one.
    Durable {
        term: u64,
        index: u64,
    },
    /// This member's vote for itself.
    OwnVote {
        term: u64,
    },
}

impl Raft {
    /// A member as its disk remembers it.
    pub fn new(id: Id, recovered: crate::disk::Recovered, timing: Timing, now_us: u64, rng: Rng) -> Self {
        let crate::disk::Recovered { term, voted_for, log, config, applied } = recovered;
        let mut raft = Self {
            id,
            term,
            voted_for,
            role: Role::Follower,
            leader: None,
            commit: applied,
            durable: log.last().index,
            config: config.clone(),
            configs: BTreeMap::from([(applied, config)]),
            log,
            timing,
            election_due_us: 0,
            now_us,
            rng,
            writes: 0,
            synced: 0,
            waiting: Vec::new(),
            out: Vec::new(),
        };
        let later: Vec<Arc<Entry>> = raft.log.from(applied + 1, usize::MAX);
        for entry in later {
            raft.adopt_config(&entry);
        }
        raft.postpone_election();
        raft
    }

    /// What it wants done, since the last time.
    pub fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// Its term.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The leader as far as it knows.
    pub fn leader(&self) -> Option<Id> {
        self.leader
    }

    /// Whether it leads, in its own eyes.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Committed up to here.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// The next committed entry after an index that is on this member's disk.
    pub fn committed_after(&self, applied: u64) -> Option<Arc<Entry>> {
        let next = applied + 1;
        (next <= self.commit && next <= self.durable).then(|| self.log.get(next).cloned())?
    }

    /// When it wants to be asked again.
    pub fn next_due_us(&self) -> u64 {
        match &self.role {
            Role::Leader(leader) => leader.heartbeat_due_us,
            _ => self.election_due_us,
        }
    }

    /// Time passes.
    pub fn tick(&mut self, now_us: u64) {
        self.now_us = now_us;
        match &self.role {
            Role::Leader(leader) if leader.heartbeat_due_us <= now_us => self.beat(),
            Role::Leader(_) => {}
            _ if self.election_due_us <= now_us => self.campaign(),
            _ => {}
        }
    }

    /// A message arrives.
    pub fn step(&mut self, now_us: u64, from: Id, body: Body) {
        self.now_us = now_us;
        if let Some(term) = body.term()
            && term > self.term
        {
            self.follow(term, None);
        }
        match body {
            Body::Vote { term, last } => self.on_vote(from, term, last),
            Body::Voted { term, granted } => self.on_voted(from, term, granted),
            Body::Append { term, prev, entries, commit, round } => {
                self.on_append(from, term, prev, entries, commit, round);
            }
            Body::Appended { term, matched, hint, round } => self.on_appended(from, term, matched, hint, round),
            Body::Snapshot { term, image, claimed, round } => self.on_snapshot(from, term, *image, claimed, round),
            Body::ReadIndex { ticket } => self.read_index(Reader::Other(from, ticket)),
            Body::ReadIndexed { ticket, index } => self.out.push(Output::Readable(ticket, index)),
            Body::Forward { proposal } => self.on_forward(from, proposal),
            Body::Refused { first } => self.out.push(Output::Refused(first)),
        }
    }

    /// Everything up to this write is on the disk.
    pub fn synced(&mut self, number: u64) {
        self.synced = self.synced.max(number);
        let due: Vec<(u64, Waiting)> = self.waiting.extract_if(.., |(at, _)| *at <= number).collect();
        for (_, waiting) in due {
            self.release(waiting);
        }
    }

    fn release(&mut self, waiting: Waiting) {
        match waiting {
            // What was promised to a leader that is deposed by now may have been cut since.
            Waiting::Send(_, body) if body.term() != Some(self.term) => {}
            Waiting::Send(to, body) => self.out.push(Output::Send(to, body)),
            Waiting::Durable { term, index } => {
                if self.term == term || index <= self.commit {
                    self.durable = self.durable.max(index.min(self.log.last().index));
                }
                self.advance_commit();
            }
            Waiting::OwnVote { term } => self.on_voted(self.id, term, true),
        }
    }

    /// Writes, and does something once that and all before it is durable.
    fn write(&mut self, write: Write) {
        self.writes += 1;
        self.out.push(Output::Write(self.writes, write));
    }

    fn when_synced(&mut self, waiting: Waiting) {
        if self.synced >= self.writes || planted_bugs::planted!(NoFsync) {
            self.release(waiting);
        } else {
            self.waiting.push((self.writes, waiting));
        }
    }

    fn send(&mut self, to: Id, body: Body) {
        self.out.push(Output::Send(to, body));
    }

    /// Becomes a follower, in a new term perhaps.
    fn follow(&mut self, term: u64, leader: Option<Id>) {
        if let Role::Leader(state) = &mut self.role {
            for (_, _, reader) in std::mem::take(&mut state.reads) {
                match reader {
                    Reader::Own(ticket) => self.out.push(Output::Readable(ticket, None)),
                    Reader::Other(id, ticket) => {
                        self.out.push(Output::Send(id, Body::ReadIndexed { ticket, index: None }));
                    }
                }
            }
            // Whoever led has not waited for a leader; it does so from now on.
            self.postpone_election();
        }
        self.role = Role::Follower;
        self.leader = leader;
        if term > self.term {
            self.term = term;
            self.voted_for = None;
            self.write(Write::Vote { term, voted_for: None });
        }
    }

    fn adopt_config(&mut self, entry: &Entry) {
        if let Payload::Config(config) = &entry.payload {
            self.configs.insert(entry.id.index, config.clone());
            self.config = config.clone();
        }
    }
}
