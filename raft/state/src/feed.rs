//! What readers and watchers see: the latest snapshot, and the ring of recent events.
//!
//! One member has one feed. Apply publishes on it after each log entry; readers clone the snapshot; a watcher is a
//! [`FeedCursor`]: a position and a prefix, woken when its resource changed, with no buffer of its own. Behind the ring it
//! reads stored versions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use planted_bugs::planted;
use tokio::sync::watch;

use crate::history::{History, Stored};
use crate::port::{Batch, BoxFuture, Cursor, ReadError, WatchError};
use crate::snapshot::partition;
use crate::{Event, Keyring, Revision, Snapshot};

/// Recent events kept over all resources.
const RING_EVENTS_MAX: usize = 16_384;
/// Bytes of values that the ring may keep alive.
const RING_BYTES_MAX: usize = 16 << 20;
/// Events that stay however old they are.
const RING_EVENTS_MIN: usize = 256;
/// Stored versions read at a time behind the ring.
const HISTORY_PAGE: usize = 512;

/// The events above `floor`, ascending, without gaps (and perhaps the rest of those at the floor).
#[derive(Default)]
struct Ring {
    floor: Revision,
    events: VecDeque<Event>,
    bytes: usize,
    /// The newest event when old ones were forgotten last.
    seen: Revision,
}

impl Ring {
    fn push(&mut self, event: Event) {
        self.bytes += event.entry.value.len();
        self.events.push_back(event);
        while self.events.len() > RING_EVENTS_MAX || self.bytes > RING_BYTES_MAX {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(oldest) = self.events.pop_front() else { return };
        self.bytes -= oldest.entry.value.len();
        self.floor = oldest.revision;
    }

    fn forget_old(&mut self) {
        while self.events.len() > RING_EVENTS_MIN && self.events.front().is_some_and(|e| e.revision <= self.seen) {
            self.pop();
        }
        self.events.shrink_to(RING_EVENTS_MIN);
        self.seen = self.events.back().map_or(self.floor, |newest| newest.revision);
    }

    /// Index of the first event above a revision. Revisions in the ring have no gaps below the last.
    fn index_after(&self, after: Revision) -> usize {
        self.events.partition_point(|event| event.revision <= after)
    }
}

/// The published state of one member.
pub struct Feed {
    snapshot: RwLock<Snapshot>,
    ring: RwLock<Ring>,
    /// One channel a resource, so that a watcher wakes for its own resource only; the empty partition's wakes for all.
    wakers: Mutex<BTreeMap<Bytes, watch::Sender<Revision>>>,
    revision: watch::Sender<Revision>,
    stopped: watch::Sender<Option<String>>,
    history: Arc<dyn History>,
    keyring: Arc<dyn Keyring>,
}

impl Feed {
    /// A feed that begins at a snapshot: older events come from `history`.
    pub fn new(snapshot: Snapshot, history: Arc<dyn History>, keyring: Arc<dyn Keyring>) -> Arc<Self> {
        let revision = snapshot.revision();
        Arc::new(Self {
            snapshot: RwLock::new(snapshot),
            ring: RwLock::new(Ring { floor: revision, ..Ring::default() }),
            wakers: Mutex::default(),
            revision: watch::Sender::new(revision),
            stopped: watch::Sender::new(None),
            history,
            keyring,
        })
    }

    /// Publishes what applying some log entries came to. Called by apply alone, in order.
    pub fn publish(&self, snapshot: Snapshot, events: Vec<Event>) {
        let revision = snapshot.revision();
        let touched: Vec<Bytes> = {
            let mut touched: Vec<Bytes> = Vec::new();
            for event in &events {
                let home = partition(&event.entry.key);
                if touched.last().is_none_or(|last| last != home) {
                    touched.push(event.entry.key.slice(..home.len()));
                }
            }
            touched.sort();
            touched.dedup();
            touched
        };
        {
            let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
            for event in events {
                ring.push(event);
            }
        }
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        self.revision.send_replace(revision);
        if touched.is_empty() {
            return;
        }
        let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        for home in touched.iter().chain([&Bytes::new()]) {
            if let Some(waker) = wakers.get(home) {
                waker.send_replace(revision);
            }
        }
    }

