//! What is wrong with a request before anybody looks at the store.

use std::collections::BTreeSet;

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request;
use raft_state::KeyRange;

use crate::status::Status;

/// Operations of a transaction, nested ones with those around them, as etcd has it by default.
const OPS_MAX: usize = 128;

fn key(key: &Bytes) -> Result<(), Status> {
    if key.is_empty() { Err(Status::EMPTY_KEY) } else { Ok(()) }
}

pub(super) fn range(request: &pb::RangeRequest) -> Result<(), Status> {
    key(&request.key)?;
    if SortOrder::try_from(request.sort_order).is_err() || SortTarget::try_from(request.sort_target).is_err() {
        return Err(Status::INVALID_SORT);
    }
    Ok(())
}

pub(super) fn put(request: &pb::PutRequest) -> Result<(), Status> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(Status::VALUE_PROVIDED);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Status::LEASE_PROVIDED);
    }
    Ok(())
}

pub(super) fn delete(request: &pb::DeleteRangeRequest) -> Result<(), Status> {
    key(&request.key)
}

/// The operations, their number, and that no branch writes a key twice.
pub(super) fn txn(request: &pb::TxnRequest) -> Result<(), Status> {
    ops(request, OPS_MAX)?;
    Writes::of(&request.success)?;
    Writes::of(&request.failure)?;
    Ok(())
}

fn ops(request: &pb::TxnRequest, room: usize) -> Result<(), Status> {
    let count = request.compare.len().max(request.success.len()).max(request.failure.len());
    let room = room.checked_sub(count).ok_or(Status::TOO_MANY_OPS)?;
    for compare in &request.compare {
        key(&compare.key)?;
    }
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            Some(Request::RequestRange(request)) => range(request)?,
            Some(Request::RequestPut(request)) => put(request)?,
            Some(Request::RequestDeleteRange(request)) => delete(request)?,
            Some(Request::RequestTxn(request)) => ops(request, room)?,
            None => return Err(Status::KEY_NOT_FOUND),
        }
    }
    Ok(())
}

/// Whether all that a transaction reads may be stale.
pub(super) fn is_serializable(request: &pb::TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).all(|op| match &op.request {
        Some(Request::RequestRange(request)) => request.serializable,
        Some(Request::RequestTxn(request)) => is_serializable(request),
        _ => false,
    })
}

/// What a branch may write, whichever way the transactions within it go.
#[derive(Default)]
struct Writes {
    puts: BTreeSet<Bytes>,
    deletions: Vec<KeyRange>,
}

impl Writes {
    /// # Errors
    /// When some way through the branch writes a key twice, or writes a key that it deletes.
    fn of(branch: &[pb::RequestOp]) -> Result<Self, Status> {
        let mut writes = Self::default();
        for op in branch {
            if let Some(Request::RequestDeleteRange(request)) = &op.request {
                writes.deletions.push(KeyRange::etcd(request.key.clone(), request.range_end.clone()));
            }
        }
        for op in branch {
            let Some(Request::RequestTxn(within)) = &op.request else { continue };
            let (then, otherwise) = (Self::of(&within.success)?, Self::of(&within.failure)?);
            // One of the two happens: they may write the same keys.
            let either: BTreeSet<Bytes> = then.puts.union(&otherwise.puts).cloned().collect();
            for key in either {
                writes.put(key)?;
            }
            writes.deletions.extend(then.deletions);
            writes.deletions.extend(otherwise.deletions);
        }
        for op in branch {
            if let Some(Request::RequestPut(request)) = &op.request {
                writes.put(request.key.clone())?;
            }
        }
        Ok(writes)
    }

    fn put(&mut self, key: Bytes) -> Result<(), Status> {
        if self.deletions.iter().any(|range| range.contains(&key)) || !self.puts.insert(key) {
            return Err(Status::DUPLICATE_KEY);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_op(key: &'static str) -> pb::RequestOp {
        let request = pb::PutRequest { key: Bytes::from_static(key.as_bytes()), ..Default::default() };
        pb::RequestOp { request: Some(Request::RequestPut(request)) }
    }

    fn delete_op(key: &'static str, end: &'static str) -> pb::RequestOp {
        let (key, range_end) = (Bytes::from_static(key.as_bytes()), Bytes::from_static(end.as_bytes()));
        let request = pb::DeleteRangeRequest { key, range_end, ..Default::default() };
        pb::RequestOp { request: Some(Request::RequestDeleteRange(request)) }
    }

    fn within(success: Vec<pb::RequestOp>, failure: Vec<pb::RequestOp>) -> pb::RequestOp {
        let request = pb::TxnRequest { success, failure, ..Default::default() };
        pb::RequestOp { request: Some(Request::RequestTxn(request)) }
    }

    #[test]
    fn a_branch_writes_a_key_once() {
        let check = |success: Vec<pb::RequestOp>, expected: Result<(), Status>| {
            let request = pb::TxnRequest { success, ..Default::default() };
            assert_eq!(txn(&request), expected, "{request:?}");
        };
        check(vec![put_op("a"), put_op("b")], Ok(()));
        check(vec![put_op("a"), put_op("a")], Err(Status::DUPLICATE_KEY));
        check(vec![put_op("a"), delete_op("a", "")], Err(Status::DUPLICATE_KEY));
        check(vec![put_op("c"), delete_op("a", "c")], Ok(()));
        check(vec![put_op("b"), delete_op("a", "c")], Err(Status::DUPLICATE_KEY));
        check(vec![delete_op("a", "c"), delete_op("b", "")], Ok(()));
        check(vec![within(vec![put_op("a")], vec![put_op("a")])], Ok(()));
        check(vec![within(vec![put_op("a")], vec![]), put_op("a")], Err(Status::DUPLICATE_KEY));
        check(vec![within(vec![put_op("a")], vec![]), within(vec![], vec![put_op("a")])], Err(Status::DUPLICATE_KEY));
        check(vec![within(vec![delete_op("a", "")], vec![]), put_op("a")], Err(Status::DUPLICATE_KEY));
    }

    #[test]
    fn nested_operations_count_with_those_around_them() {
        let check = |outer: usize, inner: usize, expected: Result<(), Status>| {
            let names: Vec<&'static str> = (0..outer + inner).map(|i| &*format!("k{i}").leak()).collect();
            let mut success: Vec<_> = names[..outer].iter().map(|name| put_op(name)).collect();
            if inner > 0 {
                success.pop();
                success.push(within(names[outer..].iter().map(|name| put_op(name)).collect(), vec![]));
            }
            assert_eq!(txn(&pb::TxnRequest { success, ..Default::default() }), expected, "{outer} {inner}");
        };
        check(128, 0, Ok(()));
        check(129, 0, Err(Status::TOO_MANY_OPS));
        check(64, 64, Ok(()));
        check(65, 64, Err(Status::TOO_MANY_OPS));
    }
}
