//! How far a member's log has come, for people and their instruments.

use std::time::Duration;

use openraft::{RaftMetrics, ServerState};

use crate::types::{LogId, TypeConfig};

/// What a member is to its cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Receives the log and has no vote, or while voters change, none yet in the old set or none any more in the new one.
    #[default]
    Learner,
    /// Receives the log and votes.
    Follower,
    /// Stands for election.
    Candidate,
    /// Leads, with or without a quorum behind it.
    Leader,
}

impl Role {
    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Learner => "learner",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// Indexes of a member's log; 0 where there is nothing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it is.
    pub role: Role,
    /// Raft term.
    pub term: u64,
    /// Last entry of the log.
    pub last_index: u64,
    /// Last entry known to be committed.
    pub committed_index: u64,
    /// Last entry applied.
    pub applied_index: u64,
    /// Last entry that the latest snapshot holds.
    pub snapshot_index: u64,
    /// Last entry that the log has forgotten.
    pub purged_index: u64,
    /// At the leader: since a quorum answered last.
    pub quorum_acked: Option<Duration>,
}

impl Progress {
    pub(crate) fn of(now: &RaftMetrics<TypeConfig>) -> Self {
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        let sets = now.membership_config.membership().get_joint_config();
        let votes = sets.iter().all(|voters| voters.contains(&now.id));
        Self {
            role: match now.state {
                ServerState::Leader => Role::Leader,
                ServerState::Candidate => Role::Candidate,
                ServerState::Follower if votes => Role::Follower,
                _ => Role::Learner,
            },
            term: now.current_term,
            last_index: now.last_log_index.unwrap_or(0),
            committed_index: index(now.local_committed),
            applied_index: index(now.last_applied),
            snapshot_index: index(now.snapshot),
            purged_index: index(now.purged),
            quorum_acked: now.last_quorum_acked.map(|at| openraft::Instant::elapsed(&*at)),
        }
    }
}
