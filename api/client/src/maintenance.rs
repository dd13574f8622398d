//! Backups, compaction, hashes.

use api_proto::v1;
use api_proto::v1::maintenance_client::MaintenanceClient;
use bytes::Bytes;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::masters::{ANSWER_BYTES_MAX, Repeat};
use crate::{Client, Error};

fn maintenance(channel: Channel) -> MaintenanceClient<Channel> {
    MaintenanceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

impl Client {
    /// Begins a backup at one master. It cannot go on at another: when it breaks off, begin again.
    ///
    /// # Errors
    /// When no master answers, or refuses.
    pub async fn backup(&self, request: v1::BackupRequest) -> Result<Backup, Error> {
        let send = |channel, mut request: Request<_>| async move {
            // A deadline of the call would end the stream with it.
            request.metadata_mut().remove("grpc-timeout");
            maintenance(channel).backup(request).await
        };
        let stream = self.masters.call(Repeat::Freely, request, send).await?;
        Ok(Backup { stream, received: 0, total: None })
    }

    /// Forgets what was superseded at or before a revision; the floor afterwards. Doing it twice is an error and no harm.
    ///
    /// # Errors
    /// [`Error::Compacted`] when it has been done.
    pub async fn compact(&self, revision: u64) -> Result<u64, Error> {
        let send = |channel, request| async move { maintenance(channel).compact(request).await };
        let request = v1::CompactRequest { revision };
        Ok(self.masters.call(Repeat::WhenUntouched, request, send).await?.floor)
    }

    /// The hash over everything that lives in the store, at the master in use.
    ///
    /// # Errors
    /// When no master answers.
    pub async fn hash(&self) -> Result<v1::HashResponse, Error> {
        let send = |channel, request| async move { maintenance(channel).hash(request).await };
        self.masters.call(Repeat::Freely, v1::HashRequest {}, send).await
    }
}

/// A backup on its way.
#[derive(Debug)]
pub struct Backup {
    stream: Streaming<v1::BackupChunk>,
    received: u64,
    total: Option<u64>,
}

impl Backup {
    /// The next bytes of the file; `None` when it is whole.
    ///
    /// # Errors
    /// When the stream breaks, or what comes is not what was sent.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let broken = |what: &str| Error::from(Status::data_loss(format!("the backup broke off: {what}")));
        match self.stream.message().await? {
            Some(chunk) if self.total.is_some() || chunk.offset != self.received => Err(broken("a chunk out of order")),
            Some(chunk) if crc32c::crc32c(&chunk.data) != chunk.checksum => Err(broken("a chunk is damaged")),
            Some(chunk) => {
                self.received += chunk.data.len() as u64;
                self.total = chunk.total;
                if chunk.total.is_some_and(|total| total != self.received) {
                    return Err(broken("it has another length"));
                }
                Ok(Some(chunk.data))
            }
            None if self.total.is_some() => Ok(None),
            None => Err(broken("it has no end")),
        }
    }
}
