//! What a master that does not lead keeps ready, so that its term can begin at once however many objects there are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft_state::port::{Cursor, Store};
use raft_state::{Event, Revision};
use server_control::View;
use server_control::scheduler::Scheduler;

use super::Options;

/// Events taken from the cursor at a time.
const BATCH: usize = 4096;
/// Between two looks at the events: standing by is no reason to wake for each.
const PAUSE: Duration = Duration::from_millis(200);

/// So many objects may have changed without having been looked at. Most change again and again, and only what they are in
/// the end counts; at the beginning of a term this many are read in some ten milliseconds.
const UNREAD_MAX: usize = 4096;

/// The controllers' view and the scheduler's, some moments behind the state.
pub(super) struct Standby {
    pub(super) view: View,
    pub(super) scheduler: Scheduler,
    /// Gives the events behind the two; `None` when it broke off.
    pub(super) cursor: Option<Box<dyn Cursor>>,
    /// The last event of each key that the two have not taken in yet.
    unread: BTreeMap<Bytes, Event>,
    /// With what is unread the two are here.
    progress: Revision,
}

impl Standby {
    /// As of now.
    pub(super) fn new(options: &Options) -> Self {
        let snapshot = options.store.snapshot();
        Self {
            view: View::new(&snapshot, options.ca_pem.clone()),
            scheduler: Scheduler::new(&snapshot, options.boot_id),
            cursor: options.store.watch(b"/registry/", snapshot.revision()).ok(),
            unread: BTreeMap::new(),
            progress: snapshot.revision(),
        }
    }

    /// Follows the events for ever. May be dropped at any time: the two stay as they are, and in step with the cursor.
    pub(super) async fn keep_up(&mut self, options: &Options) {
        loop {
            match self.step(&options.store).await {
                // More is waiting: after a restart it may be much.
                Some(BATCH..) => {}
                Some(_) => options.runtime.sleep(PAUSE).await,
                None => {
                    // Compacted, or a snapshot was installed: what is behind cannot be caught up with.
                    options.runtime.sleep(PAUSE).await;
                    *self = Self::new(options);
                }
            }
        }
    }

    /// Follows the events until they reach a revision, and has all of them taken in. False when they cannot be had.
    pub(super) async fn reach(&mut self, store: &Arc<dyn Store>, revision: Revision) -> bool {
        while self.progress < revision {
            if self.step(store).await.is_none() {
                return false;
            }
        }
        self.read(store);
        true
    }

    /// Takes the next events; how many they were.
    async fn step(&mut self, store: &Arc<dyn Store>) -> Option<usize> {
        let Ok(batch) = self.cursor.as_mut()?.next(BATCH).await else {
            self.cursor = None;
            return None;
        };
        let count = batch.events.len();
        for event in batch.events {
            let before = self.unread.insert(event.entry.key.clone(), event);
            // What has the name now is another object: that the first is gone must not be missed.
            if let Some(gone) = before.filter(|before| before.deleted) {
                self.take(&gone);
            }
        }
        self.progress = self.progress.max(batch.progress);
        if self.unread.len() > UNREAD_MAX {
            self.read(store);
        }
        Some(count)
    }

    /// Has everything taken in that is unread.
    fn read(&mut self, store: &Arc<dyn Store>) {
        for event in std::mem::take(&mut self.unread).into_values() {
            self.take(&event);
        }
        self.view.advance(self.progress, store.snapshot());
    }

    fn take(&mut self, event: &Event) {
        self.view.follow(event);
        self.scheduler.on_event(event);
    }
}
