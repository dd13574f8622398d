//! Watches: what is stored, wrapped in a few bytes, as it happens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api_kinds::Kind;
use api_schema::protobuf;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{FutureExt, stream};
use http::StatusCode;
use raft_state::port::Cursor;
use raft_state::{Entry, Event};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::get::{fresh, revision};
use super::list_options;
use crate::api::typed;
use crate::context::Context;
use crate::forms::{Filter, enveloped, json as json_of};
use crate::negotiate::{Encoding, Wanted};
use crate::object::decode;
use crate::query::Query;
use crate::table::{Form, partial, row, table};
use crate::watches::Seat;
use crate::{Api, Status};

/// Between bookmarks, as kube-apiserver's.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A watch that names no end lasts this long, and up to twice as long.
const LIFETIME_MIN: Duration = Duration::from_secs(1800);
/// Events taken from the cursor at a time.
const BATCH: usize = 256;

/// A watch under way.
pub(super) struct Watcher {
    kind: &'static Kind,
    cursor: Box<dyn Cursor>,
    filter: Filter,
    wanted: Wanted,
    /// Events that are written already.
    ready: VecDeque<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    /// Everything up to here was sent.
    progress: u64,
    columns_sent: bool,
    now_us: fn() -> i64,
    seat: Seat,
    done: bool,
}

/// What a watch begins with.
pub(super) enum Begun {
    Watcher(Box<Watcher>),
    /// It cannot begin, and says so in its stream, as Kubernetes' watch cache does.
    Refused(Bytes),
}

pub(crate) async fn serve(
    api: &Api,
    context: &Context,
    name: &str,
    query: &Query,
    wanted: Wanted,
) -> Result<Response, Status> {
    let body = match begin(api, context, name, query, wanted).await? {
        Begun::Refused(event) => Body::from(event),
        Begun::Watcher(watcher) => Body::from_stream(stream::unfold(watcher, |mut watcher| async move {
            let piece = watcher.next().await?;
            Some((Ok::<Bytes, std::convert::Infallible>(piece), watcher))
        })),
    };
    Ok(typed(StatusCode::OK, media_type(wanted.encoding), body, &[]))
}

/// Begins a watch.
pub(super) async fn begin(
    api: &Api,
    context: &Context,
    name: &str,
    query: &Query,
    wanted: Wanted,
) -> Result<Begun, Status> {
    let mut filter = Filter::parse(context.kind, query.label_selector.as_deref(), query.field_selector.as_deref())?;
    if !name.is_empty() {
        filter = filter.named(name);
    }
    list_options::check(query, true)?;
    let (start, initial) = beginning(api, context, query, &filter).await?;
    let cursor = match api.store.watch(context.prefix().as_bytes(), start) {
        Ok(cursor) => cursor,
        Err(error) => {
            return Ok(Begun::Refused(framed(wanted.encoding, "ERROR", &Status::watching(&error).to_json())));
        }
    };
    let now = Instant::now();
    let spread = Duration::from_millis(u64::try_from((api.config.random)() % 1_800_000).unwrap_or(0));
    let lifetime = query.timeout_s.filter(|s| *s > 0).map_or(LIFETIME_MIN + spread, Duration::from_secs);
    let mut watcher = Watcher {
        kind: context.kind,
        cursor,
        filter,
        wanted,
        ready: VecDeque::new(),
        bookmarks: query.allow_bookmarks,
        next_bookmark: now + BOOKMARK_EVERY,
        end: now + lifetime,
        progress: start,
        columns_sent: false,
        now_us: api.config.now_us,
        seat: api.metrics.watches.enter(context.kind.group, context.kind.plural, start),
        done: false,
    };
    for entry in &initial {
        watcher.write("ADDED", entry);
    }
    if query.send_initial_events == Some(true) && query.allow_bookmarks {
        watcher.bookmark(true);
    }
    Ok(Begun::Watcher(Box::new(watcher)))
}

/// The revision that a watch starts behind, and the objects that it begins with: without a revision, or at 0, what is there,
/// unless the client wants the opposite.
async fn beginning(
    api: &Api,
    context: &Context,
    query: &Query,
    filter: &Filter,
) -> Result<(u64, Vec<Arc<Entry>>), Status> {
    let from = revision(query)?.filter(|revision| *revision > 0);
    let with_state = query.send_initial_events.unwrap_or(from.is_none());
    match from {
        Some(from) if !with_state => return Ok((from, Vec::new())),
        _ => {}
    }
    let snapshot = fresh(api, context, query).await?;
    let mut initial: Vec<Arc<Entry>> = Vec::new();
    if with_state {
        let prefix = context.prefix();
        initial.extend(snapshot.range(prefix.as_bytes(), None).filter(|e| filter.selects(context.kind, e)).cloned());
    }
    Ok((snapshot.revision(), initial))
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    }
}

