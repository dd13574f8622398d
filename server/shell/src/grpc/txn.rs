//! Transactions between their messages and the state's commands.

use api_proto::v1;
use raft_state::Txn;
use raft_state::txn::{Answer, Answers, Compare, Delete, Op, Operand, Put, RangeRead, Relation, Verdict};
use tonic::Status;

use super::store::{entry, range};

/// Operations and compares of one transaction, all levels together.
const OPERATIONS_MAX: usize = 1024;

/// A transaction as the state knows it.
pub(super) fn read(request: v1::TxnRequest) -> Result<Txn, Status> {
    if operations(&request) > OPERATIONS_MAX {
        return Err(Status::invalid_argument(format!("more than {OPERATIONS_MAX} operations")));
    }
    level(request)
}

fn operations(request: &v1::TxnRequest) -> usize {
    let nested = request.then.iter().chain(&request.otherwise).map(|op| match &op.op {
        Some(v1::op::Op::Txn(txn)) => 1 + operations(txn),
        _ => 1,
    });
    request.compares.len() + nested.sum::<usize>()
}

fn level(request: v1::TxnRequest) -> Result<Txn, Status> {
    let ops = |ops: Vec<v1::Op>| ops.into_iter().map(operation).collect::<Result<_, _>>();
    Ok(Txn {
        compares: request.compares.into_iter().map(compare).collect::<Result<_, _>>()?,
        then: ops(request.then)?,
        otherwise: ops(request.otherwise)?,
    })
}

fn compare(compare: v1::Compare) -> Result<Compare, Status> {
    use v1::compare::{Operand as Wire, Relation as WireRelation};
    let relation = match compare.relation() {
        WireRelation::Equal => Relation::Equal,
        WireRelation::NotEqual => Relation::NotEqual,
        WireRelation::Less => Relation::Less,
        WireRelation::Greater => Relation::Greater,
    };
    let operand = match compare.operand.ok_or_else(|| Status::invalid_argument("a compare with nothing"))? {
        Wire::Version(version) => Operand::Version(version),
        Wire::CreateRevision(revision) => Operand::CreateRevision(revision),
        Wire::ModRevision(revision) => Operand::ModRevision(revision),
        Wire::Value(value) => Operand::Value(value),
        Wire::Lease(lease) => Operand::Lease(lease),
    };
    Ok(Compare { keys: range(compare.keys)?, relation, operand })
}

fn operation(op: v1::Op) -> Result<Op, Status> {
    use v1::op::Op as Wire;
    Ok(match op.op.ok_or_else(|| Status::invalid_argument("an operation that does nothing"))? {
        Wire::Range(read) => Op::Range(RangeRead {
            keys: range(read.keys)?,
            revision: None,
            limit: read.limit,
            sort: Default::default(),
            count_only: false,
            bounds: Default::default(),
        }),
        Wire::Put(put) if put.key.is_empty() => return Err(Status::invalid_argument("no key is empty")),
        Wire::Put(put) => {
            Op::Put(Put { key: put.key, value: Some(put.value), lease: Some(put.lease), want_previous: false })
        }
        Wire::Delete(delete) => Op::Delete(Delete { keys: range(delete.keys)?, want_previous: false }),
        Wire::Txn(txn) => Op::Txn(level(txn)?),
    })
}

/// What a transaction came to.
pub(super) fn written(revision: u64, succeeded: bool, answers: &Answers) -> v1::TxnResponse {
    let results = answers.0.as_ref().map(|answers| answers.iter().map(|answer| result(revision, answer)).collect());
    v1::TxnResponse { revision, succeeded, results_lost: results.is_none(), results: results.unwrap_or_default() }
}

fn result(revision: u64, answer: &Answer) -> v1::OpResult {
    use v1::op_result::Result as Wire;
    let result = match answer {
        Answer::Found(found) => Wire::Range(v1::RangeResult {
            entries: found.entries.iter().map(|found| entry(found)).collect(),
            count: found.count,
        }),
        // Nobody can ask for one here.
        Answer::Past(_) => Wire::Range(v1::RangeResult::default()),
        Answer::Put(_) => Wire::Put(v1::PutResult {}),
        Answer::Deleted(deleted, _) => Wire::Delete(v1::DeleteResult { deleted: *deleted }),
        Answer::Txn(Verdict { succeeded, answers }) => Wire::Txn(v1::TxnResponse {
            revision,
            succeeded: *succeeded,
            results: answers.iter().map(|answer| result(revision, answer)).collect(),
            results_lost: false,
        }),
    };
    v1::OpResult { result: Some(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_before_it_is_proposed() {
        let key = |start: &'static str| Some(v1::KeyRange { start: start.into(), end: None });
        let op = |op| v1::TxnRequest { then: vec![v1::Op { op: Some(op) }], ..Default::default() };
        let put = |key: &'static str| v1::op::Op::Put(v1::PutOp { key: key.into(), ..Default::default() });
        let check = |name: &str, request: v1::TxnRequest, expected: Result<(), &str>| {
            let read = read(request).map(|_| ()).map_err(|status| status.message().to_owned());
            assert_eq!(read, expected.map_err(str::to_owned), "{name}");
        };
        check("nothing", v1::TxnRequest::default(), Ok(()));
        check("a put", op(put("a")), Ok(()));
        check("a put of no key", op(put("")), Err("no key is empty"));
        check("a put in a transaction within", op(v1::op::Op::Txn(op(put("")))), Err("no key is empty"));
        check("a deletion of no keys", op(v1::op::Op::Delete(v1::DeleteOp::default())), Err("no keys are named"));
        let bare = v1::Compare { keys: key("a"), ..Default::default() };
        let compares = v1::TxnRequest { compares: vec![bare], ..Default::default() };
        check("a compare without an operand", compares, Err("a compare with nothing"));
        let many = (0..1025).map(|_| v1::Op { op: Some(put("a")) }).collect();
        let many = v1::TxnRequest { then: many, ..Default::default() };
        check("too much", many, Err("more than 1024 operations"));
    }
}
