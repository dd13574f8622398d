//! Many requests from many workers: rates, latencies, and the processor time of both ends for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tests_e2e::Client;

use crate::usage;

/// Sends `count` requests, numbered from 0, from `workers` workers that share the clients in turn.
///
/// # Errors
/// When a request fails.
pub(super) async fn load<F, R>(
    clients: &[Client],
    servers: &[i32],
    workers: usize,
    count: usize,
    request: F,
) -> Result<Value>
where
    F: Fn(Client, usize) -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let meter = Meter::start(servers)?;
    let mut running = Vec::new();
    for worker in 0..workers {
        let (next, request) = (next.clone(), request.clone());
        let client = clients[worker % clients.len()].clone();
        running.push(tokio::spawn(async move {
            let mut latencies = Histogram::<u64>::new(3)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(latencies);
                }
                let sent = Instant::now();
                request(client.clone(), number).await?;
                latencies.record(u64::try_from(sent.elapsed().as_micros())?)?;
            }
        }));
    }
    let mut latencies = Histogram::<u64>::new(3)?;
    for worker in running {
        latencies.add(worker.await??)?;
    }
    let mut measured = meter.stop(count)?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds are far below 2^52")]
    let ms = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1e3;
    measured["p50_ms"] = ms(0.5).into();
    measured["p99_ms"] = ms(0.99).into();
    Ok(measured)
}

/// Processor time of servers and client over a while.
pub(super) struct Meter {
    servers: Vec<i32>,
    begun: Instant,
    server: Duration,
    client: Duration,
}

impl Meter {
    /// Begins.
    ///
    /// # Errors
    /// When a server is gone.
    pub(super) fn start(servers: &[i32]) -> Result<Self> {
        let (server, client) = (usage::of(servers)?.cpu, own()?);
        Ok(Self { servers: servers.to_owned(), begun: Instant::now(), server, client })
    }

    /// What `count` operations took: how many a second, and microseconds of the processors for each.
    ///
    /// # Errors
    /// When a server is gone.
    pub(super) fn stop(self, count: usize) -> Result<Value> {
        let elapsed = self.begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a count is far below 2^52")]
        let operations = count.max(1) as f64;
        let each = |cpu: Duration| (cpu.as_secs_f64() / operations * 1e6).round();
        let server = usage::of(&self.servers)?.cpu.saturating_sub(self.server);
        let client = own()?.saturating_sub(self.client);
        Ok(json!({
            "per_second": (operations / elapsed).round(), "cpu_us": each(server), "client_cpu_us": each(client),
        }))
    }
}

/// Of this process.
fn own() -> Result<Duration> {
    Ok(usage::of(&[i32::try_from(std::process::id())?])?.cpu)
}
