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
use tokio::task::JoinHandle;

use crate::store::client::{Client, framed};

/// Writers that share the rate; so many writes may be late at once.
const WRITERS: u64 = 256;

/// Writes that go on until they are told to end.
pub struct Writes {
    latencies: Arc<Mutex<Histogram<u64>>>,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<()>>>,
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
        println!(
            "{what:<52}{:>9.1}{:>9}{:>9.2}{:>9.2}{:>9.1}",
            took.as_secs_f64(),
            latencies.len(),
            ms(latencies.value_at_quantile(0.5)),
            ms(latencies.value_at_quantile(0.99)),
            ms(latencies.max())
        );
    }

    /// Above such rows.
    pub fn print_head(what: &str) {
        println!("{what:<52}{:>9}{:>9}{:>9}{:>9}{:>9}", "seconds", "puts", "p50", "p99", "longest");
    }
}

impl Writes {
    /// Begins: `per_second` puts over these connections; `request` makes the one with this number.
    pub fn begin(
        connections: &[Client],
        per_second: u64,
        request: impl Fn(u64) -> pb::PutRequest + Clone + Send + 'static,
    ) -> Result<Self> {
        let latencies = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let start = Instant::now();
        let writers = (0..WRITERS).map(|writer| {
            let connection = connections[usize::try_from(writer).unwrap_or(0) % connections.len()].clone();
            let (latencies, done, stop, request) = (latencies.clone(), done.clone(), stop.clone(), request.clone());
            tokio::spawn(async move {
                for number in (writer..).step_by(usize::try_from(WRITERS)?) {
                    let due = start + Duration::from_micros(number * 1_000_000 / per_second);
                    tokio::time::sleep_until(due.into()).await;
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    connection.raw("/etcdserverpb.KV/Put", framed(&request(number))).await?;
                    latencies.lock().record(u64::try_from(due.elapsed().as_micros())?.max(1))?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        });
        Ok(Self { latencies: latencies.clone(), done: done.clone(), stop: stop.clone(), writers: writers.collect() })
    }

    /// Does something while the writes go on, and says what they came to.
    pub async fn during<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Meanwhile)> {
        self.latencies.lock().reset();
        let begun = Instant::now();
        let done = work.await?;
        let took = begun.elapsed();
        let latencies = std::mem::replace(&mut *self.latencies.lock(), Histogram::new(3)?);
        Ok((done, Meanwhile { took, latencies }))
    }

    /// Ends; how many writes there were in all.
    pub async fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await??;
        }
        Ok(self.done.load(Ordering::Relaxed))
    }
}

/// A value that no compression makes smaller, so that disks and wires carry all of it.
pub fn value(bytes: usize) -> Bytes {
    let mut value = vec![0; bytes];
    rand::rng().fill_bytes(&mut value);
    value.into()
}
