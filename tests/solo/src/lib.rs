//! A store of one process without replication, for the tests of the layers above: the state machine, the feed and every
//! promise of the port but durability.

mod events;
mod front;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use raft_state::history::{History, Stored};
use raft_state::port::{BoxFuture, Cursor, LeaseTime, ProposeError, ReadError, ReadLevel, Standing, Store, WatchError};
use raft_state::{
    Command, CommandId, Delta, Feed, Keyring, Outcome, Payload, Place, Record, Revision, Snapshot, Stamped, State,
};

pub use events::event;
pub use front::Front;

/// Keys for tests: sealing turns every bit around, so that plain text in the wrong place is noticed.
pub struct TestKeyring;

impl Keyring for TestKeyring {
    fn open(&self, _key: &[u8], _key_id: u32, _nonce: &[u8; 12], ciphertext: &[u8]) -> Option<Bytes> {
        Some(ciphertext.iter().map(|b| !b).collect())
    }

    fn seal(&self, _key: &[u8], json: &[u8], splice_at: u32) -> Payload {
        Payload::Sealed { key_id: 1, nonce: [0; 12], ciphertext: json.iter().map(|b| !b).collect(), splice_at }
    }
}

/// Versions in memory.
#[derive(Default)]
struct Versions(Mutex<std::collections::BTreeMap<Place, Record>>);

impl Versions {
    fn write(&self, delta: &Delta) {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        versions.extend(delta.records.iter().cloned());
    }
}

impl History for Versions {
    fn after(&self, after: Revision, max: usize) -> BoxFuture<'_, Vec<Stored>> {
        let versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = Place { revision: after + 1, sub: 0 };
        let end = versions.range(from..).nth(max).map(|(place, _)| Place { revision: place.revision + 1, sub: 0 });
        let page = versions
            .range(from..end.unwrap_or(Place { revision: u64::MAX, sub: 0 }))
            .map(|(place, record)| Stored {
                place: *place,
                record: record.clone(),
                previous: record.previous.and_then(|p| versions.get(&p).cloned()),
            })
            .collect();
        Box::pin(std::future::ready(page))
    }
}

/// The store.
pub struct Solo {
    state: Mutex<(State, u64)>,
    versions: Arc<Versions>,
    feed: Arc<Feed>,
    standing: watch::Sender<Standing>,
}

impl Solo {
    /// An empty store that leads and is ready.
    pub fn new() -> Arc<Self> {
        let keyring: Arc<dyn Keyring> = Arc::new(TestKeyring);
        let state = State::new(keyring.clone());
        let versions = Arc::new(Versions::default());
        let feed = Feed::new(state.snapshot(), versions.clone(), keyring);
        let standing = Standing {
            id: 1,
            name: "solo".to_owned(),
            leader: Some(1),
            term: 1,
            leads: true,
            ready: true,
            revision: 1,
            ..Standing::default()
        };
        Arc::new(Self { state: Mutex::new((state, 0)), versions, feed, standing: watch::Sender::new(standing) })
    }

    /// As a member does by the clock: old events are in memory no more.
    pub fn forget_old(&self) {
        self.feed.forget_old();
    }

    fn apply(&self, commands: Vec<Command>) -> Vec<Outcome> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, sequence) = &mut *guard;
        let stamped: Vec<Stamped> = commands
            .into_iter()
            .map(|command| {
                *sequence += 1;
                Stamped { id: CommandId { boot: 1, sequence: *sequence }, low_water: *sequence - 1, command }
            })
            .collect();
        let applied = state.apply(&stamped);
        self.versions.write(&applied.delta);
        let snapshot = state.snapshot();
        self.standing.send_modify(|standing| {
            standing.revision = snapshot.revision();
            standing.epoch = snapshot.epoch();
            standing.applied_index += 1;
        });
        self.feed.publish(snapshot, applied.events);
        applied.outcomes
    }
}

impl Store for Solo {
    fn propose(&self, commands: Vec<Command>, _deadline: Instant) -> BoxFuture<'_, Result<Vec<Outcome>, ProposeError>> {
        Box::pin(async move { Ok(self.apply(commands)) })
    }

    fn read(&self, level: ReadLevel, deadline: Instant) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        Box::pin(async move {
            let wanted = match level {
                ReadLevel::Linearizable => return Ok(self.feed.snapshot()),
                ReadLevel::AtLeast(revision) | ReadLevel::Exact(revision) => revision,
            };
            let mut revision = self.feed.revision();
            // Nobody else writes to a solo store: a revision that is not there by the deadline has no clock to wait on.
            if *revision.borrow_and_update() < wanted && deadline <= Instant::now() {
                return Err(ReadError::DeadlineExceeded { current: self.feed.snapshot().revision() });
            }
            if revision.wait_for(|reached| *reached >= wanted).await.is_err() {
                return Err(ReadError::Stopping("the store is closed".to_owned()));
            }
            match level {
                ReadLevel::Exact(revision) => self.feed.at(revision).await,
                _ => Ok(self.feed.snapshot()),
            }
        })
    }

    fn snapshot(&self) -> Snapshot {
        self.feed.snapshot()
    }

    fn watch(&self, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError> {
        self.feed.watch(prefix, after)
    }

    fn lease_keep_alive(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        self.lease_times(ids, deadline)
    }

    /// Nobody counts here: a lease has its full time until it is revoked.
    fn lease_times(
        &self,
        ids: Vec<i64>,
        _deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        let snapshot = self.feed.snapshot();
        let time = |id: i64| {
            let granted_s = snapshot.lease(id)?.ttl_s;
            Some(LeaseTime { granted_s, left: Duration::from_secs(granted_s.unsigned_abs()) })
        };
        let times = ids.into_iter().map(time).collect();
        Box::pin(std::future::ready(Ok(times)))
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }
}
