//! A snapshot in etcd's own format: what `etcdctl snapshot save` saves and `etcdutl snapshot restore` reads.

use std::task::{Context, Poll, ready};

use api_proto::etcd::etcdserverpb as pb;
use bytes::{Bytes, BytesMut};
use raft_backup::etcd::Export;
use raft_state::Snapshot;
use tokio::sync::mpsc;

use crate::grpc::{self, Source};
use crate::status::{Code, Status};
use crate::{CLUSTER_VERSION, Face};

/// Parts made ahead of the network.
const PARTS_AHEAD: usize = 4;

impl Face {
    /// The state of this member, as etcd does it: without asking a quorum, so that a survivor can still be saved.
    pub(crate) fn snapshot(&self) -> Box<dyn Source> {
        let state = self.store.snapshot();
        let header = self.header(state.revision());
        let (parts, receive) = mpsc::channel(PARTS_AHEAD);
        tokio::task::spawn_blocking(move || make(&state, &parts));
        Box::new(Parts { header: Some(header), receive, whole: false })
    }
}

/// A part of the file with the number of bytes that follow it.
struct Part {
    blob: Bytes,
    remaining: u64,
}

/// Makes the file part by part, as fast as the parts are taken, on a thread that may block.
fn make(state: &Snapshot, parts: &mpsc::Sender<Part>) {
    let export = Export::new(state);
    let mut remaining = export.bytes();
    for blob in export.filter(|part| !part.is_empty()) {
        remaining -= blob.len() as u64;
        // Whoever asked may have left.
        if parts.blocking_send(Part { blob, remaining }).is_err() {
            return;
        }
    }
}

/// The messages of the stream.
struct Parts {
    /// Of the first message.
    header: Option<pb::ResponseHeader>,
    receive: mpsc::Receiver<Part>,
    /// The checksum at the end has passed.
    whole: bool,
}

impl Source for Parts {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let Some(Part { blob, remaining }) = ready!(self.receive.poll_recv(cx)) else {
            // A file that breaks off must not look like one that ended.
            let broken = || Err(Status::new(Code::Internal, "etcdserver: the snapshot broke off"));
            return Poll::Ready((!self.whole).then(broken));
        };
        self.whole = remaining == 0;
        let message = pb::SnapshotResponse {
            header: self.header.take(),
            remaining_bytes: remaining,
            blob,
            version: CLUSTER_VERSION.to_owned(),
        };
        let mut out = BytesMut::new();
        grpc::append(&message, &mut out);
        Poll::Ready(Some(Ok(out.freeze())))
    }
}
