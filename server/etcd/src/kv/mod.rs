//! Keys and values: ranges, puts, deletions, transactions, compaction.

mod answer;
mod check;
mod convert;
mod evaluate;
mod range;
mod stream;

pub(crate) use answer::key_value;

use std::time::Instant;

use api_proto::etcd::etcdserverpb as pb;
use prost::Message;
use raft_state::txn::{Answer, Answers, Op, Txn, Verdict};
use raft_state::{Command, Outcome, Revision};

use crate::Face;
use crate::face::signed;
use crate::status::{Code, Status};

/// The largest request, as etcd has it by default.
const REQUEST_BYTES_MAX: usize = 1536 << 10;

/// A transaction that was applied.
struct Applied {
    /// The store's revision after it.
    revision: Revision,
    verdict: Verdict,
}

impl Face {
    pub(crate) async fn put(&self, request: pb::PutRequest, deadline: Instant) -> Result<pb::PutResponse, Status> {
        check::put(&request)?;
        check_size(&request)?;
        let put = convert::put(request);
        self.check_writable(|range| range.contains(&put.key))?;
        let applied = self.apply(Txn { then: vec![Op::Put(put)], ..Txn::default() }, deadline).await?;
        let previous = match applied.verdict.answers.into_iter().next() {
            Some(Answer::Put(previous)) => previous,
            _ => None,
        };
        Ok(pb::PutResponse { header: Some(self.header(applied.revision)), prev_kv: previous.as_ref().map(key_value) })
    }

    pub(crate) async fn delete_range(
        &self,
        request: pb::DeleteRangeRequest,
        deadline: Instant,
    ) -> Result<pb::DeleteRangeResponse, Status> {
        check::delete(&request)?;
        let delete = convert::delete(request);
        self.check_writable(|range| range.overlaps(&delete.keys))?;
        let applied = self.apply(Txn { then: vec![Op::Delete(delete)], ..Txn::default() }, deadline).await?;
        let (deleted, previous) = match applied.verdict.answers.into_iter().next() {
            Some(Answer::Deleted(deleted, previous)) => (deleted, previous),
            _ => (0, Vec::new()),
        };
        Ok(pb::DeleteRangeResponse {
            header: Some(self.header(applied.revision)),
            deleted: signed(deleted),
            prev_kvs: previous.iter().map(key_value).collect(),
        })
    }

    pub(crate) async fn txn(&self, request: pb::TxnRequest, deadline: Instant) -> Result<pb::TxnResponse, Status> {
        check::txn(&request)?;
        check_size(&request)?;
        let txn = convert::txn(&request)?;
        if txn.is_read_only() {
            let newest = evaluate::newest(&txn);
            let snapshot = self.reaching(newest, check::is_serializable(&request), deadline).await?;
            let applied = Applied { revision: snapshot.revision(), verdict: evaluate::read_only(&txn, &snapshot)? };
            return self.answer(&request, applied, deadline).await;
        }
        self.check_writable(|range| txn.writes_to(range))?;
        let applied = self.apply(txn, deadline).await?;
        self.answer(&request, applied, deadline).await
    }

    pub(crate) async fn compact(
        &self,
        request: pb::CompactionRequest,
        deadline: Instant,
    ) -> Result<pb::CompactionResponse, Status> {
        let revision = u64::try_from(request.revision).map_err(|_| Status::COMPACTED)?;
        // Nothing lies at revision 0: there is nothing to forget, and the first to say so is right.
        if revision > 0 || self.store.snapshot().compacted() > 0 {
            self.propose(Command::Compact { revision }, deadline).await?;
        }
        Ok(pb::CompactionResponse { header: Some(self.header_now()) })
    }

    /// Through the log.
    async fn apply(&self, txn: Txn, deadline: Instant) -> Result<Applied, Status> {
        match self.propose(Command::EtcdTxn(txn), deadline).await? {
            Outcome::Txn { revision, succeeded, answers: Answers(Some(answers)) } => {
                let answers = std::sync::Arc::try_unwrap(answers).unwrap_or_else(|shared| (*shared).clone());
                Ok(Applied { revision, verdict: Verdict { succeeded, answers } })
            }
            // Applied, while this member was catching up by a snapshot: what it read and replaced is not known here.
            Outcome::Txn { .. } => Err(Status::TIMEOUT),
            other => Err(Status::new(Code::Internal, format!("etcdserver: a transaction came to {other:?}"))),
        }
    }
}

fn check_size(request: &impl Message) -> Result<(), Status> {
    match request.encoded_len() > REQUEST_BYTES_MAX {
        true => Err(Status::REQUEST_TOO_LARGE),
        false => Ok(()),
    }
}
