//! What a member counts, for the shell to print.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Buckets at powers of two: 1, 2, 4 … up to 2^31, and beyond.
const BUCKETS: usize = 33;

/// A histogram with buckets at powers of two: enough to tell one millisecond from ten, and cheap to feed.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts a value.
    pub fn record(&self, value: u64) {
        let bucket = (u64::BITS - value.saturating_sub(1).leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration in microseconds.
    pub fn record_duration(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts the microseconds since `start`.
    pub fn record_elapsed(&self, start: Instant) {
        self.record_duration(start.elapsed());
    }

    /// Upper bounds (inclusive) with the values counted at or below each but above the one before. The last bound is
    /// `u64::MAX`.
    pub fn buckets(&self) -> Vec<(u64, u64)> {
        self.buckets
            .iter()
            .enumerate()
            .map(|(power, count)| {
                let bound = if power == BUCKETS - 1 { u64::MAX } else { 1 << power };
                (bound, count.load(Ordering::Relaxed))
            })
            .collect()
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).sum()
    }

    /// The bound below which this share (0 to 1) of the values lies; 0 without values.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        self.buckets()
            .into_iter()
            .find_map(|(bound, count)| {
                seen += count;
                (seen >= wanted && wanted > 0).then_some(bound)
            })
            .unwrap_or(0)
    }
}

/// Counters and histograms of one member. Durations are microseconds.
#[derive(Debug, Default)]
pub struct Metrics {
    /// From `propose` to the outcome applied here.
    pub propose_us: Histogram,
    /// From the proposal of an entry to its commit, at the leader.
    pub commit_us: Histogram,
    /// Proposals that shared an entry, at the leader.
    pub batch_proposals: Histogram,
    /// From an append to its bytes on disk.
    pub append_us: Histogram,
    /// Syncs of the log's file.
    pub fsync_us: Histogram,
    /// Applying a run of entries.
    pub apply_us: Histogram,
    /// Entries applied.
    pub applied_entries: AtomicU64,
    /// Entries that were compressed, at the leader.
    pub compressed_entries: AtomicU64,
    /// Confirming a read index.
    pub read_index_us: Histogram,
    /// Reads that shared a confirmation.
    pub batch_reads: Histogram,
    /// Proposals that missed their deadline.
    pub propose_timeouts: AtomicU64,
    /// Proposals sent again, after a refusal or a change of leader.
    pub propose_retries: AtomicU64,
    /// Elections that this member won.
    pub elections_won: AtomicU64,
    /// Changes of leader that this member saw.
    pub leader_changes: AtomicU64,
    /// Times that the quorum lease lapsed while this member led.
    pub lease_lapses: AtomicU64,
    /// Deleting history that is no longer kept.
    pub compaction_us: Histogram,
    /// Building a snapshot.
    pub snapshot_build_us: Histogram,
    /// Putting a snapshot of another member in place of the state.
    pub snapshot_install_us: Histogram,
    /// Snapshots built here.
    pub snapshots_built: AtomicU64,
    /// Snapshots installed here.
    pub snapshots_installed: AtomicU64,
    /// Snapshots of others that arrived and were damaged.
    pub snapshots_refused: AtomicU64,
    /// Bytes that the scrub has read and found sound.
    pub scrub_bytes: AtomicU64,
    /// Passes of the scrub that went through.
    pub scrub_passes: AtomicU64,
    /// Passes of the scrub that found damage, or could not read.
    pub scrub_failures: AtomicU64,
    /// When the last pass went through, in seconds since 1970; 0 before the first.
    pub scrub_completed_s: AtomicU64,
    /// At the leader: log entries that each member lacks.
    replication_lag: Mutex<BTreeMap<u64, u64>>,
}

impl Metrics {
    /// At the leader: log entries that each other member lacks, by id. Empty elsewhere.
    pub fn replication_lag(&self) -> BTreeMap<u64, u64> {
        self.replication_lag.lock().clone()
    }

    pub(crate) fn set_replication_lag(&self, lag: BTreeMap<u64, u64>) {
        *self.replication_lag.lock() = lag;
    }
}

pub(crate) fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_in_the_bucket_that_ends_at_or_above_it() {
        let check = |value: u64, bound: u64| {
            let histogram = Histogram::default();
            histogram.record(value);
            assert_eq!(histogram.quantile(1.0), bound, "{value}");
        };
        check(0, 1);
        check(1, 1);
        check(2, 2);
        check(3, 4);
        check(1000, 1024);
        check(1024, 1024);
        check(1025, 2048);
        check(u64::MAX, u64::MAX);
    }

    #[test]
    fn quantiles_count_from_below() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in [1, 1, 1, 100] {
            histogram.record(value);
        }
        assert_eq!((histogram.quantile(0.5), histogram.quantile(0.99), histogram.count()), (1, 128, 4));
        assert_eq!(histogram.sum(), 103);
    }
}
