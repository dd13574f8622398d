//! The log as openraft wants it, on raft/log: recent entries are kept in memory, so that replication and apply do not
//! read what was written a moment ago; writes go to the flusher, whose word counts as durable.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use planted_bugs::planted;

use crate::disk::LogDisk;
use crate::metrics::Metrics;
use crate::simulated::blocking;
use crate::size::Size;
use crate::types::{Entry, LogId, Payload, TypeConfig, Vote};
use crate::watchdog::Flushes;

/// Entries kept in memory, by their bytes: what is on its way to disk, peers and apply. Who lags further reads the disk.
const TAIL_BYTES_MAX: usize = 4 << 20;

/// There is room for so many entries without asking for more.
const ENTRIES_MIN: usize = 64;

/// What one message of replication holds of the log, unless a single entry is larger.
const READ_BYTES_MAX: usize = 4 << 20;

/// The log of this member. Clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    disk: Arc<LogDisk>,
    tail: Arc<Mutex<Tail>>,
    flushes: Arc<Flushes>,
    size: Arc<Size>,
    metrics: Arc<Metrics>,
}

/// The newest entries, without gaps.
#[derive(Default)]
struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Everything up to here is on disk; what is not stays here.
    durable: Option<u64>,
    /// The newest entry when old ones were forgotten last.
    seen: u64,
}

/// The log's entries that are in memory, without what holds the disk.
pub(crate) struct Memory(Arc<Mutex<Tail>>);

impl Memory {
    /// Lets go of what is on disk and was there at the last call: on an idle member nobody asks for it, and it would be kept
    /// until newer entries come to its bound.
    pub(crate) fn forget_old(&self) {
        self.0.lock().forget_old();
    }
}

/// What an entry weighs, about.
pub(crate) fn weight(entry: &Entry) -> usize {
    64 + match &entry.payload {
        Payload::Normal(commands) => commands.0.len(),
        Payload::Blank | Payload::Membership(_) => 64,
    }
}

impl Tail {
    fn first(&self) -> Option<u64> {
        self.entries.front().map(|e| e.log_id.index)
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= weight(&entry);
        }
    }

    /// Lets go of what is on disk and more than is kept.
    fn shrink(&mut self) {
        while self.bytes > TAIL_BYTES_MAX && self.first().is_some_and(|first| Some(first) <= self.durable) {
            self.pop_front();
        }
    }

    fn forget_old(&mut self) {
        let old = self.durable.min(Some(self.seen));
        while self.entries.len() > 1 && self.first() <= old {
            self.pop_front();
        }
        self.entries.shrink_to(ENTRIES_MIN);
        self.seen = self.entries.back().map_or(0, |newest| newest.log_id.index);
    }

    fn truncate(&mut self, after: Option<u64>) {
        while let Some(last) = self.entries.back()
            && Some(last.log_id.index) > after
        {
            self.bytes -= weight(last);
            self.entries.pop_back();
        }
        self.durable = self.durable.min(after);
    }

    /// Clones entries `start..end`, as far as they are here and up to the limit of bytes (at least one).
    fn read(&self, start: u64, end: u64, limit: usize, into: &mut Vec<Entry>) {
        let Some(first) = self.first() else { return };
        let skip = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut bytes = into.iter().map(weight).sum::<usize>();
        for entry in self.entries.iter().skip(skip).take_while(|e| e.log_id.index < end) {
            bytes += weight(entry);
            if bytes > limit && !into.is_empty() {
                return;
            }
            into.push(entry.clone());
        }
    }
}

impl Log {
    pub(crate) fn new(disk: LogDisk, flushes: Arc<Flushes>, metrics: Arc<Metrics>) -> Self {
        let counted = metrics.clone();
        disk.on_sync(Box::new(move |took| counted.fsync_us.record_duration(took)));
        Self { disk: Arc::new(disk), tail: Arc::default(), flushes, size: Arc::default(), metrics }
    }

    pub(crate) fn disk(&self) -> Arc<LogDisk> {
        self.disk.clone()
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory(self.tail.clone())
    }

    pub(crate) fn size(&self) -> Arc<Size> {
        self.size.clone()
    }

    /// Entries `start..end` up to a limit of bytes, from memory, and from disk where memory does not reach back.
    async fn read(&self, start: u64, end: u64, limit: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let first = {
            let tail = self.tail.lock();
            match tail.first() {
                Some(first) if first <= start => {
                    tail.read(start, end, limit, &mut entries);
                    return Ok(entries);
                }
                first => first,
            }
        };
        let disk = self.disk.clone();
        let upto = first.map_or(end, |first| first.min(end));
        entries = blocking(move || disk.read(start, upto, limit)).await?;
        let next = entries.last().map(|e| e.log_id.index + 1);
        if next == first && next.is_some_and(|next| next < end) {
            // What the disk held ends where memory begins, unless memory moved on meanwhile.
            let tail = self.tail.lock();
            if tail.first() == first {
                tail.read(next.unwrap_or(start), end, limit, &mut entries);
            }
        }
        Ok(entries)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last + 1,
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (start, end) = bounds(&range);
        let mut entries = self.read(start, end, usize::MAX).await?;
        // Memory may have let go of entries between the two reads.
        while let Some(last) = entries.last()
            && last.log_id.index + 1 < end
        {
            let more = self.read(last.log_id.index + 1, end, usize::MAX).await?;
            if more.is_empty() {
                break;
            }
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, READ_BYTES_MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.disk.vote())
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let (last_purged_log_id, last_log_id) = self.disk.extent();
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let ticket = self.flushes.begin();
        let saved = self.disk.save_vote(*vote).await;
        self.flushes.end(ticket);
        saved
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let Some(last) = entries.last().map(|e| e.log_id.index) else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        self.size.add(last, entries.iter().map(|e| weight(e) as u64).sum());
        {
            let mut tail = self.tail.lock();
            for entry in &entries {
                tail.push(entry.clone());
            }
        }
        let ticket = self.flushes.begin();
        let (flushes, tail, metrics) = (self.flushes.clone(), self.tail.clone(), self.metrics.clone());
        self.disk.append(entries, move |written| {
            metrics.append_us.record_duration(flushes.end(ticket));
            if written.is_ok() {
                let mut tail = tail.lock();
                tail.durable = tail.durable.max(Some(last));
                tail.shrink();
            }
            callback.io_completed(written);
        });
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = &committed {
            self.disk.save_committed(committed);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.disk.committed())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let after = last.map(|id| id.index);
        let after = if planted!(LogTruncatedTooFar) { after.map(|index| index.saturating_sub(2)) } else { after };
        self.size.truncate(after);
        self.disk.truncate_after(after).await?;
        self.tail.lock().truncate(after);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.size.purge(upto.index);
        {
            let mut tail = self.tail.lock();
            while tail.first().is_some_and(|first| first <= upto.index) {
                tail.pop_front();
            }
        }
        self.disk.purge(upto).await
    }
}
