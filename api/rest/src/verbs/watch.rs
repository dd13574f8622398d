//! Watches: what is stored, wrapped in a few bytes, as it happens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api_kinds::Kind;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{FutureExt, stream};
use http::StatusCode;
use raft_state::port::{Cursor, ReadLevel};
use raft_state::{Entry, Event};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::get::{fresh, revision};
use crate::api::json as respond;
use crate::context::Context;
use crate::forms::Filter;
use crate::query::Query;
use crate::table::{Form, partial, row, table};
use crate::{Api, Status};

/// Between bookmarks, as kube-apiserver's.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A watch that names no end lasts this long, and up to twice as long.
const LIFETIME_MIN: Duration = Duration::from_secs(1800);
/// Events taken from the cursor at a time.
const BATCH: usize = 256;

struct Watcher {
    kind: &'static Kind,
    cursor: Box<dyn Cursor>,
    filter: Filter,
    form: Form,
    /// Events that are written already.
    ready: VecDeque<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    /// Everything up to here was sent.
    progress: u64,
    columns_sent: bool,
    now_us: fn() -> i64,
    done: bool,
}

pub(crate) async fn serve(
    api: Arc<Api>,
    context: Context,
    name: &str,
    query: &Query,
    form: Form,
) -> Result<Response, Status> {
    let mut filter = Filter::parse(context.kind, query.label_selector.as_deref(), query.field_selector.as_deref())?;
    if !name.is_empty() {
        filter = filter.named(name);
    }
    if query.send_initial_events && query.resource_version_match.as_deref() != Some("NotOlderThan") {
        return Err(Status::unprocessable(
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if query.send_initial_events && !query.allow_bookmarks {
        return Err(Status::unprocessable(
            "ListOptions.meta.k8s.io \"\" is invalid: allowWatchBookmarks: Forbidden: sendInitialEvents requires allowWatchBookmarks",
        ));
    }
    // Without a revision, or at 0, a watch begins with what is there.
    let from = revision(query)?.filter(|revision| *revision > 0);
    let begins_with_state = query.send_initial_events || from.is_none();
    let mut initial: Vec<Arc<Entry>> = Vec::new();
    let start = if begins_with_state {
        let snapshot = match (from, revision(query)?) {
            (None, Some(0)) => api.store.snapshot(),
            (None, _) if query.send_initial_events => api
                .store
                .read(ReadLevel::Linearizable, context.deadline)
                .await
                .map_err(|error| Status::reading(&error, None))?,
            _ => fresh(&api, &context, query).await?,
        };
        let prefix = context.prefix();
        initial.extend(snapshot.range(prefix.as_bytes(), None).filter(|e| filter.selects(context.kind, e)).cloned());
        snapshot.revision()
    } else {
        from.unwrap_or_default()
    };
    let cursor = match api.store.watch(context.prefix().as_bytes(), start) {
        Ok(cursor) => cursor,
        Err(error) => return Ok(refused(&Status::watching(&error))),
    };
    let now = Instant::now();
    let spread = Duration::from_millis(u64::try_from((api.config.random)() % 1_800_000).unwrap_or(0));
    let lifetime = query.timeout_s.filter(|s| *s > 0).map_or(LIFETIME_MIN + spread, Duration::from_secs);
    let mut watcher = Watcher {
        kind: context.kind,
        cursor,
        filter,
        form,
        ready: VecDeque::new(),
        bookmarks: query.allow_bookmarks,
        next_bookmark: now + BOOKMARK_EVERY,
        end: now + lifetime,
        progress: start,
        columns_sent: false,
        now_us: api.config.now_us,
        done: false,
    };
    for entry in &initial {
        watcher.write("ADDED", &entry.value);
    }
    if query.send_initial_events {
        watcher.bookmark(true);
    }
    drop(initial);
    let events = stream::unfold(watcher, |mut watcher| async move {
        let piece = watcher.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(piece), watcher))
    });
    Ok(respond(StatusCode::OK, Body::from_stream(events), &[]))
}

/// A watch that cannot begin says so in its stream, as Kubernetes' watch cache does.
fn refused(status: &Status) -> Response {
    let event = format!("{}\n", json!({"type": "ERROR", "object": status.to_json()}));
    respond(StatusCode::OK, event, &[])
}

impl Watcher {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(self.joined(piece));
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
            }
            Err(error) => {
                // A member that stops ends its watches quietly: clients resume on another.
                if let raft_state::port::WatchError::Compacted { .. } = &error {
                    let event = json!({"type": "ERROR", "object": Status::watching(&error).to_json()});
                    self.ready.push_back(format!("{event}\n").into());
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
            (false, true) => self.write("ADDED", &event.entry.value),
            (true, true) => self.write("MODIFIED", &event.entry.value),
            (true, false) if event.deleted => self.write("DELETED", &event.entry.value),
            (true, false) => {
                // The old object leaves, at the revision at which it left.
                let left = event.previous.as_ref().map(|previous| previous.deleted_at(event.entry.place()));
                if let Some(left) = left {
                    self.write("DELETED", &left.value);
                }
            }
            (false, false) => {}
        }
    }

    fn write(&mut self, kind: &str, object: &Bytes) {
        let shaped;
        let object = match self.form {
            Form::Plain => object,
            form => {
                let value: Value = serde_json::from_slice(object).unwrap_or_default();
                shaped = Bytes::from(self.shape(value, form).to_string());
                &shaped
            }
        };
        let mut line = BytesMut::with_capacity(object.len() + 40);
        line.put_slice(b"{\"type\":\"");
        line.put_slice(kind.as_bytes());
        line.put_slice(b"\",\"object\":");
        line.put_slice(object);
        line.put_slice(b"}\n");
        self.ready.push_back(line.freeze());
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
        let object = match self.form {
            Form::Table { .. } => table(self.kind, Vec::new(), metadata, false),
            Form::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Plain => json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata}),
        };
        self.ready.push_back(format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into());
    }
}
