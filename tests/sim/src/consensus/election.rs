//! Elections.

use std::collections::BTreeSet;

use planted_bugs::planted;

use super::{Body, Id, Leader, LogId, Output, Payload, Peer, Raft, Role, Waiting};
use crate::disk::Write;

impl Raft {
    pub(super) fn postpone_election(&mut self) {
        let (low, high) = self.timing.election_us;
        self.election_due_us = self.now_us + self.rng.between(low, high);
    }

    /// Asks for votes, if this member is a voter.
    pub(super) fn campaign(&mut self) {
        self.postpone_election();
        if !self.may_lead() {
            return;
        }
        self.term += 1;
        self.voted_for = Some(self.id);
        self.leader = None;
        self.role = Role::Candidate { granted: BTreeSet::new() };
        self.write(Write::Vote { term: self.term, voted_for: self.voted_for });
        let (term, last) = (self.term, self.log.last());
        for peer in self.config.voters.clone() {
            if peer != self.id {
                self.send(peer, Body::Vote { term, last });
            }
        }
        self.when_synced(Waiting::OwnVote { term });
    }

    /// A voter may, and one that was taken out by an entry that is not committed yet: perhaps only it has the entry (thesis,
    /// 4.2.2).
    fn may_lead(&self) -> bool {
        let votes = |config: &super::Config| config.voters.contains(&self.id);
        let committed = self.configs.range(..=self.commit).next_back();
        votes(&self.config) || committed.is_some_and(|(_, config)| votes(config))
    }

    /// Campaigns at once: leadership was handed to this member.
    pub fn campaign_now(&mut self, now_us: u64) {
        self.now_us = now_us;
        if !self.is_leader() {
            self.campaign();
        }
    }

    pub(super) fn on_vote(&mut self, from: Id, term: u64, last: LogId) {
        let free = self.voted_for.is_none_or(|to| to == from);
        let granted = term == self.term && free && last >= self.log.last() && !self.is_leader();
        if !granted {
            self.send(from, Body::Voted { term, granted });
            return;
        }
        if self.voted_for.is_none() {
            self.voted_for = Some(from);
            if !planted!(VoteNotPersisted) {
                self.write(Write::Vote { term, voted_for: self.voted_for });
            }
        }
        self.postpone_election();
        self.when_synced(Waiting::Send(from, Body::Voted { term, granted }));
    }

    pub(super) fn on_voted(&mut self, from: Id, term: u64, granted: bool) {
        if term != self.term || !granted {
            return;
        }
        let Role::Candidate { granted } = &mut self.role else { return };
        granted.insert(from);
        let granted = granted.clone();
        if self.config.quorum(|id| granted.contains(&id)) {
            self.lead();
        }
    }

    fn lead(&mut self) {
        let next = self.log.last().index + 1;
        let mut leader = Leader { first: next, ..Leader::default() };
        for peer in self.config.all().filter(|id| *id != self.id) {
            leader.peers.insert(peer, Peer::new(next, self.now_us));
        }
        self.role = Role::Leader(leader);
        self.leader = Some(self.id);
        self.append(Payload::Blank);
        self.beat();
    }

    /// Whether a quorum was heard of lately: a leader without one serves nobody.
    pub fn has_quorum(&self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let since = self.now_us.saturating_sub(self.timing.election_us.0);
        self.config.quorum(|id| id == self.id || leader.peers.get(&id).is_some_and(|peer| peer.heard_us >= since))
    }

    /// Gives up leadership when nobody answers for long, so that clients are told.
    pub(super) fn check_quorum(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let since = self.now_us.saturating_sub(2 * self.timing.election_us.1);
        let heard =
            self.config.quorum(|id| id == self.id || leader.peers.get(&id).is_some_and(|peer| peer.heard_us >= since));
        if !heard {
            self.follow(self.term, None);
        }
    }

    pub(super) fn refuse_reads(&mut self, ticket: u64) {
        self.out.push(Output::Readable(ticket, None));
    }
}
