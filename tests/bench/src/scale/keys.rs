//! A million keys of a kilobyte, a thousand writes a second, two hundred watchers that see them all; and what happens to a
//! store in its life, each with the latency of the writes meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use pb::request_op::Request;
use pb::watch_request::RequestUnion;
use prost::Message;
use tests_e2e::Cluster;

use super::pace::{Meanwhile, Pace, value};
use super::{Args, MEMBERS, megabytes, subject};
use crate::store::client::{Client, framed};
use crate::store::subject::{Members, Subject};
use crate::usage;

const VALUE_BYTES: usize = 1024;
/// Puts in a transaction while the store is filled.
const AT_ONCE: u64 = 100;
/// How long a state without events is looked at.
const STEADY: Duration = Duration::from_secs(10);
/// How long a watcher may be behind at the end.
const PATIENCE: Duration = Duration::from_secs(60);

fn key(number: u64) -> Bytes {
    format!("scale/{number:08}").into()
}

pub(super) async fn run(args: &Args) -> Result<()> {
    let (keys, per_second) = (args.of(1_000_000, 1000), args.of(1000, 100));
    let watchers = usize::try_from(args.of(200, 4))?;
    println!("\n{keys} keys of {VALUE_BYTES} bytes, {per_second} writes/s, {watchers} watchers of them all");
    let cluster = Arc::new(Cluster::store(3, "http")?);
    let subject = subject(&cluster).await?;
    let begun = Instant::now();
    fill(&subject, keys).await?;
    println!("filled in {:.1} s, {AT_ONCE} puts a transaction", begun.elapsed().as_secs_f64());
    memory(&cluster, "memory of the members after that")?;
    let writers = subject.connect(Members::Leader, 8).await?;
    let put = move |number: u64| pb::PutRequest {
        key: key(number.wrapping_mul(7919) % keys),
        value: value(VALUE_BYTES),
        ..Default::default()
    };
    let last = last(&cluster, &subject)?;
    let begun = Instant::now();
    cluster.kill(last)?;
    start(&cluster, last).await?;
    println!(
        "a member killed and started, with nothing else going on: {:.1} s until it serves",
        begun.elapsed().as_secs_f64()
    );
    Meanwhile::print_head("");
    let mut writes = Pace { connections: writers, per_second, request: put, done: Arc::default() };
    writes.during(rest(STEADY)).await?.1.print("nothing else");
    // Watched from here on, so that every write is counted.
    writes.done = Arc::default();
    let watching = Watching::begin(&subject, watchers).await?;
    writes.during(rest(STEADY)).await?.1.print("the watchers");
    life(&cluster, &subject, last, &writes).await?;
    let written = writes.done.load(Ordering::Relaxed);
    let behind = watching.end(written).await?;
    println!(
        "each of {watchers} watchers saw all {written} writes; the last one {} ms after the last write",
        behind.as_millis()
    );
    memory(&cluster, "memory of the members at the end")
}

/// The member that neither watchers nor writers are at.
fn last(cluster: &Cluster, subject: &Subject) -> Result<&'static str> {
    let index = (0..3).find(|index| cluster.etcd(*index) == subject.addresses[2]).context("a member")?;
    Ok(MEMBERS[index])
}

