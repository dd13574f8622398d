//! `trireme.v1.Store`: reads, watches, transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_proto::v1;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use raft_node::Node;
use raft_state::port::{Batch, Cursor, ReadLevel, Store};
use raft_state::{Command, Event, KeyRange, Outcome, RangeEnd, Snapshot};
use tonic::{Request, Response, Status};

use super::{Options, deadline, status, txn};

/// What one message of a stream holds, about.
const MESSAGE_BYTES: usize = 1 << 20;
/// Events taken from a cursor at a time.
const EVENTS_MAX: usize = 1000;
/// Between two messages that say nothing but how far the store has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Where the objects of the Kubernetes API lie.
const REGISTRY: &[u8] = b"/registry/";

/// The service.
pub(super) struct Service {
    node: Arc<Node>,
    registry_is_free: bool,
}

impl Service {
    pub(super) fn new(options: &Options) -> Self {
        Self { node: options.node.clone(), registry_is_free: options.registry_is_free }
    }

    async fn read(&self, freshness: Option<v1::Freshness>, until: Instant) -> Result<Snapshot, Status> {
        use v1::freshness::Level;
        let level = match freshness.and_then(|f| f.level) {
            None | Some(Level::Local(false)) => ReadLevel::Linearizable,
            Some(Level::Local(true)) => return Ok(self.node.snapshot()),
            Some(Level::AtLeast(revision)) => ReadLevel::AtLeast(revision),
            Some(Level::Exact(revision)) => ReadLevel::Exact(revision),
        };
        self.node.read(level, until).await.map_err(|error| status::reading(&error))
    }
}

/// An entry as clients see it.
pub(super) fn entry(entry: &raft_state::Entry) -> v1::Entry {
    v1::Entry {
        key: entry.key.clone(),
        value: entry.value.clone(),
        create_revision: entry.create_revision,
        mod_revision: entry.mod_revision,
        version: entry.version,
        lease: entry.lease,
    }
}

/// A range as clients name it.
pub(super) fn range(keys: Option<v1::KeyRange>) -> Result<KeyRange, Status> {
    use v1::key_range::End;
    let keys = keys.ok_or_else(|| Status::invalid_argument("no keys are named"))?;
    Ok(match keys.end {
        Some(End::Prefix(true)) => KeyRange::prefix(keys.start),
        Some(End::ToLast(true)) => KeyRange { start: keys.start, end: RangeEnd::Last },
        Some(End::Before(before)) => KeyRange { start: keys.start, end: RangeEnd::Before(before) },
        None | Some(End::Prefix(false) | End::ToLast(false)) if keys.start.is_empty() => {
            return Err(Status::invalid_argument("no key is empty"));
        }
        None | Some(End::Prefix(false) | End::ToLast(false)) => KeyRange::one(keys.start),
    })
}

#[tonic::async_trait]
impl v1::store_server::Store for Service {
    type ListStream = BoxStream<'static, Result<v1::ListResponse, Status>>;
    type WatchStream = BoxStream<'static, Result<v1::WatchResponse, Status>>;

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        let until = deadline(request.metadata());
        let request = request.into_inner();
        if request.key.is_empty() {
            return Err(Status::invalid_argument("no key is empty"));
        }
        let snapshot = self.read(request.freshness, until).await?;
        let found = snapshot.get(&request.key).map(|found| entry(found));
        Ok(Response::new(v1::GetResponse { revision: snapshot.revision(), entry: found }))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let until = deadline(request.metadata());
        let request = request.into_inner();
        let keys = range(request.keys)?;
        let snapshot = self.read(request.freshness, until).await?;
        let left = if request.limit == 0 { u64::MAX } else { request.limit };
        let listing = Listing { snapshot, keys: Some(keys), left, keys_only: request.keys_only };
        Ok(Response::new(stream::iter(listing).map(Ok).boxed()))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let until = deadline(request.metadata());
        let request = request.into_inner();
        let keys = range(request.keys)?;
        if !keys.is_single() && keys != KeyRange::prefix(keys.start.clone()) {
            return Err(Status::invalid_argument("a watch is of a key or a prefix"));
        }
        let after = match request.after {
            Some(after) => after,
            None => self.read(None, until).await?.revision(),
        };
        let cursor = self.node.watch(&keys.start, after).map_err(|error| status::watching(&error))?;
        let begin = v1::WatchResponse { events: Vec::new(), progress: after };
        let watch = Watch { cursor, keys, with_previous: request.with_previous, progress: after, told: Instant::now() };
        let changes = stream::try_unfold(watch, |mut watch| async move {
            let messages = watch.next().await?;
            Ok::<_, Status>(Some((stream::iter(messages.into_iter().map(Ok)), watch)))
        });
        let changes = changes.flat_map(|messages| match messages {
            Ok(messages) => messages.boxed(),
            Err(status) => stream::once(async { Err(status) }).boxed(),
        });
        Ok(Response::new(stream::once(async { Ok(begin) }).chain(changes).boxed()))
    }

    async fn txn(&self, request: Request<v1::TxnRequest>) -> Result<Response<v1::TxnResponse>, Status> {
        let until = deadline(request.metadata());
        let txn = txn::read(request.into_inner())?;
        if !self.registry_is_free && txn.writes_to(&KeyRange::prefix(REGISTRY.into())) {
            return Err(Status::permission_denied("keys below /registry/ are written through the Kubernetes API"));
        }
        let proposed = self.node.propose(vec![Command::EtcdTxn(txn)], until).await;
        match proposed.map_err(|error| status::proposing(&error))?.into_iter().next() {
            Some(Outcome::Txn { revision, succeeded, answers }) => {
                Ok(Response::new(txn::written(revision, succeeded, &answers)))
            }
            Some(Outcome::Refused(refusal)) => Err(status::refused(&refusal)),
            other => Err(Status::internal(format!("a transaction came to {other:?}"))),
        }
    }
}

