//! What processes have used, from /proc.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time and memory of some processes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
}

/// Adds up what these processes have used so far.
///
/// # Errors
/// When one of them is gone.
pub fn of(pids: &[i32]) -> Result<Usage> {
    let tick = rustix::param::clock_ticks_per_second();
    let page = rustix::param::page_size() as u64;
    let mut sum = Usage::default();
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
        sum.cpu += Duration::from_millis((field(&stat, 14) + field(&stat, 15)) * 1000 / tick);
        sum.memory_bytes += field(&stat, 24) * page;
    }
    Ok(sum)
}

/// A field of a `stat` file, counted from 1 as proc(5) does.
fn field(stat: &str, number: usize) -> u64 {
    // The name in parentheses may hold blanks; the fields after it do not.
    let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.nth(number - 3).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Processor time of the threads of some processes, by the threads' names without what numbers and members they end in.
///
/// # Errors
/// When one of the processes is gone.
pub fn by_thread(pids: &[i32]) -> Result<BTreeMap<String, Duration>> {
    let tick = rustix::param::clock_ticks_per_second();
    let mut threads = BTreeMap::<String, Duration>::new();
    for pid in pids {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))?;
        for task in tasks {
            // A thread may end while we look.
            let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else { continue };
            let name = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(name, _)| name);
            let family = name.split(['-', ':', '_']).next().unwrap_or(name).to_owned();
            let ms = (field(&stat, 14) + field(&stat, 15)) * 1000 / tick;
            *threads.entry(family).or_default() += Duration::from_millis(ms);
        }
    }
    Ok(threads)
}

/// The most memory that a process has held so far, bytes.
///
/// # Errors
/// When it is gone.
pub fn peak(pid: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kilobytes: u64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Ok(kilobytes << 10)
}