/// An event about an object that is not stored.
fn framed(encoding: Encoding, event: &str, object: &Value) -> Bytes {
    if encoding == Encoding::Protobuf {
        return protobuf::watch_frame(event, &protobuf::encode(object).unwrap_or_default()).into();
    }
    line(event, object.to_string().as_bytes())
}

/// An event as a line of JSON.
fn line(event: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(b"{\"type\":\"");
    line.put_slice(event.as_bytes());
    line.put_slice(b"\",\"object\":");
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}

impl Watcher {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        let first = self.next_event().await?;
        Some(self.joined(first))
    }

    /// The next event alone; `None` at the end. Nothing is lost when it is given up half-way.
    pub(super) async fn next_event(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.done {
                return None;
            }
            let bookmark_at = if self.bookmarks { self.next_bookmark.min(self.end) } else { self.end };
            tokio::select! {
                biased;
                batch = self.cursor.next(BATCH) => self.take(batch),
                () = tokio::time::sleep_until(bookmark_at) => self.mark_time(),
            }
        }
    }

    /// Small events that are ready travel together.
    fn joined(&mut self, first: Bytes) -> Bytes {
        if self.ready.is_empty() {
            return first;
        }
        let mut piece = BytesMut::from(&first[..]);
        while let Some(next) = self.ready.front() {
            if piece.len() + next.len() > 64 * 1024 {
                break;
            }
            piece.put_slice(next);
            self.ready.pop_front();
        }
        piece.freeze()
    }

    fn take(&mut self, batch: Result<raft_state::port::Batch, raft_state::port::WatchError>) {
        match batch {
            Ok(batch) => {
                for event in &batch.events {
                    self.event(event);
                }
                self.progress = batch.progress;
                self.seat.reached(batch.progress);
            }
            Err(error) => {
                // A member that stops ends its watches quietly: clients resume on another.
                if let raft_state::port::WatchError::Compacted { .. } = &error {
                    let status = Status::watching(&error).to_json();
                    self.ready.push_back(framed(self.wanted.encoding, "ERROR", &status));
                }
                self.done = true;
            }
        }
    }

    fn mark_time(&mut self) {
        let now = Instant::now();
        // Whatever has passed by without concerning this watch counts as seen.
        if let Some(batch) = self.cursor.next(BATCH).now_or_never() {
            self.take(batch);
        }
        if now >= self.end {
            if self.bookmarks {
                self.bookmark(false);
            }
            self.done = true;
        } else if self.bookmarks {
            self.bookmark(false);
            self.next_bookmark = now + BOOKMARK_EVERY;
        }
    }

    /// What an event is to this watch: an object that comes into its selection is ADDED, one that leaves it DELETED.
    fn event(&mut self, event: &Event) {
        let selects = |entry: &Arc<Entry>| self.filter.selects(self.kind, entry);
        let before = event.previous.as_ref().is_some_and(selects);
        let after = !event.deleted && selects(&event.entry);
        match (before, after) {
            (false, true) => self.write("ADDED", &event.entry),
            (true, true) => self.write("MODIFIED", &event.entry),
            (true, false) if event.deleted => self.write("DELETED", &event.entry),
            (true, false) => {
                // The old object leaves, at the revision at which it left.
                let left = event.previous.as_ref().map(|previous| previous.deleted_at(event.entry.place()));
                if let Some(left) = left {
                    self.write("DELETED", &left);
                }
            }
            (false, false) => {}
        }
    }

    fn write(&mut self, event: &str, entry: &Entry) {
        self.seat.count_event();
        let piece = match (self.wanted.form, self.wanted.encoding) {
            (Form::Plain, Encoding::Protobuf) => protobuf::watch_frame(event, &enveloped(self.kind, entry)).into(),
            (Form::Plain, _) => line(event, &json_of(self.kind, entry)),
            (form, encoding) => {
                let value = decode(self.kind, entry).unwrap_or_default();
                framed(encoding, event, &self.shape(value, form))
            }
        };
        self.ready.push_back(piece);
    }

    fn shape(&mut self, object: Value, form: Form) -> Value {
        match form {
            Form::Table { include } => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let row = row(self.kind, object, include, (self.now_us)());
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                table(self.kind, vec![row], metadata, columns)
            }
            _ => partial(object),
        }
    }

    fn bookmark(&mut self, initial_events_end: bool) {
        let mut metadata = json!({"resourceVersion": self.progress.to_string(), "creationTimestamp": null});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.wanted.form {
            Form::Table { .. } => table(self.kind, Vec::new(), metadata, false),
            Form::Metadata | Form::MetadataList => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Plain => json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata}),
        };
        self.ready.push_back(framed(self.wanted.encoding, "BOOKMARK", &object));
    }
}
