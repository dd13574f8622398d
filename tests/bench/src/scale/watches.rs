//! A hundred thousand watches on one master: what each costs in memory, how soon events arrive, and a slow watcher that hurts
//! nobody.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use pb::watch_request::RequestUnion;
use prost::Message;
use tests_e2e::Cluster;
use tokio::task::JoinHandle;

use super::pace::{Meanwhile, Pace, value};
use super::{Args, megabytes, subject};
use crate::store::client::{Answers, Client, framed};
use crate::store::subject::{Members, Subject};
use crate::usage;

/// Streams that the watches share.
const STREAMS: u64 = 100;
/// Requests to watch on the way at once, on one stream.
const AT_ONCE: u64 = 100;
const STEADY: Duration = Duration::from_secs(10);
/// Of a value: enough of them fill what a slow watcher's connection holds.
const VALUE_BYTES: usize = 1024;

fn key(number: u64) -> Bytes {
    format!("watched/{number:06}").into()
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(super) async fn run(args: &Args) -> Result<()> {
    let (watches, per_second) = (args.of(100_000, 100), args.of(1000, 100));
    println!("\n{watches} watches of a key each on one follower, over {STREAMS} streams; {per_second} writes/s");
    let cluster = Cluster::store(3, "http")?;
    let subject = subject(&cluster).await?;
    let index = (0..3).find(|index| cluster.etcd(*index) == subject.addresses[1]).context("a member")?;
    let pid = cluster.pid(super::MEMBERS[index])?;
    let before = usage::of(&[pid])?.memory_bytes;
    let begun = Instant::now();
    let arrivals = Arrivals::default();
    let readers = begin(&subject, watches, &arrivals).await?;
    let after = usage::of(&[pid])?.memory_bytes;
    println!(
        "made in {:.1} s; memory {} MB before, {} MB after: {} bytes a watch",
        begun.elapsed().as_secs_f64(),
        megabytes(before),
        megabytes(after),
        after.saturating_sub(before) / watches
    );
    let writers = subject.connect(Members::Leader, 4).await?;
    let put = move |number: u64| {
        let mut stamped = value(VALUE_BYTES).to_vec();
        stamped[..8].copy_from_slice(&now_us().to_be_bytes());
        pb::PutRequest { key: key(number.wrapping_mul(7919) % watches), value: stamped.into(), ..Default::default() }
    };
    Meanwhile::print_head("puts");
    let writes = Pace { connections: writers, per_second, request: put, done: Arc::default() };
    let (delivered, meanwhile) = writes.during(arrivals.during(STEADY)).await?;
    meanwhile.print("the watches");
    print(&delivered, "from before the put to the event's arrival")?;
    let slow = watch_all(&subject).await?;
    let (delivered, meanwhile) = writes.during(arrivals.during(STEADY)).await?;
    meanwhile.print("beside one that watches all and does not read");
    print(&delivered, "from before the put to the event's arrival")?;
    println!("memory {} MB", megabytes(usage::of(&[pid])?.memory_bytes));
    let (seen, meanwhile) = writes.during(read_all(slow)).await?;
    meanwhile.print("while that one reads on");
    println!("it read on where it was, {seen} events in order without a gap");
    readers.iter().for_each(JoinHandle::abort);
    Ok(())
}

fn print(latencies: &Histogram<u64>, what: &str) -> Result<()> {
    ensure!(!latencies.is_empty(), "no event has arrived");
    #[expect(clippy::cast_precision_loss, reason = "microseconds")]
    let ms = |us: u64| us as f64 / 1e3;
    println!(
        "{what:<52}{:>9}{:>9}{:>9.2}{:>9.2}{:>9.1}",
        "",
        latencies.len(),
        ms(latencies.value_at_quantile(0.5)),
        ms(latencies.value_at_quantile(0.99)),
        ms(latencies.max())
    );
    Ok(())
}

/// How long events were on their way.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<Vec<u64>>>);

impl Arrivals {
    fn take(&self, response: &pb::WatchResponse) -> Result<()> {
        let now = now_us();
        for event in &response.events {
            let value = event.kv.as_ref().map(|kv| kv.value.clone()).unwrap_or_default();
            let sent = u64::from_be_bytes(value.get(..8).context("a stamp")?.try_into()?);
            self.0.lock().push(now.saturating_sub(sent).max(1));
        }
        Ok(())
    }

    /// Those of some time from now on.
    async fn during(&self, time: Duration) -> Result<Histogram<u64>> {
        self.0.lock().clear();
        tokio::time::sleep(time).await;
        let mut latencies = Histogram::<u64>::new(3)?;
        for latency in std::mem::take(&mut *self.0.lock()) {
            latencies.record(latency)?;
        }
        Ok(latencies)
    }
}

fn create(key: Bytes, range_end: Bytes) -> Bytes {
    let create = pb::WatchCreateRequest { key, range_end, ..Default::default() };
    framed(&pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) })
}

