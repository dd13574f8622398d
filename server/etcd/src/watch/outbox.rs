//! What a stream has still to send.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use api_proto::etcd::etcdserverpb as pb;
use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use raft_state::Revision;
use tokio::sync::Notify;

use super::shared::Shared;
use super::watcher::Watcher;
use crate::grpc::{self, MESSAGE_MAX, PREFIX};
use crate::headers::Headers;
use crate::status::Status;

/// Bytes of messages that leave together, about.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes that may wait before the stream counts as slow.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Messages that may wait before the stream counts as slow.
const WAITING_ITEMS_MAX: usize = 16_384;
/// The field of the events in a watch response.
const EVENTS: u32 = 11;

/// One message.
enum Item {
    Control(pb::WatchResponse),
    Events { watcher: Arc<Watcher>, header: pb::ResponseHeader, events: Vec<Arc<Shared>> },
}

impl Item {
    /// Bytes that it takes, about.
    fn cost(&self) -> usize {
        match self {
            Self::Control(_) => 64,
            Self::Events { events, .. } => {
                64 + events.iter().map(|shared| 64 + shared.event.entry.value.len()).sum::<usize>()
            }
        }
    }
}

/// The queue of one stream.
pub(super) struct Outbox {
    headers: Arc<Headers>,
    queue: Mutex<Queue>,
    /// Told when there is room again, and when a watch has joined the hub.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    waker: Option<Waker>,
    /// How the stream ends after what waits.
    end: Option<Result<(), Status>>,
    /// Nobody reads any more.
    closed: bool,
}

impl Outbox {
    pub(super) fn new(headers: Arc<Headers>) -> Self {
        Self { headers, queue: Mutex::default(), changed: Notify::new() }
    }

    /// The header of a response at a revision.
    pub(super) fn header(&self, revision: Revision) -> pb::ResponseHeader {
        self.headers.at(revision)
    }

    /// Queues what is no event.
    pub(super) fn control(&self, response: pb::WatchResponse) {
        self.push(Item::Control(response));
    }

    /// Queues events of a watch, with the revision that its stream has come to with them.
    pub(super) fn events(&self, watcher: Arc<Watcher>, revision: Revision, events: Vec<Arc<Shared>>) {
        self.push(Item::Events { watcher, header: self.header(revision), events });
    }

    fn push(&self, item: Item) {
        let waker = {
            let mut queue = self.queue.lock();
            if queue.closed {
                return;
            }
            queue.bytes += item.cost();
            queue.items.push_back(item);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether more may wait.
    pub(super) fn has_room(&self) -> bool {
        let queue = self.queue.lock();
        queue.closed || (queue.bytes < WAITING_BYTES_MAX && queue.items.len() < WAITING_ITEMS_MAX)
    }

    /// Waits until more may wait.
    pub(super) async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.has_room() {
                return;
            }
            changed.await;
        }
    }

    /// Forgets what waits for a watch.
    pub(super) fn forget(&self, watcher: &Watcher) {
        let mut queue = self.queue.lock();
        queue.items.retain(|item| !matches!(item, Item::Events { watcher: of, .. } if of.serial == watcher.serial));
        queue.bytes = queue.items.iter().map(Item::cost).sum();
    }

    /// Ends the stream after what waits.
    pub(super) fn end(&self, end: Result<(), Status>) {
        let waker = {
            let mut queue = self.queue.lock();
            queue.end.get_or_insert(end);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nobody reads any more.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        *queue = Queue { closed: true, ..Queue::default() };
        drop(queue);
        self.changed.notify_waiters();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// The next messages, as many as make a piece.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let mut taken = Vec::new();
        {
            let mut queue = self.queue.lock();
            let mut bytes = 0;
            while bytes < PIECE_BYTES
                && let Some(item) = queue.items.pop_front()
            {
                bytes += item.cost();
                taken.push(item);
            }
            queue.bytes -= bytes;
            if taken.is_empty() {
                if let Some(end) = queue.end.take() {
                    return Poll::Ready(end.err().map(Err));
                }
                queue.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let mut out = BytesMut::with_capacity(4096);
        for item in &taken {
            write(item, &mut out);
        }
        self.changed.notify_waiters();
        Poll::Ready(Some(Ok(out.freeze())))
    }
}

fn write(item: &Item, out: &mut BytesMut) {
    match item {
        Item::Control(response) => grpc::append(response, out),
        Item::Events { watcher, header, events } => {
            watcher.busy.store(true, Ordering::Relaxed);
            let head = pb::WatchResponse { header: Some(*header), watch_id: watcher.id, ..Default::default() };
            if !watcher.in_fragments {
                return write_events(&head, events, watcher.with_previous, out);
            }
            let mut rest = &events[..];
            while !rest.is_empty() {
                let count = fitting(rest, watcher.with_previous);
                let fragment = pb::WatchResponse { fragment: count < rest.len(), ..head.clone() };
                write_events(&fragment, &rest[..count], watcher.with_previous, out);
                rest = &rest[count..];
            }
        }
    }
}

/// How many of the events fit a message, at least one.
fn fitting(events: &[Arc<Shared>], with_previous: bool) -> usize {
    let mut bytes = 128;
    let fits = events.iter().take_while(|shared| {
        bytes += event_len(shared.encoded(with_previous));
        bytes < MESSAGE_MAX
    });
    fits.count().max(1)
}

fn event_len(encoded: &Bytes) -> usize {
    key_len(EVENTS) + encoded_len_varint(encoded.len() as u64) + encoded.len()
}

/// The head's fields, then the events' bytes as they are: fields of a message may come in any order.
fn write_events(head: &pb::WatchResponse, events: &[Arc<Shared>], with_previous: bool, out: &mut BytesMut) {
    let length: usize =
        head.encoded_len() + events.iter().map(|shared| event_len(shared.encoded(with_previous))).sum::<usize>();
    out.reserve(PREFIX + length);
    out.put_u8(0);
    out.put_u32(u32::try_from(length).expect("a revision's events are below 4 GiB"));
    head.encode(out).expect("room was made");
    for shared in events {
        let encoded = shared.encoded(with_previous);
        encode_key(EVENTS, WireType::LengthDelimited, out);
        encode_varint(encoded.len() as u64, out);
        out.put_slice(encoded);
    }
}
