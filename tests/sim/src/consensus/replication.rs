//! What a follower does with its leader's entries and snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use planted_bugs::planted;

use super::{Body, Entry, Id, Log, LogId, Output, Raft, Waiting};
use crate::disk::{Image, Write};

impl Raft {
    pub(super) fn on_append(
        &mut self,
        from: Id,
        term: u64,
        prev: LogId,
        entries: Vec<Arc<Entry>>,
        commit: u64,
        round: u64,
    ) {
        if term < self.term {
            self.tell_of_term(from);
            return;
        }
        self.heed(from, term);
        let known = prev.index < self.log.base().index || self.log.id_at(prev.index) == Some(prev);
        if !known {
            let hint = self.log.last().index.min(prev.index.saturating_sub(1)).max(self.commit);
            self.send(from, Body::Appended { term, matched: None, hint, round });
            return;
        }
        let matched = prev.index + entries.len() as u64;
        if planted!(LogTruncatedTooFar) && self.log.last().index > prev.index {
            self.cut(prev.index + 1);
        }
        self.take_entries(entries);
        self.commit_to(commit.min(matched));
        self.when_synced(Waiting::Durable { term, index: matched });
        self.when_synced(Waiting::Send(from, Body::Appended { term, matched: Some(matched), hint: 0, round }));
    }

    /// Whoever sent something of an older term learns of this one. It may lead in it by now, and counts rounds anew: one
    /// that it counted before must not pass for one of these.
    fn tell_of_term(&mut self, from: Id) {
        self.send(from, Body::Appended { term: self.term, matched: None, hint: 0, round: 0 });
    }

    /// A leader speaks.
    fn heed(&mut self, from: Id, term: u64) {
        if self.leader != Some(from) || !matches!(self.role, super::Role::Follower) {
            self.follow(term, Some(from));
        }
        self.postpone_election();
    }

    /// Appends what is new, after cutting what conflicts with it.
    fn take_entries(&mut self, entries: Vec<Arc<Entry>>) {
        let mut fresh = Vec::new();
        for entry in entries {
            if entry.id.index <= self.log.base().index || self.log.id_at(entry.id.index) == Some(entry.id) {
                continue;
            }
            if self.log.get(entry.id.index).is_some() {
                self.cut(entry.id.index);
            }
            if entry.id.index != self.log.last().index + 1 {
                // Only behind a planted bug: a hole is not made worse.
                break;
            }
            self.log.push(entry.clone());
            self.adopt_config(&entry);
            fresh.push(entry);
        }
        if !fresh.is_empty() {
            self.write(Write::Append(fresh));
        }
    }

    fn cut(&mut self, from: u64) {
        let from = from.max(self.log.base().index + 1);
        self.log.cut_from(from);
        self.durable = self.durable.min(from - 1);
        self.configs.split_off(&from);
        if let Some((_, config)) = self.configs.last_key_value() {
            self.config = config.clone();
        }
        self.write(Write::Cut { from });
    }

    pub(super) fn commit_to(&mut self, index: u64) {
        self.commit = self.commit.max(index.min(self.log.last().index));
    }

    pub(super) fn on_snapshot(&mut self, from: Id, term: u64, mut image: Image, claimed: LogId, round: u64) {
        if term < self.term {
            self.tell_of_term(from);
            return;
        }
        self.heed(from, term);
        if claimed.index > self.commit {
            image.applied = claimed;
            self.configs = BTreeMap::from([(claimed.index, image.config.clone())]);
            self.config = image.config.clone();
            let rest = match self.log.id_at(claimed.index) == Some(claimed) {
                true => self.log.from(claimed.index + 1, usize::MAX),
                false => Vec::new(),
            };
            self.log = Log::above(claimed);
            for entry in rest {
                self.log.push(entry.clone());
                self.adopt_config(&entry);
            }
            self.commit = claimed.index;
            self.durable = self.durable.max(claimed.index).min(self.log.last().index);
            self.write(Write::Install(image.clone()));
            self.out.push(Output::Install(image));
        }
        let matched = Some(claimed.index);
        self.when_synced(Waiting::Send(from, Body::Appended { term, matched, hint: 0, round }));
    }

    /// Forgets entries that are in the state on the disk, but for some that followers may still want.
    pub fn purge(&mut self, to: u64) {
        if to > self.log.base().index {
            self.log.purge_to(to);
            let last = self.configs.range(..=to).next_back().map(|(index, _)| *index);
            if let Some(last) = last {
                self.configs = self.configs.split_off(&last);
            }
            self.write(Write::Purge { to });
        }
    }
}
