//! What a leader does.

use std::sync::Arc;

use planted_bugs::planted;

use super::{Body, Config, Entry, Id, LogId, Output, Payload, Peer, Proposal, Raft, Reader, Role, Waiting};
use crate::disk::{Image, Write};

/// Entries in one message.
const ENTRIES_MAX: usize = 32;

impl Peer {
    pub(super) fn new(next: u64, now_us: u64) -> Self {
        Self { next, matched: 0, round: 0, heard_us: now_us, snapshot_until_us: 0, probing: false }
    }
}

impl Raft {
    pub(super) fn append(&mut self, payload: Payload) -> u64 {
        let id = LogId { term: self.term, index: self.log.last().index + 1 };
        let entry = Arc::new(Entry { id, payload });
        self.log.push(entry.clone());
        self.adopt_config(&entry);
        self.write(Write::Append(vec![entry]));
        self.when_synced(Waiting::Durable { term: self.term, index: id.index });
        id.index
    }

    /// Takes proposals of this member; false when it does not lead.
    pub fn propose(&mut self, now_us: u64, proposals: Vec<Arc<Proposal>>) -> bool {
        self.now_us = now_us;
        if !self.is_leader() {
            return false;
        }
        self.append(Payload::Proposals(proposals));
        self.send_appends();
        true
    }

    pub(super) fn on_forward(&mut self, from: Id, proposal: Arc<Proposal>) {
        if self.is_leader() {
            self.append(Payload::Proposals(vec![proposal]));
            self.send_appends();
        } else {
            self.send(from, Body::Refused { first: proposal.first });
        }
    }

    /// Changes the configuration by one member; false when that must wait.
    pub fn change(&mut self, now_us: u64, config: Config) -> bool {
        self.now_us = now_us;
        let Role::Leader(leader) = &mut self.role else { return false };
        let pending = self.configs.last_key_value().is_some_and(|(index, _)| *index > self.commit);
        if pending || self.commit < leader.first {
            return false;
        }
        let next = self.log.last().index + 1;
        for id in config.all().filter(|id| *id != self.id) {
            leader.peers.entry(id).or_insert_with(|| Peer::new(next, now_us));
        }
        leader.peers.retain(|id, _| config.all().any(|other| other == *id));
        self.append(Payload::Config(config));
        self.send_appends();
        true
    }

    /// A heartbeat with whatever is new.
    pub(super) fn beat(&mut self) {
        self.check_quorum();
        let Role::Leader(leader) = &mut self.role else { return };
        leader.round += 1;
        for peer in leader.peers.values_mut().filter(|peer| peer.matched > 0) {
            // What was sent and not answered since the last time is sent again.
            peer.next = peer.matched + 1;
        }
        leader.heartbeat_due_us = self.now_us + self.timing.heartbeat_us;
        self.send_all(true);
    }

    pub(super) fn send_appends(&mut self) {
        self.send_all(false);
    }

    fn send_all(&mut self, even_if_empty: bool) {
        let Role::Leader(leader) = &mut self.role else { return };
        let mut letters = Vec::new();
        for (id, peer) in &mut leader.peers {
            let round = leader.round;
            if peer.next <= self.log.base().index {
                if peer.snapshot_until_us <= self.now_us {
                    peer.snapshot_until_us = self.now_us + 4 * self.timing.heartbeat_us;
                    letters.push((*id, None));
                } else if even_if_empty {
                    // A peer that is far behind still hears that it is led.
                    let prev = LogId::default();
                    let beat = Body::Append { term: self.term, prev, entries: Vec::new(), commit: 0, round };
                    letters.push((*id, Some(beat)));
                }
                continue;
            }
            let entries = self.log.from(peer.next, ENTRIES_MAX);
            if entries.is_empty() && !even_if_empty {
                continue;
            }
            let Some(prev) = self.log.id_at(peer.next - 1) else { continue };
            if !peer.probing {
                peer.next += entries.len() as u64;
            }
            let body = Body::Append { term: self.term, prev, entries, commit: self.commit, round };
            letters.push((*id, Some(body)));
        }
        for (to, body) in letters {
            match body {
                Some(body) => self.send(to, body),
                None => {
                    // The image is filled in by the member, which has it.
                    let round = 0;
                    let (image, claimed) = (Box::<Image>::default(), LogId::default());
                    self.send(to, Body::Snapshot { term: self.term, image, claimed, round });
                }
            }
        }
    }

