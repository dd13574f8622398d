//! What processes have used, from /proc.

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
        // The name in parentheses may hold blanks; the fields after it do not.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let field = |number: usize| fields.get(number - 3).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        sum.cpu += Duration::from_millis((field(14) + field(15)) * 1000 / tick);
        sum.memory_bytes += field(24) * page;
    }
    Ok(sum)
}
