//! What a master that does not lead keeps ready, so that its term can begin at once however many objects there are.

use std::sync::Arc;
use std::time::Duration;

use raft_state::Revision;
use raft_state::port::{Cursor, Store};
use server_control::View;
use server_control::scheduler::Scheduler;

use super::Options;

/// Events taken from the cursor at a time.
const BATCH: usize = 4096;
/// Between two looks at the events: standing by is no reason to wake for each.
const PAUSE: Duration = Duration::from_millis(200);

/// The controllers' view and the scheduler's, some moments behind the state.
pub(super) struct Standby {
    pub(super) view: View,
    pub(super) scheduler: Scheduler,
    /// Gives the events behind the two; `None` when it broke off.
    pub(super) cursor: Option<Box<dyn Cursor>>,
}

impl Standby {
    /// As of now.
    pub(super) fn new(options: &Options) -> Self {
        let snapshot = options.store.snapshot();
        Self {
            view: View::new(&snapshot, options.ca_pem.clone()),
            scheduler: Scheduler::new(&snapshot, options.boot_id),
            cursor: options.store.watch(b"/registry/", snapshot.revision()).ok(),
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

    /// Follows the events until they reach a revision. False when they cannot be had.
    pub(super) async fn reach(&mut self, store: &Arc<dyn Store>, revision: Revision) -> bool {
        while self.view.revision() < revision {
            if self.step(store).await.is_none() {
                return false;
            }
        }
        true
    }

    /// Takes the next events in; how many they were.
    async fn step(&mut self, store: &Arc<dyn Store>) -> Option<usize> {
        let Ok(batch) = self.cursor.as_mut()?.next(BATCH).await else {
            self.cursor = None;
            return None;
        };
        for event in &batch.events {
            self.view.apply(event);
            self.scheduler.on_event(event);
        }
        self.view.advance(batch.progress, store.snapshot());
        Some(batch.events.len())
    }
}
