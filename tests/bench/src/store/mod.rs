//! `./x bench store`: three members each of Trireme and etcd on loopback, fsync on, through etcd's API, with one lean client
//! and with etcd's own tool.

pub mod client;
mod load;
mod streams;
pub mod subject;
mod tool;

use std::future::Future;

use anyhow::Result;
use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;
use tests_e2e::Cluster;
use tests_e2e::etcd::{self, Etcd};

use client::{Client, framed};
use load::Sample;
use subject::{Members, Subject};

/// Options.
///
/// Rows are of the lean client ([`client`]) unless they name etcd's tool.
#[derive(clap::Args)]
pub struct Args {
    /// Seconds that each load counts.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// TLS with client certificates on both sides; without, plain text on both.
    #[arg(long)]
    tls: bool,
    /// Leave etcd out.
    #[arg(long)]
    alone: bool,
    /// Only loads whose names hold this.
    #[arg(long, default_value = "")]
    only: String,
}

const VALUE_BYTES: usize = 256;
/// Keys that are written and read.
const KEYS: u64 = 10_000;

/// Runs the benchmark and prints its tables.
///
/// # Errors
/// When a server does not start or answers with an error.
pub async fn run(args: Args) -> Result<()> {
    let scheme = if args.tls { "https" } else { "http" };
    println!(
        "three members each, fsync on, {scheme}, {} s a load; latencies in ms, processor time of all members; the client is the lean one where no other is named",
        args.seconds
    );
    println!("{:<44}{:>10}{:>9}{:>9}{:>9}", "", "per s", "p50", "p99", "CPU µs");
    let cluster = Cluster::store(3, scheme)?;
    let credentials = args.tls.then(|| cluster.credentials().clone());
    let subject = Subject {
        name: "trireme",
        addresses: (0..3).map(|index| cluster.etcd(index)).collect(),
        pids: ["m1", "m2", "m3"].iter().map(|name| cluster.pid(name)).collect::<Result<_>>()?,
        credentials: credentials.clone(),
        certificates: args.tls.then(|| cluster.dir().to_owned()),
    };
    let ours = measure(&subject.settle().await?, &args).await?;
    let Some(binary) = etcd::binary("etcd").filter(|_| !args.alone) else {
        println!("etcd is not at hand (TRIREME_PEERS names no folder with it): no comparison");
        return Ok(());
    };
    // Stopped, so that it takes nothing from the other; its certificates stay.
    cluster.local(&["down"])?;
    let peer = Etcd::start(&binary, args.tls.then(|| cluster.dir()))?;
    let subject = Subject {
        name: "etcd",
        addresses: peer.addresses(),
        pids: peer.pids(),
        credentials,
        certificates: args.tls.then(|| cluster.dir().to_owned()),
    };
    let theirs = measure(&subject.settle().await?, &args).await?;
    println!("\n{:<44}{:>10}{:>9}{:>9}{:>9}", "Trireme to etcd", "per s", "p50", "p99", "CPU");
    for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        println!(
            "{name:<44}{:>10.2}{:>9.2}{:>9.2}{:>9.2}",
            ours.per_second / theirs.per_second,
            ours.p50_ms / theirs.p50_ms,
            ours.p99_ms / theirs.p99_ms,
            ours.cpu_us / theirs.cpu_us
        );
    }
    Ok(())
}

fn key(number: u64) -> Bytes {
    format!("bench/{:05}", number.wrapping_mul(7919) % KEYS).into()
}

fn put(number: u64) -> Bytes {
    framed(&pb::PutRequest { key: key(number), value: vec![b'x'; VALUE_BYTES].into(), ..Default::default() })
}

fn get(number: u64, serializable: bool) -> Bytes {
    framed(&pb::RangeRequest { key: key(number), serializable, ..Default::default() })
}

async fn one_put(client: Client, number: u64) -> Result<()> {
    client.raw("/etcdserverpb.KV/Put", put(number)).await.map(drop)
}

async fn one_get(client: Client, number: u64) -> Result<()> {
    client.raw("/etcdserverpb.KV/Range", get(number, false)).await.map(drop)
}

async fn one_stale_get(client: Client, number: u64) -> Result<()> {
    client.raw("/etcdserverpb.KV/Range", get(number, true)).await.map(drop)
}

