//! Many writers of one object: a change that names no revision is made again until it fits, without asking a quorum again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::StatusCode;
use raft_state::port::{BoxFuture, Cursor, LeaseTime, ProposeError, ReadError, ReadLevel, Standing, Store, WatchError};
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome, Payload, Revision, Snapshot};
use serde_json::json;
use tests_solo::Solo;
use tokio::sync::watch;

use crate::server::Server;

const MAP: &str = "/api/v1/namespaces/default/configmaps/wanted";

/// A store in which somebody else is faster, so many times.
struct Contended {
    store: Arc<Solo>,
    rivals: AtomicUsize,
    confirmed_reads: AtomicUsize,
}

impl Contended {
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

impl Store for Contended {
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
        self.store.read(level, deadline)
    }

    fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
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

#[tokio::test]
async fn a_change_that_others_overtake_asks_no_quorum_before_it_is_made_again() {
    let store = Solo::new();
    let (rivals, confirmed_reads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let contended = Arc::new(Contended { store: store.clone(), rivals, confirmed_reads });
    let server = Server::over(contended.clone(), store).await;
    let object = |data: &str| json!({"metadata": {"name": "wanted"}, "data": {"v": data}});
    server.post(&MAP.replace("/wanted", ""), &object("0")).await.ok();
    for (rivals, expected) in
        [(0, StatusCode::OK), (3, StatusCode::OK), (19, StatusCode::OK), (20, StatusCode::CONFLICT)]
    {
        contended.rivals.store(rivals, Ordering::SeqCst);
        contended.confirmed_reads.store(0, Ordering::SeqCst);
        let answer = server.put(MAP, &object(&format!("after {rivals}"))).await;
        assert_eq!(answer.code, expected, "{rivals} rivals");
        assert_eq!(contended.confirmed_reads.load(Ordering::SeqCst), 0, "{rivals} rivals");
    }
}
