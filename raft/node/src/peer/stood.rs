//! Where the logs of a new leader and of a member agree, without a search.
//!
//! openraft looks for that by halves, a round trip each, and commits nothing before it has found it: a dozen round trips where
//! the log is long. But whoever is asked to take a leader's first entries knows where its own log ended when it had taken the
//! leader's vote, and says so with its first answer: from then on nobody else writes there, and all of it is on the disk before
//! that answer is. If that end comes from the same earlier leader as the end of the candidate's log, and not after it, the two
//! agree up to there, for a leader numbers an entry once.

use parking_lot::Mutex;

use crate::types::{LeaderId, LogId};

/// As whom this member stood for election last, and where its log ended then.
#[derive(Debug, Default)]
pub(crate) struct Stood(Mutex<Option<(LeaderId, LogId)>>);

impl Stood {
    /// This member stands.
    pub(crate) fn stand(&self, candidate: LeaderId, last: Option<LogId>) {
        *self.0.lock() = last.map(|last| (candidate, last));
    }

    /// Whether the log of this leader holds what a member says that its own ended with.
    pub(crate) fn holds(&self, leader: LeaderId, end: &LogId) -> bool {
        self.0.lock().is_some_and(|(candidate, last)| {
            candidate == leader && last.leader_id == end.leader_id && end.index <= last.index
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::log_id;

    #[test]
    fn what_one_leader_numbered_is_the_same_everywhere() {
        let leader = |term| LeaderId { term, node_id: 1 };
        let stood = Stood::default();
        assert!(!stood.holds(leader(5), &log_id(3, 2, 7)), "it never stood");
        stood.stand(leader(5), Some(log_id(3, 2, 7)));
        for (what, term, end, expected) in [
            ("the same end", 5, log_id(3, 2, 7), true),
            ("an earlier one of that leader", 5, log_id(3, 2, 4), true),
            ("a later one, which this log may lack", 5, log_id(3, 2, 8), false),
            ("one of another leader of the term", 5, log_id(3, 3, 7), false),
            ("one of another term", 5, log_id(2, 2, 4), false),
            ("it leads by another election", 6, log_id(3, 2, 7), false),
        ] {
            assert_eq!(stood.holds(leader(term), &end), expected, "{what}");
        }
    }
}
