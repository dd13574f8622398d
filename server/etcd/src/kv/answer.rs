//! What the store found, as etcd's messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use api_proto::etcd::{etcdserverpb as pb, mvccpb};
use bytes::Bytes;
use pb::request_op::Request;
use pb::response_op::Response;
use raft_state::txn::{Answer, Found, Verdict};
use raft_state::{Entry, Revision, Snapshot};

use super::Applied;
use crate::Face;
use crate::face::signed;
use crate::status::{Code, Status};

/// A version of a key. Key and value are shared, not copied.
pub(crate) fn key_value(entry: &Arc<Entry>) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: entry.key.clone(),
        create_revision: signed(entry.create_revision),
        mod_revision: signed(entry.mod_revision),
        version: signed(entry.version),
        value: entry.value.clone(),
        lease: entry.lease,
    }
}

/// What a range read found.
pub(super) fn range(found: Found, keys_only: bool, header: pb::ResponseHeader) -> pb::RangeResponse {
    let key = |entry: &Arc<Entry>| match keys_only {
        true => mvccpb::KeyValue { value: Bytes::new(), ..key_value(entry) },
        false => key_value(entry),
    };
    pb::RangeResponse {
        header: Some(header),
        kvs: found.entries.iter().map(key).collect(),
        more: found.more,
        count: signed(found.count),
    }
}

impl Face {
    /// The response to a transaction: its answers beside the operations that asked for them.
    pub(super) async fn answer(
        &self,
        request: &pb::TxnRequest,
        applied: Applied,
        deadline: Instant,
    ) -> Result<pb::TxnResponse, Status> {
        let mut past = BTreeMap::new();
        for revision in past_revisions(&applied.verdict) {
            if let std::collections::btree_map::Entry::Vacant(place) = past.entry(revision) {
                place.insert(self.past(self.store.snapshot(), revision, deadline).await?);
            }
        }
        let before = applied.revision - u64::from(wrote(&applied.verdict));
        let mut writer = Writer { past, before, has_written: false };
        let response = writer.txn(request, applied.verdict)?;
        Ok(pb::TxnResponse { header: Some(self.header(applied.revision)), ..response })
    }
}

fn past_revisions(verdict: &Verdict) -> Vec<Revision> {
    let mut revisions = Vec::new();
    for answer in &verdict.answers {
        match answer {
            Answer::Past(read) => revisions.extend(read.revision),
            Answer::Txn(within) => revisions.extend(past_revisions(within)),
            _ => {}
        }
    }
    revisions
}

/// Whether it changed anything, and so took a revision.
fn wrote(verdict: &Verdict) -> bool {
    verdict.answers.iter().any(|answer| match answer {
        Answer::Put(_) => true,
        Answer::Deleted(deleted, _) => *deleted > 0,
        Answer::Txn(within) => wrote(within),
        Answer::Found(_) | Answer::Past(_) => false,
    })
}

/// Writes responses in the order of the operations; each has the revision that etcd gives it.
struct Writer {
    past: BTreeMap<Revision, Snapshot>,
    /// The revision before the transaction.
    before: Revision,
    has_written: bool,
}

impl Writer {
    fn txn(&mut self, request: &pb::TxnRequest, verdict: Verdict) -> Result<pb::TxnResponse, Status> {
        let ops = if verdict.succeeded { &request.success } else { &request.failure };
        let responses = ops.iter().zip(verdict.answers).map(|(op, answer)| self.op(op, answer));
        Ok(pb::TxnResponse {
            header: Some(pb::ResponseHeader::default()),
            succeeded: verdict.succeeded,
            responses: responses.collect::<Result<_, _>>()?,
        })
    }

    fn op(&mut self, op: &pb::RequestOp, answer: Answer) -> Result<pb::ResponseOp, Status> {
        let response = match (op.request.as_ref(), answer) {
            (Some(Request::RequestRange(request)), Answer::Found(found)) => {
                Response::ResponseRange(range(found, request.keys_only, self.header()))
            }
            (Some(Request::RequestRange(request)), Answer::Past(read)) => {
                let state = read.revision.and_then(|revision| self.past.get(&revision)).ok_or(Status::COMPACTED)?;
                Response::ResponseRange(range(read.read(state), request.keys_only, self.header()))
            }
            (Some(Request::RequestPut(_)), Answer::Put(previous)) => {
                self.has_written = true;
                let prev_kv = previous.map(|entry| key_value(&entry));
                Response::ResponsePut(pb::PutResponse { header: Some(self.header()), prev_kv })
            }
            (Some(Request::RequestDeleteRange(_)), Answer::Deleted(deleted, previous)) => {
                self.has_written |= deleted > 0;
                Response::ResponseDeleteRange(pb::DeleteRangeResponse {
                    header: Some(self.header()),
                    deleted: signed(deleted),
                    prev_kvs: previous.iter().map(key_value).collect(),
                })
            }
            (Some(Request::RequestTxn(request)), Answer::Txn(within)) => {
                Response::ResponseTxn(self.txn(request, within)?)
            }
            _ => return Err(Status::new(Code::Internal, "etcdserver: an answer to another operation")),
        };
        Ok(pb::ResponseOp { response: Some(response) })
    }

    fn header(&self) -> pb::ResponseHeader {
        let revision = self.before + u64::from(self.has_written);
        pb::ResponseHeader { revision: signed(revision), ..Default::default() }
    }
}
