//! What members tell each other.

use std::sync::Arc;

use super::{Entry, Id, LogId, Proposal};
use crate::disk::Image;

/// A letter.
#[derive(Clone, Debug)]
pub struct Message {
    /// From whom.
    pub from: Id,
    /// To whom.
    pub to: Id,
    /// What it says.
    pub body: Body,
}

/// What a letter says.
#[derive(Clone, Debug)]
pub enum Body {
    /// Vote for me.
    Vote {
        /// The candidate's.
        term: u64,
        /// Its last entry.
        last: LogId,
    },
    /// The answer.
    Voted {
        /// Of the election.
        term: u64,
        /// Whether it is a yes.
        granted: bool,
    },
    /// Entries, or none as a heartbeat.
    Append {
        /// The leader's.
        term: u64,
        /// The entry before the first of these.
        prev: LogId,
        /// In order.
        entries: Vec<Arc<Entry>>,
        /// The leader's commit index.
        commit: u64,
        /// Counts the leader's rounds, for reads.
        round: u64,
    },
    /// The answer.
    Appended {
        /// Of the leader that is answered.
        term: u64,
        /// The follower holds the leader's entries up to here; `None` when `prev` did not fit.
        matched: Option<u64>,
        /// Where the leader may try next.
        hint: u64,
        /// As in the question.
        round: u64,
    },
    /// The whole state.
    Snapshot {
        /// The leader's.
        term: u64,
        /// The state.
        image: Box<Image>,
        /// The entry that it claims to hold everything up to.
        claimed: LogId,
        /// As in `Append`.
        round: u64,
    },
    /// Which index must a read see?
    ReadIndex {
        /// The asker's.
        ticket: u64,
    },
    /// The answer; `None` of one that does not lead.
    ReadIndexed {
        /// As asked.
        ticket: u64,
        /// The index.
        index: Option<u64>,
    },
    /// A proposal on its way to the leader.
    Forward {
        /// The proposal.
        proposal: Arc<Proposal>,
    },
    /// The log did not take a proposal.
    Refused {
        /// Sequence of its first command.
        first: u64,
    },
}

impl Body {
    /// The term that it speaks for.
    pub fn term(&self) -> Option<u64> {
        match self {
            Self::Vote { term, .. }
            | Self::Voted { term, .. }
            | Self::Append { term, .. }
            | Self::Appended { term, .. }
            | Self::Snapshot { term, .. } => Some(*term),
            _ => None,
        }
    }

    /// For the trace: a word and two numbers.
    pub fn words(&self) -> (&'static str, u64, u64) {
        match self {
            Self::Vote { term, last } => ("vote?", *term, last.index),
            Self::Voted { term, granted } => ("voted", *term, u64::from(*granted)),
            Self::Append { term, entries, .. } if entries.is_empty() => ("beat", *term, 0),
            Self::Append { term, prev, entries, .. } => ("append", *term, prev.index + entries.len() as u64),
            Self::Appended { term, matched, hint, .. } => match matched {
                Some(matched) => ("appended", *term, *matched),
                None => ("mismatch", *term, *hint),
            },
            Self::Snapshot { term, claimed, .. } => ("snapshot", *term, claimed.index),
            Self::ReadIndex { ticket } => ("read?", *ticket, 0),
            Self::ReadIndexed { ticket, index } => ("readable", *ticket, index.unwrap_or(0)),
            Self::Forward { proposal } => ("forward", proposal.boot % 1000, proposal.first),
            Self::Refused { first } => ("refused", *first, 0),
        }
    }
}
