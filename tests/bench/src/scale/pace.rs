//! Writes at a rate of their own: each has its time, and its latency counts from then, whether it could be sent or not.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rand::RngCore;

use crate::store::client::{Client, framed};

/// Writers that share the rate; so many writes may be late at once.
const WRITERS: u64 = 256;

/// Writes to be made at a rate.
#[derive(Clone)]
pub struct Pace<R> {
    pub connections: Vec<Client>,
    pub per_second: u64,
    /// Makes the put with this number.
    pub request: R,
    /// How many there have been.
    pub done: Arc<AtomicU64>,
}

/// What writes came to while something happened.
pub struct Meanwhile {
    /// How long that took.
    pub took: Duration,
    latencies: Histogram<u64>,
}

#[expect(clippy::cast_precision_loss, reason = "microseconds")]
fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

impl Meanwhile {
    /// As a row of a table.
    pub fn print(&self, what: &str) {
        let Self { took, latencies } = self;
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let rate = latencies.len() as f64 / seconds.max(1e-3);
        println!(
            "{what:<52}{seconds:>9.1}{rate:>9.0}{:>9.2}{:>9.2}{:>9.1}",
            ms(latencies.value_at_quantile(0.5)),
            ms(latencies.value_at_quantile(0.99)),
            ms(latencies.max())
        );
    }

    /// Above such rows.
    pub fn print_head(what: &str) {
        println!("{what:<52}{:>9}{:>9}{:>9}{:>9}{:>9}", "seconds", "puts/s", "p50", "p99", "longest");
    }
}

impl<R: Fn(u64) -> pb::PutRequest + Clone + Send + 'static> Pace<R> {
    /// Does something while the writes go on, and says what they came to. Each such time begins afresh: what one leaves behind
    /// is not laid at the door of the next.
    pub async fn during<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Meanwhile)> {
        let latencies = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
        let stop = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let writers =
            (0..WRITERS).map(|writer| tokio::spawn(self.clone().write(writer, start, latencies.clone(), stop.clone())));
        let writers: Vec<_> = writers.collect();
        let done = work.await?;
        let took = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await??;
        }
        let latencies = std::mem::replace(&mut *latencies.lock(), Histogram::new(3)?);
        Ok((done, Meanwhile { took, latencies }))
    }

    async fn write(
        self,
        writer: u64,
        start: Instant,
        latencies: Arc<Mutex<Histogram<u64>>>,
        stop: Arc<AtomicBool>,
    ) -> Result<()> {
        let connection = &self.connections[usize::try_from(writer)? % self.connections.len()];
        for number in (writer..).step_by(usize::try_from(WRITERS)?) {
            let due = start + Duration::from_micros(number * 1_000_000 / self.per_second);
            tokio::time::sleep_until(due.into()).await;
            if stop.load(Ordering::Relaxed) {
                break;
            }
            connection.raw("/etcdserverpb.KV/Put", framed(&(self.request)(number))).await?;
            latencies.lock().record(u64::try_from(due.elapsed().as_micros())?.max(1))?;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A value that no compression makes smaller, so that disks and wires carry all of it.
pub fn value(bytes: usize) -> Bytes {
    let mut value = vec![0; bytes];
    rand::rng().fill_bytes(&mut value);
    value.into()
}
