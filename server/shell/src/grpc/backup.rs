//! A backup as a stream of chunks.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use api_proto::v1;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use raft_backup::etcd::Export;
use raft_backup::{Backup, Origin};
use raft_state::Snapshot;
use tokio::sync::mpsc;
use tonic::Status;

use crate::keyring::Keyring;

/// Chunks made ahead of the network.
const CHUNKS_AHEAD: usize = 4;

type Chunks = BoxStream<'static, Result<v1::BackupChunk, Status>>;

/// What a backup says of where it comes from, and the keys of Secrets.
#[derive(Clone)]
pub struct Source {
    /// Id of the cluster.
    pub cluster: String,
    /// Name of this master.
    pub member: String,
    /// Seals Secrets.
    pub keyring: Arc<Keyring>,
}

impl Source {
    /// Streams a backup of a snapshot.
    pub(super) fn stream(&self, snapshot: Snapshot, request: &v1::BackupRequest) -> Result<Chunks, Status> {
        if request.format() == v1::backup_request::Format::Etcd {
            if !request.passphrase.is_empty() {
                return Err(Status::invalid_argument("etcd's format has no place for keys"));
            }
            return Ok(chunks(move |send| send_all(&send, Export::new(&snapshot))));
        }
        let (source, passphrase) = (self.clone(), request.passphrase.clone());
        Ok(chunks(move |send| {
            let taken = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            match source.backup(snapshot, taken.as_secs(), &passphrase) {
                Ok(backup) => send_all(&send, backup),
                // Whoever asked may have left.
                Err(error) => drop(send.blocking_send(Err(Status::internal(format!("{error:#}"))))),
            }
        }))
    }

    /// A backup of a snapshot that was taken at `taken_s`, seconds since 1970; with the keys of Secrets when there is a
    /// passphrase to wrap them, which takes a while.
    ///
    /// # Errors
    /// When they cannot be wrapped.
    pub fn backup(self, snapshot: Snapshot, taken_s: u64, passphrase: &[u8]) -> anyhow::Result<Backup> {
        let keys = (!passphrase.is_empty()).then(|| self.keyring.wrap(passphrase)).transpose();
        let keys = keys.context("wrapping the keys")?;
        let origin = Origin { cluster: self.cluster, member: self.member, taken_s, keys };
        Ok(Backup::new(snapshot, self.keyring, origin))
    }
}

type Sender = mpsc::Sender<Result<v1::BackupChunk, Status>>;

/// Makes chunks on a thread that may block, as fast as they are taken.
fn chunks(make: impl FnOnce(Sender) + Send + 'static) -> Chunks {
    let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || make(send));
    stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) }).boxed()
}

/// Sends the parts of a file, and then its length, until nobody takes them any more.
fn send_all(send: &Sender, parts: impl Iterator<Item = Bytes>) {
    let mut offset = 0;
    for data in parts {
        let length = data.len() as u64;
        let chunk = v1::BackupChunk { checksum: crc32c::crc32c(&data), data, offset, total: None };
        if send.blocking_send(Ok(chunk)).is_err() {
            return;
        }
        offset += length;
    }
    let _ = send.blocking_send(Ok(v1::BackupChunk { offset, total: Some(offset), ..Default::default() }));
}