/// Ten requests as an API server's: six gets, two small lists, two guarded updates.
async fn mixed(client: Client, number: u64) -> Result<()> {
    match number % 10 {
        0 | 1 => {
            let list = pb::RangeRequest {
                key: key(number),
                range_end: Bytes::from_static(b"bench0"),
                limit: 10,
                ..Default::default()
            };
            client.raw("/etcdserverpb.KV/Range", framed(&list)).await.map(drop)
        }
        2 | 3 => {
            let found: pb::RangeResponse = client
                .call("/etcdserverpb.KV/Range", &pb::RangeRequest { key: key(number), ..Default::default() })
                .await?;
            let revision = found.kvs.first().map_or(0, |kv| kv.mod_revision);
            let put = pb::PutRequest { key: key(number), value: vec![b'y'; VALUE_BYTES].into(), ..Default::default() };
            let get = pb::RangeRequest { key: key(number), ..Default::default() };
            let guarded = pb::TxnRequest {
                compare: vec![pb::Compare {
                    result: CompareResult::Equal.into(),
                    target: CompareTarget::Mod.into(),
                    key: key(number),
                    target_union: Some(TargetUnion::ModRevision(revision)),
                    ..Default::default()
                }],
                success: vec![pb::RequestOp { request: Some(Request::RequestPut(put)) }],
                failure: vec![pb::RequestOp { request: Some(Request::RequestRange(get)) }],
            };
            client.raw("/etcdserverpb.KV/Txn", framed(&guarded)).await.map(drop)
        }
        _ => one_get(client, number).await,
    }
}

/// The rows of a table as they come.
struct Table<'a> {
    subject: &'a Subject,
    args: &'a Args,
    rows: Vec<(String, Sample)>,
}

impl Table<'_> {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.args.only)
    }

    fn add(&mut self, name: String, sample: Sample) {
        let Sample { per_second, p50_ms, p99_ms, cpu_us } = sample;
        println!("{:<8}{name:<36}{per_second:>10.0}{p50_ms:>9.2}{p99_ms:>9.2}{cpu_us:>9.1}", self.subject.name);
        self.rows.push((name, sample));
    }

    async fn load<F, R>(
        &mut self,
        what: &str,
        members: Members,
        clients: usize,
        connections: usize,
        op: F,
    ) -> Result<()>
    where
        F: Fn(Client, u64) -> R + Clone + Send + 'static,
        R: Future<Output = Result<()>> + Send,
    {
        let name = format!("{what}, {clients} on {connections}");
        if !self.wants(&name) {
            return Ok(());
        }
        let open = self.subject.connect(members, connections).await?;
        let load = streams::load(clients, self.args.seconds);
        let sample = load.run(&open, &self.subject.pids, op).await?;
        self.add(name, sample);
        Ok(())
    }
}

async fn measure(subject: &Subject, args: &Args) -> Result<Vec<(String, Sample)>> {
    let mut table = Table { subject, args, rows: Vec::new() };
    fill(subject).await?;
    table.load("put", Members::Leader, 1, 1, one_put).await?;
    table.load("put", Members::All, 100, 100, one_put).await?;
    table.load("put", Members::All, 100, 4, one_put).await?;
    table.load("put", Members::All, 1000, 100, one_put).await?;
    table.load("put", Members::All, 1000, 4, one_put).await?;
    table.load("get", Members::Leader, 1, 1, one_get).await?;
    for (whom, members) in [("leader", Members::Leader), ("follower", Members::Follower)] {
        for connections in [100, 4] {
            table.load(&format!("get at {whom}"), members, 1000, connections, one_get).await?;
        }
        table.load(&format!("stale get at {whom}"), members, 1000, 100, one_stale_get).await?;
    }
    table.load("mixed", Members::All, 100, 12, mixed).await?;
    if table.wants("watch events") {
        let sample = streams::watches(subject, streams::load(1, args.seconds)).await?;
        table.add("watch events, 1000 on 100 streams".to_owned(), sample);
    }
    if table.wants("renewals") {
        let sample = streams::renewals(subject, streams::load(1, args.seconds)).await?;
        table.add("renewals, 2000 on 100 streams".to_owned(), sample);
    }
    match etcd::binary("benchmark") {
        Some(binary) => tool::rows(&binary, &mut table).await?,
        None => {
            println!("etcd's own tool is not at hand (TRIREME_PEERS names no folder with benchmark): no rows with it")
        }
    }
    Ok(table.rows)
}

/// Writes every key once.
async fn fill(subject: &Subject) -> Result<()> {
    let clients = subject.connect(Members::All, 8).await?;
    let writers = (0..64_u64).map(|writer| {
        let client = clients[usize::try_from(writer).unwrap_or(0) % clients.len()].clone();
        tokio::spawn(async move {
            for number in (writer..KEYS).step_by(64) {
                one_put(client.clone(), number).await?;
            }
            anyhow::Ok(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    Ok(())
}