/// The rest of a list. The snapshot stays as it is however long the client takes.
struct Listing {
    snapshot: Snapshot,
    /// What has not been sent; `None` when the last message is out.
    keys: Option<KeyRange>,
    left: u64,
    keys_only: bool,
}

impl Iterator for Listing {
    type Item = v1::ListResponse;

    fn next(&mut self) -> Option<v1::ListResponse> {
        let keys = self.keys.take()?;
        let mut response = v1::ListResponse { revision: self.snapshot.revision(), ..Default::default() };
        let mut bytes = 0;
        for found in self.snapshot.between(&keys) {
            if self.left == 0 {
                response.more = true;
                return Some(response);
            }
            if bytes >= MESSAGE_BYTES {
                self.keys = Some(KeyRange { start: found.key.clone(), end: keys.end });
                return Some(response);
            }
            self.left -= 1;
            let mut sent = entry(found);
            if self.keys_only {
                sent.value.clear();
            }
            bytes += sent.key.len() + sent.value.len() + 64;
            response.entries.push(sent);
        }
        Some(response)
    }
}

/// A watch.
struct Watch {
    cursor: Box<dyn Cursor>,
    keys: KeyRange,
    with_previous: bool,
    /// What the client knows.
    progress: u64,
    told: Instant,
}

impl Watch {
    /// Waits until there is something to say.
    async fn next(&mut self) -> Result<Vec<v1::WatchResponse>, Status> {
        loop {
            let mut batch = self.cursor.next(EVENTS_MAX).await.map_err(|error| status::watching(&error))?;
            if self.keys.is_single() {
                batch.events.retain(|event| event.entry.key == self.keys.start);
            }
            if !batch.events.is_empty() || self.told.elapsed() >= PROGRESS_EVERY {
                self.told = Instant::now();
                return Ok(self.messages(batch));
            }
        }
    }

    /// Progress moves only with the last event of a revision.
    fn messages(&mut self, batch: Batch) -> Vec<v1::WatchResponse> {
        let mut messages = Vec::new();
        let mut message = v1::WatchResponse::default();
        let mut bytes = 0;
        for event in batch.events {
            if bytes >= MESSAGE_BYTES {
                message.progress = self.progress.max(event.revision - 1);
                messages.push(std::mem::take(&mut message));
                bytes = 0;
            }
            let sent = self.event(&event);
            bytes += event.entry.key.len() + event.entry.value.len() + 64;
            bytes += sent.previous.as_ref().map_or(0, |previous| previous.key.len() + previous.value.len());
            message.events.push(sent);
        }
        self.progress = batch.progress;
        message.progress = batch.progress;
        messages.push(message);
        messages
    }

    fn event(&self, event: &Event) -> v1::Event {
        let kind = if event.deleted { v1::event::Kind::Delete } else { v1::event::Kind::Put };
        v1::Event {
            kind: kind.into(),
            entry: Some(entry(&event.entry)),
            previous: event.previous.as_ref().filter(|_| self.with_previous).map(|previous| entry(previous)),
        }
    }
}
