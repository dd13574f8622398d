//! Many clients that each send a request after the other for a while.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use super::client::Client;
use crate::usage;

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Operations per second.
    pub per_second: f64,
    /// Milliseconds.
    pub p50_ms: f64,
    /// Milliseconds.
    pub p99_ms: f64,
    /// The servers' processor time for an operation, microseconds, all members together.
    pub cpu_us: f64,
}

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Clients, each with a request in flight.
    pub clients: usize,
    /// Before anything counts.
    pub warm_up: Duration,
    /// That counts.
    pub duration: Duration,
}

impl Load {
    /// Runs it. `request` gets the connection and a number that counts up.
    pub async fn run<F, R>(self, connections: &[Client], pids: &[i32], request: F) -> Result<Sample>
    where
        F: Fn(Client, u64) -> R + Clone + Send + 'static,
        R: Future<Output = Result<()>> + Send,
    {
        let next = Arc::new(AtomicU64::new(0));
        let start = Instant::now() + self.warm_up;
        let end = start + self.duration;
        let mut workers = Vec::with_capacity(self.clients);
        for client in 0..self.clients {
            let (next, request) = (next.clone(), request.clone());
            let connection = connections[client % connections.len()].clone();
            workers.push(tokio::spawn(async move {
                let mut latencies = Histogram::<u64>::new(3)?;
                loop {
                    let sent = Instant::now();
                    if sent >= end {
                        return anyhow::Ok(latencies);
                    }
                    request(connection.clone(), next.fetch_add(1, Ordering::Relaxed)).await?;
                    if sent >= start {
                        latencies.record(u64::try_from(sent.elapsed().as_micros())?.max(1))?;
                    }
                }
            }));
        }
        tokio::time::sleep_until(start.into()).await;
        let (before, first) = (usage::of(pids)?, next.load(Ordering::Relaxed));
        tokio::time::sleep_until(end.into()).await;
        let (after, last) = (usage::of(pids)?, next.load(Ordering::Relaxed));
        let mut latencies = Histogram::<u64>::new(3)?;
        for worker in workers {
            latencies.add(worker.await??)?;
        }
        let cpu = after.cpu.saturating_sub(before.cpu);
        Ok(sample(last - first, self.duration, cpu, &latencies))
    }
}

/// From counts to a sample.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds are far below 2^52")]
pub fn sample(operations: u64, duration: Duration, cpu: Duration, latencies: &Histogram<u64>) -> Sample {
    Sample {
        per_second: operations as f64 / duration.as_secs_f64(),
        p50_ms: latencies.value_at_quantile(0.5) as f64 / 1e3,
        p99_ms: latencies.value_at_quantile(0.99) as f64 / 1e3,
        cpu_us: cpu.as_secs_f64() * 1e6 / operations.max(1) as f64,
    }
}
