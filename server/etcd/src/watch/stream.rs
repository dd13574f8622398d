//! One stream of watches: what the client asks, and what it gets.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use parking_lot::Mutex;
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;
use raft_state::{KeyRange, Revision};

use super::catch_up;
use super::outbox::Outbox;
use super::watcher::Watcher;
use crate::Face;
use crate::grpc::{Requests, Source};
use crate::status::Status;

/// How often a watch that asked for it hears that nothing has happened.
const PROGRESS_EVERY: Duration = Duration::from_secs(60);
/// How long a stream that asked for a leader goes on without.
const LEADERLESS_MAX: Duration = Duration::from_secs(2);
/// The watch that stands for all of its stream, and for one that was not made.
const NO_WATCH: i64 = -1;

impl Face {
    pub(crate) fn watch<B>(self: &Arc<Self>, body: B, needs_leader: bool) -> Box<dyn Source>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        let outbox = Arc::new(Outbox::new(self.headers.clone()));
        let stream = Stream {
            face: self.clone(),
            outbox: outbox.clone(),
            watches: HashMap::new(),
            next_id: 0,
            progress_asked: false,
        };
        tokio::spawn(stream.run(Requests::new(body), needs_leader));
        Box::new(Reader { outbox })
    }
}

/// The response's side; gone when the client is.
struct Reader {
    outbox: Arc<Outbox>,
}

impl Source for Reader {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        self.outbox.poll_next(cx)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// The request's side.
struct Stream {
    face: Arc<Face>,
    outbox: Arc<Outbox>,
    watches: HashMap<i64, Arc<Watcher>>,
    next_id: i64,
    /// Progress of the whole stream is to be told once every watch has joined the hub.
    progress_asked: bool,
}

impl Stream {
    async fn run<B>(mut self, mut requests: Requests<B>, needs_leader: bool)
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: fmt::Display,
    {
        let face = self.face.clone();
        let _counted = Counted::new(&face.hub.counts.streams);
        let outbox = self.outbox.clone();
        let mut ticks = tokio::time::interval(PROGRESS_EVERY);
        ticks.reset();
        let leaderless = leaderless(&face, needs_leader);
        tokio::pin!(leaderless);
        // A client that has said its last goes on listening.
        let mut listening = true;
        loop {
            let changed = outbox.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if outbox.is_closed() {
                break;
            }
            self.tell_progress_when_due();
            tokio::select! {
                request = requests.next::<pb::WatchRequest>(), if listening => match request {
                    Some(Ok(request)) => self.request(request),
                    Some(Err(status)) => {
                        outbox.end(Err(status));
                        break;
                    }
                    None => listening = false,
                },
                () = changed => {}
                _ = ticks.tick() => self.tell_progress_of_each(),
                () = &mut leaderless => {
                    outbox.end(Err(Status::NO_LEADER));
                    break;
                }
            }
        }
        for watcher in self.watches.values() {
            self.leave(watcher);
        }
    }

