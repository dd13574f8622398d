//! Sees everything that is applied and everything that clients were told, and lets the checkers judge it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use raft_state::{Applied, Event, Revision, Snapshot, Stamped};

use crate::checkers::{self, Checker};
use crate::consensus::{Entry, LogId};
use crate::ledger::Ledger;
use crate::tasks::Group;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub property: &'static str,
    /// When it was noticed, microseconds.
    pub at_us: u64,
    /// How it fails.
    pub text: String,
}

/// An entry as the first member applied it: what all must agree on.
pub struct Agreed<'a> {
    /// Microseconds.
    pub at_us: u64,
    /// The entry.
    pub entry: &'a Entry,
    /// Its commands.
    pub commands: &'a [Stamped],
    /// What came of them.
    pub applied: &'a Applied,
    /// The state after it.
    pub snapshot: &'a Snapshot,
}

/// What became known, for checkers that judge at the end.
#[derive(Default)]
pub struct Record {
    /// Every event, by revision, as it was first published.
    pub events: BTreeMap<Revision, Vec<Event>>,
    /// The highest revision.
    pub revision: Revision,
    /// The highest compaction floor.
    pub floor: Revision,
    /// The last log index applied.
    pub index: u64,
}

/// See the module.
pub struct Judge {
    /// The time.
    pub now_us: u64,
    record: Record,
    ledger: Arc<Mutex<Ledger>>,
    checkers: Vec<(&'static str, Box<dyn Checker>)>,
    findings: Vec<Finding>,
    leaders: BTreeMap<u64, u64>,
    digest: u64,
}

impl Judge {
    /// All checkers, nothing seen yet.
    pub fn new() -> Self {
        Self {
            now_us: 0,
            record: Record { revision: 1, ..Record::default() },
            ledger: Arc::default(),
            checkers: checkers::ALL.iter().map(|property| (property.name, (property.make)())).collect(),
            findings: Vec::new(),
            leaders: BTreeMap::new(),
            digest: 0,
        }
    }

    /// Where clients write.
    pub fn ledger(&self) -> Arc<Mutex<Ledger>> {
        self.ledger.clone()
    }

    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether there is a finding: the world need not go on.
    pub fn is_over(&self) -> bool {
        !self.findings.is_empty()
    }

    /// A hash over all outcomes.
    pub fn hash(&self) -> u64 {
        self.digest
    }

    /// What became known.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Something fails that no checker of its own looks for.
    pub fn fault(&mut self, group: Group, property: &'static str, text: String) {
        let text = format!("m{} (start {}): {text}", group.0, group.1);
        self.findings.push(Finding { property, at_us: self.now_us, text });
    }

    fn each(&mut self, mut work: impl FnMut(&mut dyn Checker, &mut Vec<String>)) {
        let mut texts = Vec::new();
        for (property, checker) in &mut self.checkers {
            work(&mut **checker, &mut texts);
            let at_us = self.now_us;
            self.findings.extend(texts.drain(..).map(|text| Finding { property, at_us, text }));
        }
    }

    /// A member leads a term.
    pub fn led(&mut self, id: u64, term: u64) {
        let first = *self.leaders.entry(term).or_insert(id);
        if first != id {
            self.fault((id, 0), "a term has one leader", format!("m{first} leads term {term} too"));
        }
    }

    /// A member applied an entry.
    pub fn applied(&mut self, group: Group, entry: &Entry, commands: &[Stamped], applied: &Applied, after: &Snapshot) {
        self.each(|checker, found| checker.replica(group, entry.id, Some(applied), after, found));
        if entry.id.index != self.record.index + 1 {
            return;
        }
        self.record.index = entry.id.index;
        let agreed = Agreed { at_us: self.now_us, entry, commands, applied, snapshot: after };
        self.each(|checker, found| checker.agreed(&agreed, found));
        for event in &applied.events {
            self.record.events.entry(event.revision).or_default().push(event.clone());
        }
        self.record.revision = after.revision();
        self.record.floor = after.compacted();
        let hash = u64::try_from(after.hash() & u128::from(u64::MAX)).unwrap_or(0);
        self.digest = (self.digest.rotate_left(7) ^ hash ^ after.revision()).wrapping_mul(0x2545_f491_4f6c_dd1d);
    }

    /// A member took a snapshot in.
    pub fn installed(&mut self, group: Group, at: LogId, snapshot: &Snapshot) {
        self.each(|checker, found| checker.replica(group, at, None, snapshot, found));
    }

    /// A member started from its disk.
    pub fn started(&mut self, group: Group, at: LogId, snapshot: &Snapshot) {
        self.each(|checker, found| checker.replica(group, at, None, snapshot, found));
    }

    /// The world has ended: what clients saw is judged.
    pub fn end(&mut self) {
        let ledger = self.ledger.clone();
        let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let record = std::mem::take(&mut self.record);
        self.each(|checker, found| checker.end(&record, &ledger, found));
        self.record = record;
    }
}

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}
