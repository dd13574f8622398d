//! A range in pieces (RangeStream of etcd 3.7): one revision, many messages, the last of which counts them.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use api_proto::etcd::etcdserverpb as pb;
use bytes::{Bytes, BytesMut};
use raft_state::Entry;

use super::{answer, check, convert};
use crate::Face;
use crate::face::signed;
use crate::grpc::{self, Source};
use crate::status::Status;

/// Bytes of keys and values in a message, about.
const PIECE_BYTES: usize = 256 << 10;

impl Face {
    pub(crate) async fn range_stream(
        &self,
        request: pb::RangeRequest,
        deadline: Instant,
    ) -> Result<Box<dyn Source>, Status> {
        check::range(&request)?;
        let read = convert::range(&request);
        if read.sort != raft_state::txn::Sort::default() {
            return Err(Status::STREAM_SORT);
        }
        if read.bounds != raft_state::txn::Bounds::default() {
            return Err(Status::STREAM_FILTER);
        }
        let latest = self.reaching(read.revision, request.serializable, deadline).await?;
        let header = self.header(latest.revision());
        let found = match read.revision {
            None => read.read(&latest),
            Some(revision) => read.read(&self.past(latest, revision, deadline).await?),
        };
        Ok(Box::new(Pieces {
            entries: found.entries.into_iter(),
            keys_only: request.keys_only,
            last: Some(pb::RangeResponse {
                header: Some(header),
                kvs: Vec::new(),
                more: found.more,
                count: signed(found.count),
            }),
        }))
    }
}

struct Pieces {
    entries: std::vec::IntoIter<Arc<Entry>>,
    keys_only: bool,
    /// The head of the last message, until it is sent.
    last: Option<pb::RangeResponse>,
}

impl Source for Pieces {
    fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        if self.last.is_none() {
            return Poll::Ready(None);
        }
        let mut kvs = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.by_ref() {
            let mut kv = answer::key_value(&entry);
            if self.keys_only {
                kv.value = Bytes::new();
            }
            bytes += kv.key.len() + kv.value.len();
            kvs.push(kv);
            if bytes >= PIECE_BYTES {
                break;
            }
        }
        let head = if self.entries.len() == 0 { self.last.take() } else { None };
        let range_response = Some(pb::RangeResponse { kvs, ..head.unwrap_or_default() });
        let mut out = BytesMut::new();
        grpc::append(&pb::RangeStreamResponse { range_response }, &mut out);
        Poll::Ready(Some(Ok(out.freeze())))
    }
}