    fn request(&mut self, request: pb::WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create),
            Some(RequestUnion::CancelRequest(cancel)) => {
                if let Some(watcher) = self.watches.remove(&cancel.watch_id) {
                    self.leave(&watcher);
                    self.outbox.forget(&watcher);
                    // One that ended by itself was told so.
                    let header = Some(self.face.header_now());
                    let watch_id = cancel.watch_id;
                    self.outbox.control(pb::WatchResponse { header, watch_id, canceled: true, ..Default::default() });
                }
            }
            Some(RequestUnion::ProgressRequest(_)) => self.progress_asked = true,
            // etcd's servers ignore what they do not know here.
            None => {}
        }
    }

    fn create(&mut self, request: pb::WatchCreateRequest) {
        let current = self.face.store.snapshot().revision();
        let watcher = match self.watcher(&request, current) {
            Ok(watcher) => watcher,
            Err(reason) => {
                return self.outbox.control(pb::WatchResponse {
                    header: Some(self.face.header(current)),
                    watch_id: NO_WATCH,
                    created: true,
                    canceled: true,
                    cancel_reason: reason,
                    ..Default::default()
                });
            }
        };
        let header = Some(self.face.header(current));
        let watch_id = watcher.id;
        self.outbox.control(pb::WatchResponse { header, watch_id, created: true, ..Default::default() });
        self.face.hub.counts.watches.fetch_add(1, Ordering::Relaxed);
        self.watches.insert(watcher.id, watcher.clone());
        let after = watcher.start.saturating_sub(1);
        if !self.face.hub.join(&watcher, after) {
            tokio::spawn(catch_up::run(self.face.hub.clone(), self.face.store.clone(), watcher, after));
        }
    }

    fn watcher(&mut self, request: &pb::WatchCreateRequest, current: Revision) -> Result<Arc<Watcher>, String> {
        let start = match u64::try_from(request.start_revision) {
            Ok(0) => current + 1,
            Ok(start) => start,
            Err(_) => return Err(Status::COMPACTED.message.into_owned()),
        };
        // No key is empty: the lowest is a zero byte.
        let key = if request.key.is_empty() { Bytes::from_static(&[0]) } else { request.key.clone() };
        let keys = KeyRange::etcd(key, request.range_end.clone());
        if keys.is_empty() {
            return Err("mvcc: watcher range is empty".to_owned());
        }
        let filters = |filter: FilterType| request.filters.contains(&i32::from(filter));
        Ok(Arc::new(Watcher {
            id: self.id(request.watch_id)?,
            serial: self.face.hub.serial(),
            keys,
            start,
            without_puts: filters(FilterType::Noput),
            without_deletions: filters(FilterType::Nodelete),
            with_previous: request.prev_kv,
            in_fragments: request.fragment,
            wants_progress: request.progress_notify,
            outbox: self.outbox.clone(),
            joined: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            canceled: AtomicBool::new(false),
            pending: Mutex::default(),
        }))
    }

    fn id(&mut self, asked: i64) -> Result<i64, String> {
        if asked != 0 {
            return match self.watches.contains_key(&asked) {
                true => Err("mvcc: duplicate watch ID provided on the WatchStream".to_owned()),
                false => Ok(asked),
            };
        }
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    fn leave(&self, watcher: &Watcher) {
        self.face.hub.leave(watcher);
        self.face.hub.counts.watches.fetch_sub(1, Ordering::Relaxed);
    }

    /// Answers a question about the progress of all, once all are where the hub is.
    fn tell_progress_when_due(&mut self) {
        if !self.progress_asked {
            return;
        }
        self.progress_asked = !self.face.hub.at_position(|position| {
            let all = self.watches.values().all(|w| w.is_canceled() || w.joined.load(Ordering::Acquire));
            if all {
                self.tell(NO_WATCH, position);
            }
            all
        });
    }

    fn tell_progress_of_each(&mut self) {
        self.face.hub.at_position(|position| {
            for watcher in self.watches.values().filter(|w| w.wants_progress) {
                let was_busy = watcher.busy.swap(false, Ordering::Relaxed);
                if !was_busy && watcher.joined.load(Ordering::Acquire) {
                    self.tell(watcher.id, position);
                }
            }
        });
    }

    fn tell(&self, watch_id: i64, revision: Revision) {
        let header = Some(self.face.header(revision));
        self.outbox.control(pb::WatchResponse { header, watch_id, ..Default::default() });
    }
}

/// Counts one while it lives.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends when this member has seen no leader for long, if that matters.
async fn leaderless(face: &Face, matters: bool) {
    if !matters {
        std::future::pending::<()>().await;
    }
    let mut standing = face.standing();
    loop {
        if standing.wait_for(|standing| !standing.ready).await.is_err() {
            std::future::pending::<()>().await;
        }
        let back = standing.wait_for(|standing| standing.ready);
        if tokio::time::timeout(LEADERLESS_MAX, back).await.is_err() {
            return;
        }
    }
}