/// Makes the watches, and has their streams read.
async fn begin(subject: &Subject, watches: u64, arrivals: &Arrivals) -> Result<Vec<JoinHandle<Result<()>>>> {
    let connections = subject.connect(Members::Follower, usize::try_from(STREAMS)?).await?;
    let making = connections.into_iter().zip(0..).map(|(connection, stream): (Client, u64)| {
        let arrivals = arrivals.clone();
        tokio::spawn(async move {
            let numbers: Vec<u64> = (stream..watches).step_by(usize::try_from(STREAMS)?).collect();
            let mut numbers = numbers.chunks(usize::try_from(AT_ONCE)?);
            let ask = |numbers: &[u64]| numbers.iter().map(|number| create(key(*number), Bytes::new())).collect();
            let first = numbers.next().context("a watch for each stream")?;
            let (requests, mut answers) = connection.stream("/etcdserverpb.Watch/Watch", ask(first)).await?;
            made(&mut answers, first.len()).await?;
            for more in numbers {
                let _ = requests.send(ask(more).concat().into());
                made(&mut answers, more.len()).await?;
            }
            anyhow::Ok(tokio::spawn(async move {
                let _requests = requests;
                loop {
                    arrivals.take(&pb::WatchResponse::decode(answers.next().await?)?)?;
                }
            }))
        })
    });
    let mut readers = Vec::new();
    for made in making.collect::<Vec<_>>() {
        readers.push(made.await??);
    }
    Ok(readers)
}

async fn made(answers: &mut Answers, count: usize) -> Result<()> {
    for _ in 0..count {
        let answer = pb::WatchResponse::decode(answers.next().await?)?;
        ensure!(answer.created && !answer.canceled, "a watch was refused: {}", answer.cancel_reason);
    }
    Ok(())
}

/// One watch of all keys, which is not read.
async fn watch_all(subject: &Subject) -> Result<Answers> {
    let connection = subject.connect(Members::Follower, 1).await?.remove(0);
    let all = create(Bytes::from_static(b"watched/"), Bytes::from_static(b"watched0"));
    let (requests, mut answers) = connection.stream("/etcdserverpb.Watch/Watch", vec![all]).await?;
    made(&mut answers, 1).await?;
    // It stays open for as long as the answers are read.
    tokio::spawn(async move {
        requests.closed().await;
    });
    Ok(answers)
}

/// Reads what was missed until it is as new as what comes; how many events in all.
async fn read_all(mut answers: Answers) -> Result<u64> {
    let (mut seen, mut last, begun) = (0, 0, now_us());
    loop {
        let response = pb::WatchResponse::decode(answers.next().await?)?;
        ensure!(!response.canceled, "the slow watch was cancelled: {}", response.cancel_reason);
        for kv in response.events.iter().filter_map(|event| event.kv.as_ref()) {
            ensure!(last == 0 || kv.mod_revision == last + 1, "revision {} follows {last}", kv.mod_revision);
            last = kv.mod_revision;
            seen += 1;
            if u64::from_be_bytes(kv.value.get(..8).context("a stamp")?.try_into()?) > begun {
                return Ok(seen);
            }
        }
    }
}
