//! What a leader sees of the members.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use raft_state::port::Kind;

use super::decide::{Seen, View};
use crate::types::{LogId, Raft, TypeConfig};

type RaftMetrics = openraft::RaftMetrics<TypeConfig>;

/// The leader's view, and which membership it is of.
pub(crate) struct Observed {
    pub(crate) view: View,
    pub(crate) metrics: RaftMetrics,
    pub(crate) at: Option<LogId>,
}

/// Looks, and remembers since when things are as they are.
pub(crate) struct Observatory {
    raft: Raft,
    memory: Mutex<Memory>,
}

struct Memory {
    term: u64,
    leading_since: Instant,
    leaving: BTreeMap<u64, Instant>,
}

impl Observatory {
    pub(crate) fn new(raft: Raft) -> Self {
        let memory = Memory { term: 0, leading_since: Instant::now(), leaving: BTreeMap::new() };
        Self { raft, memory: Mutex::new(memory) }
    }

    /// What this member sees while it leads.
    pub(crate) fn look(&self) -> Option<Observed> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        if metrics.state != ServerState::Leader || metrics.current_leader != Some(metrics.id) {
            return None;
        }
        let mut memory = self.memory.lock();
        if memory.term != metrics.current_term {
            *memory = Memory { term: metrics.current_term, leading_since: Instant::now(), leaving: BTreeMap::new() };
        }
        let stored = metrics.membership_config.clone();
        let membership = stored.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let mut view = View { leader: metrics.id, joint: membership.get_joint_config().len() > 1, ..View::default() };
        for (id, address) in membership.nodes() {
            let leaving = match address.kind {
                Kind::Leaving => memory.leaving.entry(*id).or_insert_with(Instant::now).elapsed(),
                _ => Duration::ZERO,
            };
            let seen = Seen {
                name: address.name.clone(),
                kind: address.kind,
                voter: voters.contains(id),
                silent: silence(&metrics, *id, memory.leading_since),
                behind: behind(&metrics, *id),
                leaving,
            };
            view.members.insert(*id, seen);
        }
        drop(memory);
        Some(Observed { view, at: *stored.log_id(), metrics })
    }
}

/// How long a member has not answered; a leader's own time in office at most.
fn silence(metrics: &RaftMetrics, id: u64, leading_since: Instant) -> Duration {
    if id == metrics.id {
        return Duration::ZERO;
    }
    let answered = metrics.heartbeat.as_ref().and_then(|heard| heard.get(&id).copied().flatten());
    let silent = answered.map(|at| openraft::Instant::elapsed(&*at));
    silent.unwrap_or(Duration::MAX).min(leading_since.elapsed())
}

/// Entries of this leader's log that a member lacks.
pub(crate) fn behind(metrics: &RaftMetrics, id: u64) -> u64 {
    if id == metrics.id {
        return 0;
    }
    let last = metrics.last_log_index.map_or(0, |index| index + 1);
    last.saturating_sub(matched(metrics, id))
}

/// How many entries of this leader's log a member has.
pub(crate) fn matched(metrics: &RaftMetrics, id: u64) -> u64 {
    let all = metrics.last_log_index.map_or(0, |index| index + 1);
    if id == metrics.id {
        return all;
    }
    let replication = metrics.replication.as_ref();
    replication.and_then(|r| r.get(&id).copied().flatten()).map_or(0, |id| id.index + 1)
}
