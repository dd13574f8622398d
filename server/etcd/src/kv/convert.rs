//! Requests as the state machine has them.

use api_proto::etcd::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request;
use raft_state::KeyRange;
use raft_state::txn::{Bounds, Compare, Delete, Op, Operand, Put, RangeRead, Relation, Sort, SortBy, Txn};

use crate::status::Status;

pub(super) fn put(request: pb::PutRequest) -> Put {
    Put {
        key: request.key,
        value: (!request.ignore_value).then_some(request.value),
        lease: (!request.ignore_lease).then_some(request.lease),
        want_previous: request.prev_kv,
    }
}

pub(super) fn delete(request: pb::DeleteRangeRequest) -> Delete {
    Delete { keys: KeyRange::etcd(request.key, request.range_end), want_previous: request.prev_kv }
}

/// A checked range request.
pub(super) fn range(request: &pb::RangeRequest) -> RangeRead {
    let number = |signed: i64| u64::try_from(signed).unwrap_or(0);
    RangeRead {
        keys: KeyRange::etcd(request.key.clone(), request.range_end.clone()),
        revision: (request.revision > 0).then_some(number(request.revision)),
        limit: number(request.limit),
        sort: sort(request.sort_order(), request.sort_target()),
        count_only: request.count_only,
        bounds: Bounds {
            min_mod: number(request.min_mod_revision),
            max_mod: number(request.max_mod_revision),
            min_create: number(request.min_create_revision),
            max_create: number(request.max_create_revision),
        },
    }
}

/// Keys come in their order without sorting; any other target sorts, upwards unless asked otherwise.
fn sort(order: SortOrder, target: SortTarget) -> Sort {
    let by = match target {
        SortTarget::Key => SortBy::Key,
        SortTarget::Version => SortBy::Version,
        SortTarget::Create => SortBy::CreateRevision,
        SortTarget::Mod => SortBy::ModRevision,
        SortTarget::Value => SortBy::Value,
    };
    Sort { by, is_descending: order == SortOrder::Descend }
}

/// A checked transaction.
///
/// # Errors
/// On a compare of a kind that does not exist.
pub(super) fn txn(request: &pb::TxnRequest) -> Result<Txn, Status> {
    Ok(Txn {
        compares: request.compare.iter().map(compare).collect::<Result<_, _>>()?,
        then: request.success.iter().map(op).collect::<Result<_, _>>()?,
        otherwise: request.failure.iter().map(op).collect::<Result<_, _>>()?,
    })
}

fn op(op: &pb::RequestOp) -> Result<Op, Status> {
    Ok(match op.request.as_ref().ok_or(Status::KEY_NOT_FOUND)? {
        Request::RequestRange(request) => Op::Range(range(request)),
        Request::RequestPut(request) => Op::Put(put(request.clone())),
        Request::RequestDeleteRange(request) => Op::Delete(delete(request.clone())),
        Request::RequestTxn(request) => Op::Txn(txn(request)?),
    })
}

fn compare(compare: &pb::Compare) -> Result<Compare, Status> {
    let unknown = || Status::new(crate::Code::InvalidArgument, "etcdserver: unknown kind of compare");
    let relation = match CompareResult::try_from(compare.result).map_err(|_| unknown())? {
        CompareResult::Equal => Relation::Equal,
        CompareResult::NotEqual => Relation::NotEqual,
        CompareResult::Greater => Relation::Greater,
        CompareResult::Less => Relation::Less,
    };
    // An operand of another kind than the target, or none, counts as 0 or as the empty value.
    let union = compare.target_union.as_ref();
    let operand = match (CompareTarget::try_from(compare.target).map_err(|_| unknown())?, union) {
        (CompareTarget::Version, Some(TargetUnion::Version(v))) => Operand::Version(*v),
        (CompareTarget::Version, _) => Operand::Version(0),
        (CompareTarget::Create, Some(TargetUnion::CreateRevision(v))) => Operand::CreateRevision(*v),
        (CompareTarget::Create, _) => Operand::CreateRevision(0),
        (CompareTarget::Mod, Some(TargetUnion::ModRevision(v))) => Operand::ModRevision(*v),
        (CompareTarget::Mod, _) => Operand::ModRevision(0),
        (CompareTarget::Value, Some(TargetUnion::Value(v))) => Operand::Value(v.clone()),
        (CompareTarget::Value, _) => Operand::Value(bytes::Bytes::new()),
        (CompareTarget::Lease, Some(TargetUnion::Lease(v))) => Operand::Lease(*v),
        (CompareTarget::Lease, _) => Operand::Lease(0),
    };
    Ok(Compare { keys: KeyRange::etcd(compare.key.clone(), compare.range_end.clone()), relation, operand })
}
