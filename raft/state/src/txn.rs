//! Transactions of the etcd face: compares, then one of two branches, all of it or nothing, at one revision.
//!
//! Source: etcd's `TxnRequest` (rpc.proto) and its apply. Reads are answered at apply; the answers are handed to who
//! proposed, and are no part of the replicated outcome.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::keys::KeyRange;
use crate::{Entry, Revision, Snapshot};

/// If all compares hold, `then`, else `otherwise`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// Conditions, all of which must hold.
    pub compares: Vec<Compare>,
    /// Done when they hold.
    pub then: Vec<Op>,
    /// Done when one does not.
    pub otherwise: Vec<Op>,
}

/// A condition on each key of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// The keys. A range without keys is compared as one key of version, revisions and lease 0, and fails every
    /// comparison of values.
    pub keys: KeyRange,
    /// How the entry's side relates to the operand.
    pub relation: Relation,
    /// What is compared, with what.
    pub operand: Operand,
}

/// A relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// =
    Equal,
    /// !=
    NotEqual,
    /// <
    Less,
    /// \>
    Greater,
}

/// What a [`Compare`] looks at, and the number or value it holds it against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operand {
    /// The version of the key.
    Version(i64),
    /// The revision of its creation.
    CreateRevision(i64),
    /// The revision of its last change.
    ModRevision(i64),
    /// Its value.
    Value(Bytes),
    /// Its lease.
    Lease(i64),
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Reads.
    Range(RangeRead),
    /// Writes one key.
    Put(Put),
    /// Deletes a range.
    Delete(Delete),
    /// A transaction within.
    Txn(Txn),
}

/// Writes one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The key.
    pub key: Bytes,
    /// The value; `None` keeps the one that is there, which must be.
    pub value: Option<Bytes>,
    /// The lease, 0 for none; `None` keeps the one that is there, and the key must be.
    pub lease: Option<i64>,
    /// Whether the answer holds the entry before.
    pub want_previous: bool,
}

/// Deletes a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The keys.
    pub keys: KeyRange,
    /// Whether the answer holds the entries before.
    pub want_previous: bool,
}

/// Reads a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRead {
    /// The keys.
    pub keys: KeyRange,
    /// At this revision; `None` at the latest (within a transaction: with what it wrote so far).
    pub revision: Option<Revision>,
    /// Entries at most; 0 for all.
    pub limit: u64,
    /// The order.
    pub sort: Sort,
    /// Only count.
    pub count_only: bool,
    /// Bounds on the revisions of the entries.
    pub bounds: Bounds,
}

/// In which order entries come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// What decides.
    pub by: SortBy,
    /// Highest first.
    pub is_descending: bool,
}

/// What decides the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortBy {
    /// The key.
    #[default]
    Key,
    /// The version.
    Version,
    /// The revision of creation.
    CreateRevision,
    /// The revision of the last change.
    ModRevision,
    /// The value.
    Value,
}

/// Bounds on revisions, inclusive; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lowest mod revision.
    pub min_mod: Revision,
    /// Highest mod revision.
    pub max_mod: Revision,
    /// Lowest create revision.
    pub min_create: Revision,
    /// Highest create revision.
    pub max_create: Revision,
}

impl Bounds {
    fn admit(&self, entry: &Entry) -> bool {
        let within = |value: Revision, min: Revision, max: Revision| value >= min && (max == 0 || value <= max);
        within(entry.mod_revision, self.min_mod, self.max_mod)
            && within(entry.create_revision, self.min_create, self.max_create)
    }
}

/// What a [`RangeRead`] found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In the order asked for, at most the limit.
    pub entries: Vec<Arc<Entry>>,
    /// Keys in the range, whatever limit and bounds say.
    pub count: u64,
    /// Whether the limit cut entries off.
    pub more: bool,
}

/// What one operation has to say, in the order of the operations.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Of a [`Op::Range`].
    Found(Found),
    /// Of a [`Op::Range`] at a revision of the past, which whoever asks reads from history.
    Past(RangeRead),
    /// Of a [`Op::Put`]: the entry before, when it was asked for and was there.
    Put(Option<Arc<Entry>>),
    /// Of a [`Op::Delete`]: how many, and the entries before when they were asked for.
    Deleted(u64, Vec<Arc<Entry>>),
    /// Of a [`Op::Txn`].
    Txn(Verdict),
}