    /// Starts over from an installed snapshot: the ring is empty, its floor at the snapshot.
    pub fn reset(&self, snapshot: Snapshot) {
        let revision = snapshot.revision();
        if !planted!(EventsKeptAcrossSnapshot) {
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Ring { floor: revision, ..Ring::default() };
        }
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        self.revision.send_replace(revision);
        self.wake_all();
    }

    /// Wakes every watcher, so that those of quiet resources can report their progress.
    pub fn wake_all(&self) {
        let revision = *self.revision.borrow();
        for waker in self.wakers.lock().unwrap_or_else(PoisonError::into_inner).values() {
            waker.send_replace(revision);
        }
    }

    /// Lets go of the events that were there at the last call: whoever is behind them reads stored versions. A member that
    /// has little to do calls it by the clock, and holds little.
    pub fn forget_old(&self) {
        self.ring.write().unwrap_or_else(PoisonError::into_inner).forget_old();
    }

    /// Ends every watch with this reason.
    pub fn stop(&self, reason: String) {
        self.stopped.send_replace(Some(reason));
        self.revision.send_modify(|_| {});
        self.wake_all();
    }

    /// The latest state.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The revision as it moves.
    pub fn revision(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// The state at exactly this revision: the latest one with later events undone.
    ///
    /// # Errors
    /// When the revision is compacted. The caller has waited until it is reached.
    pub async fn at(&self, revision: Revision) -> Result<Snapshot, ReadError> {
        let mut snapshot = self.snapshot();
        let floor = snapshot.compacted();
        if revision < floor {
            return Err(ReadError::Compacted { requested: revision, floor });
        }
        if revision > snapshot.revision() {
            return Err(ReadError::DeadlineExceeded { current: snapshot.revision() });
        }
        let current = snapshot.revision();
        let mut events = Vec::new();
        let mut position = revision;
        while position < current {
            let page = self.events_after(position, usize::MAX).await.map_err(|error| match error {
                WatchError::Compacted { floor, .. } => ReadError::Compacted { requested: revision, floor },
                WatchError::Stopping(reason) => ReadError::Stopping(reason),
            })?;
            let Some(last) = page.last() else { break };
            position = last.revision;
            events.extend(page);
        }
        let kept = usize::from(planted!(ExactReadOffByOne));
        for event in events.iter().skip(kept).rev().filter(|event| event.revision <= current) {
            snapshot.undo(event);
        }
        snapshot.scalars.revision = revision;
        Ok(snapshot)
    }

    /// Events above `after`, from the ring or a page of history; empty only when there is none.
    async fn events_after(&self, after: Revision, max: usize) -> Result<Vec<Event>, WatchError> {
        {
            let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
            if after >= ring.floor {
                return Ok(ring.events.range(ring.index_after(after)..).take(max).cloned().collect());
            }
        }
        let floor = self.snapshot().compacted();
        if after < floor {
            return Err(WatchError::Compacted { requested: after, floor });
        }
        let mut page = self.history.after(after, HISTORY_PAGE).await;
        if planted!(DeletionLostInHistory) {
            page.retain(|stored| stored.record.payload.is_some());
        }
        match page.iter().map(|stored| stored.event(&*self.keyring)).collect() {
            Some(events) => Ok(events),
            None if page.iter().any(Stored::is_compacted) => Err(self.compacted(after).await),
            None => Err(WatchError::Stopping(format!("an event after revision {after} does not open"))),
        }
    }

    /// What became of history above `requested` while it was being read: it was compacted, by a command or an installed
    /// snapshot, which may be told here only a moment later. Clients are told the floor that is in force then.
    async fn compacted(&self, requested: Revision) -> WatchError {
        let mut published = self.revision.subscribe();
        loop {
            if let Some(reason) = self.stopped.borrow().clone() {
                return WatchError::Stopping(reason);
            }
            let floor = self.snapshot().compacted();
            if requested < floor {
                return WatchError::Compacted { requested, floor };
            }
            if published.changed().await.is_err() {
                return WatchError::Stopping("the store is closed".to_owned());
            }
        }
    }

    /// A cursor over the events of `prefix` above `after`.
    ///
    /// # Errors
    /// When events above `after` are compacted.
    pub fn watch(self: &Arc<Self>, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError> {
        let floor = self.snapshot().compacted();
        if after < floor {
            return Err(WatchError::Compacted { requested: after, floor });
        }
        let after = if planted!(EventLostAtResume) { after + 1 } else { after };
        let after = if planted!(EventRepeatedAtResume) { after.saturating_sub(1).max(floor) } else { after };
        let home = Bytes::copy_from_slice(partition(prefix));
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = wakers.entry(home).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Ok(Box::new(FeedCursor { feed: self.clone(), prefix: Bytes::copy_from_slice(prefix), position: after, waker }))
    }
}

/// A watcher's position.
pub struct FeedCursor {
    feed: Arc<Feed>,
    prefix: Bytes,
    /// Every event of the prefix up to here has been taken.
    position: Revision,
    waker: watch::Receiver<Revision>,
}

impl FeedCursor {
    /// Takes what is there, without waiting for more.
    async fn take(&mut self, max: usize) -> Result<Batch, WatchError> {
        let mut batch = Batch { events: Vec::new(), progress: self.position };
        loop {
            let stop_at = *self.feed.revision.borrow();
            let from_ring = self.take_from_ring(max, &mut batch);
            if !from_ring {
                let page = self.feed.events_after(batch.progress, HISTORY_PAGE).await?;
                for event in page {
                    if batch.events.len() >= max && event.revision > batch.progress {
                        break;
                    }
                    batch.progress = event.revision;
                    if event.entry.key.starts_with(&self.prefix) {
                        batch.events.push(event);
                    }
                }
            }
            if planted!(EventsKeptAcrossSnapshot) && from_ring && batch.events.len() < max {
                batch.progress = batch.progress.max(stop_at);
            }
            if batch.events.len() >= max || batch.progress >= stop_at {
                if planted!(BookmarkAheadOfEvents) && batch.progress < stop_at {
                    batch.progress = stop_at;
                }
                self.position = batch.progress;
                return Ok(batch);
            }
        }
    }

    /// False when the position lies behind the ring.
    fn take_from_ring(&self, max: usize, batch: &mut Batch) -> bool {
        let ring = self.feed.ring.read().unwrap_or_else(PoisonError::into_inner);
        if batch.progress < ring.floor {
            return false;
        }
        for event in ring.events.range(ring.index_after(batch.progress)..) {
            // A revision is taken whole.
            if batch.events.len() >= max && event.revision > batch.progress {
                return true;
            }
            batch.progress = event.revision;
            if event.entry.key.starts_with(&self.prefix) {
                batch.events.push(event.clone());
            }
        }
        true
    }
}

impl Cursor for FeedCursor {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Batch, WatchError>> {
        Box::pin(async move {
            loop {
                if let Some(reason) = self.feed.stopped.borrow().clone() {
                    return Err(WatchError::Stopping(reason));
                }
                self.waker.borrow_and_update();
                let before = self.position;
                if *self.feed.revision.borrow() > before {
                    let batch = self.take(max.max(1)).await?;
                    if !batch.events.is_empty() || batch.progress > before {
                        return Ok(batch);
                    }
                }
                if self.waker.changed().await.is_err() {
                    return Err(WatchError::Stopping("the store is closed".to_owned()));
                }
            }
        })
    }
}
