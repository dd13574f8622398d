//! A hundred thousand leases, each renewed every ten seconds over a hundred streams: the servers' processor time, by thread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use prost::Message;
use tests_e2e::Cluster;
use tokio::task::JoinHandle;

use super::{Args, subject};
use crate::store::client::{Client, framed};
use crate::store::subject::{Members, Subject};
use crate::usage;

const STREAMS: u64 = 100;
const TTL_S: i64 = 30;
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// A stream's leases are renewed in so many turns, a second apart.
const TURNS: usize = 10;
/// Grants on the way at once on one connection.
const AT_ONCE: usize = 16;
const MEASURED: Duration = Duration::from_secs(20);

pub(super) async fn run(args: &Args) -> Result<()> {
    let leases = args.of(100_000, 1000);
    println!("\n{leases} leases of {TTL_S} s, each renewed every {} s over {STREAMS} streams", RENEWED_EVERY.as_secs());
    let cluster = Cluster::store(3, "http")?;
    let subject = subject(&cluster).await?;
    report(&subject, "without leases, of a core", &measure(&subject, MEASURED / 4).await?);
    let begun = Instant::now();
    let connections = subject.connect(Members::All, usize::try_from(STREAMS)?).await?;
    // A lease is renewed from when it is granted: filling may take longer than it lives.
    let streams: Vec<JoinHandle<Result<()>>> = connections
        .into_iter()
        .zip(0..)
        .map(|(client, stream): (Client, u64)| {
            let count = leases / STREAMS + u64::from(stream < leases % STREAMS);
            tokio::spawn(hold(client, count, begun))
        })
        .collect();
    wait_for(&subject, leases, &streams).await?;
    println!("granted in {:.1} s", begun.elapsed().as_secs_f64());
    // Once round, so that the turns are even.
    tokio::time::sleep(RENEWED_EVERY).await;
    let found = measure(&subject, MEASURED).await?;
    report(&subject, "renewed, of a core", &found);
    ensure!(!streams.iter().any(JoinHandle::is_finished), "a stream has ended");
    streams.iter().for_each(JoinHandle::abort);
    Ok(())
}

/// Shares of a core that the members took together, by thread.
async fn measure(subject: &Subject, time: Duration) -> Result<BTreeMap<String, f64>> {
    let before = usage::by_thread(&subject.pids)?;
    let begun = Instant::now();
    tokio::time::sleep(time).await;
    let (after, took) = (usage::by_thread(&subject.pids)?, begun.elapsed());
    let share = |(name, now): (String, Duration)| {
        let spent = now.saturating_sub(before.get(&name).copied().unwrap_or_default());
        (name, spent.as_secs_f64() / took.as_secs_f64())
    };
    Ok(after.into_iter().map(share).collect())
}

fn report(subject: &Subject, what: &str, shares: &BTreeMap<String, f64>) {
    let all: f64 = shares.values().sum();
    let mut by_share: Vec<(&String, &f64)> = shares.iter().filter(|(_, share)| **share >= 0.002).collect();
    by_share.sort_by(|a, b| b.1.total_cmp(a.1));
    let parts: Vec<String> = by_share.iter().map(|(name, share)| format!("{name} {share:.3}")).collect();
    println!("{} members together, {what}: {all:.3} ({})", subject.pids.len(), parts.join(", "));
}

/// Grants leases and renews them for ever; ends with an error when one is lost.
async fn hold(client: Client, count: u64, begun: Instant) -> Result<()> {
    let mut ids: Vec<i64> = Vec::new();
    let (requests, mut answers) = {
        let first = grant(&client, 1).await?;
        ids.extend(first);
        client.stream("/etcdserverpb.Lease/LeaseKeepAlive", vec![renewals(&ids)]).await?
    };
    let reading = tokio::spawn(async move {
        loop {
            let answer = pb::LeaseKeepAliveResponse::decode(answers.next().await?)?;
            ensure!(answer.ttl > 0, "lease {} is gone", answer.id);
        }
    });
    let reading: JoinHandle<Result<()>> = reading;
    let turn = RENEWED_EVERY / u32::try_from(TURNS)?;
    for number in 1_usize.. {
        let due = begun + turn * u32::try_from(number)?;
        while (ids.len() as u64) < count && Instant::now() < due {
            let more = usize::try_from(count)?.saturating_sub(ids.len()).min(AT_ONCE);
            ids.extend(grant(&client, more).await?);
        }
        tokio::time::sleep_until(due.into()).await;
        ensure!(!reading.is_finished(), "the stream of renewals has ended");
        let now: Vec<i64> = ids.iter().skip(number % TURNS).step_by(TURNS).copied().collect();
        requests.send(renewals(&now)).ok().context("the stream is open")?;
    }
    Ok(())
}

async fn grant(client: &Client, count: usize) -> Result<Vec<i64>> {
    let granting = (0..count).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            let request = pb::LeaseGrantRequest { ttl: TTL_S, id: 0 };
            let lease: pb::LeaseGrantResponse = client.call("/etcdserverpb.Lease/LeaseGrant", &request).await?;
            anyhow::Ok(lease.id)
        })
    });
    let mut ids = Vec::with_capacity(count);
    for granted in granting.collect::<Vec<_>>() {
        ids.push(granted.await??);
    }
    Ok(ids)
}

fn renewals(ids: &[i64]) -> Bytes {
    ids.iter().map(|id| framed(&pb::LeaseKeepAliveRequest { id: *id })).collect::<Vec<_>>().concat().into()
}

/// Waits until so many leases run.
async fn wait_for(subject: &Subject, leases: u64, streams: &[JoinHandle<Result<()>>]) -> Result<()> {
    let client = subject.connect(Members::Leader, 1).await?.remove(0);
    loop {
        ensure!(!streams.iter().any(JoinHandle::is_finished), "a stream has ended");
        let running: pb::LeaseLeasesResponse =
            client.call("/etcdserverpb.Lease/LeaseLeases", &pb::LeaseLeasesRequest {}).await?;
        if running.leases.len() as u64 >= leases {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