/// Everything that happens to a store in its life, at the member `name` where it concerns one.
async fn life<R>(cluster: &Arc<Cluster>, subject: &Subject, name: &'static str, writes: &Pace<R>) -> Result<()>
where
    R: Fn(u64) -> pb::PutRequest + Clone + Send + 'static,
{
    cluster.kill(name)?;
    let ((), meanwhile) = writes.during(start(cluster, name)).await?;
    meanwhile.print("a member killed and started until it serves");
    cluster.kill(name)?;
    std::fs::remove_dir_all(cluster.dir().join(name).join("data"))?;
    let ((), meanwhile) = writes.during(start(cluster, name)).await?;
    meanwhile.print("a wiped member started until it serves");
    let member = Client::connect(subject.addresses[2], None).await?;
    let (bytes, meanwhile) = writes.during(save(&member)).await?;
    meanwhile.print(&format!("a backup of {} MB from a follower", megabytes(bytes)));
    let leader = subject.connect(Members::Leader, 1).await?.remove(0);
    let (bytes, meanwhile) = writes.during(save(&leader)).await?;
    meanwhile.print(&format!("a backup of {} MB from the leader", megabytes(bytes)));
    let ((), meanwhile) = writes.during(compact(&leader)).await?;
    meanwhile.print("a compaction, and ten seconds after it");
    Ok(())
}

async fn rest(duration: Duration) -> Result<()> {
    tokio::time::sleep(duration).await;
    Ok(())
}

/// Starts a member and waits until it serves.
async fn start(cluster: &Arc<Cluster>, name: &'static str) -> Result<()> {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || cluster.start(name)).await?
}

/// Takes a backup and throws it away; its bytes.
async fn save(client: &Client) -> Result<u64> {
    let (_requests, mut parts) =
        client.stream("/etcdserverpb.Maintenance/Snapshot", vec![framed(&pb::SnapshotRequest {})]).await?;
    let mut bytes = 0;
    loop {
        let part = pb::SnapshotResponse::decode(parts.next().await?)?;
        bytes += part.blob.len() as u64;
        if part.remaining_bytes == 0 {
            return Ok(bytes);
        }
    }
}

async fn compact(client: &Client) -> Result<()> {
    let newest = pb::RangeRequest { key: key(0), count_only: true, ..Default::default() };
    let found: pb::RangeResponse = client.call("/etcdserverpb.KV/Range", &newest).await?;
    let revision = found.header.context("a header")?.revision;
    let request = pb::CompactionRequest { revision, physical: true };
    let _: pb::CompactionResponse = client.call("/etcdserverpb.KV/Compact", &request).await?;
    rest(STEADY).await
}

/// Writes every key once.
async fn fill(subject: &Subject, keys: u64) -> Result<()> {
    const WRITERS: u64 = 16;
    let clients = subject.connect(Members::Leader, 4).await?;
    let writers = (0..WRITERS).map(|writer| {
        let client = clients[usize::try_from(writer).unwrap_or(0) % clients.len()].clone();
        tokio::spawn(async move {
            let step = usize::try_from(WRITERS * AT_ONCE)?;
            for first in (writer * AT_ONCE..keys).step_by(step) {
                let put = |number| pb::PutRequest { key: key(number), value: value(VALUE_BYTES), ..Default::default() };
                let op = |number| pb::RequestOp { request: Some(Request::RequestPut(put(number))) };
                let success = (first..(first + AT_ONCE).min(keys)).map(op).collect();
                let txn = pb::TxnRequest { success, ..Default::default() };
                client.raw("/etcdserverpb.KV/Txn", framed(&txn)).await?;
            }
            anyhow::Ok(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    Ok(())
}

/// Watchers of all keys, each on a stream of its own, that count what they see.
struct Watching {
    seen: Vec<Arc<AtomicU64>>,
    readers: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Watching {
    async fn begin(subject: &Subject, watchers: usize) -> Result<Self> {
        let mut connections = subject.connect(Members::Leader, watchers.div_ceil(20)).await?;
        connections.extend(subject.connect(Members::Follower, watchers.div_ceil(20)).await?);
        let (mut seen, mut readers) = (Vec::new(), Vec::new());
        for watcher in 0..watchers {
            let create = pb::WatchCreateRequest {
                key: Bytes::from_static(b"scale/"),
                range_end: Bytes::from_static(b"scale0"),
                ..Default::default()
            };
            let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
            let connection = &connections[watcher % connections.len()];
            let (requests, mut answers) =
                connection.stream("/etcdserverpb.Watch/Watch", vec![framed(&request)]).await?;
            answers.next().await?;
            let counter = Arc::new(AtomicU64::new(0));
            seen.push(counter.clone());
            readers.push(tokio::spawn(async move {
                let _requests = requests;
                loop {
                    let response = pb::WatchResponse::decode(answers.next().await?)?;
                    ensure!(!response.canceled, "a watch was cancelled: {}", response.cancel_reason);
                    counter.fetch_add(response.events.len() as u64, Ordering::Relaxed);
                }
            }));
        }
        Ok(Self { seen, readers })
    }

    /// Waits until every watcher has seen so many events; how long that took.
    async fn end(self, written: u64) -> Result<Duration> {
        let begun = Instant::now();
        let least = || self.seen.iter().map(|seen| seen.load(Ordering::Relaxed)).min().unwrap_or(0);
        while least() < written {
            ensure!(begun.elapsed() < PATIENCE, "a watcher has seen {} of {written} writes", least());
            ensure!(!self.readers.iter().any(tokio::task::JoinHandle::is_finished), "a watcher has ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = begun.elapsed();
        self.readers.iter().for_each(tokio::task::JoinHandle::abort);
        let most = self.seen.iter().map(|seen| seen.load(Ordering::Relaxed)).max().unwrap_or(0);
        ensure!(most == written, "a watcher has seen {most} events of {written} writes");
        Ok(took)
    }
}

fn memory(cluster: &Cluster, what: &str) -> Result<()> {
    let mut members = Vec::new();
    for name in MEMBERS {
        let pid = cluster.pid(name)?;
        let (now, peak) = (usage::of(&[pid])?.memory_bytes, usage::peak(pid)?);
        members.push(format!("{} MB (peak {})", megabytes(now), megabytes(peak)));
    }
    println!("{what}: {}", members.join(", "));
    Ok(())
}
