//! The one place where a member follows its store's events for all watches of the face. With no watch to serve it does not: a
//! member that is woken for every write of others has less time for its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use raft_state::port::{Batch, Cursor, Store, WatchError};
use raft_state::{Event, Revision};
use tokio::sync::Notify;

use super::catch_up;
use super::index::Index;
use super::shared::Shared;
use super::watcher::Watcher;
use crate::status::Status;

/// Events taken from the store at a time, about.
const EVENTS_MAX: usize = 1024;

/// Follows the store and serves the watches that have come as far as it has.
pub(crate) struct Hub {
    store: Weak<dyn Store>,
    inner: Mutex<Inner>,
    /// There is a watch to serve.
    joined: Notify,
    /// How many there are of what.
    pub(crate) counts: Counts,
}

/// What `/metrics` says of watches.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) streams: AtomicU64,
    pub(crate) watches: AtomicU64,
    /// How far those have come that read on by themselves, by their serial numbers.
    pub(super) behind: Mutex<BTreeMap<u64, Revision>>,
    serial: AtomicU64,
}

struct Inner {
    /// Every watch of the index has been given all it wants up to here. Old while there is none: see [`Hub::position`].
    position: Revision,
    index: Index,
    stopped: bool,
}

impl Hub {
    /// Follows a store for as long as it lives.
    pub(crate) fn start(store: &Arc<dyn Store>) -> Arc<Self> {
        let position = store.snapshot().revision();
        let hub = Arc::new(Self {
            store: Arc::downgrade(store),
            inner: Mutex::new(Inner { position, index: Index::default(), stopped: false }),
            joined: Notify::new(),
            counts: Counts::default(),
        });
        tokio::spawn(hub.clone().run());
        hub
    }

    /// Watches that read on by themselves.
    pub(crate) fn behind(&self) -> u64 {
        self.counts.behind.lock().len() as u64
    }

    /// Revisions of the store that the slowest watch has not been given.
    pub(crate) fn lag(&self, current: Revision) -> u64 {
        let position = self.position(&mut self.inner.lock());
        let slowest = self.counts.behind.lock().values().copied().fold(position, Revision::min);
        current.saturating_sub(slowest)
    }

    /// Names a watch.
    pub(super) fn serial(&self) -> u64 {
        self.counts.serial.fetch_add(1, Ordering::Relaxed)
    }

    async fn run(self: Arc<Self>) {
        loop {
            let position = self.wanted().await;
            let Some(cursor) = self.store.upgrade().map(|store| store.watch(b"", position)) else { return };
            match self.follow(cursor).await {
                Ok(()) => {}
                // A snapshot was installed over what had not been read: the watches find out what that means for each.
                Err(WatchError::Compacted { floor, .. }) => self.skip_to(floor),
                Err(WatchError::Stopping(_)) => return self.stop(),
            }
        }
    }

    /// Serves the watches until there is none.
    async fn follow(self: &Arc<Self>, cursor: Result<Box<dyn Cursor>, WatchError>) -> Result<(), WatchError> {
        let mut cursor = cursor?;
        while self.publish(cursor.next(EVENTS_MAX).await?) {}
        Ok(())
    }

    /// Waits until there is a watch to serve; from where on.
    async fn wanted(&self) -> Revision {
        loop {
            {
                let inner = self.inner.lock();
                if !inner.index.is_empty() {
                    return inner.position;
                }
            }
            self.joined.notified().await;
        }
    }

    /// How far the watches of the index have come; with none in it, as far as the store.
    fn position(&self, inner: &mut Inner) -> Revision {
        if inner.index.is_empty()
            && let Some(store) = self.store.upgrade()
        {
            inner.position = inner.position.max(store.snapshot().revision());
        }
        inner.position
    }

    /// Gives events to the watches they concern. A watch whose stream is slow is let go, to read on by itself. False when there is
    /// no watch any more.
    fn publish(self: &Arc<Self>, batch: Batch) -> bool {
        let mut inner = self.inner.lock();
        let before = inner.position;
        let mut touched: Vec<Arc<Watcher>> = Vec::new();
        let last = batch.progress;
        for event in batch.events {
            gather(&inner.index, event, &mut touched);
        }
        for watcher in touched {
            let events = std::mem::take(&mut *watcher.pending.lock());
            if watcher.outbox.has_room() {
                let revision = events.last().map_or(last, |shared| shared.event.revision);
                watcher.outbox.events(watcher.clone(), revision, events);
            } else {
                inner.index.remove(&watcher);
                watcher.joined.store(false, Ordering::Release);
                self.let_go(watcher, before);
            }
        }
        inner.position = inner.position.max(last);
        !inner.index.is_empty()
    }

    fn let_go(self: &Arc<Self>, watcher: Arc<Watcher>, after: Revision) {
        if let Some(store) = self.store.upgrade() {
            tokio::spawn(catch_up::run(self.clone(), store, watcher, after));
        }
    }

    fn skip_to(self: &Arc<Self>, floor: Revision) {
        let mut inner = self.inner.lock();
        let before = inner.position;
        inner.position = inner.position.max(floor);
        for watcher in inner.index.drain() {
            watcher.joined.store(false, Ordering::Release);
            self.let_go(watcher, before);
        }
    }

    fn stop(&self) {
        let mut inner = self.inner.lock();
        inner.stopped = true;
        for watcher in inner.index.drain() {
            watcher.outbox.end(Err(Status::STOPPED));
        }
    }

    /// Takes a watch over that has been given everything up to `position`. False when the hub is further already.
    pub(super) fn join(&self, watcher: &Arc<Watcher>, position: Revision) -> bool {
        let mut inner = self.inner.lock();
        if inner.stopped {
            watcher.outbox.end(Err(Status::STOPPED));
            return true;
        }
        if self.position(&mut inner) > position {
            return false;
        }
        if !watcher.is_canceled() && !watcher.outbox.is_closed() {
            watcher.joined.store(true, Ordering::Release);
            inner.index.insert(watcher.clone(), position + 1);
            self.joined.notify_one();
        }
        drop(inner);
        watcher.outbox.changed.notify_waiters();
        true
    }

    /// Lets a watch go for good.
    pub(super) fn leave(&self, watcher: &Watcher) {
        let mut inner = self.inner.lock();
        watcher.canceled.store(true, Ordering::Release);
        if watcher.joined.swap(false, Ordering::AcqRel) {
            inner.index.remove(watcher);
        }
    }

    /// Does something at the hub's position, with no event on its way: what is queued here comes after all events up to
    /// the position, and before all others.
    pub(super) fn at_position<T>(&self, work: impl FnOnce(Revision) -> T) -> T {
        let mut inner = self.inner.lock();
        work(self.position(&mut inner))
    }
}

fn gather(index: &Index, event: Event, touched: &mut Vec<Arc<Watcher>>) {
    let mut shared: Option<Arc<Shared>> = None;
    let (key, revision) = (event.entry.key.clone(), event.revision);
    index.concerned(&key, revision, |watcher| {
        if !watcher.wants(&event) {
            return;
        }
        let shared = shared.get_or_insert_with(|| Arc::new(Shared::new(event.clone())));
        let mut pending = watcher.pending.lock();
        if pending.is_empty() {
            touched.push(watcher.clone());
        }
        pending.push(shared.clone());
    });
}
