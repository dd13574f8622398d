//! A watch that reads on by itself: from a revision of the past, or because its stream is slow.

use std::sync::Arc;

use api_proto::etcd::etcdserverpb as pb;
use raft_state::Revision;
use raft_state::port::{Cursor, Store, WatchError};

use super::hub::Hub;
use super::shared::Shared;
use super::watcher::Watcher;
use crate::face::signed;
use crate::status::Status;

/// Events read at a time, about.
const EVENTS_MAX: usize = 512;

/// Gives a watch what lies between `after` and the hub, then joins it.
pub(super) async fn run(hub: Arc<Hub>, store: Arc<dyn Store>, watcher: Arc<Watcher>, after: Revision) {
    // What the watch does not want need not be read.
    let mut position = after.max(watcher.start.saturating_sub(1));
    let behind = Behind::new(&hub, watcher.serial, position);
    if hub.join(&watcher, position) {
        return;
    }
    let ended = match store.watch(&watcher.prefix(), position) {
        Ok(mut cursor) => loop {
            watcher.outbox.room().await;
            if watcher.is_canceled() || watcher.outbox.is_closed() || hub.join(&watcher, position) {
                return;
            }
            // The hub is further, so that there is something to read and this does not wait.
            match take(&mut *cursor, &watcher).await {
                Ok(reached) => {
                    position = reached;
                    behind.reached(position);
                }
                Err(error) => break error,
            }
        },
        Err(error) => error,
    };
    match ended {
        WatchError::Stopping(_) => watcher.outbox.end(Err(Status::STOPPED)),
        WatchError::Compacted { floor, .. } if !watcher.is_canceled() => {
            hub.leave(&watcher);
            watcher.outbox.control(pb::WatchResponse {
                header: Some(watcher.outbox.header(0)),
                watch_id: watcher.id,
                canceled: true,
                // The first revision that can be watched: what lies at the floor may have been superseded there.
                compact_revision: signed(floor),
                ..Default::default()
            });
        }
        WatchError::Compacted { .. } => {}
    }
}

/// Takes what comes next and queues it; how far that was.
async fn take(cursor: &mut dyn Cursor, watcher: &Arc<Watcher>) -> Result<Revision, WatchError> {
    let batch = cursor.next(EVENTS_MAX).await?;
    let concerned = |event: &raft_state::Event| watcher.keys.contains(&event.entry.key) && watcher.wants(event);
    let events: Vec<Arc<Shared>> =
        batch.events.into_iter().filter(concerned).map(|event| Arc::new(Shared::new(event))).collect();
    if !events.is_empty() {
        watcher.outbox.events(watcher.clone(), batch.progress, events);
    }
    Ok(batch.progress)
}

/// A watch that reads on by itself, while it lives.
struct Behind<'a> {
    hub: &'a Hub,
    serial: u64,
}

impl<'a> Behind<'a> {
    fn new(hub: &'a Hub, serial: u64, position: Revision) -> Self {
        let behind = Self { hub, serial };
        behind.reached(position);
        behind
    }

    fn reached(&self, position: Revision) {
        self.hub.counts.behind.lock().insert(self.serial, position);
    }
}

impl Drop for Behind<'_> {
    fn drop(&mut self) {
        self.hub.counts.behind.lock().remove(&self.serial);
    }
}
