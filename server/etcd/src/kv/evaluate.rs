//! Transactions that only read need no log entry: they are answered on a snapshot.

use raft_state::txn::{Answer, Op, RangeRead, Txn, Verdict};
use raft_state::{Revision, Snapshot};

use crate::status::Status;

/// The same as apply would say at this state.
///
/// # Errors
/// When a read names a revision that is not there any more, or not yet.
pub(super) fn read_only(txn: &Txn, state: &Snapshot) -> Result<Verdict, Status> {
    let succeeded = txn.compares.iter().all(|compare| compare.holds(state));
    let ops = if succeeded { &txn.then } else { &txn.otherwise };
    let answers = ops.iter().map(|op| match op {
        Op::Range(read) => range(read, state),
        Op::Txn(within) => Ok(Answer::Txn(read_only(within, state)?)),
        Op::Put(_) | Op::Delete(_) => unreachable!("the transaction only reads"),
    });
    Ok(Verdict { succeeded, answers: answers.collect::<Result<_, _>>()? })
}

/// The newest revision that a read of it names.
pub(super) fn newest(txn: &Txn) -> Option<Revision> {
    let ops = txn.then.iter().chain(&txn.otherwise);
    let named = ops.filter_map(|op| match op {
        Op::Range(read) => read.revision,
        Op::Txn(within) => newest(within),
        Op::Put(_) | Op::Delete(_) => None,
    });
    named.max()
}

fn range(read: &RangeRead, state: &Snapshot) -> Result<Answer, Status> {
    match read.revision {
        Some(revision) if revision > state.revision() => Err(Status::FUTURE_REVISION),
        Some(revision) if revision < state.compacted() => Err(Status::COMPACTED),
        Some(_) => Ok(Answer::Past(read.clone())),
        None => Ok(Answer::Found(read.read(state))),
    }
}
