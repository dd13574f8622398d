//! What is known of the backups, for metrics and for people.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::{Deserialize, Serialize};

use super::Kept;

/// Shared between who makes backups and who tells of them.
#[derive(Debug, Default)]
pub struct State(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Zero: none are to be made.
    every: Duration,
    report: Report,
    made: u64,
    failed: u64,
    took: Duration,
}

/// What a master knows of the backups that it makes while it leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// Where they lie.
    pub place: String,
    /// Seconds from one to the next.
    pub every_s: u64,
    /// When the last good one was taken, seconds since 1970; 0: none is known.
    pub last_s: u64,
    /// Its name.
    pub last_name: String,
    /// Its size.
    pub last_bytes: u64,
    /// So many lie there.
    pub kept: usize,
    /// Why the last attempt failed; empty when it did not.
    pub failing: String,
}

impl State {
    /// That backups are to be made at all.
    pub(super) fn planned(&self, place: String, every: Duration) {
        let mut known = self.0.lock();
        known.every = every;
        (known.report.place, known.report.every_s) = (place, every.as_secs());
    }

    /// What lies at the target already.
    pub(super) fn found(&self, all: &[Kept]) {
        let report = &mut self.0.lock().report;
        report.kept = all.len();
        if let Some(last) = all.last() {
            (report.last_s, report.last_bytes) = (last.taken_s, last.bytes);
            report.last_name.clone_from(&last.name);
        }
    }

    pub(super) fn succeeded(&self, took: Duration) {
        let mut known = self.0.lock();
        known.made += 1;
        known.took = took;
        known.report.failing.clear();
    }

    pub(super) fn failed(&self, why: String) {
        let mut known = self.0.lock();
        known.failed += 1;
        known.report.failing = why;
    }

    /// Another one's concern from now on.
    pub(super) fn left(&self) {
        self.0.lock().report.failing.clear();
    }

    /// For people; `None` where no backups are to be made.
    pub fn report(&self) -> Option<Report> {
        let known = self.0.lock();
        (!known.every.is_zero()).then(|| known.report.clone())
    }
}

/// Shows the state to whoever reads the registry.
#[derive(Debug)]
pub struct Shown(pub Arc<State>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let known = self.0.0.lock();
        let report = &known.report;
        let gauges = [
            (
                "trireme_backup_interval_seconds",
                "From one backup to the next; 0 when none are to be made",
                known.every.as_secs(),
            ),
            ("trireme_backup_last_success_timestamp_seconds", "When the last good backup was taken", report.last_s),
            ("trireme_backup_last_size_bytes", "Size of the last good backup", report.last_bytes),
            ("trireme_backup_kept", "Backups at the target", report.kept as u64),
            ("trireme_backup_failing", "Whether the last attempt failed", u64::from(!report.failing.is_empty())),
        ];
        for (name, help, value) in gauges {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let (name, help) =
            ("trireme_backup_last_duration_seconds", "Making, writing and checking the last good backup");
        ConstGauge::new(known.took.as_secs_f64()).encode(encoder.encode_descriptor(
            name,
            help,
            None,
            MetricType::Gauge,
        )?)?;
        let mut attempts =
            encoder.encode_descriptor("trireme_backup_attempts", "Backups begun", None, MetricType::Counter)?;
        for (result, count) in [("made", known.made), ("failed", known.failed)] {
            ConstCounter::new(count).encode(attempts.encode_family(&[("result", result)])?)?;
        }
        Ok(())
    }
}