/// What a transaction came to.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether all compares held.
    pub succeeded: bool,
    /// Of the branch that was taken.
    pub answers: Vec<Answer>,
}

/// The answers of a transaction beside its outcome: for the proposer that saw it applied, in memory only. Empty after a
/// restart, on a retry's second application, and when this member skipped the entry by a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Answers(pub Option<Arc<Vec<Answer>>>);

// They are derived from the command and the state: two outcomes are the same whatever answers are at hand.
impl PartialEq for Answers {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Answers {}

impl Compare {
    /// Whether it holds.
    pub fn holds(&self, state: &Snapshot) -> bool {
        let mut entries = state.between(&self.keys).peekable();
        if entries.peek().is_none() {
            return self.holds_of(None);
        }
        entries.all(|entry| self.holds_of(Some(entry)))
    }

    fn holds_of(&self, entry: Option<&Arc<Entry>>) -> bool {
        let number = |value: Option<u64>| value.and_then(|v| i64::try_from(v).ok()).unwrap_or(0);
        let ordering = match &self.operand {
            Operand::Value(wanted) => match entry {
                Some(entry) => entry.value.cmp(wanted),
                None => return false,
            },
            Operand::Version(wanted) => number(entry.map(|e| e.version)).cmp(wanted),
            Operand::CreateRevision(wanted) => number(entry.map(|e| e.create_revision)).cmp(wanted),
            Operand::ModRevision(wanted) => number(entry.map(|e| e.mod_revision)).cmp(wanted),
            Operand::Lease(wanted) => entry.map_or(0, |e| e.lease).cmp(wanted),
        };
        match self.relation {
            Relation::Equal => ordering.is_eq(),
            Relation::NotEqual => ordering.is_ne(),
            Relation::Less => ordering.is_lt(),
            Relation::Greater => ordering.is_gt(),
        }
    }
}

impl RangeRead {
    /// Reads the latest of one key or range: every option at its default.
    pub fn of(keys: KeyRange) -> Self {
        Self { keys, revision: None, limit: 0, sort: Sort::default(), count_only: false, bounds: Bounds::default() }
    }

    /// Reads a snapshot; the revision asked for is the caller's to see to.
    pub fn read(&self, state: &Snapshot) -> Found {
        let mut found = Found::default();
        if self.keys.is_single() && !self.count_only {
            let entry = state.get(&self.keys.start);
            found.count = u64::from(entry.is_some());
            found.entries.extend(entry.filter(|entry| self.bounds.admit(entry)).cloned());
            return found;
        }
        let sorted = self.sort != Sort::default();
        let limit = if self.limit == 0 { usize::MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) };
        for entry in state.between(&self.keys) {
            found.count += 1;
            if self.count_only || !self.bounds.admit(entry) {
                continue;
            }
            if sorted || found.entries.len() < limit {
                found.entries.push(entry.clone());
            } else {
                found.more = true;
            }
        }
        if sorted {
            self.order(&mut found.entries);
            found.more = found.entries.len() > limit;
            found.entries.truncate(limit);
        }
        found
    }

    fn order(&self, entries: &mut [Arc<Entry>]) {
        match self.sort.by {
            SortBy::Key => {}
            SortBy::Version => entries.sort_by_key(|e| e.version),
            SortBy::CreateRevision => entries.sort_by_key(|e| e.create_revision),
            SortBy::ModRevision => entries.sort_by_key(|e| e.mod_revision),
            SortBy::Value => entries.sort_by(|a, b| a.value.cmp(&b.value)),
        }
        if self.sort.is_descending {
            entries.reverse();
        }
    }
}

impl Txn {
    /// Whether neither branch writes, so that it can be answered without the log.
    pub fn is_read_only(&self) -> bool {
        let reads = |ops: &[Op]| {
            ops.iter().all(|op| match op {
                Op::Range(_) => true,
                Op::Txn(txn) => txn.is_read_only(),
                Op::Put(_) | Op::Delete(_) => false,
            })
        };
        reads(&self.then) && reads(&self.otherwise)
    }

    /// Whether a write of either branch, however deep, touches `keys`.
    pub fn writes_to(&self, keys: &KeyRange) -> bool {
        self.then.iter().chain(&self.otherwise).any(|op| match op {
            Op::Range(_) => false,
            Op::Put(put) => keys.contains(&put.key),
            Op::Delete(delete) => keys.overlaps(&delete.keys),
            Op::Txn(txn) => txn.writes_to(keys),
        })
    }
}
