//! What readers see of the state.

use std::sync::Arc;

use parking_lot::RwLock;
use raft_state::history::{History, Stored};
use raft_state::port::{BoxFuture, Cursor, ReadError, WatchError};
use raft_state::{Feed, Keyring, Revision, Snapshot};

use crate::ground::StateDisk;

/// The readers' side of the state. It may outlive the member: what is in memory stays readable, the disk does not.
pub(crate) struct View {
    feed: Arc<Feed>,
    store: Arc<Closable>,
}

/// The state on disk, until the member ends.
struct Closable(RwLock<Option<Arc<dyn StateDisk>>>);

impl History for Closable {
    fn after(&self, after: Revision, max: usize) -> BoxFuture<'_, Vec<Stored>> {
        let store = self.0.read().clone();
        Box::pin(async move {
            match store {
                Some(store) => store.after(after, max).await,
                None => Vec::new(),
            }
        })
    }
}

impl View {
    pub(crate) fn new(
        snapshot: Snapshot,
        store: Arc<dyn StateDisk>,
        keyring: Arc<dyn Keyring>,
    ) -> (Arc<Self>, Arc<Feed>) {
        let store = Arc::new(Closable(RwLock::new(Some(store))));
        let feed = Feed::new(snapshot, store.clone(), keyring);
        (Arc::new(Self { feed: feed.clone(), store }), feed)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.feed.snapshot()
    }

    pub(crate) async fn exact(&self, revision: Revision) -> Result<Snapshot, ReadError> {
        self.feed.at(revision).await
    }

    pub(crate) fn watch(&self, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError> {
        self.feed.watch(prefix, after)
    }

    /// Wakes watchers of quiet resources, so that they learn how far the others have come.
    pub(crate) fn wake_all(&self) {
        self.feed.wake_all();
    }

    /// Lets go of events that were there at the last call.
    pub(crate) fn forget_old(&self) {
        self.feed.forget_old();
    }

    /// Ends every watch.
    pub(crate) fn stop(&self, reason: &str) {
        self.feed.stop(reason.to_owned());
    }

    /// Brings the state to the disk, so that the next start has nothing to apply again. Blocks.
    pub(crate) fn flush(&self) {
        let store = self.store.0.read().clone();
        if let Some(Err(e)) = store.map(|store| store.flush()) {
            tracing::warn!("bringing the state to the disk: {e}");
        }
    }

    /// Lets go of the disk.
    pub(crate) fn close(&self) {
        self.store.0.write().take();
    }
}
