//! Transactions at apply.

use planted_bugs::planted;

use crate::txn::{Answer, Answers, Delete, Op, Put, RangeRead, Txn, Verdict};
use crate::{KeyRange, Outcome, Payload, Refusal, State};

use super::{Applied, Change};

impl State {
    pub(super) fn txn(&mut self, txn: &Txn, applied: &mut Applied) -> Result<Outcome, Refusal> {
        let mut change = Change::at(self.live.scalars.revision + 1);
        match self.branch(txn, &mut change) {
            Ok(Verdict { succeeded, answers }) => {
                let revision = self.commit(change, applied);
                Ok(Outcome::Txn { revision, succeeded, answers: Answers(Some(answers.into())) })
            }
            Err(refusal) => {
                self.roll_back(change);
                Err(refusal)
            }
        }
    }

    /// As in etcd, the compares of all levels are evaluated before anything is written.
    fn branch(&mut self, txn: &Txn, change: &mut Change) -> Result<Verdict, Refusal> {
        let decisions = self.decide(txn);
        self.run(txn, &decisions, change)
    }

    /// Which branch each level takes, on the state before any of it runs.
    fn decide(&self, txn: &Txn) -> Decision {
        let lax = planted!(FenceIgnored) && planted_bugs::one_in(10);
        let succeeded = lax || txn.compares.iter().all(|compare| compare.holds(&self.live));
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        let nested = ops.iter().filter_map(|op| match op {
            Op::Txn(txn) => Some(self.decide(txn)),
            _ => None,
        });
        Decision { succeeded, nested: nested.collect() }
    }

    fn run(&mut self, txn: &Txn, decision: &Decision, change: &mut Change) -> Result<Verdict, Refusal> {
        let ops = if decision.succeeded { &txn.then } else { &txn.otherwise };
        let mut nested = decision.nested.iter();
        let mut answers = Vec::with_capacity(ops.len());
        for op in ops {
            answers.push(match op {
                Op::Range(read) => self.find(read)?,
                Op::Put(put) => self.write(put, change)?,
                Op::Delete(delete) => self.erase(delete, change)?,
                Op::Txn(txn) => Answer::Txn(self.run(txn, nested.next().expect("one for each"), change)?),
            });
        }
        Ok(Verdict { succeeded: decision.succeeded, answers })
    }

    fn find(&self, read: &RangeRead) -> Result<Answer, Refusal> {
        let (current, floor) = (self.live.scalars.revision, self.live.scalars.compacted);
        match read.revision {
            Some(requested) if requested > current => Err(Refusal::FutureRevision { requested, current }),
            Some(requested) if requested < floor => Err(Refusal::CompactedRevision { requested, floor }),
            Some(_) => Ok(Answer::Past(read.clone())),
            None => Ok(Answer::Found(read.read(&self.live))),
        }
    }

    fn write(&mut self, put: &Put, change: &mut Change) -> Result<Answer, Refusal> {
        let previous = self.live.get(&put.key).cloned();
        refuse_twice(change, &KeyRange::one(put.key.clone()))?;
        if previous.is_none() && (put.value.is_none() || put.lease.is_none()) {
            return Err(Refusal::NotFound);
        }
        let kept = |field: fn(&crate::Entry) -> i64| previous.as_deref().map_or(0, field);
        let lease = put.lease.unwrap_or_else(|| kept(|entry| entry.lease));
        if lease != 0 && self.live.lease(lease).is_none() {
            return Err(Refusal::LeaseNotFound);
        }
        let value = match (&put.value, &previous) {
            (Some(value), _) => value.clone(),
            (None, Some(previous)) => previous.value.clone(),
            (None, None) => return Err(Refusal::NotFound),
        };
        let answer = previous.clone().filter(|_| put.want_previous);
        self.put(change, put.key.clone(), Payload::Opaque(value), lease, previous)?;
        Ok(Answer::Put(answer))
    }

    fn erase(&mut self, delete: &Delete, change: &mut Change) -> Result<Answer, Refusal> {
        let entries: Vec<_> = self.live.between(&delete.keys).cloned().collect();
        // A key that this transaction wrote cannot go in the same revision.
        if entries.iter().any(|entry| entry.mod_revision == change.revision) {
            return Err(Refusal::DuplicateKey);
        }
        for entry in &entries {
            self.delete(change, entry.clone());
        }
        let deleted = entries.len() as u64;
        Ok(Answer::Deleted(deleted, if delete.want_previous { entries } else { Vec::new() }))
    }
}

/// The branches taken by a transaction and those within.
struct Decision {
    succeeded: bool,
    nested: Vec<Decision>,
}

/// One revision changes a key once.
fn refuse_twice(change: &Change, key: &KeyRange) -> Result<(), Refusal> {
    match change.records.iter().any(|(_, record)| key.contains(&record.key)) {
        true => Err(Refusal::DuplicateKey),
        false => Ok(()),
    }
}
