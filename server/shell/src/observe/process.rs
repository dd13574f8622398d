//! Memory, processor time and descriptors of this process, as the kernel counts them.

use std::sync::OnceLock;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::{Deserialize, Serialize};

/// What the kernel says of this process; 0 where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Memory in use, bytes.
    pub resident_bytes: u64,
    /// Address space, bytes.
    pub virtual_bytes: u64,
    /// Processor time, user and system.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
    /// Descriptors that are open.
    pub open_fds: u64,
    /// Descriptors that may be open.
    pub max_fds: u64,
    /// When it began, seconds since the epoch.
    pub started_at: f64,
}

/// Reads it.
pub fn usage() -> Usage {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut usage = parse_stat(&stat, ticks(), rustix::param::page_size() as u64).unwrap_or_default();
    usage.started_at += booted_at();
    usage.open_fds = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    usage.max_fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(0);
    usage
}

fn ticks() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// `/proc/self/stat`; `started_at` counts from the machine's start.
fn parse_stat(stat: &str, ticks: f64, page: u64) -> Option<Usage> {
    // The name before it may hold anything, brackets and spaces too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // Numbered as in proc(5), where the state is the third.
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.trim().parse::<u64>().ok());
    Some(Usage {
        cpu_seconds: (number(14)? + number(15)?) as f64 / ticks,
        threads: number(20)?,
        started_at: number(22)? as f64 / ticks,
        virtual_bytes: number(23)?,
        resident_bytes: number(24)? * page,
        ..Usage::default()
    })
}

/// When the machine started, seconds since the epoch.
fn booted_at() -> f64 {
    static BOOTED: OnceLock<f64> = OnceLock::new();
    *BOOTED.get_or_init(|| {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
        line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0.0)
    })
}

/// Shows it to a registry, under the names that every Prometheus client gives.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let usage = usage();
        let gauges = [
            ("process_resident_memory_bytes", "Memory in use", usage.resident_bytes as f64),
            ("process_virtual_memory_bytes", "Address space", usage.virtual_bytes as f64),
            ("process_open_fds", "Descriptors that are open", usage.open_fds as f64),
            ("process_max_fds", "Descriptors that may be open", usage.max_fds as f64),
            ("process_threads", "Threads", usage.threads as f64),
            ("process_start_time_seconds", "When the process began, since the epoch", usage.started_at),
        ];
        for (name, help, value) in gauges {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let help = "Processor time, user and system";
        let cpu = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(usage.cpu_seconds).encode(cpu)?;
        let help = "The build that runs";
        let mut build = encoder.encode_descriptor("trireme_build_info", help, None, MetricType::Gauge)?;
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        ConstGauge::new(1_u64).encode(build.encode_family(&labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_whatever_the_process_is_called() {
        let stat = "77 (a ) b) S 1 77 77 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 1000 104857600 2048 184 1";
        let usage = parse_stat(stat, 100.0, 4096).unwrap();
        assert_eq!((usage.cpu_seconds, usage.threads, usage.started_at), (3.0, 9, 10.0));
        assert_eq!((usage.virtual_bytes, usage.resident_bytes), (104_857_600, 2048 * 4096));
        assert_eq!(parse_stat("damaged", 100.0, 4096), None);
    }

    #[test]
    fn this_process_is_measured() {
        let usage = usage();
        assert!(usage.resident_bytes > 1 << 20 && usage.open_fds > 2 && usage.max_fds >= usage.open_fds, "{usage:?}");
        assert!(usage.started_at > 1.6e9, "{usage:?}");
    }
}
