//! Histograms that openraft counts batches and latencies in, under the name and with the functions of the crate that it asks
//! for. That crate makes lookup tables for sixteen precisions when the first histogram is made: 26 MB in every master, of
//! which the one precision in use needs two kilobytes. Here a bucket's bounds are computed when somebody asks.
//!
//! Invariants: every value has exactly one bucket; a bucket's width is at most a quarter of its least value; a histogram's
//! size does not depend on what was recorded.

mod chart;

use std::fmt;
use std::marker::PhantomData;

pub use chart::AsciiChart;

/// Bits that tell the buckets between one power of two and the next apart.
const FINE_BITS: u32 = 2;
/// Buckets between one power of two and the next.
const FINE: usize = 1 << FINE_BITS;
/// Values below `FINE` have a bucket each; above, every power of two up to 2⁶³ has `FINE` of them.
const BUCKETS: usize = FINE * (u64::BITS - FINE_BITS + 1) as usize;

/// Counts of values by magnitude. The parameter is for marks between time slots, which openraft does not use.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: Box<[u64]>,
    marks: PhantomData<T>,
}

/// What percentages of the values lie below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// Values recorded.
    pub samples: u64,
    /// 0.1 % lie below.
    pub p0_1: u64,
    /// 1 % lie below.
    pub p1: u64,
    /// 5 % lie below.
    pub p5: u64,
    /// 10 % lie below.
    pub p10: u64,
    /// The median.
    pub p50: u64,
    /// 90 % lie below.
    pub p90: u64,
    /// 99 % lie below.
    pub p99: u64,
    /// 99.9 % lie below.
    pub p99_9: u64,
}

impl<T> Histogram<T> {
    /// One in which nothing was recorded.
    pub fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into(), marks: PhantomData }
    }

    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value so many times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        let counted = &mut self.counts[bucket_of(value)];
        *counted = counted.saturating_add(count);
    }

    /// Values recorded.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The least value of the bucket in which the given part of the values is reached; 0 when there are none.
    pub fn percentile(&self, part: f64) -> u64 {
        let wanted = part.clamp(0.0, 1.0) * as_float(self.total());
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            *count > 0 && as_float(seen) >= wanted
        });
        reached.map_or(0, least_of)
    }

    /// The percentiles that are shown.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }

    /// Least value and count of each bucket that has any.
    fn filled(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (least_of(bucket), *count))
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Histogram<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.filled()).finish()
    }
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = [
            ("samples", self.samples),
            ("P0.1", self.p0_1),
            ("P1", self.p1),
            ("P5", self.p5),
            ("P10", self.p10),
            ("P50", self.p50),
            ("P90", self.p90),
            ("P99", self.p99),
            ("P99.9", self.p99_9),
        ];
        let shown = shown.map(|(name, value)| format!("{name}: {value}"));
        write!(f, "[{}]", shown.join(", "))
    }
}

/// The bucket of a value: its highest bit, and the next two.
fn bucket_of(value: u64) -> usize {
    let Some(power) = value.checked_ilog2().filter(|power| *power >= FINE_BITS) else {
        return usize::try_from(value).unwrap_or(0);
    };
    let fine = (value >> (power - FINE_BITS)) & (FINE as u64 - 1);
    FINE * (power - FINE_BITS + 1) as usize + usize::try_from(fine).unwrap_or(0)
}

/// The least value of a bucket.
fn least_of(bucket: usize) -> u64 {
    if bucket < FINE {
        return bucket as u64;
    }
    ((FINE + bucket % FINE) as u64) << (bucket / FINE - 1)
}

/// Near enough for a share of a count.
#[expect(clippy::cast_precision_loss, reason = "counts beyond 2⁵³ are not told apart by one")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_one_bucket_and_buckets_are_narrow() {
        for bucket in 0..BUCKETS {
            let least = least_of(bucket);
            assert_eq!(bucket_of(least), bucket, "{least}");
            let Some(next) = (bucket + 1 < BUCKETS).then(|| least_of(bucket + 1)) else { continue };
            assert_eq!(bucket_of(next - 1), bucket, "{next}");
            assert!(next - least <= least.div_ceil(4).max(1), "{least} {next}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_where_the_values_are() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats(), PercentileStats::default());
        histogram.record_n(10, 98);
        histogram.record(1000);
        histogram.record(u64::MAX);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p0_1, stats.p50, stats.p90), (100, 10, 10, 10));
        assert_eq!((stats.p99, stats.p99_9), (896, 7 << 61));
        assert!(stats.to_string().starts_with("[samples: 100, P0.1: 10, "), "{stats}");
        assert_eq!(format!("{histogram:?}"), "{10: 98, 896: 1, 16140901064495857664: 1}");
    }
}