    pub(super) fn on_appended(&mut self, from: Id, term: u64, matched: Option<u64>, hint: u64, round: u64) {
        let now_us = self.now_us;
        let last = self.log.last().index;
        let Role::Leader(leader) = &mut self.role else { return };
        if term != self.term {
            return;
        }
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        peer.heard_us = now_us;
        peer.round = peer.round.max(round);
        let (before, probed) = (peer.next, peer.probing);
        peer.probing = matched.is_none();
        match matched {
            Some(matched) => {
                peer.matched = peer.matched.max(matched.min(last));
                peer.next = peer.next.max(peer.matched + 1);
                if peer.matched >= self.log.base().index {
                    peer.snapshot_until_us = 0;
                }
            }
            None => peer.next = (hint + 1).max(peer.matched + 1).min(peer.next),
        }
        // An answer that says nothing new is not answered at once: letters that are doubled would multiply.
        let is_news = match matched {
            Some(_) => probed || peer.next != before,
            None => peer.next != before && hint > peer.matched,
        };
        self.advance_commit();
        self.confirm_reads();
        if is_news {
            self.send_appends();
        }
    }

    pub(super) fn advance_commit(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let mut matched: Vec<u64> = self
            .config
            .voters
            .iter()
            .map(|id| if *id == self.id { self.durable } else { leader.peers.get(id).map_or(0, |peer| peer.matched) })
            .collect();
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let Some(mut agreed) = matched.get(matched.len() / 2).copied() else { return };
        if planted!(AckBeforeQuorum) {
            agreed = agreed.max(self.durable);
        }
        // Only entries of its own term are committed by counting (5.4.2).
        if agreed > self.commit && self.log.id_at(agreed).is_some_and(|id| id.term == self.term) {
            self.commit = agreed;
            self.send_all(true);
            if !self.config.voters.contains(&self.id)
                && self.configs.last_key_value().is_some_and(|(index, _)| *index <= self.commit)
            {
                self.follow(self.term, None);
            }
        }
    }

    /// The index that a read beginning now must see: told by [`Output::Readable`].
    pub fn read(&mut self, now_us: u64, ticket: u64) {
        self.now_us = now_us;
        match self.leader {
            Some(leader) if leader != self.id => self.send(leader, Body::ReadIndex { ticket }),
            Some(_) => self.read_index(Reader::Own(ticket)),
            None => self.refuse_reads(ticket),
        }
    }

    pub(super) fn read_index(&mut self, reader: Reader) {
        let commit = self.commit;
        let index = match &mut self.role {
            Role::Leader(leader) if commit >= leader.first => {
                if planted!(StaleReadIndex)
                    && let Some(index) = leader.confirmed
                {
                    Some(index)
                } else {
                    leader.reads.push((leader.round + 1, commit, reader));
                    None
                }
            }
            _ => return self.answer(reader, None),
        };
        match index {
            Some(_) => self.answer(reader, index),
            // A round that began before the read proves nothing about it.
            None => self.beat(),
        }
        self.confirm_reads();
    }

    fn confirm_reads(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let peers = &leader.peers;
        let id = self.id;
        let config = &self.config;
        let confirmed =
            |round: u64| config.quorum(|i| i == id || peers.get(&i).is_some_and(|peer| peer.round >= round));
        let ready: Vec<(u64, u64, Reader)> = leader.reads.extract_if(.., |(round, _, _)| confirmed(*round)).collect();
        leader.confirmed = ready.last().map(|(_, index, _)| *index).or(leader.confirmed);
        for (_, index, reader) in ready {
            self.answer(reader, Some(index));
        }
    }

    fn answer(&mut self, reader: Reader, index: Option<u64>) {
        match reader {
            Reader::Own(ticket) => self.out.push(Output::Readable(ticket, index)),
            Reader::Other(id, ticket) => self.send(id, Body::ReadIndexed { ticket, index }),
        }
    }
}
