//! Faults for tests: links between members that can be cut and healed, disks that hang or are full, states that go astray.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};
use raft_state::Command;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::peer::dial::Lane;
use crate::peer::socket;

/// Which links are cut and which disks hang. A cut link is silent both ways: nothing is refused, nothing arrives, as with
/// a cable pulled. Shared by all members of a test; there are none in production.
#[derive(Debug, Default)]
pub struct Faults {
    inner: Mutex<Inner>,
    mended: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    cut: BTreeSet<(u64, u64)>,
    /// Whose log entries do not reach whom.
    unheard: BTreeSet<(u64, u64)>,
    hanging: BTreeSet<u64>,
    /// Bytes free.
    full: BTreeMap<u64, u64>,
    astray: BTreeMap<u64, fn(&Command) -> bool>,
    waiting: Vec<Waker>,
}

impl Faults {
    /// Cuts what `a` dials at `b` and the other way round.
    pub fn cut(&self, a: u64, b: u64) {
        let mut inner = self.inner.lock();
        inner.cut.insert((a, b));
        inner.cut.insert((b, a));
    }

    /// Holds up the log entries that a member sends to others as leader, and nothing else: its heartbeats arrive.
    pub fn hold_entries(&self, leader: u64, others: impl IntoIterator<Item = u64>) {
        self.inner.lock().unheard.extend(others.into_iter().map(|other| (leader, other)));
    }

    /// Lets the disk of a member's log hang.
    pub fn hang_disk(&self, member: u64) {
        self.inner.lock().hanging.insert(member);
    }

    /// Leaves so many bytes free on the disk of a member; `None` for what there really is.
    pub fn fill_disk(&self, member: u64, free: Option<u64>) {
        let mut inner = self.inner.lock();
        match free {
            Some(free) => inner.full.insert(member, free),
            None => inner.full.remove(&member),
        };
    }

    pub(crate) fn free_bytes(&self, member: u64) -> Option<u64> {
        self.inner.lock().full.get(&member).copied()
    }

    /// Lets a member leave out the commands of the next entry that it applies with one such among them.
    pub fn lead_astray(&self, member: u64, by: fn(&Command) -> bool) {
        self.inner.lock().astray.insert(member, by);
    }

    pub(crate) fn goes_astray(&self, member: u64, command: &Command) -> bool {
        let mut inner = self.inner.lock();
        let goes = inner.astray.get(&member).is_some_and(|by| by(command));
        goes && inner.astray.remove(&member).is_some()
    }

    /// Waits while a disk hangs.
    pub(crate) fn wait_for_disk(&self, member: u64) {
        let mut inner = self.inner.lock();
        while inner.hanging.contains(&member) {
            self.mended.wait(&mut inner);
        }
    }

    /// Mends everything.
    pub fn heal(&self) {
        let mut inner = self.inner.lock();
        inner.cut.clear();
        inner.unheard.clear();
        inner.hanging.clear();
        self.mended.notify_all();
        for waker in inner.waiting.drain(..) {
            waker.wake();
        }
    }

    /// Pending while the link is cut.
    fn poll(&self, (from, to, lane): Ends, context: &Context<'_>) -> Poll<()> {
        let mut inner = self.inner.lock();
        let is_held = lane == Lane::Replication && inner.unheard.contains(&(from, to));
        if !inner.cut.contains(&(from, to)) && !is_held {
            return Poll::Ready(());
        }
        inner.waiting.push(context.waker().clone());
        Poll::Pending
    }
}

/// Who dialled whom, and what for.
type Ends = (u64, u64, Lane);

/// A connection to a peer, dialled from here.
pub(crate) struct Link {
    stream: TcpStream,
    faults: Option<Arc<Faults>>,
    ends: Ends,
    /// What came in while the link was cut: delivered when it heals.
    held: Vec<u8>,
    /// Told when this connection is gone.
    lost: Option<Arc<Notify>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(lost) = &self.lost {
            lost.notify_one();
        }
    }
}

impl Link {
    /// Connects; waits for ever while the link is cut, so callers set a timeout.
    pub(crate) async fn dial(address: &str, ends: Ends, faults: Option<Arc<Faults>>) -> io::Result<Self> {
        if let Some(faults) = &faults {
            std::future::poll_fn(|context| faults.poll(ends, context)).await;
        }
        let stream = TcpStream::connect(address).await?;
        socket::tune(&stream)?;
        Ok(Self { stream, faults, ends, held: Vec::new(), lost: None })
    }

    /// The same, and who is told when it is gone.
    pub(crate) fn tells(mut self, lost: Option<Arc<Notify>>) -> Self {
        self.lost = lost;
        self
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        match &self.faults {
            Some(faults) => faults.poll(self.ends, context),
            None => Poll::Ready(()),
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_open(context));
        if !self.held.is_empty() {
            let taken = self.held.len().min(buffer.remaining());
            buffer.put_slice(&self.held[..taken]);
            self.held.drain(..taken);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        // The cut may have come while the read was waiting.
        if buffer.filled().len() > before && self.poll_open(context).is_pending() {
            self.held.extend_from_slice(&buffer.filled()[before..]);
            buffer.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_open(context));
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_open(context));
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_open(context));
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
