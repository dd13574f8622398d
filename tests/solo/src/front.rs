//! A store as one member among others has it: others are faster, and it may lag behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use raft_state::port::{BoxFuture, Cursor, LeaseTime, ProposeError, ReadError, ReadLevel, Standing, Store, WatchError};
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome, Payload, Revision, Snapshot};
use tokio::sync::watch;

use crate::Solo;

/// See the module.
pub struct Front {
    store: Arc<Solo>,
    /// So many times somebody else is faster.
    pub rivals: AtomicUsize,
    /// Reads for which a quorum was asked.
    pub confirmed_reads: AtomicUsize,
    /// What this member has, until a read waits for more.
    behind: Mutex<Option<Snapshot>>,
}

impl Front {
    /// In front of this one.
    pub fn of(store: Arc<Solo>) -> Arc<Self> {
        let (rivals, confirmed_reads) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { store, rivals, confirmed_reads, behind: Mutex::default() })
    }

    /// Lags behind at this state from now on, until a read has waited for the latest.
    ///
    /// # Panics
    /// When another test's thread did.
    pub fn lags(&self, at: Snapshot) {
        *self.behind.lock().expect("no panic") = Some(at);
    }

    /// Writes something else before it, as a rival would.
    async fn rival(&self, command: &Command) {
        let Command::Object(ObjectCommand { key, expect: Expect::At(_), action: Action::Put(payload), .. }) = command
        else {
            return;
        };
        let left = self.rivals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if let (Ok(left), Payload::Object { json, splice_at }) = (left, payload) {
            // Of the same length, so that the revision goes where it went.
            let other = String::from_utf8_lossy(json).replace("after", &format!("{left:05}"));
            let payload = Payload::Object { json: other.into(), splice_at: *splice_at };
            let action = Action::Put(payload);
            let faster = ObjectCommand { key: key.clone(), epoch: None, expect: Expect::Any, action };
            let done = self.store.propose(vec![Command::Object(faster)], Instant::now()).await;
            assert!(matches!(done.as_deref(), Ok([Outcome::Done { .. }])), "{done:?}");
        }
    }
}

impl Store for Front {
    fn propose(&self, commands: Vec<Command>, deadline: Instant) -> BoxFuture<'_, Result<Vec<Outcome>, ProposeError>> {
        Box::pin(async move {
            for command in &commands {
                self.rival(command).await;
            }
            self.store.propose(commands, deadline).await
        })
    }

    fn read(&self, level: ReadLevel, deadline: Instant) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        if matches!(level, ReadLevel::Linearizable) {
            self.confirmed_reads.fetch_add(1, Ordering::SeqCst);
        }
        *self.behind.lock().expect("no panic") = None;
        self.store.read(level, deadline)
    }

    fn snapshot(&self) -> Snapshot {
        self.behind.lock().expect("no panic").clone().unwrap_or_else(|| self.store.snapshot())
    }

    fn watch(&self, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError> {
        self.store.watch(prefix, after)
    }

    fn lease_keep_alive(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        self.store.lease_keep_alive(ids, deadline)
    }

    fn lease_times(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        self.store.lease_times(ids, deadline)
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.store.standing()
    }
}
