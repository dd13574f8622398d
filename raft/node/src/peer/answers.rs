//! What peers have answered to this leader, and what each answer was to.
//!
//! openraft counts answers too, but takes one that arrives late for an answer to a request that was sent since, when both end at
//! the same index of the log (alpha.37, `InflightAppendQueue::drain_acked`: an update of the commit index holds no entries). A
//! leader that was cut off while its last entry was on the way is then confirmed by the old answers, though another leads, and
//! would serve a stale read. Here the first answer of a stream belongs to its first request, and so on: who needs to know that a
//! quorum still follows asks here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::types::LeaderId;

/// A moment of this member: what is sent later has a higher number, however finely the clock tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    number: u64,
    /// By the clock.
    pub(crate) at: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    moments: AtomicU64,
    peers: Mutex<BTreeMap<u64, Answered>>,
    news: Notify,
}

/// What one peer has answered to one leader.
#[derive(Clone, Copy, Debug)]
struct Answered {
    leader: LeaderId,
    /// When the last request was sent that it has answered.
    sent: Moment,
}

impl Answers {
    /// Now.
    pub(crate) fn now(&self) -> Moment {
        Moment { number: self.moments.fetch_add(1, Ordering::Relaxed) + 1, at: Instant::now() }
    }

    /// A peer follows this leader: it has answered what was sent then.
    pub(crate) fn heard(&self, peer: u64, leader: LeaderId, sent: Moment) {
        {
            let mut peers = self.peers.lock();
            match peers.get_mut(&peer) {
                Some(known) if known.leader == leader => known.sent = known.sent.max(sent),
                _ => drop(peers.insert(peer, Answered { leader, sent })),
            }
        }
        self.news.notify_waiters();
    }

    /// Waits until enough was answered.
    pub(crate) async fn until(&self, enough: impl Fn() -> bool) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            // From now on: an answer between the question and the wait counts.
            news.as_mut().enable();
            if enough() {
                return;
            }
            news.await;
        }
    }

    /// The last moment at which a quorum followed this leader for sure: that many voters, of each set when the membership is
    /// changing, have answered what was sent then or later. `own` follows itself.
    pub(crate) fn quorum(&self, leader: LeaderId, own: u64, voters: &[BTreeSet<u64>]) -> Option<Moment> {
        let peers = self.peers.lock();
        let now = self.now();
        let of_set = |set: &BTreeSet<u64>| {
            let others = set.iter().filter_map(|id| match peers.get(id) {
                _ if *id == own => Some(now),
                Some(answered) if answered.leader == leader => Some(answered.sent),
                _ => None,
            });
            let mut moments: Vec<Moment> = others.collect();
            moments.sort_unstable_by(|a, b| b.cmp(a));
            moments.get(set.len() / 2).copied()
        };
        voters.iter().map(of_set).min().flatten()
    }
}

/// Requests of one stream that have no answer yet: answers come in their order.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<VecDeque<Moment>>);

impl Asked {
    /// One more is sent.
    pub(crate) fn ask(&self, sent: Moment) {
        self.0.lock().push_back(sent);
    }

    /// The next answer has come: when was sent what it is to.
    pub(crate) fn answer(&self) -> Option<Moment> {
        self.0.lock().pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: LeaderId = LeaderId { term: 3, node_id: 1 };

    /// Peers answer what was sent at these steps, of three that there were; the last step at which a quorum of each of the sets
    /// of voters had answered, 4 for now.
    fn check(answers: &[(u64, LeaderId, usize)], voters: &[&[u64]], expected: Option<usize>) {
        let all = Answers::default();
        let steps: Vec<Moment> = (0..4).map(|_| all.now()).collect();
        for (peer, leader, step) in answers {
            all.heard(*peer, *leader, steps[*step]);
        }
        let voters: Vec<BTreeSet<u64>> = voters.iter().map(|set| set.iter().copied().collect()).collect();
        let quorum = all.quorum(LEADER, 1, &voters);
        let step = quorum.map(|moment| steps.iter().position(|step| *step == moment).unwrap_or(4));
        assert_eq!(step, expected, "{answers:?} of {voters:?}");
    }

    #[test]
    fn a_quorum_follows_as_of_what_it_has_answered() {
        let deposed = LeaderId { term: 2, node_id: 1 };
        check(&[], &[&[1]], Some(4));
        check(&[], &[&[1, 2, 3]], None);
        check(&[(2, LEADER, 1)], &[&[1, 2, 3]], Some(1));
        check(&[(2, LEADER, 1), (3, LEADER, 2)], &[&[1, 2, 3]], Some(2));
        check(&[(2, LEADER, 2), (2, LEADER, 1)], &[&[1, 2, 3]], Some(2));
        check(&[(2, LEADER, 3), (3, LEADER, 1)], &[&[1, 2, 3, 4, 5]], Some(1));
        check(&[(2, deposed, 2)], &[&[1, 2, 3]], None);
        check(&[(4, LEADER, 2)], &[&[1, 2, 3]], None);
        check(&[(2, LEADER, 2)], &[&[1, 2, 3], &[1, 4, 5]], None);
        check(&[(2, LEADER, 2), (4, LEADER, 1)], &[&[1, 2, 3], &[1, 4, 5]], Some(1));
        check(&[(2, LEADER, 2)], &[&[2, 3, 4]], None);
    }

    #[test]
    fn a_late_answer_is_to_the_request_that_it_belongs_to() {
        let (all, asked) = (Answers::default(), Asked::default());
        let (entry, read) = (all.now(), all.now());
        asked.ask(entry);
        // The commit index moved, and was sent on before the peer had answered anything.
        asked.ask(all.now());
        all.heard(2, LEADER, asked.answer().expect("the first"));
        let voters = [BTreeSet::from([1, 2, 3])];
        assert!(all.quorum(LEADER, 1, &voters).is_some_and(|moment| moment < read), "the read began later");
        all.heard(2, LEADER, asked.answer().expect("the second"));
        assert!(all.quorum(LEADER, 1, &voters).is_some_and(|moment| moment > read));
    }
}
